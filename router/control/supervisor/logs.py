"""What workers print, kept per instance in files that are rotated.

Rules
- Each line begins with the UTC time at which it came in.
- A line over `MAX_LINE_BYTES` is cut. Output over the rate is dropped, and so is what a full disk does not take; both
  are counted, and the count is written when there is room again.
- Nothing here blocks on the worker or fails because of the disk.
"""

import os
from collections import deque
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from router.core.bucket import TokenBucket

MAX_LINE_BYTES = 16 * 1024
MAX_FILE_BYTES = 10_000_000
FILES = 3
RATE_BYTES_PER_S = 2 * 2**20
BURST_BYTES = 8 * 2**20
_RECOVERED_BYTES = 2 * 2**20
_TAIL_LINES = 50
_TAIL_LINE_CHARACTERS = 500
_CUT = b" ... (cut)"


class RotatedFile:
    """A file that is appended to, and renamed to `.1`, `.2` ... when it is full; the oldest one is deleted."""

    def __init__(self, path: Path, *, max_bytes: int = MAX_FILE_BYTES, files: int = FILES) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._files = files
        self._fd: int | None = None
        self._size = 0

    def append(self, block: bytes) -> bool:
        """Add all of the block, or nothing and return False when the disk is full or broken."""
        try:
            fd = self._opened(len(block))
            if os.write(fd, block) < len(block):
                os.ftruncate(fd, self._size)  # no half lines
                return False
        except OSError:
            return False
        self._size += len(block)
        return True

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _opened(self, needed_bytes: int) -> int:
        """The file, with room for as many bytes more."""
        if self._fd is not None and self._size + needed_bytes > self._max_bytes:
            self._rotate()
        if self._fd is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
            self._size = os.fstat(self._fd).st_size
        return self._fd

    def _rotate(self) -> None:
        self.close()
        for newer, older in reversed(list(pairwise(rotated_names(self.path, self._files)))):
            if newer.exists():
                newer.replace(older)


class WorkerLog:
    """Takes the raw output of one instance, across its processes.

    Args:
        now: Seconds on the monotonic clock that `feed` is called with.
    """

    def __init__(self, file: RotatedFile, *, now: float) -> None:
        self._file = file
        self._bucket = TokenBucket(rate=RATE_BYTES_PER_S, burst=BURST_BYTES, now=now)
        self._partial = b""
        self._is_flooded = False
        self._is_cutting = False  # within a line that is too long, until its end
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self.dropped_bytes = 0
        self._untold_bytes = 0  # dropped, and not yet said so in the file

    def feed(self, output: bytes, now: float) -> None:
        """Take what the worker printed."""
        if self._is_flood(len(output), now):
            self._drop(len(output))
            self._partial = b""
            self._is_cutting = True
            return
        *lines, self._partial = (self._partial + output).split(b"\n")
        self._write([line for line in map(self._whole, lines) if line is not None])
        if len(self._partial) > MAX_LINE_BYTES:
            if not self._is_cutting:
                self._write([_cut(self._partial)])
            self._partial = b""
            self._is_cutting = True

    def note(self, text: str) -> None:
        """Add lines of our own, such as why there is no process."""
        self._write([_cut(line.encode(errors="replace")) for line in text.splitlines()])

    def end(self) -> None:
        """The process is gone: its last line may lack its end."""
        if self._partial and not self._is_cutting:
            self._write([self._partial])
        self._partial = b""
        self._is_cutting = False

    def tail(self, lines: int) -> tuple[str, ...]:
        """The last lines, without their time."""
        return tuple(self._tail)[-lines:] if lines > 0 else ()

    def close(self) -> None:
        self.end()
        self._file.close()

    def _is_flood(self, count: int, now: float) -> bool:
        """Whether to drop this. Once over the rate, all is dropped for a while: long pieces tell more than shreds."""
        if self._is_flooded and self._bucket.level(now) < _RECOVERED_BYTES:
            return True
        self._is_flooded = not self._bucket.take(count, now)
        return self._is_flooded

    def _whole(self, line: bytes) -> bytes | None:
        """A line as it is kept; None for the rest of one that was cut."""
        if self._is_cutting:
            self._is_cutting = False
            return None
        return _cut(line.rstrip(b"\r"))

    def _write(self, lines: list[bytes]) -> None:
        if not lines:
            return
        self._tail.extend(
            line[: 4 * _TAIL_LINE_CHARACTERS].decode(errors="replace")[:_TAIL_LINE_CHARACTERS] for line in lines
        )
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ ").encode()
        told = self._untold_bytes
        if told:
            lines = [b"(%d bytes of output were dropped)" % told, *lines]
        block = b"".join(stamp + line + b"\n" for line in lines)
        if self._file.append(block):
            self._untold_bytes = 0
        else:
            self._drop(sum(map(len, lines[bool(told) :])))

    def _drop(self, count: int) -> None:
        self.dropped_bytes += count
        self._untold_bytes += count


def rotated_names(path: Path, files: int = FILES) -> list[Path]:
    """The file and those that it is renamed to, newest first."""
    return [path, *(path.with_name(f"{path.name}.{number}") for number in range(1, files))]


def _cut(line: bytes) -> bytes:
    return line if len(line) <= MAX_LINE_BYTES else line[: MAX_LINE_BYTES - len(_CUT)] + _CUT

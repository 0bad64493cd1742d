"""What workers print, kept per instance in files that are rotated.

Rules
- Each line begins with the UTC time at which it came in.
- A line over `MAX_LINE_BYTES` is cut. Output over the rate is dropped, and so is what a full disk does not take or a
  disk that hangs leaves no room for; it is counted, and the count is written when there is room again.
- Nothing here blocks on the worker or on the disk, or fails because of either: files are written by a thread.
"""

import contextlib
import os
from collections import deque
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from router.control.supervisor.disk_thread import DiskThread
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
_BLOCK_BYTES = 512  # of memory that a block takes beside its lines


class Block(NamedTuple):
    """Lines with their times, and what is missing in front of them.

    Attributes:
        at: The time of the first, with a space.
        output_bytes: Of output in them.
        dropped_bytes: Of output that was dropped since the block before.
    """

    at: bytes
    lines: bytes
    output_bytes: int
    dropped_bytes: int = 0


class RotatedFile:
    """A file that is appended to, and renamed to `.1`, `.2` ... when it is full; the oldest one is deleted.

    All that it does may take as long as the disk likes.
    """

    def __init__(self, path: Path, *, max_bytes: int = MAX_FILE_BYTES, files: int = FILES) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._files = files
        self._fd: int | None = None
        self._size = 0
        self._untold_bytes = 0  # dropped, and not yet said so in the file

    def append(self, block: Block) -> None:
        """Add all of the block, and what is missing before it; or count it as missing: the disk is full or broken."""
        self._untold_bytes += block.dropped_bytes
        told = b"%b(%d bytes of output were dropped)\n" % (block.at, self._untold_bytes) if self._untold_bytes else b""
        if self._has_written(told + block.lines):
            self._untold_bytes = 0
        else:
            self._untold_bytes += block.output_bytes

    def close(self) -> None:
        if self._fd is not None:
            fd, self._fd = self._fd, None
            with contextlib.suppress(OSError):  # what was written before, and was lost only now
                os.close(fd)

    def _has_written(self, content: bytes) -> bool:
        """Write all of it, or nothing."""
        try:
            fd = self._opened(len(content))
            if os.write(fd, content) < len(content):
                os.ftruncate(fd, self._size)  # no half lines
                return False
        except OSError:
            return False
        self._size += len(content)
        return True

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
        disk: Writes the file.
        now: Seconds on the monotonic clock that `feed` is called with.
    """

    def __init__(self, file: RotatedFile, disk: DiskThread, *, now: float) -> None:
        self._file = file
        self._disk = disk
        self._bucket = TokenBucket(rate=RATE_BYTES_PER_S, burst=BURST_BYTES, now=now)
        self._partial = b""
        self._is_flooded = False
        self._is_cutting = False  # within a line that is too long, until its end
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._dropped_bytes = 0  # since the last block that went to the disk

    def feed(self, output: bytes, now: float) -> None:
        """Take what the worker printed."""
        if self._is_flood(len(output), now):
            self._dropped_bytes += len(output)
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
        self._disk.do(self._file.close)

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
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ ").encode()
        output_bytes = sum(map(len, lines))
        block = Block(at, b"".join(at + line + b"\n" for line in lines), output_bytes, self._dropped_bytes)
        if self._disk.do(partial(self._file.append, block), len(block.lines) + _BLOCK_BYTES):
            self._dropped_bytes = 0
        else:
            self._dropped_bytes += output_bytes


def rotated_names(path: Path, files: int = FILES) -> list[Path]:
    """The file and those that it is renamed to, newest first."""
    return [path, *(path.with_name(f"{path.name}.{number}") for number in range(1, files))]


def _cut(line: bytes) -> bytes:
    return line if len(line) <= MAX_LINE_BYTES else line[: MAX_LINE_BYTES - len(_CUT)] + _CUT

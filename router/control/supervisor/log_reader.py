"""What the workers of a deployment have printed, merged by time, and what they print from then on."""

import os
from collections import deque
from collections.abc import Iterator
from heapq import merge
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

from router.control.supervisor.logs import rotated_names


class LogLine(NamedTuple):
    """One line; `at` is the UTC time at which it came in, as ISO 8601."""

    at: str
    instance: str
    text: str

    def __str__(self) -> str:
        return f"{self.at} [{self.instance}] {self.text}"


class _Position(NamedTuple):
    """How far a file was read: up to `offset` bytes of the file with this inode."""

    inode: int
    offset: int


class LogReader:
    """Reads the logs of a deployment, or of one of its instances.

    Args:
        folder: `log_dir/<endpoint>/<deployment>`; need not be there.
        instance: Its number; None for all.

    Reads files, and may take a while: call it off the event loop.
    """

    def __init__(self, folder: Path, instance: str | None = None) -> None:
        self._folder = folder
        self._instance = instance
        self._positions: dict[Path, _Position] = {}

    def last(self, lines: int | None = None) -> list[LogLine]:
        """The last `lines` lines (all: None); `more` goes on from here."""
        merged = merge(*(self._last_of(path, lines) for path in self._paths()), key=_time_of)
        return list(merged) if lines is None else list(deque(merged, maxlen=lines))

    def more(self) -> list[LogLine]:
        """What has come since the last call."""
        return list(merge(*(self._more_of(path) for path in self._paths()), key=_time_of))

    def _paths(self) -> list[Path]:
        found = {path.name: path for path in self._folder.glob("*.log")}
        if self._instance is None:
            return [found[name] for name in sorted(found)]
        return [found[name] for name in [f"{self._instance}.log"] if name in found]

    def _last_of(self, path: Path, lines: int | None) -> list[LogLine]:
        files = _opened(path)
        newest_first = (line for file in files for line in reversed(self._read(path, file, files[0])))
        # At least one is read, which notes where `more` goes on.
        found = list(islice(newest_first, lines if lines is None else max(lines, 1)))
        for file in files:
            file.close()
        return found[::-1]

    def _more_of(self, path: Path) -> list[LogLine]:
        known = self._positions.get(path)
        files = _opened(path)
        inodes = [os.fstat(file.fileno()).st_ino for file in files]
        if known is not None and known.inode in inodes:
            for file in files[inodes.index(known.inode) + 1 :]:
                file.close()
            files = files[: inodes.index(known.inode) + 1]
            files[-1].seek(known.offset)
        found = [line for file in reversed(files) for line in self._read(path, file, files[0])]
        for file in files:
            file.close()
        return found

    def _read(self, path: Path, file: BinaryIO, newest: BinaryIO) -> list[LogLine]:
        """The rest of a file; of the newest one it is noted how far it was read."""
        start = file.tell()
        whole, newline, _ = file.read().rpartition(b"\n")  # what is being written lacks its end
        if file is newest:
            self._positions[path] = _Position(os.fstat(file.fileno()).st_ino, start + len(whole) + len(newline))
        return [_line(path, raw) for raw in whole.split(b"\n")] if newline else []


def _opened(path: Path) -> list[BinaryIO]:
    """The file and what was rotated from it, newest first; one that is renamed meanwhile is there once."""
    return list(_distinct(file for name in rotated_names(path) if (file := _open(name)) is not None))


def _distinct(files: Iterator[BinaryIO]) -> Iterator[BinaryIO]:
    seen: set[int] = set()
    for file in files:
        inode = os.fstat(file.fileno()).st_ino
        if inode in seen:
            file.close()
        else:
            seen.add(inode)
            yield file


def _open(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb")
    except FileNotFoundError:
        return None


def _line(path: Path, raw: bytes) -> LogLine:
    at, _, text = raw.decode(errors="replace").partition(" ")
    return LogLine(at, path.stem, text)


def _time_of(line: LogLine) -> str:
    return line.at

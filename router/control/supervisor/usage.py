"""What a process uses, read from /proc."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """One process at one moment. `is_stopped`: by SIGSTOP or the like, not by a debugger."""

    is_stopped: bool
    threads: int
    cpu_seconds: float
    rss_bytes: int


def read_usage(pid: int) -> Usage | None:
    """The usage of a process; None when it is gone."""
    try:
        # The name, in brackets, may hold anything: fields count from the last bracket, as proc(5) has them less 3.
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return Usage(
        is_stopped=fields[0] == b"T",
        threads=int(fields[17]),
        cpu_seconds=(int(fields[11]) + int(fields[12])) / _TICKS_PER_S,
        rss_bytes=int(fields[21]) * _PAGE_BYTES,
    )


def usages(pid: int) -> Iterator[Usage]:
    """The usage of a process and of all its descendants; memory that they share counts for each."""
    if usage := read_usage(pid):
        yield usage
    for child in _children(pid):
        yield from usages(child)


def _children(pid: int) -> list[int]:
    try:
        # Each thread has its own list.
        lists = [task.joinpath("children").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [int(child) for children in lists for child in children.split()]

"""What workers print: stamped, bounded, rotated, read again."""

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from router.control.supervisor.disk_thread import DiskThread
from router.control.supervisor.logs import Block, RotatedFile, WorkerLog

STAMPED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z (.*)")


def lines_of(path: Path) -> list[str]:
    """The lines of a log without their time, each of which must have one."""
    matches = [STAMPED.fullmatch(line) for line in path.read_text().splitlines()]
    return [match[1] if match else "no time" for match in matches]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "churn" / "blue" / "0.log"


@pytest.fixture
def disk() -> Iterator[DiskThread]:
    disk = DiskThread(max_bytes=20_000_000)
    yield disk
    disk.close(10)


@pytest.fixture
def log(path: Path, disk: DiskThread) -> WorkerLog:
    return WorkerLog(RotatedFile(path), disk, now=0.0)


def written(path: Path, disk: DiskThread) -> list[str]:
    """The lines of a log once all that was printed is in it."""
    assert disk.wait(10)
    return lines_of(path)


def test_lines_are_put_together_from_pieces(log: WorkerLog, path: Path, disk: DiskThread) -> None:
    """A pipe cuts anywhere; a line is written when its end has come."""
    log.feed(b"first\nsec", 0.0)
    log.feed(b"ond\r\n", 0.1)
    assert written(path, disk) == ["first", "second"]
    assert log.tail(1) == ("second",)


def test_last_line_needs_no_end(log: WorkerLog, path: Path, disk: DiskThread) -> None:
    """What a dying process printed last is kept."""
    log.feed(b"Segmentation fault", 0.0)
    log.end()
    assert written(path, disk) == ["Segmentation fault"]


def test_overlong_line_is_cut_and_the_next_one_whole(log: WorkerLog, path: Path, disk: DiskThread) -> None:
    """A line without end takes bounded memory and bounded room."""
    for _ in range(10):
        log.feed(b"x" * 10_000, 0.0)
    log.feed(b"end\nnext\n", 0.0)
    cut, following = written(path, disk)
    assert (len(cut), cut[-8:], following) == (16384, ".. (cut)", "next")


def test_flood_is_dropped_and_counted(log: WorkerLog, path: Path, disk: DiskThread) -> None:
    """Past the rate, output is dropped; the next line that fits says how much."""
    log.feed(b"a" * 8_388_607 + b"\n", 0.0)
    log.feed(b"lost\n", 0.0)
    log.feed(b"rest\nkept\n", 10.0)
    assert written(path, disk)[1:] == ["(5 bytes of output were dropped)", "kept"]


def test_full_disk_drops_counts_and_recovers(log: WorkerLog, path: Path, disk: DiskThread) -> None:
    """A log that cannot be written harms nobody; when it can be again, it says what is missing."""
    path.parent.mkdir(parents=True)
    path.symlink_to("/dev/full")
    log.feed(b"lost\n", 0.0)
    log.close()
    assert disk.wait(10)
    path.unlink()
    log.feed(b"kept\n", 1.0)
    assert written(path, disk) == ["(4 bytes of output were dropped)", "kept"]


def test_files_are_rotated_and_bounded(path: Path) -> None:
    """At most as many files as wanted, each at most as big as wanted."""
    file = RotatedFile(path, max_bytes=100, files=3)
    for number in range(10):
        file.append(Block(b"", b"%d" % number * 60 + b"\n", 61))
    file.close()
    kept = {found.name: found.read_text()[0] for found in path.parent.iterdir()}
    assert kept == {"0.log": "9", "0.log.1": "8", "0.log.2": "7"}


def test_restart_goes_on_with_the_same_file(path: Path) -> None:
    """What was there before stays, and counts towards the size."""
    first = RotatedFile(path, max_bytes=100)
    first.append(Block(b"", b"a" * 60, 60))
    first.close()
    second = RotatedFile(path, max_bytes=100)
    second.append(Block(b"", b"b", 1))
    second.append(Block(b"", b"c" * 60, 60))
    second.close()
    assert (path.read_text()[:1], path.with_name("0.log.1").read_text()[-1]) == ("c", "b")


def test_tail_is_short_text_whatever_was_printed(log: WorkerLog) -> None:
    """A status carries neither broken text nor endless lines."""
    log.feed(b"\xff\xfe" + b"x" * 9_000 + b"\n", 0.0)
    (line,) = log.tail(5)
    assert (line[:3], len(line)) == ("\ufffd\ufffdx", 500)


def test_notes_are_kept_like_output(log: WorkerLog, path: Path, disk: DiskThread) -> None:
    """Why there is no process stands where its output would."""
    log.note("no such package: nunpy\nsee above")
    assert written(path, disk) == ["no such package: nunpy", "see above"]


def test_disk_that_hangs_costs_lines_not_time(path: Path) -> None:
    """What finds no room is dropped at once and counted; what did is written when the disk goes on, in its order."""
    disk, goes_on = DiskThread(max_bytes=4_000), threading.Event()
    log = WorkerLog(RotatedFile(path), disk, now=0.0)
    disk.do(goes_on.wait)
    for number in range(4):
        log.feed(b"%d" % number * 900 + b"\n", 0.0)
    goes_on.set()
    assert disk.wait(10)
    log.feed(b"after\n", 0.0)
    disk.close(10)
    assert lines_of(path) == ["0" * 900, "1" * 900, "(1800 bytes of output were dropped)", "after"]


def test_loss_on_a_full_disk_and_loss_for_want_of_room_add_up(path: Path) -> None:
    """What the disk refuses only later is counted with what was dropped meanwhile."""
    path.parent.mkdir(parents=True)
    path.symlink_to("/dev/full")
    disk, goes_on = DiskThread(max_bytes=2_000), threading.Event()
    log = WorkerLog(RotatedFile(path), disk, now=0.0)
    disk.do(goes_on.wait)
    log.feed(b"refused" * 100 + b"\n", 0.0)
    log.feed(b"no room" * 200 + b"\n", 0.0)
    goes_on.set()
    assert disk.wait(10)
    disk.do(path.unlink)
    log.close()
    log.feed(b"kept\n", 1.0)
    disk.close(10)
    assert lines_of(path) == ["(2100 bytes of output were dropped)", "kept"]

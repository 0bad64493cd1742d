"""What workers print: stamped, bounded, rotated, read again."""

import re
from pathlib import Path

import pytest

from router.control.supervisor.logs import RotatedFile, WorkerLog

STAMPED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z (.*)")


def lines_of(path: Path) -> list[str]:
    """The lines of a log without their time, each of which must have one."""
    matches = [STAMPED.fullmatch(line) for line in path.read_text().splitlines()]
    return [match[1] if match else "no time" for match in matches]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "churn" / "blue" / "0.log"


@pytest.fixture
def log(path: Path) -> WorkerLog:
    return WorkerLog(RotatedFile(path), now=0.0)


def test_lines_are_put_together_from_pieces(log: WorkerLog, path: Path) -> None:
    """A pipe cuts anywhere; a line is written when its end has come."""
    log.feed(b"first\nsec", 0.0)
    log.feed(b"ond\r\n", 0.1)
    assert lines_of(path) == ["first", "second"]
    assert log.tail(1) == ("second",)


def test_last_line_needs_no_end(log: WorkerLog, path: Path) -> None:
    """What a dying process printed last is kept."""
    log.feed(b"Segmentation fault", 0.0)
    log.end()
    assert lines_of(path) == ["Segmentation fault"]


def test_overlong_line_is_cut_and_the_next_one_whole(log: WorkerLog, path: Path) -> None:
    """A line without end takes bounded memory and bounded room."""
    for _ in range(10):
        log.feed(b"x" * 10_000, 0.0)
    log.feed(b"end\nnext\n", 0.0)
    cut, following = lines_of(path)
    assert (len(cut), cut[-8:], following) == (16384, ".. (cut)", "next")


def test_flood_is_dropped_and_counted(log: WorkerLog, path: Path) -> None:
    """Past the rate, output is dropped; the next line that fits says how much."""
    log.feed(b"a" * 8_388_607 + b"\n", 0.0)
    log.feed(b"lost\n", 0.0)
    log.feed(b"rest\nkept\n", 10.0)
    assert lines_of(path)[1:] == ["(5 bytes of output were dropped)", "kept"]
    assert log.dropped_bytes == 5


def test_full_disk_drops_counts_and_recovers(log: WorkerLog, path: Path) -> None:
    """A log that cannot be written harms nobody; when it can be again, it says what is missing."""
    path.parent.mkdir(parents=True)
    path.symlink_to("/dev/full")
    log.feed(b"lost\n", 0.0)
    path.unlink()
    log.close()
    log.feed(b"kept\n", 1.0)
    assert lines_of(path) == ["(4 bytes of output were dropped)", "kept"]


def test_files_are_rotated_and_bounded(path: Path) -> None:
    """At most as many files as wanted, each at most as big as wanted."""
    file = RotatedFile(path, max_bytes=100, files=3)
    for number in range(10):
        file.append(b"%d" % number * 60 + b"\n")
    file.close()
    kept = {found.name: found.read_text()[0] for found in path.parent.iterdir()}
    assert kept == {"0.log": "9", "0.log.1": "8", "0.log.2": "7"}


def test_restart_goes_on_with_the_same_file(path: Path) -> None:
    """What was there before stays, and counts towards the size."""
    first = RotatedFile(path, max_bytes=100)
    first.append(b"a" * 60)
    first.close()
    second = RotatedFile(path, max_bytes=100)
    second.append(b"b")
    second.append(b"c" * 60)
    second.close()
    assert (path.read_text()[:1], path.with_name("0.log.1").read_text()[-1]) == ("c", "b")


def test_tail_is_short_text_whatever_was_printed(log: WorkerLog) -> None:
    """A status carries neither broken text nor endless lines."""
    log.feed(b"\xff\xfe" + b"x" * 9_000 + b"\n", 0.0)
    (line,) = log.tail(5)
    assert (line[:3], len(line)) == ("\ufffd\ufffdx", 500)


def test_notes_are_kept_like_output(log: WorkerLog, path: Path) -> None:
    """Why there is no process stands where its output would."""
    log.note("no such package: nunpy\nsee above")
    assert lines_of(path) == ["no such package: nunpy", "see above"]

"""Logs as people read them: all instances in one, and what comes while they watch."""

from pathlib import Path

import pytest

from router.control.supervisor.log_reader import LogReader
from router.control.supervisor.logs import Block, RotatedFile


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Logs of two instances, one of them rotated once."""
    (tmp_path / "0.log.1").write_text("2026-01-01T00:00:01Z a\n")
    (tmp_path / "0.log").write_text("2026-01-01T00:00:03Z c\n2026-01-01T00:00:05Z e\n")
    (tmp_path / "1.log").write_text("2026-01-01T00:00:02Z b\n2026-01-01T00:00:04Z d\n")
    return tmp_path


def texts(reader: LogReader) -> str:
    return "".join(line.text for line in reader.more())


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


@pytest.mark.parametrize(
    ("instance", "lines", "expected"),
    [(None, None, "abcde"), (None, 2, "de"), ("0", None, "ace"), ("0", 2, "ce"), ("7", None, ""), (None, 0, "")],
)
def test_logs_are_read_merged_by_time(folder: Path, instance: str | None, lines: int | None, expected: str) -> None:
    """All instances or one, all lines or the last."""
    assert "".join(line.text for line in LogReader(folder, instance).last(lines)) == expected


def test_a_line_says_when_and_which_instance(folder: Path) -> None:
    """As people see it."""
    assert str(LogReader(folder).last(1)[0]) == "2026-01-01T00:00:05Z [0] e"


def test_logs_of_a_deployment_that_printed_nothing_are_empty(tmp_path: Path) -> None:
    """No folder, no lines, no error."""
    reader = LogReader(tmp_path / "nothing")
    assert (reader.last(), reader.more()) == ([], [])


def test_following_gives_each_line_once(folder: Path) -> None:
    """What was read is not read again."""
    reader = LogReader(folder)
    reader.last(1)
    append(folder / "1.log", "2026-01-01T00:00:06Z f\n")
    append(folder / "0.log", "2026-01-01T00:00:07Z g\n")
    assert (texts(reader), texts(reader)) == ("fg", "")


def test_following_waits_for_the_end_of_a_line(folder: Path) -> None:
    """Half a line is no line yet."""
    reader = LogReader(folder)
    reader.last()
    append(folder / "1.log", "2026-01-01T00:00:06Z ha")
    before = texts(reader)
    append(folder / "1.log", "lf\n")
    assert (before, texts(reader)) == ("", "half")


def test_following_finds_an_instance_that_came_later(folder: Path) -> None:
    """From its first line on."""
    reader = LogReader(folder)
    reader.last()
    (folder / "2.log").write_text("2026-01-01T00:00:06Z f\n")
    assert texts(reader) == "f"


def test_following_goes_on_over_rotations(tmp_path: Path) -> None:
    """The rest of the file that was renamed, those that came and went, then the new one."""
    file = RotatedFile(tmp_path / "0.log", max_bytes=64)
    file.append(Block(b"", b"2026-01-01T00:00:01Z a\n", 1))
    reader = LogReader(tmp_path)
    reader.last()
    for second in range(2, 7):
        file.append(Block(b"", b"2026-01-01T00:00:0%dZ %d\n" % (second, second), 1))
    file.close()
    assert texts(reader) == "23456"

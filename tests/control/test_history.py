"""Versions of the config: what is kept, what an undo goes back to, what a diff shows."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from router.control.history import KEPT_CONFIGS, ConfigHistory, changed_lines, unified_diff
from router.control.refusal import Conflict, NotFound
from router.control.state import State


@pytest.fixture
def history(tmp_path: Path) -> Iterator[ConfigHistory]:
    state = State.open(tmp_path)
    yield ConfigHistory(state)
    state.close()


def record(history: ConfigHistory, *texts: str) -> None:
    for text in texts:
        history.record(text.encode())


def undo(history: ConfigHistory, on_disk: str) -> str:
    """Do what an undo does; the text that it brings back."""
    target = history.undo_target(on_disk)
    text = history.text(target.number)
    history.record(text.encode(), source="config undo", restores=target.number)
    return text


def test_a_version_says_what_made_it(history: ConfigHistory) -> None:
    """Numbers from 1, the source, the digest of the bytes, and how many lines came and went."""
    record(history, "a: 1\nb: 2\n")
    history.record(b"a: 1\nb: 3\nc: 4\n", source="online-endpoint update")
    first, second = history.versions()
    assert (first.number, first.source, first.restores, first.was_applied) == (1, "file", None, True)
    assert first.sha256 == hashlib.sha256(b"a: 1\nb: 2\n").hexdigest()
    assert (second.number, second.source, second.added, second.removed) == (2, "online-endpoint update", 2, 1)


def test_the_same_content_again_is_no_new_version(history: ConfigHistory) -> None:
    """A restart, or a file that was touched, changes nothing; going back by hand does."""
    record(history, "a: 1\n", "a: 1\n", "a: 2\n", "a: 1\n")
    assert [history.text(version.number) for version in history.versions()] == ["a: 1\n", "a: 2\n", "a: 1\n"]


def test_the_last_versions_are_kept(history: ConfigHistory) -> None:
    """Under the numbers that they had."""
    record(history, *(f"number: {number}\n" for number in range(1, KEPT_CONFIGS + 3)))
    kept = history.versions()
    assert (len(kept), kept[0].number, kept[-1].number) == (KEPT_CONFIGS, 3, KEPT_CONFIGS + 2)
    with pytest.raises(NotFound, match=r"there is no version 2 of the config; there are 3 to 102"):
        history.text(2)


def test_there_is_nothing_at_first(history: ConfigHistory) -> None:
    """And nothing to go back to."""
    assert (history.versions(), history.last_applied(), history.diff(None, "a: 1\n")) == ([], None, "")
    with pytest.raises(Conflict, match="no config has been in force yet"):
        history.undo_target("a: 1\n")


def test_what_was_applied_last_comes_back(history: ConfigHistory) -> None:
    """Not what never came into force."""
    record(history, "a: 1\n", "a: 2\n")
    history.keep_replaced("broken", "digest")
    assert history.last_applied() == "a: 2\n"


def test_undo_goes_one_version_back(history: ConfigHistory) -> None:
    """To what was in force before."""
    record(history, "a: 1\n", "a: 2\n")
    assert undo(history, "a: 2\n") == "a: 1\n"
    assert history.versions()[-1].restores == 1


def test_each_undo_goes_further_back(history: ConfigHistory) -> None:
    """And not to what the last one has undone, until there is nothing left."""
    record(history, "a: 1\n", "a: 2\n", "a: 3\n")
    assert (undo(history, "a: 3\n"), undo(history, "a: 2\n")) == ("a: 2\n", "a: 1\n")
    with pytest.raises(Conflict, match="no other config was in force before version 1"):
        history.undo_target("a: 1\n")


def test_a_change_after_an_undo_is_undone_first(history: ConfigHistory) -> None:
    """Then the walk goes on where it was."""
    record(history, "a: 1\n", "a: 2\n", "a: 3\n")
    undo(history, "a: 3\n")
    record(history, "a: 4\n")
    assert undo(history, "a: 4\n") == "a: 2\n"


def test_undo_of_a_file_that_was_never_in_force_brings_back_what_runs(history: ConfigHistory) -> None:
    """Whoever has broken the file gets the last good one."""
    record(history, "a: 1\n", "a: 2\n")
    assert undo(history, "broken") == "a: 2\n"


def test_a_diff_leads_from_a_version_to_the_file(history: ConfigHistory) -> None:
    """With the version's number and what made it."""
    record(history, "a: 1\nb: 2\n")
    lines = history.diff(1, "a: 1\nb: 3\n").splitlines()
    assert lines[0].startswith("--- version 1 (")
    assert lines[0].endswith(" UTC, file)")
    assert lines[1:] == ["+++ the file as it is", "@@ -1,2 +1,2 @@", " a: 1", "-b: 2", "+b: 3"]


def test_a_diff_without_a_number_is_against_the_version_before(history: ConfigHistory) -> None:
    """The last one that is not what the file has."""
    record(history, "a: 1\n", "a: 2\n")
    assert history.diff(None, "a: 2\n").splitlines()[-2:] == ["-a: 1", "+a: 2"]
    assert history.diff(None, "a: 3\n").splitlines()[-2:] == ["-a: 2", "+a: 3"]


def test_a_missing_end_of_line_shows_in_a_diff() -> None:
    """As other tools show it."""
    assert unified_diff("a\n", "a", "x", "y").splitlines()[-3:] == ["-a", "+a", "\\ No newline at end of file"]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("", "a\nb\n", (2, 0)),
        ("a\nb\n", "", (0, 2)),
        ("a\nb\nc\n", "a\nx\nc\n", (1, 1)),
        ("a\n", "a\na\n", (1, 0)),
        ("a\r\n", "a\n", (1, 1)),
    ],
)
def test_changed_lines_are_counted(before: str, after: str, expected: tuple[int, int]) -> None:
    """Added, removed."""
    assert changed_lines(before, after) == expected

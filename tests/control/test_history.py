"""Versions of the config: what was in force when, and which one an undo brings back."""

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from router.control.history import ConfigHistory, Version, changed_lines, unified_diff
from router.control.refusal import Conflict, NotFound
from router.control.state import State


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    state = State.open(tmp_path)
    yield state
    state.close()


@pytest.fixture
def history(state: State) -> ConfigHistory:
    return ConfigHistory(state)


def record(history: ConfigHistory, *texts: str) -> None:
    """Each comes into force, by hand."""
    for text in texts:
        history.record(text.encode())


def keep(history: ConfigHistory, text: str) -> None:
    history.keep_replaced(text, hashlib.sha256(text.encode()).hexdigest())


def undo(history: ConfigHistory, on_disk: str) -> str:
    """What the file has after an undo, which comes into force as the daemon brings it."""
    number = history.undo_target(on_disk).number
    text = history.text(number)
    history.record(text.encode(), source="config undo", restores=number)
    return text


def shown(history: ConfigHistory) -> list[tuple[int, str, str, int | None, bool]]:
    return [(v.number, history.text(v.number), v.source, v.restores, v.was_applied) for v in history.versions()]


# What is recorded


def test_versions_are_in_their_order(history: ConfigHistory) -> None:
    """With what made them."""
    record(history, "a")
    history.record(b"b", source="online-endpoint update")
    history.record(b"a", source="config undo", restores=1)
    assert shown(history) == [
        (1, "a", "file", None, True),
        (2, "b", "online-endpoint update", None, True),
        (3, "a", "config undo", 1, True),
    ]


def test_version_has_its_digest_and_its_time(history: ConfigHistory) -> None:
    """The digest is that of the bytes, byte order mark and carriage returns included; the time is Unix time."""
    history.record("\ufeffa: 1\r\n".encode())
    version = history.versions()[0]
    assert version.sha256 == "d154b5589a138ef7a6ff502ecf270b04afa5eb5c56fb398f5cfe9a055a33316d"
    assert history.text(1).encode() == b"\xef\xbb\xbfa: 1\r\n"
    assert version.applied > 1_700_000_000


def test_same_content_again_is_no_version(history: ConfigHistory) -> None:
    """A restart, and a command that changes nothing, bring nothing else into force; going back by hand does."""
    record(history, "a", "a", "b", "a")
    history.record(b"a", source="online-endpoint update")
    assert [text for _, text, *_ in shown(history)] == ["a", "b", "a"]


def test_undo_is_a_version_though_the_same_was_in_force(history: ConfigHistory) -> None:
    """A file that was never in force was replaced by what was: somebody did that."""
    record(history, "a")
    keep(history, "broken")
    history.record(b"a", source="config undo", restores=1)
    assert shown(history) == [
        (1, "a", "file", None, True),
        (2, "broken", "file", None, False),
        (3, "a", "config undo", 1, True),
    ]


def test_what_was_never_in_force_is_not_what_was_in_force_last(history: ConfigHistory) -> None:
    """A restart after it brings nothing else into force."""
    record(history, "a")
    keep(history, "broken")
    record(history, "a")
    assert [text for _, text, *_ in shown(history)] == ["a", "broken"]
    assert history.last_applied() == "a"


def test_nothing_was_in_force_at_first(history: ConfigHistory) -> None:
    """A new state directory remembers nothing."""
    assert history.last_applied() is None
    assert history.versions() == []


def test_last_hundred_are_kept(history: ConfigHistory, state: State) -> None:
    """Numbers are never given twice, not even after a restart."""
    record(history, *map(str, range(103)))
    assert [version.number for version in history.versions()] == list(range(4, 104))
    record(ConfigHistory(state), "x")
    assert ConfigHistory(state).versions()[-1].number == 104


def test_versions_of_an_older_teal_are_by_hand(tmp_path: Path) -> None:
    """Its database had no sources; what it has is kept."""
    with closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as database:
        database.execute("CREATE TABLE credentials (endpoint TEXT) STRICT")
        database.execute(
            "CREATE TABLE configs (id INTEGER PRIMARY KEY AUTOINCREMENT, applied REAL NOT NULL, "
            "sha256 TEXT NOT NULL, text TEXT NOT NULL) STRICT"
        )
        database.execute("INSERT INTO configs VALUES (7, 1000.5, 'aa', 'a')")
        database.execute("PRAGMA user_version = 2")
    with closing(State.open(tmp_path)) as state:
        history = ConfigHistory(state)
        record(history, "b")
        assert shown(history) == [(7, "a", "file", None, True), (8, "b", "file", None, True)]


# Lines


def test_version_has_the_lines_that_changed(history: ConfigHistory) -> None:
    """Against the version before; the first is new as a whole."""
    record(history, "a\nb\nc\n", "a\nB\nc\nd\n", "a\n", "x")
    assert [(version.added, version.removed) for version in history.versions()] == [(3, 0), (2, 1), (0, 3), (1, 1)]


def test_lines_of_the_oldest_that_is_kept(history: ConfigHistory) -> None:
    """What was before it is not known any more."""
    record(history, *(f"{number}\nsame\n" for number in range(101)))
    assert [(v.added, v.removed) for v in history.versions()[:2]] == [(2, 0), (1, 1)]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("", "", (0, 0)),
        ("a\n", "a", (1, 1)),
        ("a\nb\n", "b\na\n", (1, 1)),
        ("a\na\na\n", "a\n", (0, 2)),
        ("a\r\nb\r\n", "a\nb\r\n", (1, 1)),
        ("a\u2028b\n", "a\u2028c\n", (1, 1)),
        ("a\nb\nc\nd\n", "a\nx\nc\ny\nd\n", (2, 1)),
    ],
)
def test_lines_are_counted(before: str, after: str, expected: tuple[int, int]) -> None:
    """As a diff counts them."""
    assert changed_lines(before, after) == expected


# What an undo brings back


def test_undo_brings_back_the_version_before(history: ConfigHistory) -> None:
    """When the file has what is in force."""
    record(history, "a", "b")
    assert history.undo_target("b").number == 1


@pytest.mark.parametrize("on_disk", ["broken", ""])
def test_undo_brings_back_what_is_in_force(history: ConfigHistory, on_disk: str) -> None:
    """When the file has something else, or is gone."""
    record(history, "a", "b")
    assert history.undo_target(on_disk).number == 2


def test_undos_walk_back(history: ConfigHistory) -> None:
    """Each goes one version further back, until the first."""
    record(history, "a", "b", "c")
    assert undo(history, "c") == "b"
    assert undo(history, "b") == "a"
    with pytest.raises(
        Conflict, match=r"^there is nothing to go back to: no other config was in force before version 1$"
    ):
        history.undo_target("a")


def test_undo_after_a_change_undoes_the_change(history: ConfigHistory) -> None:
    """And the next one goes back from what that brings back, not to what was undone before the change."""
    record(history, "a", "b")
    assert undo(history, "b") == "a"
    record(history, "c")
    assert undo(history, "c") == "a"
    with pytest.raises(Conflict):
        history.undo_target("a")


def test_undo_of_a_broken_file_and_one_more(history: ConfigHistory) -> None:
    """First what is in force comes back, then what was before it."""
    record(history, "a", "b")
    keep(history, "broken")
    assert undo(history, "broken") == "b"
    assert undo(history, "b") == "a"


def test_undo_to_a_number_and_one_more(history: ConfigHistory) -> None:
    """The next goes back from there."""
    record(history, "a", "b", "c", "d")
    history.record(b"b", source="config undo", restores=2)
    assert undo(history, "b") == "a"


def test_undo_skips_versions_with_the_same_text(history: ConfigHistory) -> None:
    """It would change nothing."""
    record(history, "a", "b")
    keep(history, "broken")
    history.record(b"b", source="config undo", restores=2)
    record(history, "c")
    history.record(b"b", source="config undo", restores=4)
    assert history.undo_target("b").number == 1


def test_undo_never_finds_what_was_not_in_force(history: ConfigHistory) -> None:
    """That can be brought back by its number."""
    keep(history, "broken")
    with pytest.raises(Conflict, match=r"^there is nothing to go back to: no config has been in force yet$"):
        history.undo_target("other")
    record(history, "a")
    with pytest.raises(Conflict):
        history.undo_target("a")
    assert history.text(1) == "broken"


def test_undo_when_what_was_restored_is_not_kept_any_more(history: ConfigHistory) -> None:
    """There is nothing before it either."""
    record(history, "first", *map(str, range(99)))
    history.record(b"first", source="config undo", restores=1)
    with pytest.raises(Conflict, match=r"before version 1$"):
        history.undo_target("first")


# What is shown


def test_unknown_version_is_refused(history: ConfigHistory) -> None:
    """With the numbers there are."""
    with pytest.raises(NotFound, match=r"^there is no version 1 of the config; there is none yet$"):
        history.text(1)
    record(history, *map(str, range(102)))
    with pytest.raises(NotFound, match=r"^there is no version 2 of the config; there are 3 to 102$"):
        history.text(2)
    with pytest.raises(NotFound, match=r"^there is no version 200 of the config; there are 3 to 102$"):
        history.diff(200, "x")


def test_label_says_which_when_and_how() -> None:
    """In UTC, to the second."""
    version = Version(
        number=3,
        applied=1_772_359_200.9,
        sha256="",
        source="online-endpoint update",
        restores=None,
        was_applied=True,
        added=0,
        removed=0,
    )
    assert version.label == "version 3 (2026-03-01 10:00:00 UTC, online-endpoint update)"


def test_diff_with_a_version(history: ConfigHistory) -> None:
    """What leads from there to the file."""
    record(history, "a: 1\nb: 2\n", "a: 1\n")
    old, label = "a: 1\nb: 2\n", history.versions()[0].label
    assert history.diff(1, "a: 1\nb: 3") == (
        f"--- {label}\n+++ the file as it is\n@@ -1,2 +1,2 @@\n a: 1\n-b: 2\n+b: 3\n\\ No newline at end of file\n"
    )
    assert history.diff(1, old) == ""


@pytest.mark.parametrize(("on_disk", "number"), [("b\n", 1), ("c\n", 2), ("", 2)])
def test_diff_without_a_version(history: ConfigHistory, on_disk: str, number: int) -> None:
    """With the last that was in force and is something else."""
    record(history, "a\n", "b\n")
    keep(history, "broken\n")
    assert history.diff(None, on_disk).startswith(f"--- version {number} (")


def test_diff_of_the_only_version(history: ConfigHistory) -> None:
    """There is nothing to compare with."""
    assert history.diff(None, "a\n") == ""
    record(history, "a\n")
    assert history.diff(None, "a\n") == ""


def test_diff_keeps_carriage_returns() -> None:
    """They are part of a line, as in the file."""
    assert unified_diff("a\r\n", "b\r\n", "x", "y") == "--- x\n+++ y\n@@ -1 +1 @@\n-a\r\n+b\r\n"

"""Every version of the config: what was in force when, what made it, and how to go back.

Rules
- A version is what came into force. The same content again is no new version, except that of an undo: it says that
  somebody went back, and where to.
- What was in the file, never came into force and was replaced by an undo is kept too; no undo goes back to it by
  itself.
- An undo goes to the version before the one that is in force. If that one was brought back by an undo, it counts as the
  one that it restores: the next undo goes back further, and not to what the first one has undone.
- Numbers are never given twice. The last `KEPT_CONFIGS` versions are kept.
"""

import difflib
import hashlib
import io
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

from router.control.refusal import Conflict, NotFound
from router.control.state import State

KEPT_CONFIGS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version of the config.

    Attributes:
        applied: When it came into force, Unix seconds; if it never did, when it was replaced.
        sha256: Of the file's bytes.
        source: What made it: the name of a command, or `file` for an edit by hand.
        restores: Number of the version that it brought back.
        was_applied: Whether it came into force.
        added: Lines that it has and the version before it has not.
        removed: Lines that the version before it has and it has not.
    """

    number: int
    applied: float
    sha256: str
    source: str
    restores: int | None
    was_applied: bool
    added: int
    removed: int

    @property
    def label(self) -> str:
        """What a diff calls it."""
        when = datetime.fromtimestamp(self.applied, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        return f"version {self.number} ({when}, {self.source})"


class ConfigHistory:
    """The versions in a state directory. Its methods may be called from any thread; each may raise StateError."""

    def __init__(self, state: State) -> None:
        self._state = state
        # Lines added and removed, by number; what is recorded does not change.
        self._counts: dict[int, tuple[int, int]] = {}

    def versions(self) -> list[Version]:
        """All that are kept, the newest last."""
        with self._state.transaction() as database:
            return self._read(database)

    def text(self, number: int) -> str:
        """The file as it was in a version.

        Raises:
            NotFound: there is no such version, or not any more.
        """
        with self._state.transaction() as database:
            _check_kept(database, number)
            return _text(database, number)

    def last_applied(self) -> str | None:
        """The text that came into force last; None if none ever did."""
        with self._state.transaction() as database:
            row = database.execute("SELECT text FROM configs WHERE was_applied ORDER BY id DESC LIMIT 1").fetchone()
        return None if row is None else str(row[0])

    def record(self, content: bytes, *, source: str = "file", restores: int | None = None) -> None:
        """Remember a config that came into force.

        Args:
            source: What made it: the name of a command, or `file` for an edit by hand.
            restores: Number of the version that it brings back.
        """
        digest = hashlib.sha256(content).hexdigest()
        with self._state.transaction() as database:
            if restores is None and _digest_in_force(database) == digest:
                return
            _add(database, content.decode(), digest, source, restores, was_applied=True)

    def keep_replaced(self, text: str, sha256: str) -> None:
        """Remember what was in the file, never came into force, and is about to be replaced."""
        with self._state.transaction() as database:
            _add(database, text, sha256, "file", None, was_applied=False)

    def undo_target(self, text_on_disk: str) -> Version:
        """The version that an undo brings back: it was in force, and is not what the file has.

        Raises:
            Conflict: there is none.
        """
        with self._state.transaction() as database:
            applied = [version for version in self._read(database) if version.was_applied]
            if not applied:
                raise Conflict("there is nothing to go back to: no config has been in force yet")
            if _text(database, applied[-1].number) != text_on_disk:
                return applied[-1]
            place = _origin(applied)
            target = _last_other(database, [version for version in applied if version.number < place], text_on_disk)
        if target is None:
            raise Conflict(f"there is nothing to go back to: no other config was in force before version {place}")
        return target

    def diff(self, number: int | None, current_text: str) -> str:
        """What leads from a version to the file as it is, as a unified diff; empty if they are the same.

        Args:
            number: None for the last version in force that is not what the file has.

        Raises:
            NotFound: there is no such version, or not any more.
        """
        with self._state.transaction() as database:
            versions = self._read(database)
            if number is None:
                applied = [version for version in versions if version.was_applied]
                version = _last_other(database, applied, current_text)
            else:
                _check_kept(database, number)
                version = next(version for version in versions if version.number == number)
            before = "" if version is None else _text(database, version.number)
        return "" if version is None else unified_diff(before, current_text, version.label, "the file as it is")

    def _read(self, database: sqlite3.Connection) -> list[Version]:
        rows = database.execute(
            "SELECT id, applied, sha256, source, restores, was_applied FROM configs ORDER BY id"
        ).fetchall()
        numbers = [row[0] for row in rows]
        for before, number in pairwise(numbers):
            if number not in self._counts:
                self._counts[number] = changed_lines(_text(database, before), _text(database, number))
        for number in numbers[:1]:  # nothing is known of what was before it
            self._counts[number] = (len(_lines(_text(database, number))), 0)
        return [
            Version(
                number=number,
                applied=applied,
                sha256=sha256,
                source=source,
                restores=restores,
                was_applied=bool(was_applied),
                added=self._counts[number][0],
                removed=self._counts[number][1],
            )
            for number, applied, sha256, source, restores, was_applied in rows
        ]


def unified_diff(before: str, after: str, before_label: str, after_label: str) -> str:
    """What leads from one text to the other; empty if they are the same."""
    lines = difflib.unified_diff(_lines(before), _lines(after), before_label, after_label)
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def changed_lines(before: str, after: str) -> tuple[int, int]:
    """Number of lines that are added to, and removed from, one text to have the other."""
    old, new = _lines(before), _lines(after)
    # Comparing 22,500 lines that differ in one takes 0.1 s; without what is the same at both ends, nothing.
    start = _same_at_start(old, new)
    old, new = old[start:], new[start:]
    end = _same_at_start(old[::-1], new[::-1])
    old, new = old[: len(old) - end], new[: len(new) - end]
    kept = sum(block.size for block in difflib.SequenceMatcher(None, old, new).get_matching_blocks())
    return len(new) - kept, len(old) - kept


def _same_at_start(one: Sequence[str], other: Sequence[str]) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((index for index, (line, its) in pairs if line != its), min(len(one), len(other)))


def _lines(text: str) -> list[str]:
    """Lines with their ends, as a diff counts them: a carriage return does not end one."""
    return list(io.StringIO(text, newline="\n"))


def _origin(applied: Sequence[Version]) -> int:
    """Number of the version whose text is in force, as it was before undos brought it back."""
    restored = {version.number: version.restores for version in applied}
    number = applied[-1].number
    while (before := restored.get(number)) is not None:
        number = before
    return number


def _last_other(database: sqlite3.Connection, versions: Sequence[Version], text: str) -> Version | None:
    """The newest of the versions that has another text."""
    return next((version for version in reversed(versions) if _text(database, version.number) != text), None)


def _check_kept(database: sqlite3.Connection, number: int) -> None:
    numbers = [row[0] for row in database.execute("SELECT id FROM configs ORDER BY id")]
    if number not in numbers:
        there_are = f"there are {numbers[0]} to {numbers[-1]}" if numbers else "there is none yet"
        raise NotFound(f"there is no version {number} of the config; {there_are}")


def _text(database: sqlite3.Connection, number: int) -> str:
    return str(database.execute("SELECT text FROM configs WHERE id = ?", (number,)).fetchone()[0])


def _digest_in_force(database: sqlite3.Connection) -> str | None:
    row = database.execute("SELECT sha256 FROM configs WHERE was_applied ORDER BY id DESC LIMIT 1").fetchone()
    return None if row is None else str(row[0])


def _add(
    database: sqlite3.Connection, text: str, sha256: str, source: str, restores: int | None, *, was_applied: bool
) -> None:
    database.execute(
        "INSERT INTO configs (applied, sha256, text, source, restores, was_applied) VALUES (?, ?, ?, ?, ?, ?)",
        (time.time(), sha256, text, source, restores, was_applied),
    )
    database.execute("DELETE FROM configs WHERE id <= (SELECT max(id) FROM configs) - ?", (KEPT_CONFIGS,))

"""Keys outlive the daemon, in private files that one daemon uses at a time."""

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from router.control.history import ConfigHistory
from router.control.state import State, StateError, StateLocked


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    state = State.open(tmp_path)
    yield state
    state.close()


def query(folder: Path, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(folder / "state.db")) as database:
        return database.execute(statement).fetchall()


def test_keys_are_made_on_first_use(state: State) -> None:
    """Two different keys of 43 characters, and a token secret of 32 bytes."""
    made = state.credentials("churn")
    assert made.primary != made.secondary
    assert (len(made.primary), len(made.secondary), len(made.token_secret)) == (43, 43, 32)


def test_keys_stay(tmp_path: Path) -> None:
    """A restarted daemon has the same keys."""
    first = State.open(tmp_path)
    made = first.credentials("churn")
    first.close()
    second = State.open(tmp_path)
    assert second.credentials("churn") == made
    second.close()


def test_endpoints_have_keys_of_their_own(state: State) -> None:
    """A key opens one endpoint."""
    assert state.credentials("churn") != state.credentials("fraud")


def test_endpoint_names_compare_without_case(state: State) -> None:
    """Another spelling in the file is the same endpoint."""
    assert state.credentials("Churn") == state.credentials("churn")


def test_regenerating_one_key_leaves_the_other(state: State) -> None:
    """Clients can be moved from one key to the other without a gap."""
    before = state.credentials("churn")
    after = state.regenerate("churn", "secondary")
    assert after.primary == before.primary
    assert after.secondary != before.secondary
    assert after.token_secret == before.token_secret
    assert state.credentials("churn") == after


def test_regenerating_makes_keys_that_are_missing(state: State) -> None:
    """An endpoint that was never asked for has keys afterwards."""
    assert state.regenerate("churn", "primary") == state.credentials("churn")


def test_keys_can_be_forgotten(state: State) -> None:
    """An endpoint of the same name that comes later has others."""
    before = state.credentials("churn")
    state.forget_credentials("Churn")
    assert state.credentials("churn").primary != before.primary


def test_closing_waits_for_other_threads(tmp_path: Path) -> None:
    """A connection that is closed while SQLite is at work in it would take the process down."""
    state = State.open(tmp_path)
    with ThreadPoolExecutor() as pool:
        working = [pool.submit(state.regenerate, "churn", "primary") for _ in range(20)]
        state.close()
    errors = [str(error) for work in working if (error := work.exception()) is not None]
    assert [error for error in errors if "is closed; the daemon has ended" not in error] == []


def test_keys_do_not_show(state: State) -> None:
    """A `repr` in a log or traceback tells no key."""
    assert repr(state.credentials("churn")) == "Credentials()"


def test_files_are_private(state: State, tmp_path: Path) -> None:
    """Nobody else on the machine reads the keys, wherever SQLite keeps them."""
    state.credentials("churn")
    modes = {path.name: stat.filemode(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == dict.fromkeys(("lock", "state.db", "state.db-wal", "state.db-shm"), "-rw-------")


def test_writes_survive_a_power_cut(state: State) -> None:
    """Write-ahead log, synced at each commit."""
    assert state._database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert state._database.execute("PRAGMA synchronous").fetchone() == (2,)


def test_directory_is_made(tmp_path: Path) -> None:
    """A first start needs no preparation."""
    State.open(tmp_path / "var" / "teal").close()
    assert (tmp_path / "var" / "teal" / "state.db").exists()


def test_second_daemon_is_refused(state: State, tmp_path: Path) -> None:
    """One sentence that names the process that has it."""
    code = "import sys, pathlib; from router.control.state import State; State.open(pathlib.Path(sys.argv[1]))"
    result = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False, timeout=60
    )
    assert result.stderr.splitlines()[-1] == (
        f"router.control.state.StateLocked: another teal (pid {os.getpid()}) uses the state directory {tmp_path}; "
        "stop it, or choose another directory"
    )


def test_refused_daemon_can_try_again(tmp_path: Path) -> None:
    """The lock ends with its holder."""
    first = State.open(tmp_path)
    with pytest.raises(StateLocked):
        State.open(tmp_path)
    first.close()
    State.open(tmp_path).close()


def test_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """What is wrong and where, instead of a traceback."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match=r"cannot use the state directory .*/file/state: Not a directory"):
        State.open(tmp_path / "file" / "state")


def test_database_that_is_none_is_named(tmp_path: Path) -> None:
    """The file to move away is in the message, and the lock is given back."""
    (tmp_path / "state.db").write_bytes(b"not a database, and long enough to be looked at" * 100)
    with pytest.raises(StateError, match=r"state\.db is damaged \(file is not a database\); restore it"):
        State.open(tmp_path)
    (tmp_path / "state.db").unlink()
    State.open(tmp_path).close()


def test_damage_found_later_is_named(tmp_path: Path) -> None:
    """A page that went bad is reported the same way as a bad file."""
    state = State.open(tmp_path)
    ConfigHistory(state).record(b"x" * 100_000)
    state.close()
    with (tmp_path / "state.db").open("r+b") as database:
        database.seek(4096)
        database.write(b"\xff" * 30_000)
    damaged = State.open(tmp_path)
    with pytest.raises(StateError, match=r"state\.db is damaged"):
        damaged.credentials("churn")
    damaged.close()


def test_database_of_a_newer_teal_is_refused(tmp_path: Path) -> None:
    """A downgrade does not write into what it does not know."""
    State.open(tmp_path).close()
    query(tmp_path, "PRAGMA user_version = 99")
    with pytest.raises(StateError, match=r"newer teal \(schema 99, this one knows 7\)"):
        State.open(tmp_path)

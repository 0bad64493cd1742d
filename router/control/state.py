"""The daemon's memory: endpoint keys and applied configs in one SQLite file, below a folder that one daemon owns."""

import fcntl
import os
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

KeyType = Literal["primary", "secondary"]

_KEY_BYTES = 32
_BUSY_MS = 5000
# Each statement takes the schema one version further; the version is SQLite's own `user_version`.
_MIGRATIONS = (
    """
    CREATE TABLE credentials (
        endpoint TEXT PRIMARY KEY COLLATE NOCASE,
        primary_key TEXT NOT NULL,
        secondary_key TEXT NOT NULL,
        token_secret BLOB NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE configs (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        applied REAL NOT NULL,  -- Unix time
        sha256 TEXT NOT NULL,
        text TEXT NOT NULL
    ) STRICT
    """,
    # What made the version: the name of a command, or `file` for an edit by hand.
    "ALTER TABLE configs ADD COLUMN source TEXT NOT NULL DEFAULT 'file'",
    # The version whose text an undo brought back.
    "ALTER TABLE configs ADD COLUMN restores INTEGER",
    # 0 for what was in the file, never came into force, and was replaced by an undo.
    "ALTER TABLE configs ADD COLUMN was_applied INTEGER NOT NULL DEFAULT 1",
    """
    CREATE TABLE assets (
        kind TEXT NOT NULL,  -- model or environment
        name TEXT NOT NULL COLLATE NOCASE,
        version TEXT NOT NULL,
        created REAL NOT NULL,  -- Unix time
        is_archived INTEGER NOT NULL DEFAULT 0,
        digest TEXT NOT NULL,  -- of all that makes it this version
        definition TEXT NOT NULL,  -- JSON
        PRIMARY KEY (kind, name, version)
    ) STRICT
    """,
    """
    CREATE TABLE operations (
        id TEXT PRIMARY KEY,
        started REAL NOT NULL,  -- Unix time
        record TEXT NOT NULL  -- JSON
    ) STRICT
    """,
)


class StateError(Exception):
    """The state directory cannot be used; the message is one sentence for the operator."""


class StateLocked(StateError):
    """Another daemon uses the state directory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What opens one endpoint. Does not show in a `repr`."""

    primary: str = field(repr=False)
    secondary: str = field(repr=False)
    token_secret: bytes = field(repr=False)


class State:
    """Opened with `open`, used by one daemon at a time; its methods may be called from any thread."""

    def __init__(self, path: Path, database: sqlite3.Connection, lock_fd: int) -> None:
        self._path = path
        self._database = database
        self._lock_fd = lock_fd
        self._mutex = threading.Lock()
        self._is_closed = False

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Take the folder, which is made if it is missing, and bring its database up to date.

        Raises:
            StateLocked: another daemon has it.
            StateError: it cannot be written, or its database is damaged or of a newer teal.
        """
        lock_fd = _lock(folder)
        path = folder / "state.db"
        try:
            with _plain_errors(path):
                return cls(path, _connect(path), lock_fd)
        except StateError:
            os.close(lock_fd)
            raise

    def close(self) -> None:
        """Give the folder back, when no other thread is at work in it any more."""
        # Closed under the hands of another thread, SQLite's connection takes the whole process down.
        with self._mutex:
            self._is_closed = True
            self._database.close()
        os.close(self._lock_fd)

    def credentials(self, endpoint: str) -> Credentials:
        """The keys of an endpoint, made on first use. They outlive the endpoint's place in the config.

        Raises:
            StateError: they cannot be read or stored.
        """
        with self.transaction() as database:
            database.execute(
                "INSERT OR IGNORE INTO credentials VALUES (?, ?, ?, ?)",
                (endpoint, _new_key(), _new_key(), secrets.token_bytes(_KEY_BYTES)),
            )
            return _read_credentials(database, endpoint)

    def regenerate(self, endpoint: str, which: KeyType) -> Credentials:
        """Replace one key of an endpoint; the other stays valid.

        Raises:
            StateError: it cannot be stored.
        """
        self.credentials(endpoint)
        column = {"primary": "primary_key", "secondary": "secondary_key"}[which]
        with self.transaction() as database:
            database.execute(f"UPDATE credentials SET {column} = ? WHERE endpoint = ?", (_new_key(), endpoint))
            return _read_credentials(database, endpoint)

    def keyed_endpoints(self) -> list[str]:
        """Endpoints that have keys, those that left the config included.

        Raises:
            StateError: they cannot be read.
        """
        with self.transaction() as database:
            return [row[0] for row in database.execute("SELECT endpoint FROM credentials ORDER BY endpoint")]

    def forget_credentials(self, endpoint: str) -> None:
        """Take the keys of an endpoint out of the world: who had them has none of an endpoint of the same name.

        Raises:
            StateError: it cannot be stored.
        """
        with self.transaction() as database:
            database.execute("DELETE FROM credentials WHERE endpoint = ?", (endpoint,))

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, and on the disk when it is over."""
        with self._mutex, _plain_errors(self._path):
            if self._is_closed:
                raise StateError(f"{self._path} is closed; the daemon has ended")
            self._database.execute("BEGIN IMMEDIATE")
            with self._database:  # commits, or rolls back
                yield self._database


def _lock(folder: Path) -> int:
    """Take the folder for this process, until the descriptor is closed or the process ends."""
    path = folder / "lock"
    try:
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StateError(f"cannot use the state directory {folder}: {error.strerror}: {error.filename}") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.read(fd, 20).decode("ascii", "replace").strip() or "unknown"
        os.close(fd)
        raise StateLocked(
            f"another teal (pid {holder}) uses the state directory {folder}; stop it, or choose another directory"
        ) from error
    os.ftruncate(fd, 0)
    os.write(fd, f"{os.getpid()}\n".encode())
    return fd


def _connect(path: Path) -> sqlite3.Connection:
    # SQLite gives its -wal and -shm files the mode of the database; made private first, it keeps them private.
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    os.fchmod(fd, 0o600)
    os.close(fd)
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        database.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        _migrate(database, path)
    except (sqlite3.Error, StateError):
        database.close()
        raise
    return database


def _migrate(database: sqlite3.Connection, path: Path) -> None:
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if version > len(_MIGRATIONS):
        raise StateError(
            f"{path} was written by a newer teal (schema {version}, this one knows {len(_MIGRATIONS)}); "
            "start that version, or choose another directory"
        )
    for number, statement in enumerate(_MIGRATIONS[version:], start=version + 1):
        database.execute("BEGIN IMMEDIATE")
        with database:
            database.execute(statement)
            database.execute(f"PRAGMA user_version = {number}")


@contextmanager
def _plain_errors(path: Path) -> Iterator[None]:
    """Errors of SQLite and of the file as a `StateError` that names the file."""
    try:
        yield
    except OSError as error:
        raise StateError(f"cannot use {path}: {error.strerror}") from error
    except sqlite3.OperationalError as error:  # full disk, read-only file, lock not had in time
        raise StateError(f"cannot use {path}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise StateError(
            f"{path} is damaged ({error}); restore it from a backup, or move it away and new keys will be made"
        ) from error


def _read_credentials(database: sqlite3.Connection, endpoint: str) -> Credentials:
    row = database.execute(
        "SELECT primary_key, secondary_key, token_secret FROM credentials WHERE endpoint = ?", (endpoint,)
    ).fetchone()
    return Credentials(primary=row[0], secondary=row[1], token_secret=row[2])


def _new_key() -> str:
    return secrets.token_urlsafe(_KEY_BYTES)

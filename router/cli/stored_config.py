"""The versions of the config as a daemon that does not run has left them."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from router.cli.errors import Refused
from router.control.history import ConfigHistory
from router.control.state import State


def stored_history(state_dir: Path) -> ConfigHistory:
    """The versions in the database of a state directory, which is not written."""
    return ConfigHistory(_ReadOnly(state_dir / "state.db"))


class _ReadOnly(State):
    """A state directory that belongs to somebody else."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """What is there; nothing can be changed.

        Raises:
            Refused: it cannot be read.
        """
        try:
            self._path.open("rb").close()  # SQLite does not say why it cannot
            database = sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True)
        except PermissionError as error:
            raise Refused([f"{self._path}: only the daemon's user may read it; become that user"]) from error
        except (OSError, sqlite3.Error) as error:
            raise Refused([f"{self._path}: {getattr(error, 'strerror', None) or error}"]) from error
        try:
            yield database
        except sqlite3.Error as error:
            raise Refused([f"{self._path} cannot be read: {error}"]) from error
        finally:
            database.close()

"""Unix sockets for workers: one that listens for requests, one that takes notifications, both with short paths."""

import contextlib
import errno
import hashlib
import itertools
import os
import random
import socket
import stat
import tempfile
from pathlib import Path
from typing import NamedTuple

from router.control.supervisor.disk_thread import DiskThread

MAX_PATH_BYTES = 107  # sun_path has 108 with the final NUL; longer ones cannot even be connected to
_MOST_NUMBERS = 2**32
_LONGEST_NAME = len(f"/w{_MOST_NUMBERS - 1}.sock")
_BACKLOG = 1024
_DATAGRAM_BYTES = 4096
_MAX_DATAGRAMS = 100  # taken in one go, so that one worker cannot keep the loop to itself


def run_dir_of(state_dir: Path) -> Path:
    """Where the sockets of this state's workers are: in memory if systemd gives a folder there, or else in the state.

    In memory no disk that hangs keeps proxies from workers. The folder of a login session is not taken: it is removed
    at logout, beneath a daemon that stays. The name is the state's, for daemons that are given the same folder.
    """
    given = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    if given and os.access(given, os.W_OK | os.X_OK):
        return Path(given).absolute() / _digest(state_dir.absolute())
    return state_dir.absolute() / "run"


class SocketFolder:
    """A folder of ours alone, for sockets whose names are never used twice.

    Args:
        preferred: Where it shall be. When that path is too long for a socket address, a folder in the system's
            temporary directory takes its place, named after the preferred one.
        disk: Takes paths away that are not needed any more.
    """

    def __init__(self, preferred: Path, disk: DiskThread) -> None:
        self._disk = disk
        self.path = preferred if _is_short_enough(preferred) else _short_twin(preferred)
        # From a random number on: proxies of a control process that was killed may still call its workers.
        # Several threads may take one at the same time.
        self._numbers = itertools.count(random.randrange(_MOST_NUMBERS // 2))
        _make_private(self.path)
        for stale in self.path.glob("[wn]*.sock"):
            if not _is_served(stale):
                stale.unlink(missing_ok=True)

    def pair(self) -> "SocketPair":
        """The two sockets of a worker. May take as long as the disk likes.

        Raises:
            OSError: they cannot be made; nothing of them is left.
        """
        listening, path = self.listener()
        try:
            return SocketPair(listening, path, self.notifications(), self._disk)
        except OSError:
            listening.close()
            path.unlink()
            raise

    def listener(self) -> tuple[socket.socket, Path]:
        """A listening socket on a path that no worker had before: the address tells one process from the next."""
        _make_private(self.path)  # somebody may have cleaned up while we run
        path = self.path / f"w{next(self._numbers)}.sock"
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(os.fspath(path))
            listener.listen(_BACKLOG)
            listener.setblocking(False)
        except OSError:
            listener.close()
            raise
        return listener, path

    def notifications(self) -> "NotifySocket":
        """A socket for one worker's notifications."""
        _make_private(self.path)
        return NotifySocket(self.path / f"n{next(self._numbers)}.sock")


class NotifySocket:
    """Takes what a worker says by `sd_notify`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self._socket.bind(os.fspath(path))
            self._socket.setblocking(False)
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        return self._socket.fileno()

    def read(self) -> list[dict[str, str]]:
        """The messages that are there, without waiting; each as its assignments."""
        messages: list[dict[str, str]] = []
        while len(messages) < _MAX_DATAGRAMS:
            try:
                datagram = self._socket.recv(_DATAGRAM_BYTES)
            except BlockingIOError:
                break
            lines = (line.partition("=") for line in datagram.decode(errors="replace").splitlines())
            messages.append({name: value for name, _, value in lines})
        return messages

    def close(self) -> None:
        self._socket.close()


class SocketPair(NamedTuple):
    """What one worker is started with."""

    listening: socket.socket
    path: Path
    notifications: NotifySocket
    disk: DiskThread

    def close(self) -> None:
        """Close both, and have their paths taken away."""
        self.listening.close()
        self.notifications.close()
        self.disk.do(self._remove)

    def _remove(self) -> None:
        for path in (self.path, self.notifications.path):
            with contextlib.suppress(OSError):  # gone already, with its folder perhaps
                path.unlink()


def _is_served(path: Path) -> bool:
    """Whether a worker of a control process that was killed still listens there: it ends with that one's proxies."""
    if not path.name.startswith("w"):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        caller.setblocking(False)
        return caller.connect_ex(os.fspath(path)) in {0, errno.EAGAIN}


def _is_short_enough(folder: Path) -> bool:
    return len(os.fsencode(folder)) + _LONGEST_NAME <= MAX_PATH_BYTES


def _short_twin(folder: Path) -> Path:
    name = f"teal-{os.geteuid()}-{_digest(folder)}"
    twin = Path(tempfile.gettempdir()) / name
    return twin if _is_short_enough(twin) else Path("/tmp", name)


def _digest(folder: Path) -> str:
    return hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]


def _make_private(folder: Path) -> None:
    """Make the folder, or take it over if it is ours and closed to others: its name can be guessed.

    Raises:
        PermissionError: somebody else has put something in its place.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise PermissionError(f"{folder} is not a folder of this user")
    folder.chmod(0o700)

"""The sockets of the admin site: that below the state directory for the command line, and those of a TCP address."""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LONGEST_ADDRESS_BYTES = 107  # sun_path holds 108, the last of them 0
_MODE = 0o660
_BACKLOG = 4096  # callers of a Unix socket are not kept waiting for a place in it, but refused


class SocketTaken(Exception):
    """A process answers on the socket already."""


def socket_path(state_dir: Path) -> Path:
    """Where the socket of a daemon with this state directory is."""
    return state_dir / "run" / "admin.sock"


def listen_at(path: Path) -> socket.socket:
    """A listening socket for user and group; takes the place of what a dead daemon left there.

    Raises:
        SocketTaken: a process listens there.
        OSError: the folder cannot be made or written.
    """
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    if path.exists():
        _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX)
    with _closed_unless_done(listener):
        with _address_of(path) as address:
            listener.bind(address)
        path.chmod(_MODE)  # before it listens, so that nobody connects under another mode
        listener.listen(_BACKLOG)
    listener.setblocking(False)
    return listener


def listen_on(host: str, port: int) -> list[socket.socket]:
    """Listening sockets for every address that `host` names and this machine has.

    Raises:
        OSError: there is none, or another process listens on one.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    listeners: list[socket.socket] = []
    missing: OSError | None = None
    for family, _, _, _, address in dict.fromkeys(found):
        try:
            listeners.append(_listen_on(socket.AddressFamily(family), address))
        except OSError as error:
            if error.errno not in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
                for listener in listeners:
                    listener.close()
                raise
            missing = error
    if not listeners and missing is not None:
        raise missing
    return listeners


def connect_to(path: Path, timeout_s: float) -> socket.socket:
    """A connection to the daemon that listens at `path`.

    Raises:
        OSError: nobody listens there, or we may not connect.
    """
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(timeout_s)
    with _closed_unless_done(connection), _address_of(path) as address:
        connection.connect(address)
    return connection


def _listen_on(family: socket.AddressFamily, address: tuple[object, ...]) -> socket.socket:
    listener = socket.socket(family)
    with _closed_unless_done(listener):
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    listener.setblocking(False)
    return listener


@contextmanager
def _closed_unless_done(one: socket.socket) -> Iterator[None]:
    """Close a socket that does not become what it is made for."""
    try:
        yield
    except OSError:
        one.close()
        raise


def _remove_stale(path: Path) -> None:
    try:
        connect_to(path, timeout_s=1.0).close()
    except ConnectionRefusedError:
        path.unlink()
    except FileNotFoundError:
        return
    else:
        raise SocketTaken(f"a process listens on {path}")


@contextmanager
def _address_of(path: Path) -> Iterator[str]:
    """The path, or a short way to it where it is too long for the address of a socket."""
    if len(os.fsencode(path)) <= _LONGEST_ADDRESS_BYTES:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)

"""The listening socket: inherited by number, passed by systemd, or bound here."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path
from typing import MutableMapping

from workers.options import Options

FIRST_PASSED_FD = 3
BACKLOG = 1024


def open_listener(options: Options, environ: MutableMapping[str, str]) -> socket.socket:
    """Return the listening socket, not inheritable by what the script starts.

    Raises:
        OSError: it is no listening socket, or the address cannot be bound.
    """
    if options.fd is not None:
        return _adopt(options.fd)
    if options.listen is not None:
        return _bind(options.listen)
    return _adopt(_passed_by_systemd(environ))


def _passed_by_systemd(environ: MutableMapping[str, str]) -> int:
    pid, count = environ.pop("LISTEN_PID", ""), environ.pop("LISTEN_FDS", "0")
    environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or count != "1":
        raise OSError("no socket: give --fd or --listen, or exactly one socket of systemd's")
    return FIRST_PASSED_FD


def _adopt(fd: int) -> socket.socket:
    listener = socket.socket(fileno=fd)
    if not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise OSError(f"file descriptor {fd} is not a listening socket")
    listener.setblocking(False)
    listener.set_inheritable(False)
    return listener


def _bind(address: str) -> socket.socket:
    if address.startswith("unix:"):
        listener = _bind_unix(address[len("unix:") :])
    else:
        host, _, port = address.rpartition(":")
        if not port.isdigit():
            raise OSError(f"{address!r} is neither unix:/path nor host:port")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host.strip("[]"), int(port)), family=family)
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener


def _bind_unix(path: str) -> socket.socket:
    place = Path(path)
    # What an earlier worker left behind; any other kind of file stays and makes bind() fail.
    if place.exists() and stat.S_ISSOCK(place.stat().st_mode):
        place.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    return listener

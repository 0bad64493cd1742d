"""The listening sockets for scoring traffic: handed over by systemd, or bound here."""

import errno
import os
import socket
from collections.abc import Mapping, Sequence

_LISTEN_FDS_START = 3  # sd_listen_fds(3)
_BACKLOG = 4096


class ListenError(Exception):
    """No socket for an address; the message says why and what to do."""


def from_systemd(environment: Mapping[str, str], pid: int) -> list[socket.socket]:
    """Sockets that systemd passed to this very process; empty if it passed none."""
    if environment.get("LISTEN_PID") != str(pid):
        return []
    count = int(environment.get("LISTEN_FDS", "0"))
    passed = []
    for fd in range(_LISTEN_FDS_START, _LISTEN_FDS_START + count):
        os.set_inheritable(fd, False)
        passed.append(socket.socket(fileno=fd))
    return passed


def bind(addresses: Sequence[tuple[str, int]], slots: int) -> list[list[socket.socket]]:
    """One listening `SO_REUSEPORT` socket per address for each proxy slot; port 0 picks a free one for all slots.

    Raises:
        ListenError: an address is in use or not ours.
    """
    by_slot: list[list[socket.socket]] = [[] for _ in range(slots)]
    for host, wanted_port in addresses:
        # SO_REUSEPORT would let two daemons share a port without a word; this one must own it alone.
        _refuse_if_in_use(host, wanted_port)
        port = wanted_port
        for sockets in by_slot:
            listener = _listen(host, port)
            port = listener.getsockname()[1]
            sockets.append(listener)
    return by_slot


def spread(passed: Sequence[socket.socket], slots: int) -> list[list[socket.socket]]:
    """Sockets from systemd for each slot: all slots accept on all of them, sharing the queue."""
    return [list(passed) for _ in range(slots)]


def bound_at(listener: socket.socket, *, scheme: str) -> str:
    """What a socket is bound to, as a URL."""
    if listener.family == socket.AF_UNIX:
        return f"unix:{listener.getsockname()}"
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}:{port}"


def url_of(listener: socket.socket, *, scheme: str) -> str:
    """Where clients on this machine reach a socket."""
    anywhere = {"//0.0.0.0:": "//127.0.0.1:", "//[::]:": "//[::1]:"}
    url = bound_at(listener, scheme=scheme)
    for wildcard, here in anywhere.items():
        url = url.replace(wildcard, here)
    return url


def _refuse_if_in_use(host: str, port: int) -> None:
    if port:
        _bound(host, port, reuse_port=False).close()


def _listen(host: str, port: int) -> socket.socket:
    listener = _bound(host, port, reuse_port=True)
    listener.listen(_BACKLOG)
    listener.setblocking(False)
    return listener


def _bound(host: str, port: int, *, reuse_port: bool) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            None if host == "*" else host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ListenError(f"cannot listen on {host}:{port}: {error.strerror}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            hint = "is another daemon running? Stop it, or change `listen` in the config"
            raise ListenError(f"cannot listen on {host}:{port}: the port is in use; {hint}") from error
        raise ListenError(f"cannot listen on {host}:{port}: {error.strerror}") from error
    return listener


def of_others(owned: Sequence[socket.socket], sockets: Sequence[Sequence[socket.socket]]) -> list[socket.socket]:
    """The sockets of other slots to which the kernel gives clients of the same addresses."""
    served = {listener.getsockname() for listener in owned}
    listeners = dict.fromkeys(listener for others in sockets for listener in others)  # those of systemd are shared
    return [each for each in listeners if each not in owned and each.getsockname() in served]

"""Accepts clients on one listening socket, and goes on doing so whatever happens."""

import asyncio
import errno
import os
import socket
from typing import NamedTuple, Protocol

import structlog

log = structlog.get_logger()

_BACKLOG = 4096
#: Connections that are accepted before those that are open get their turn.
_BATCH = 8
#: For how long nothing is accepted after an error that another attempt would only repeat.
_PAUSE_S = 0.1
#: Bytes of an answer that the kernel takes beyond what is on its way; by itself it takes 4 MB for who does not read.
_UNSENT_BYTES = 128 * 1024
_EXHAUSTED = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))


class Accepted(NamedTuple):
    """A connection and what the kernel says of its client."""

    connection: socket.socket
    address: object


class Door(Protocol):
    """What becomes of connections."""

    def take(self, accepted: Accepted) -> None: ...
    def refuse_exhausted(self, connection: socket.socket) -> None: ...


class Listener:
    """Owns a listening socket, and a spare descriptor: without one, clients could not even be refused."""

    def __init__(self, listener: socket.socket, door: Door) -> None:
        listener.setblocking(False)
        listener.listen(_BACKLOG)
        if listener.family in {socket.AF_INET, socket.AF_INET6}:  # connections have it from their listener
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)
        self._socket = listener
        self._door = door
        self._spare = _open_spare()
        self._resuming: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Accept from now on."""
        self._resuming = None
        asyncio.get_running_loop().add_reader(self._socket, self._accept, _BATCH)

    def close(self) -> None:
        """Take what is queued already, and nothing any more."""
        self._stop()
        self._accept(_BACKLOG)
        self._stop()
        self._socket.close()
        if self._spare is not None:
            os.close(self._spare)

    def _accept(self, most: int) -> None:
        for _ in range(most):
            try:
                self._accept_one()
            except BlockingIOError:
                return
            except ConnectionError:
                continue  # it has gone again
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    log.error("listener.failed", error=str(error))
                self._pause()
                return

    def _accept_one(self) -> None:
        try:
            accepted = Accepted(*self._socket.accept())
        except OSError as error:
            # Without descriptors the kernel says so, whether a client waits or not.
            if error.errno not in _EXHAUSTED or not self._has_spare():
                raise
            self._refuse_one()
        else:
            self._door.take(accepted)

    def _has_spare(self) -> bool:
        if self._spare is None:
            self._spare = _open_spare()
        return self._spare is not None

    def _refuse_one(self) -> None:
        """Let the client that has waited longest have the spare descriptor for as long as it takes to refuse it."""
        assert self._spare is not None
        os.close(self._spare)
        self._spare = None
        try:
            connection, _ = self._socket.accept()
            self._door.refuse_exhausted(connection)
        finally:
            self._spare = _open_spare()

    def _pause(self) -> None:
        """Leave clients in the queue for a moment."""
        self._stop()
        self._resuming = asyncio.get_running_loop().call_later(_PAUSE_S, self.start)

    def _stop(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        if self._resuming is not None:
            self._resuming.cancel()
            self._resuming = None


def _open_spare() -> int | None:
    try:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None

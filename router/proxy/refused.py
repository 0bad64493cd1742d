"""Clients for whom there is no place: answered, if that costs next to nothing, and closed."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import cast

#: How long a client has to send its request, to read the answer and to close.
_PATIENCE_S = 1.0
_READ_BYTES = 64 * 1024


class RefusedConnection(asyncio.Protocol):
    """Waits for a request, answers it and closes; an answer that comes before the request would confuse clients.

    Args:
        ended: Told once the connection is closed.
    """

    def __init__(self, answer: Callable[[], bytes], ended: Callable[["RefusedConnection"], None]) -> None:
        self._answer = answer
        self._ended = ended
        self._is_answered = False
        self.is_made = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.is_made = True
        self._transport = cast(asyncio.Transport, transport)
        self._patience = asyncio.get_running_loop().call_later(_PATIENCE_S, self.abort)

    def data_received(self, data: bytes) -> None:
        if not self._is_answered:
            self._is_answered = True
            self._transport.write(self._answer())
            self._transport.write_eof()  # to close with bytes unread would take the answer back

    def connection_lost(self, exc: Exception | None) -> None:
        self._patience.cancel()
        self._ended(self)

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()


def answer_and_close(connection: socket.socket, answer: bytes) -> None:
    """Refuse a client without waiting for it: it gets the answer if the network is kind."""
    connection.setblocking(False)
    with suppress(OSError):
        connection.recv(_READ_BYTES)  # bytes that nobody has read turn the close into a reset
    with suppress(OSError):
        connection.send(answer)
    connection.close()

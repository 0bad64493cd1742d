"""Clients whose request nobody reads: answered, if that costs next to nothing, and closed."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import cast

from router.core.errors import RouterError
from router.core.headers import NAME_BYTES
from router.core.record import RequestRecord
from router.core.replies import refusal
from router.proxy.runtime import Runtime

#: How long a client has to send its request, to read the answer and to close.
_PATIENCE_S = 1.0
_READ_BYTES = 64 * 1024
_HEAD_METHOD = b"HEAD"

#: Makes the answer to a request of which this is the beginning.
Answering = Callable[[bytes], bytes]


def begun_method(begun: bytes) -> str:
    """The method of a request that begins like this, if it decides of the answer: a HEAD gets no body; else nothing."""
    behind = begun[len(_HEAD_METHOD) : len(_HEAD_METHOD) + 1]  # another method may begin like this
    return "HEAD" if begun.startswith(_HEAD_METHOD) and behind not in NAME_BYTES else ""


def refuse_unread(
    runtime: Runtime, error: RouterError, begun: bytes, began: float | None = None
) -> tuple[bytes, RequestRecord]:
    """The answer to what nobody reads as a request, and what is remembered of it.

    Args:
        begun: Its first bytes, if any came.
        began: When it was due (monotonic seconds); None: now.
    """
    now = runtime.now()
    method = begun_method(begun)
    record = RequestRecord(
        generation=runtime.table.generation,
        began=now if began is None else began,
        request_id=runtime.request_id().decode(),
        method=method,
        status=error.status,
        reason=error.code,
        response_bytes=0 if method == "HEAD" else len(error.body),
    )
    return refusal(error, record, now=now, http_date=runtime.http_date(now), closes=True), record


class RefusedConnection(asyncio.Protocol):
    """Waits for a request, answers it and closes; an answer that comes before the request would confuse clients.

    Args:
        ended: Told once the connection is closed.
    """

    def __init__(self, answer: Answering, ended: Callable[["RefusedConnection"], None]) -> None:
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
            self._transport.write(self._answer(data))
            self._transport.write_eof()  # to close with bytes unread would take the answer back

    def connection_lost(self, exc: Exception | None) -> None:
        self._patience.cancel()
        self._ended(self)

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()


def answer_and_close(connection: socket.socket, answer: Answering) -> None:
    """Refuse a client without waiting for it: it gets the answer if the network is kind."""
    connection.setblocking(False)
    begun = b""
    with suppress(OSError):
        begun = connection.recv(_READ_BYTES)  # bytes that nobody has read turn the close into a reset
    with suppress(OSError):
        connection.send(answer(begun))
    connection.close()

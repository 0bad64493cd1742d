"""How a client's connection ends on the full lane: with the client's last request answered, and the answer received.

Rules
- A client that shuts down its sending side gets the answers to the requests that it has sent whole.
- An answer that the client may not have read is followed by the end of our side; what still comes is read and dropped
  until the client closes: to close with bytes unread would reset the connection, and take the answer back
  (RFC 9112, 9.6).
"""

import asyncio
from contextlib import suppress
from typing import Any

from aiohttp import StreamReader
from aiohttp.http import HttpVersion11
from aiohttp.web import BaseRequest

from router.proxy.half_close import Listening, can_half_close
from router.proxy.persistence import BodyWatch
from router.proxy.runtime import Runtime

#: How long a client that was told of the end may go on sending, and how long it may be silent.
LINGER_S = 30.0
LINGER_IDLE_S = 5.0


class EndingConnection(BodyWatch):
    """A client's connection, with an eye on its end."""

    __slots__ = ("_answered", "_deadlines", "_is_half_closed", "_lingering", "_parts", "_request")

    def __init__(self, runtime: Runtime, *args: Any, **kwargs: Any) -> None:
        super().__init__(runtime, *args, **kwargs)
        self._deadlines = runtime.deadlines
        self._is_half_closed = False
        self._answered = 0  # requests, well-formed or not
        self._request: BaseRequest | None = None  # that is being handled now
        self._parts = 0  # of its answer that have gone out
        self._lingering: asyncio.Event | None = None  # set whenever something comes

    def data_received(self, data: bytes) -> None:
        if self._lingering is not None:
            self._lingering.set()
        else:
            super().data_received(data)

    def eof_received(self) -> bool:  # type: ignore[override]  # aiohttp has no use for its answer, the loop has
        """The client sends no more; whether the connection stays open for an answer."""
        self._is_half_closed = True
        if self._lingering is not None:
            self._lingering.set()
        if self._request_count <= self._answered or not self._body.is_eof():
            return False
        if self.transport is None or not can_half_close(self.transport):
            return False
        self.look_behind()
        for _, body in self._messages:
            _break(body)
        self._look_ahead()
        return True

    @property
    def is_half_closed(self) -> bool:
        """The client sends no more."""
        return self._is_half_closed

    def begin(self, request: BaseRequest) -> None:
        """A request is handled from now on."""
        self._request = request
        self._parts = 0
        self.look_behind()
        self.watch(request.content)
        if self._is_half_closed:
            _break(request.content)
            self._look_ahead()

    def answers(self) -> None:
        """A part of the answer goes out."""
        self._parts += 1

    def end(self) -> None:
        """The request that was handled, or what was no request, has its answer."""
        self._request = None
        self._answered += 1
        if self._is_half_closed and not self._messages:
            self.close()

    async def linger(self, request: BaseRequest) -> None:
        """End our side, and wait for the client to end its own if it may still be sending."""
        transport = self.transport
        if transport is None or transport.is_closing() or self._is_half_closed or not self._may_be_sending(request):
            return
        something = self._lingering = asyncio.Event()
        if transport.can_write_eof():
            transport.write_eof()
        transport.resume_reading()
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                while not self._is_half_closed:
                    something.clear()
                    async with asyncio.timeout(LINGER_IDLE_S):
                        await something.wait()

    def _may_be_sending(self, request: BaseRequest) -> bool:
        is_malformed = request.method == "UNKNOWN"  # aiohttp's word; the rest of it is unread
        return is_malformed or not request.content.is_eof() or bool(self._messages)

    def _look_ahead(self) -> None:
        """See to the end of a connection on which no more requests come."""
        request = self._request
        if not self._messages:
            self.is_spent = True
        if request is None or (request.version != HttpVersion11 and not self._parts):
            return  # an older client would take a question for the answer
        assert self.transport is not None
        Listening(
            self._deadlines,
            self.transport,
            is_current=lambda: self._request is request,
            progress=lambda: self._parts or None,
            gone=self.transport.abort,
        )


def tell_of_part(request: BaseRequest) -> None:
    """Tell the request's connection that a part of its answer goes out."""
    if isinstance(request.protocol, EndingConnection):
        request.protocol.answers()


async def end_connection(request: BaseRequest) -> None:
    """Close in stages where the client may still be sending."""
    if isinstance(request.protocol, EndingConnection):
        await request.protocol.linger(request)


def _break(body: StreamReader) -> None:
    """The rest of a body does not come."""
    if not body.is_eof():
        body.set_exception(ConnectionResetError("The client ended in the middle of it."))
        body.feed_eof()

"""Client connections: aiohttp's protocol with our limits and our words for malformed requests."""

import asyncio
from typing import Any

from aiohttp import EMPTY_PAYLOAD, StreamReader
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web import BaseRequest, Server, StreamResponse
from aiohttp.web_protocol import RequestHandler
from yarl import URL

from router.core.admission import ConnectionCut
from router.core.beginning import has_controls, least_missing
from router.core.stats import count
from router.proxy.deadlines import end_due
from router.proxy.ending import EndingConnection
from router.proxy.frugal import DRIP_BYTES, Frugal, is_slow
from router.proxy.full_lane import CLOSED, FullLane
from router.proxy.opened import OpenConnections
from router.proxy.runtime import Runtime
from router.proxy.unread import has_unread, reset

#: Of all that may be kept back.
_KEPT_BYTES = 256
_CRLF = b"\r\n"


class ClientConnection(EndingConnection):
    """One client's connection on the full lane.

    Bytes that come one by one are kept back, without a parser, until a line or a body may end, or they are many;
    from who is slow they are read once as many have come.

    Args:
        client: Whom it counts for.
        head_since: When the client began to owe a head (monotonic seconds).
        requests_left: How many more requests it may serve; None for any number.
        is_new: Whether it has served none yet.
    """

    __slots__ = (
        "_closing",
        "_closing_since",
        "_frugal",
        "_has_begun_head",
        "_head_since",
        "_idle_since",
        "_is_busy",
        "_is_new",
        "_kept",
        "_lane",
        "_requests_left",
        "client",
    )

    def __init__(
        self,
        server: "FullLaneServer",
        runtime: Runtime,
        lane: FullLane,
        *,
        client: str,
        head_since: float,
        requests_left: int | None,
        is_new: bool,
        **kwargs: Any,
    ) -> None:
        super().__init__(runtime, server, **kwargs)
        self._requests_left = requests_left
        self._is_new = is_new
        self.client = client
        self._lane = lane
        self._closing: asyncio.Transport | None = None
        self._closing_since = 0.0
        self._frugal: Frugal | None = None  # since a few bytes came alone
        self._is_busy = False
        self._has_begun_head = False
        self._kept = b""
        self._idle_since = runtime.now()
        self._head_since = head_since

    @property
    def is_idle(self) -> bool:
        """Before or between requests, and nothing of the next one has come."""
        return not self._is_busy and not self._has_begun_head

    def is_idle_since(self, earlier: float) -> bool:
        """Whether nothing has happened after `earlier` (monotonic seconds)."""
        return self.is_idle and self._idle_since <= earlier

    def owes_head_since(self, earlier: float) -> bool:
        """Whether it has been due to finish a head since before `earlier` (monotonic seconds)."""
        return not self._is_busy and 0 < self._head_since < earlier

    def give_up_head(self) -> None:
        """The client has not finished a head in time; who has begun a first one gets to know why it is cut off."""
        if self._closing is not None:
            return  # it knows
        self.read_unwoken()
        self._give_kept()
        if self._messages:
            return  # what was kept back is no head, and gets its answer
        if self._is_new and self._has_begun_head and self.transport is not None:
            self.transport.write(self._lane.refuse_late_head(self._head_since, self.first_bytes))
            count(self._runtime.totals.process.connections_cut, "head_timeout")
            self.force_close()
        else:
            self.cut("head_timeout")

    def has_lingered(self, now: float, patience_s: float) -> bool:
        """Whether it has been closing for that long, because its client does not read what is still to be sent."""
        transport = self._closing or self.transport
        if transport is None or not transport.is_closing():
            return False
        self._closing_since = self._closing_since or now
        return now - self._closing_since >= patience_s

    def close_once(self) -> None:
        """Close once what was written has been taken; at once if we wait for no more than a goodbye."""
        closing = self._closing
        if closing is None:
            self.force_close()
            self._idle_since = self._runtime.now()
        elif not has_unread(closing):
            closing.abort()

    def cut(self, reason: ConnectionCut) -> None:
        """Close at once, and count it."""
        count(self._runtime.totals.process.connections_cut, reason)
        transport = self._closing or self.transport
        if transport is not None and reason == "not_read":
            reset(transport)
        elif transport is not None:
            transport.abort()
        self.force_close()

    def force_close(self) -> None:
        self._closing = self._closing or self.transport  # aiohttp forgets it, sent or not
        super().force_close()

    def _process_keepalive(self) -> None:  # aiohttp's timer, which knows nothing of heads that have begun
        if self.is_idle:
            super()._process_keepalive()
        else:
            self._keepalive_handle = None  # set again with the next answer

    def resume_reading(self, resume_parser: bool = True) -> None:
        # aiohttp 3.14 resumes at every read of a body, paused or not, and parses an empty buffer each time.
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def data_received(self, data: bytes) -> None:
        if data and self.reader is not None:
            self.reader.heard(len(data))
        is_drip = 0 < len(data) < DRIP_BYTES
        if not is_drip or not self._keep(data):
            self._read(data)
        if is_drip or self._frugal is not None:
            self._wake_in_time()

    def _read(self, data: bytes) -> None:
        if self._kept:
            data, self._kept = self._kept + data, b""
        if not self._is_busy and self._lingering is None:
            self._has_begun_head = True
            self._head_since = self._head_since or self._runtime.now()
        super().data_received(data)
        if self._messages and not self._is_busy:
            self._head_since = 0.0  # it is here, though nobody has looked at it yet

    def _keep(self, data: bytes) -> bool:
        """Keep back a little of a head or body that does not end with it; return whether that was done."""
        kept = self._kept + data
        if len(kept) > _KEPT_BYTES or self._lingering is not None:
            return False
        reader = self.reader
        if reader is not None:
            if not reader.can_wait(kept):
                return False
        elif self._is_busy or not self._head_bytes or has_controls(data):
            return False
        self._kept = kept
        return True

    def _give_kept(self) -> None:
        """Let the parser have what was kept back: nothing more may come."""
        if self._kept:
            self._read(b"")

    def _wake_in_time(self) -> None:
        """Be woken when what is missing can be there, if that has been slow to come."""
        reader, kept_bytes, least_bytes = self.reader, len(self._kept), 1
        if reader is not None:
            least_bytes = min(reader.least_wanted(kept_bytes), self.least_missing_bytes - kept_bytes)
        elif self._head_bytes and not self._is_busy and is_slow(self._head_since):
            least_bytes = least_missing(_CRLF + (self._kept or self._last_bytes))
        if self._frugal is None and least_bytes > 1 and self.transport is not None:
            self._frugal = Frugal.of(self.transport)
        if self._frugal is not None:
            self._frugal.wake_at(least_bytes)

    def read_unwoken(self) -> bool:
        """Read what nobody was woken for; whether there was anything."""
        if self._frugal is None:
            return False
        data, when = self._frugal.take()
        if data and self.reader is not None:
            self.reader.heard(len(data), when)
        if data:
            self._read(data)
        return bool(data)

    def eof_received(self) -> bool:  # type: ignore[override]  # as in the class above
        self._give_kept()
        return super().eof_received()

    async def handle(self, request: BaseRequest) -> StreamResponse:
        """Hand a parsed request to the lane."""
        self._is_busy = True
        if self._requests_left is not None:
            self._requests_left -= 1
            self.is_spent = self._requests_left <= 0
        self.begin(request)
        self._owe_nothing()
        try:
            if self.writing_paused and not await self._is_read(request):
                return CLOSED
            return await self._lane.handle(request)
        finally:
            self.watch(EMPTY_PAYLOAD)
            self._is_busy = False
            self._idle_since = self._runtime.now()
            if self.has_begun_next and not self._messages:
                self._has_begun_head = True
                self._head_since = self._idle_since  # as long as we were busy, it was not due
            self.end()

    async def _is_read(self, request: BaseRequest) -> bool:
        """Whether the client takes the answers before this one; what it is sent unread would have no end."""
        try:
            async with asyncio.timeout(self._runtime.limits.answer_timeout_s):
                await request.writer.drain()
        except TimeoutError:
            self.cut("not_read")
            return False
        except ConnectionError:
            return False
        return True

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> StreamResponse:
        self._owe_nothing()
        answer = self._lane.refuse_malformed(
            request, exc, is_head_too_large=self.is_head_too_large, begun=self.first_bytes
        )
        self._idle_since = self._runtime.now()
        self.end()
        return answer

    def _owe_nothing(self) -> None:
        """The head is here, or will never be."""
        self._is_new = False
        self._has_begun_head = False
        self._head_since = 0.0


class FullLaneServer(Server):
    """Makes aiohttp's connections and knows those that are open."""

    def __init__(self, runtime: Runtime, lane: FullLane, opened: OpenConnections) -> None:
        # The handler is cancelled when its client goes away: the instance's connection is closed with it.
        super().__init__(_handle, handler_cancellation=True, request_factory=_request)
        self._runtime = runtime
        self._lane = lane
        self._opened = opened

    def make(
        self, client: str, head_since: float, requests_left: int | None, *, is_new: bool = True
    ) -> ClientConnection:
        """A connection of `client`, which owes a head since `head_since` (monotonic seconds).

        Args:
            is_new: Whether it has served no request yet.
        """
        limits = self._runtime.limits
        return ClientConnection(
            self,
            self._runtime,
            self._lane,
            client=client,
            head_since=head_since,
            requests_left=requests_left,
            is_new=is_new,
            loop=self._loop,
            access_log=None,
            lingering_time=0.0,  # we do that ourselves, and end our side first
            keepalive_timeout=limits.keepalive_timeout_s,
            max_line_size=limits.max_head_bytes,
            max_field_size=limits.max_head_bytes,
            max_headers=limits.max_head_fields,
        )

    @property
    def client_connections(self) -> list[ClientConnection]:
        return [connection for connection in self.connections if isinstance(connection, ClientConnection)]

    def sweep(self) -> None:
        """Close connections that do not get to the end of a head, or whose client does not read the last answer."""
        now, limits = self._runtime.now(), self._runtime.limits
        late, patience_s = now - limits.head_timeout_s, limits.answer_timeout_s
        end_due(
            self.client_connections,
            lambda one: one in self._connections and (one.has_lingered(now, patience_s) or one.owes_head_since(late)),
            lambda one: one.cut("not_read") if one.has_lingered(now, patience_s) else one.give_up_head(),
        )

    def close_idle(self, idle_s: float) -> None:
        """Close connections on which nothing has happened for `idle_s` seconds."""
        earlier = self._runtime.now() - idle_s
        end_due(self.client_connections, lambda one: one.is_idle_since(earlier), ClientConnection.close_once)

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        assert isinstance(handler, ClientConnection)
        self._opened.made(handler)

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        assert isinstance(handler, ClientConnection)
        self._opened.lost(handler)


def _request(
    message: RawRequestMessage,
    payload: StreamReader,
    connection: RequestHandler,
    writer: AbstractStreamWriter,
    task: "asyncio.Task[None]",
) -> BaseRequest:
    if message.url is None:
        # A CONNECT without a target: aiohttp 3.14 lets it through, fails to make a request of it, and never answers.
        message = message._replace(path="", url=URL())
    return BaseRequest(message, payload, connection, writer, task, task.get_loop())


async def _handle(request: BaseRequest) -> StreamResponse:
    connection = request.protocol
    assert isinstance(connection, ClientConnection)
    return await connection.handle(request)

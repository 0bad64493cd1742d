"""Client connections: each begins on the fast lane, and is handed over at the first request that is not plain."""

import asyncio
from time import monotonic
from typing import cast

import structlog

from router.core.admission import Admission
from router.core.ledger import CONNECTIONS
from router.core.stats import count
from router.proxy.fast_lane import FastLane
from router.proxy.full_lane import FullLane
from router.proxy.half_close import Listening, can_half_close
from router.proxy.live import Client, LiveExchange
from router.proxy.mirror import Mirror
from router.proxy.opened import ClientProtocol, OpenConnections
from router.proxy.runtime import Runtime
from router.proxy.server import ClientConnection, FullLaneServer
from router.proxy.unread import has_unread, reset

log = structlog.get_logger()

#: A body that takes longer than this to come is the full lane's, with its limits on pace and silence.
_BODY_WAIT_S = 0.1
#: Bytes of further requests above which a client that is being answered is not read any more.
_HELD_BYTES = 64 * 1024


class FastConnection(Client):
    """One client's connection on the fast lane: bytes that it does not take, it has not touched."""

    __slots__ = (
        "__weakref__",
        "_clients",
        "_exchange",
        "_held",
        "_is_half_closed",
        "_is_waiting",
        "_lane",
        "_missing_bytes",
        "_transport",
        "client",
        "deadline",
        "head_since",
        "idle_since",
    )

    def __init__(self, clients: "Clients", lane: FastLane, client: str, now: float) -> None:
        self.client = client  # whom it counts for
        self._clients = clients
        self._lane = lane
        self._transport: asyncio.Transport | None = None
        self._exchange: LiveExchange | None = None
        self.forwarded_for = b""
        self._held: list[bytes] = []  # received, and not looked at yet
        self._is_half_closed = False  # the client sends no more
        self._missing_bytes = 0  # of the body, until what is held is a whole request
        self._is_waiting = False  # for them
        self.deadline = 0.0  # of that
        self.idle_since = now
        self.head_since = now  # a new connection owes us a head
        self.is_stalled = False

    @property
    def requests_left(self) -> int | None:
        """How many more requests it may serve; None for any number."""
        return None

    @property
    def is_half_closed(self) -> bool:
        """The client sends no more."""
        return self._is_half_closed

    @property
    def is_idle(self) -> bool:
        """Before or between requests, and nothing of the next one has come."""
        return self._exchange is None and not self._held

    def close(self) -> None:
        """Close once what was written has been taken; at once if we wait for no more than a goodbye."""
        transport = self._transport
        if transport is not None and not transport.is_closing():
            transport.close()
            self.idle_since = monotonic()
        elif transport is not None and not has_unread(transport):
            transport.abort()

    def is_unread_since(self, earlier: float) -> bool:
        """Whether its client has not taken its last answer, which was complete before `earlier` (monotonic seconds)."""
        if self._exchange is not None or self.idle_since > earlier or self._transport is None:
            return False
        return self.is_stalled or self._transport.is_closing()

    def abort(self) -> None:
        """Close at once, whatever is going on."""
        if self._transport is not None:
            self._transport.abort()
        self._give_up()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        forwarded_for = b"X-Forwarded-For: " + peer[0].encode() + b"\r\n" if isinstance(peer, tuple) else b""
        scheme = b"https" if transport.get_extra_info("sslcontext") is not None else b"http"
        self.forwarded_for = forwarded_for + b"X-Forwarded-Proto: " + scheme + b"\r\nX-Forwarded-Host: "
        self._clients.made(self)
        if isinstance(peer, tuple) and self._clients.trust(peer[0]):
            self._hand_over([])  # what it says of its clients is the full lane's to pass on

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._stop_waiting()
        self._give_up()
        self._clients.lost(self)

    def data_received(self, data: bytes) -> None:
        if self._exchange is None and not self._held and not self.is_stalled:
            self._take(data, [data])
        else:
            self._hold(data)

    def pause_writing(self) -> None:
        self.is_stalled = True
        if self._exchange is not None:
            self._exchange.pause()

    def eof_received(self) -> bool:
        """What it has sent is all; whether the connection stays open for an answer."""
        exchange, transport = self._exchange, self._transport
        if exchange is None or transport is None or not can_half_close(transport):
            return False
        self._is_half_closed = True
        if not self._held:
            exchange.is_last()
        Listening(
            self._clients.deadlines,
            transport,
            is_current=lambda: self._exchange is exchange,
            progress=lambda: exchange.last_progress,
            gone=self.abort,
        )
        return True

    def resume_writing(self) -> None:
        self.is_stalled = False
        if self._exchange is not None:
            self._exchange.resume()
        else:
            self._go_on()

    # Requests

    def _take(self, data: bytes, pieces: list[bytes]) -> None:
        """Answer what is a whole plain request, wait for the rest of one, and hand over everything else.

        Args:
            pieces: `data` as it came.
        """
        taken = self._lane.take(self, data)
        if taken is None:
            self._hand_over(pieces)
        elif not isinstance(taken, int):
            self._exchange = taken
            if self._is_half_closed:
                taken.is_last()
        elif taken:
            self._wait(pieces, taken)

    def _wait(self, pieces: list[bytes], missing_bytes: int) -> None:
        self.head_since = 0.0  # it is all here
        self._held = pieces
        self._missing_bytes = missing_bytes
        self._is_waiting = True
        self.deadline = monotonic() + _BODY_WAIT_S
        self._clients.deadlines.add(self)

    def _stop_waiting(self) -> None:
        if self._is_waiting:
            self._is_waiting = False
            self._clients.deadlines.discard(self)

    def _hold(self, data: bytes) -> None:
        self._held.append(data)
        if self._is_waiting:
            self._missing_bytes -= len(data)
            if self._missing_bytes <= 0:
                self._stop_waiting()
                self._go_on()
        elif sum(map(len, self._held)) > _HELD_BYTES and self._transport is not None:
            self._transport.pause_reading()

    def _go_on(self) -> None:
        """Look at what came while we could not."""
        if self._held and not self.is_stalled and self._transport is not None:
            pieces, self._held = self._held, []
            if not self._transport.is_closing():
                self._transport.resume_reading()
                self._take(b"".join(pieces), pieces)

    def expire(self) -> None:
        """The rest of a body did not come soon."""
        self._stop_waiting()
        pieces, self._held = self._held, []
        self._hand_over(pieces)

    def _give_up(self) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.client_gone()

    def _hand_over(self, pieces: list[bytes]) -> None:
        transport, self._transport = self._transport, None
        assert transport is not None
        self._clients.hand_over(self, transport, pieces)

    # Client

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def done(self, now: float, closes: bool) -> None:
        self._exchange = None
        self.idle_since = now
        self.head_since = 0.0
        if closes or (self._is_half_closed and not self._held):
            if self._transport is not None:
                self._transport.close()
        elif self._held:
            self._go_on()

    def cut(self) -> None:
        self._exchange = None
        self.abort()

    def cut_unread(self) -> None:
        """The client does not read its answer."""
        self._exchange = None
        if self._transport is not None:
            reset(self._transport)


class CountedConnection(FastConnection):
    """One that may serve so many requests: the last is the full lane's, which says that the connection ends."""

    def __init__(self, clients: "Clients", lane: FastLane, client: str, now: float, requests: int) -> None:
        super().__init__(clients, lane, client, now)
        self._requests_left = requests

    @property
    def requests_left(self) -> int | None:
        return self._requests_left

    def _take(self, data: bytes, pieces: list[bytes]) -> None:
        if self._requests_left > 1:
            super()._take(data, pieces)
        else:
            self._hand_over(pieces)

    def done(self, now: float, closes: bool) -> None:
        self._requests_left -= 1
        super().done(now, closes)


class Clients:
    """Makes connections for clients, on the fast lane unless it is switched off, and knows those that are open."""

    def __init__(self, runtime: Runtime, mirror: Mirror, *, has_fast_lane: bool = True) -> None:
        self.now = runtime.now
        self.deadlines = runtime.deadlines
        self._runtime = runtime
        self._lane = FastLane(runtime, mirror) if has_fast_lane else None
        self._fast: set[FastConnection] = set()
        self._opened = OpenConnections(runtime.claims(CONNECTIONS))
        self._full = FullLaneServer(runtime, FullLane(runtime, mirror), self._opened)
        self._is_ticking = False

    def expect(self, client: str) -> FastConnection | ClientConnection:
        """A connection for a socket of `client`, who was admitted; `forget` it once it was made or never will be."""
        self._runtime.totals.process.connections_opened += 1
        one = self._make(client, self.now(), self._runtime.limits.max_requests_per_connection)
        self._opened.expect(one)
        return one

    def forget(self, connection: ClientProtocol) -> bool:
        """A connection does not come any more; whether it had not come."""
        return self._opened.forget(connection)

    @property
    def admission(self) -> Admission:
        return self._opened.admission

    @property
    def all_closed(self) -> asyncio.Event:
        return self._opened.all_closed

    @property
    def open_now(self) -> int:
        return self._opened.admission.number

    @property
    def fast_now(self) -> int:
        """Connections of which every request so far was plain."""
        return len(self._fast)

    @property
    def busy_now(self) -> int:
        """Connections on which something is going on."""
        return sum(not one.is_idle for one in self._connections)

    def sweep(self) -> None:
        """Close connections that do not get to the end of a head, or whose client does not read the last answer."""
        self._full.sweep()
        now, limits, cut = self.now(), self._runtime.limits, self._runtime.totals.process.connections_cut
        for connection in list(self._fast):
            if connection.is_idle and 0 < connection.head_since < now - limits.head_timeout_s:
                count(cut, "head_timeout")
                connection.abort()
            elif connection.is_unread_since(now - limits.answer_timeout_s):
                count(cut, "not_read")
                connection.cut_unread()

    def close_idle(self, idle_s: float) -> None:
        """Close connections on which nothing has happened for `idle_s` seconds."""
        self._full.close_idle(idle_s)
        self._close_idle_fast(idle_s)

    async def shutdown(self, timeout_s: float) -> None:
        """Cut every connection."""
        for connection in list(self._fast):
            connection.abort()
        await self._full.shutdown(timeout_s)

    # FastConnection

    def trust(self, host: str) -> bool:
        """Whether the peer at this address is a proxy whose word on its clients is passed on."""
        return self._runtime.trusted_proxies.trust(host)

    def made(self, connection: FastConnection) -> None:
        self._fast.add(connection)
        self._opened.made(connection)
        if not self._is_ticking:
            self._tick_later()

    def lost(self, connection: FastConnection) -> None:
        if connection in self._fast:
            self._fast.remove(connection)
            self._opened.lost(connection)

    def hand_over(self, connection: FastConnection, transport: asyncio.Transport, pieces: list[bytes]) -> None:
        """Let aiohttp read the connection from here on, beginning with `pieces`.

        They are not joined: aiohttp answers none of the requests of a read that ends malformed.
        """
        is_new = connection.head_since > 0
        head_since = connection.head_since if is_new else self.now()
        handler = self._full.make(connection.client, head_since, connection.requests_left, is_new=is_new)
        if connection in self._fast:
            self._fast.remove(connection)
            self._opened.replaced(by=handler)
        transport.set_protocol(handler)
        handler.connection_made(transport)
        if connection.is_stalled:
            handler.pause_writing()
        for piece in pieces:
            handler.data_received(piece)
        if connection.is_half_closed and not handler.eof_received():
            transport.close()

    def _make(self, client: str, now: float, requests: int | None) -> FastConnection | ClientConnection:
        lane = self._lane
        if lane is None:
            return self._full.make(client, now, requests)
        if requests is None:
            return FastConnection(self, lane, client, now)
        return CountedConnection(self, lane, client, now, requests)

    @property
    def _connections(self) -> list[FastConnection | ClientConnection]:
        return [*self._fast, *self._full.client_connections]

    def _close_idle_fast(self, idle_s: float) -> None:
        earlier = self.now() - idle_s
        for connection in list(self._fast):
            if connection.is_idle and connection.idle_since <= earlier:
                connection.close()

    def _tick(self) -> None:
        """Close connections whose client does not come back."""
        self._is_ticking = False
        timeout_s = self._runtime.limits.keepalive_timeout_s
        if timeout_s > 0:
            self._close_idle_fast(timeout_s)
        if self._fast:
            self._tick_later()

    def _tick_later(self) -> None:
        self._is_ticking = True
        every_s = min(1.0, max(0.02, self._runtime.limits.keepalive_timeout_s / 4))
        asyncio.get_running_loop().call_later(every_s, self._tick)

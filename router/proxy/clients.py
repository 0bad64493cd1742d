"""Client connections: each begins on the fast lane, and is handed over at the first request that is not plain."""

import asyncio

from router.core.admission import Admission
from router.core.ledger import CONNECTIONS
from router.core.stats import count
from router.proxy.deadlines import end_due
from router.proxy.fast_connection import CountedConnection, FastConnection
from router.proxy.fast_lane import FastLane
from router.proxy.full_lane import FullLane
from router.proxy.mirror import Mirror
from router.proxy.opened import ClientProtocol, OpenConnections
from router.proxy.runtime import Runtime
from router.proxy.server import ClientConnection, FullLaneServer


class Clients:
    """Makes connections for clients, on the fast lane unless it is switched off, and knows those that are open."""

    def __init__(self, runtime: Runtime, mirror: Mirror, *, has_fast_lane: bool = True) -> None:
        self.now = runtime.now
        self.runtime = runtime
        self.patience = runtime.patience
        self._lane = FastLane(runtime, mirror) if has_fast_lane else None
        self._fast: set[FastConnection] = set()
        self._opened = OpenConnections(runtime.claims(CONNECTIONS), runtime.crowd)
        full_lane = FullLane(runtime, mirror)
        self.late_head = full_lane.refuse_late_head
        self._full = FullLaneServer(runtime, full_lane, self._opened)
        self._is_ticking = False

    def expect(self, client: str) -> FastConnection | ClientConnection:
        """A connection for a socket of `client`, who was admitted; `forget` it once it was made or never will be."""
        self.runtime.totals.process.connections_opened += 1
        one = self._make(client, self.now(), self.runtime.limits.max_requests_per_connection)
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
        now, limits = self.now(), self.runtime.limits
        late, unread = now - limits.head_timeout_s, now - limits.answer_timeout_s
        end_due(
            list(self._fast),
            lambda one: one.owes_head_since(late) or one.is_unread_since(unread),
            lambda one: self._cut_late(one, late, unread),
        )

    def _cut_late(self, connection: FastConnection, late: float, unread: float) -> None:
        cut = self.runtime.totals.process.connections_cut
        if connection.owes_head_since(late):
            if connection.give_up_head():
                count(cut, "head_timeout")
        elif connection.is_unread_since(unread):
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
        return self.runtime.trusted_proxies.trust(host)

    def made(self, connection: FastConnection) -> None:
        self._fast.add(connection)
        self._opened.made(connection)
        if not self._is_ticking:
            self._tick_later()

    def lost(self, connection: FastConnection) -> None:
        if connection in self._fast:
            self._fast.remove(connection)
            self._opened.lost(connection)

    def hand_over(self, connection: FastConnection, transport: asyncio.Transport, data: bytes) -> None:
        """Let aiohttp read the connection from here on, beginning with `data`."""
        head_since = connection.head_since or self.now()
        handler = self._full.make(connection.client, head_since, connection.requests_left, is_new=connection.is_new)
        if connection in self._fast:
            self._fast.remove(connection)
            self._opened.replaced(by=handler)
        transport.set_protocol(handler)
        handler.connection_made(transport)
        if connection.is_stalled:
            handler.pause_writing()
        if data:
            handler.data_received(data)
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
        end_due(list(self._fast), lambda one: one.is_idle and one.idle_since <= earlier, FastConnection.close)

    def _tick(self) -> None:
        """Close connections whose client does not come back."""
        self._is_ticking = False
        timeout_s = self.runtime.limits.keepalive_timeout_s
        if timeout_s > 0:
            self._close_idle_fast(timeout_s)
        if self._fast:
            self._tick_later()

    def _tick_later(self) -> None:
        self._is_ticking = True
        every_s = min(1.0, max(0.02, self.runtime.limits.keepalive_timeout_s / 4))
        asyncio.get_running_loop().call_later(every_s, self._tick)

"""A client's connection on the fast lane: what is plain is answered, and everything else handed over.

Rules
- A request that has not come whole is held here: the beginning of a head while no parser would refuse it, a body of
  which the head says how long it is. Neither has a task, and a byte of them wakes nobody.
- Who sends a few bytes at a time is read once there are as many as have to come.
- What the full lane says to a request that does not come to its end is said here as well, and as late.
"""

import asyncio
from time import monotonic
from typing import Protocol, cast

from router.core.beginning import has_controls, least_missing
from router.core.errors import BodyTimeout
from router.proxy.deadlines import Deadlines
from router.proxy.ending import LINGER_IDLE_S, LINGER_S
from router.proxy.fast_lane import BEGUN, FastLane
from router.proxy.frugal import DRIP_BYTES, Frugal, is_slow
from router.proxy.half_close import Listening, can_half_close
from router.proxy.incoming import Incoming
from router.proxy.live import Client, LiveExchange
from router.proxy.outgoing import Outgoing
from router.proxy.runtime import Runtime
from router.proxy.unread import has_unread, reset

#: Bytes of further requests above which a client that is being answered is not read any more.
_HELD_BYTES = 64 * 1024


class Keeper(Protocol):
    """What keeps the connections of clients."""

    runtime: Runtime
    patience: Deadlines

    def trust(self, host: str) -> bool: ...
    def made(self, connection: "FastConnection") -> None: ...
    def lost(self, connection: "FastConnection") -> None: ...
    def late_head(self, began: float, begun: bytes) -> bytes: ...
    def hand_over(self, connection: "FastConnection", transport: asyncio.Transport, data: bytes) -> None: ...


class FastConnection(Client):
    """One client's connection on the fast lane: bytes that it does not take, it has not touched.

    Attributes:
        client: Whom it counts for.
        deadline: Of what is still to come of a body; of a client's end.
        is_new: It has served no request yet.
    """

    __slots__ = (
        "__weakref__",
        "_exchange",
        "_frugal",
        "_held",
        "_incoming",
        "_is_ended",
        "_is_half_closed",
        "_is_in_head",
        "_keeper",
        "_lane",
        "_linger_until",
        "_outgoing",
        "_transport",
        "client",
        "deadline",
        "head_since",
        "idle_since",
        "is_new",
    )

    def __init__(self, keeper: Keeper, lane: FastLane, client: str, now: float) -> None:
        self.client = client
        self._keeper = keeper
        self._lane = lane
        self._transport: asyncio.Transport | None = None
        self._outgoing: Outgoing | None = None  # while there is a transport
        self._exchange: LiveExchange | None = None
        self._incoming: Incoming | None = None  # the request whose body is still coming
        self.forwarded_for = b""
        self._frugal: Frugal | None = None  # since a few bytes came alone
        self._held = bytearray()  # received, and not looked at yet
        self._is_in_head = False  # what is held is the beginning of one
        self._is_half_closed = False  # the client sends no more
        self._is_ended = False  # our side; what comes is dropped
        self._linger_until = 0.0
        self.deadline = 0.0
        self.idle_since = now
        self.head_since = now  # a new connection owes us a head
        self.is_new = True
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
        return self._exchange is None and self._incoming is None and not self._held

    def close(self) -> None:
        """Close once what was written has been taken; at once if we wait for no more than a goodbye."""
        transport = self._transport
        if transport is not None and not transport.is_closing():
            transport.close()
            self.idle_since = monotonic()
        elif transport is not None and not has_unread(transport):
            transport.abort()

    def owes_head_since(self, earlier: float) -> bool:
        """Whether it has been due to finish a head since before `earlier` (monotonic seconds)."""
        return self._exchange is None and self._incoming is None and 0 < self.head_since < earlier

    def give_up_head(self) -> bool:
        """The client has not finished a head in time, and gets to know if it is its first; whether this is its end."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        self._read_unwoken()
        if self._exchange is not None or self._incoming is not None or self._transport is None:
            return False  # it was no head that was late, or is not ours any more
        if self._is_in_head and not self._lane.is_harmless(bytes(self._held)):
            self._hand_over(self._take_held())
            return False
        if self._is_in_head and self.is_new:
            transport.write(self._keeper.late_head(self.head_since, bytes(self._held)))
            transport.close()
        else:
            self.abort()
        return True

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
        self._outgoing = Outgoing(self._transport)
        peer = transport.get_extra_info("peername")
        forwarded_for = b"X-Forwarded-For: " + peer[0].encode() + b"\r\n" if isinstance(peer, tuple) else b""
        scheme = b"https" if transport.get_extra_info("sslcontext") is not None else b"http"
        self.forwarded_for = forwarded_for + b"X-Forwarded-Proto: " + scheme + b"\r\nX-Forwarded-Host: "
        self._keeper.made(self)
        if isinstance(peer, tuple) and self._keeper.trust(peer[0]):
            self._hand_over(b"")  # what it says of its clients is the full lane's to pass on

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = self._outgoing = None
        self._give_up()
        self._keeper.patience.discard(self)
        self._keeper.lost(self)

    def data_received(self, data: bytes) -> None:
        is_between = self._exchange is None and self._incoming is None and not self._is_ended
        if is_between and not self._held and not self.is_stalled:
            self._take(data)
        else:
            self._hold(data)

    def pause_writing(self) -> None:
        self.is_stalled = True
        if self._exchange is not None:
            self._exchange.pause()

    def eof_received(self) -> bool:
        """What it has sent is all; whether the connection stays open for an answer."""
        exchange, transport = self._exchange, self._transport
        if transport is None:
            return False
        if exchange is None and self._is_in_head and not self._lane.is_harmless(bytes(self._held)):
            self._is_half_closed = True
            self._hand_over(self._take_held())
            return can_half_close(transport)
        if exchange is None or not can_half_close(transport):
            return False
        self._is_half_closed = True
        if self._outgoing is not None:
            self._outgoing.defer()  # `Listening` may ask whether the client is there
        if not self._held:
            exchange.is_last()
        Listening(
            self._keeper.runtime.deadlines,
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

    def _take(self, data: bytes) -> None:
        """Answer what is a whole plain request, wait for the rest of one, and hand over everything else."""
        taken = self._lane.take(self, data)
        if taken is None:
            self._hand_over(data)
        elif isinstance(taken, LiveExchange):
            self._exchange = taken
            if self._is_half_closed:
                taken.is_last()
        elif isinstance(taken, Incoming):
            self._await_body(taken)
        elif taken == BEGUN:
            self._held += data
            self._is_in_head = True
            self.head_since = self.head_since or monotonic()

    def _await_body(self, incoming: Incoming) -> None:
        self.head_since = 0.0  # it is all here
        self.is_new = False
        self._incoming = incoming
        self.deadline = incoming.pace.deadline
        self._keeper.patience.add(self)

    def _hold(self, data: bytes) -> None:
        """Keep what comes until it can be looked at; of a request that is not whole there is nothing else to do."""
        if self._incoming is not None:
            self._receive(self._incoming, data, monotonic())
        elif self._is_ended:
            self.deadline = min(self._linger_until, monotonic() + LINGER_IDLE_S)
        else:
            self._held += data
            if self._is_in_head:
                if has_controls(data) or len(self._held) > self._lane.max_begun_bytes:
                    self._go_on()
            elif len(self._held) > _HELD_BYTES and self._transport is not None:
                self._transport.pause_reading()
        if self._frugal is not None or len(data) < DRIP_BYTES:
            self._wake_in_time()

    def _wake_in_time(self) -> None:
        """Be woken when what is missing can be there, if that has been slow to come."""
        incoming, least_bytes = self._incoming, 1
        if incoming is not None and is_slow(incoming.began):
            least_bytes = incoming.missing_bytes
        elif self._is_in_head and is_slow(self.head_since):
            least_bytes = least_missing(bytes(self._held))
        if self._frugal is None and least_bytes > 1 and self._transport is not None:
            self._frugal = Frugal.of(self._transport)
        if self._frugal is not None:
            self._frugal.wake_at(least_bytes)

    def _receive(self, incoming: Incoming, data: bytes, when: float) -> None:
        missing_bytes = incoming.missing_bytes
        if len(data) < missing_bytes:
            incoming.came(data, when)
            self.deadline = incoming.pace.deadline
            return
        self._incoming = None
        self._keeper.patience.discard(self)
        incoming.came(data[:missing_bytes], when)
        self._held += data[missing_bytes:]
        exchange = self._lane.go_on(self, incoming)
        if exchange is not None:
            self._exchange = exchange

    def _go_on(self) -> None:
        """Look at what came while we could not, or at a beginning that has become longer."""
        if self._held and not self.is_stalled and self._transport is not None:
            data = self._take_held()
            if not self._transport.is_closing():
                self._transport.resume_reading()
                self._take(data)

    def _take_held(self) -> bytes:
        data, self._held = bytes(self._held), bytearray()
        self._is_in_head = False
        return data

    def expire(self) -> None:
        """The rest of a body has not come in time, or the client's end after ours."""
        if self._incoming is None:
            self._keeper.patience.discard(self)
            self.close()
            return
        has_read = self._read_unwoken()
        incoming = self._incoming
        if incoming is None or (has_read and self.deadline > monotonic()):
            return
        self._incoming = None
        incoming.refuse(self._keeper.runtime, self, BodyTimeout(incoming.pace.idle_s))
        self._linger()

    def _read_unwoken(self) -> bool:
        """Read what nobody was woken for; whether there was anything."""
        if self._frugal is None:
            return False
        data, when = self._frugal.take()
        if data and self._incoming is not None:
            self._receive(self._incoming, data, when)
        elif data:
            self.data_received(data)
        return bool(data)

    def _linger(self) -> None:
        """End our side, and wait for the client to end its own: it may still be sending (RFC 9112, 9.6)."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if transport.can_write_eof():
            transport.write_eof()
        self._is_ended = True
        self.idle_since = monotonic()
        self._linger_until = self.idle_since + LINGER_S
        self.deadline = self.idle_since + LINGER_IDLE_S

    def _give_up(self) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.client_gone()
        incoming, self._incoming = self._incoming, None
        if incoming is not None:
            incoming.client_gone(self._keeper.runtime)

    def _hand_over(self, data: bytes) -> None:
        transport, self._transport = self._transport, None
        self._outgoing = None
        assert transport is not None
        if self._frugal is not None:
            self._frugal.wake_at(1)
        self._keeper.hand_over(self, transport, data)

    # Client

    def write(self, data: bytes) -> None:
        if self._outgoing is not None:
            self._outgoing.write(data)

    def done(self, now: float, closes: bool) -> None:
        self._exchange = None
        self.idle_since = now
        self.head_since = 0.0
        self.is_new = False
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

    def __init__(self, keeper: Keeper, lane: FastLane, client: str, now: float, requests: int) -> None:
        super().__init__(keeper, lane, client, now)
        self._requests_left = requests

    @property
    def requests_left(self) -> int | None:
        return self._requests_left

    def _take(self, data: bytes) -> None:
        if self._requests_left > 1:
            super()._take(data)
        else:
            self._hand_over(data)

    def done(self, now: float, closes: bool) -> None:
        self._requests_left -= 1
        super().done(now, closes)

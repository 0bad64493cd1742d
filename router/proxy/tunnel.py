"""Bytes both ways between a client and its instance, once both have switched to another protocol.

Rules
- Bytes are passed on as they come, whatever they mean. A side that does not keep up holds back the other.
- The end of one side is passed on; the other may finish what it has to say, and is cut once it rests for `_END_S`.
- A side that breaks breaks the other.
- What is open for long is cut when no byte has come from either side for `upgrade_idle_timeout_s`, and when the
  instance has been out of the table for `drain_timeout_s`. A proxy that ends cuts what is left when its drain is over.
"""

import asyncio
from collections.abc import Callable
from typing import cast

from aiohttp.web import BaseRequest

from router.core.errors import BadRequest, UpstreamReset
from router.core.headers import AnswerFields
from router.core.instances import Deployment
from router.core.record import RequestRecord
from router.core.replies import Framing, forwarded_head
from router.core.upgrades import SWITCHING
from router.proxy.ending import EndingConnection
from router.proxy.forward import Exchange
from router.proxy.runtime import Runtime

#: How long a side may rest that has been told of the other's end.
_END_S = 5.0


class _Side(asyncio.Protocol):
    """What the transport of one side tells."""

    other: "_Side"

    def __init__(
        self,
        tunnel: "Tunnel",
        transport: asyncio.Transport,
        lost: Callable[[Exception | None], None],
        *,
        is_held: bool,
    ) -> None:
        self.transport = transport
        self.has_ended = False  # it sends no more
        self.is_lost = False
        self._tunnel = tunnel
        self._lost = lost
        self._holds = int(is_held)
        self._is_full = False

    def data_received(self, data: bytes) -> None:
        self._tunnel.pass_on(self, data)

    def eof_received(self) -> bool:
        self._tunnel.ended(self)
        return self.transport.can_write_eof()  # the loop closes what cannot be half closed

    def pause_writing(self) -> None:
        self._is_full = True
        self.other.hold()

    def resume_writing(self) -> None:
        if self._is_full:
            self._is_full = False
            self.other.release()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = self.has_ended = True
        self._lost(exc)

    def write(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(data)

    def end(self) -> None:
        """Send what is still to be sent, and no more."""
        if self.transport.is_closing():
            return
        if self.has_ended or not self.transport.can_write_eof():
            self.transport.close()
        else:
            self.transport.write_eof()

    def hold(self) -> None:
        """Read no more until `release` has been called as often."""
        self._holds += 1
        if self._holds == 1 and not self.transport.is_closing():
            self.transport.pause_reading()

    def release(self) -> None:
        self._holds -= 1
        if not self._holds and not self.transport.is_closing():
            self.transport.resume_reading()


class Tunnel:
    """One request's connection to its instance from the switch on."""

    def __init__(self, runtime: Runtime, deployment: Deployment, exchange: Exchange, record: RequestRecord) -> None:
        self._runtime = runtime
        self._deployment = deployment
        self._exchange = exchange
        self._record = record
        self._numbers = runtime.totals.endpoint(record.endpoint).deployment(record.deployment)
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._active = runtime.now()
        self._unsent_bytes = 0  # when last looked at
        self._is_ending = False
        self._unlisted_since: float | None = None

    def open(self, request: BaseRequest, fields: AnswerFields) -> None:
        """Tell the client that its connection is switched, with the instance's `fields`, and take that over.

        Raises:
            BadRequest: the client has said more than a client may that does not know yet what will be spoken.
            UpstreamReset: the instance's connection is gone.
            ConnectionError: the client's is.
        """
        connection = request.protocol
        assert isinstance(connection, EndingConnection)
        self._connection = connection
        if request.transport is None or request.transport.is_closing():
            raise ConnectionResetError
        if not connection.has_bare_head:
            raise BadRequest("Bytes came behind a request to switch protocols, before it was answered.")
        transport, surplus = self._exchange.detach()
        is_held = not request.transport.is_reading()
        self._client = _Side(self, request.transport, self._client_lost, is_held=is_held)
        self._instance = _Side(self, transport, self._instance_lost, is_held=True)
        self._client.other, self._instance.other = self._instance, self._client
        connection.answers()  # nobody need ask a client that has ended whether it is there
        self._client.transport.set_protocol(self._client)
        transport.set_protocol(self._instance)
        self._client.write(self._head(fields))
        if surplus:
            self.pass_on(self._instance, surplus)
        self._instance.release()
        if is_held:
            self._client.release()
        if connection.is_half_closed:
            self.ended(self._client)  # its transport has told, and tells no more

    def _head(self, fields: AnswerFields) -> bytes:
        runtime = self._runtime
        self._record.status = SWITCHING
        framing = Framing(is_chunked=False, is_empty=True, closes=False)
        now = runtime.now()
        return forwarded_head(self._record, fields, framing, now=now, http_date=runtime.http_date(now))

    async def run(self) -> None:
        """Return once both sides are closed."""
        self._runtime.tunnels.add(self)
        self._deployment.upgraded += 1
        try:
            await self._over
        except asyncio.CancelledError:
            self._give_reason("drained" if self._runtime.is_draining else "client_gone")
            raise
        finally:
            self._runtime.tunnels.discard(self)
            self._deployment.upgraded -= 1
            self._client.transport.abort()
            self._instance.transport.abort()
            self._return_client()

    def look(self, now: float) -> None:
        """Cut what is due at `now` (monotonic seconds)."""
        limits = self._runtime.limits
        if self._is_ending:
            self._look_after_end(now)
        elif now - self._active >= limits.upgrade_idle_timeout_s:
            self._cut("upgrade_idle")
        elif self._exchange.is_listed:
            self._unlisted_since = None
        else:
            self._unlisted_since = self._unlisted_since or now
            if now - self._unlisted_since >= limits.drain_timeout_s:
                self._cut("drained")

    # Sides

    def pass_on(self, side: _Side, data: bytes) -> None:
        """Hand to the other side what has come from `side`."""
        now = self._active = self._runtime.now()
        size = len(data)
        record, numbers = self._record, self._numbers
        bucket = self._runtime.bandwidth(record.endpoint)  # that of the newest table
        delay_s = bucket.reserve(size, now) if bucket is not None else 0.0
        if side is self._client:
            record.request_bytes += size
            numbers.request_bytes += size
            record.request_throttled_s += delay_s
        else:
            record.response_bytes += size
            numbers.response_bytes += size
            record.response_throttled_s += delay_s
        side.other.write(data)
        if delay_s:
            side.hold()
            asyncio.get_running_loop().call_later(delay_s, side.release)

    def ended(self, side: _Side) -> None:
        """`side` sends no more."""
        side.has_ended = True
        self._begin_to_end()
        side.other.end()
        if side.other.has_ended:
            side.end()

    def _client_lost(self, exc: Exception | None) -> None:
        if exc is not None and not self._is_ending:
            self._give_reason("client_gone")
        self._lost(self._client, exc)

    def _instance_lost(self, exc: Exception | None) -> None:
        if exc is not None and not self._is_ending:
            self._exchange.upstream_failed("reset")
            self._give_reason(UpstreamReset.code)
        self._lost(self._instance, exc)

    def _lost(self, side: _Side, exc: Exception | None) -> None:
        self._begin_to_end()
        if exc is not None:
            side.other.transport.abort()
        else:
            side.other.transport.close()
        if side.other.is_lost and not self._over.done():
            self._over.set_result(None)

    # Ends

    def _begin_to_end(self) -> None:
        if not self._is_ending:
            self._is_ending = True
            self._active = self._runtime.now()

    def _look_after_end(self, now: float) -> None:
        unsent = sum(side.transport.get_write_buffer_size() for side in (self._client, self._instance))
        if unsent != self._unsent_bytes:
            self._unsent_bytes = unsent
            self._active = now
        elif now - self._active >= _END_S:
            self._client.transport.abort()
            self._instance.transport.abort()

    def _cut(self, reason: str) -> None:
        self._give_reason(reason)
        self._begin_to_end()
        self._client.transport.abort()
        self._instance.transport.abort()

    def _give_reason(self, reason: str) -> None:
        self._record.reason = self._record.reason or reason

    def _return_client(self) -> None:
        """Let aiohttp know of the end of a connection that it has not heard of any more."""
        if self._client.is_lost:
            asyncio.get_running_loop().call_soon(self._connection.connection_lost, None)
        else:
            self._client.transport.set_protocol(cast(asyncio.Protocol, self._connection))

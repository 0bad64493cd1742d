"""The life of one request on the full lane, step by step."""

import asyncio
from contextlib import suppress
from itertools import chain

import msgspec
from aiohttp.http import HttpVersion10, HttpVersion11
from aiohttp.web import BaseRequest

from router.core.errors import (
    AnswerTimeout,
    BodyTooLarge,
    ClientStalled,
    HeadTooLarge,
    RequestTimeout,
    UpstreamReset,
    VersionNotSupported,
)
from router.core.forwarding import Hop, forwarding_lines, forwarding_lines_after
from router.core.headers import VIA, VIA_OF_1_0, forwarded_once, request_lines, single
from router.core.instances import Deployment
from router.core.pace import Pace
from router.core.record import RequestRecord
from router.core.replies import LAST_CHUNK, Framing, chunk, client_status, forwarded_head
from router.core.requests import Chosen, route
from router.core.table import DeploymentSpec, RoutingTable
from router.core.upgrades import SWITCHING, offered_upgrades
from router.proxy.answer import Answer
from router.proxy.client_body import ClientBody
from router.proxy.ending import tell_of_part
from router.proxy.forward import Exchange, Outgoing
from router.proxy.mirror import Mirror
from router.proxy.persistence import BodyWatch, can_go_on, is_bare
from router.proxy.runtime import Runtime
from router.proxy.tunnel import Tunnel
from router.proxy.upstream import AnswerHead, UpstreamLost

#: Up to here a body is read to its end before an instance is asked for: a slow client holds no place on it.
_BUFFER_BYTES = 256 * 1024
#: What is logged for a client that went away before its answer; nobody gets it.
_CLIENT_GONE = 499
_VERSIONS = (HttpVersion11, HttpVersion10)


class Scoring:
    """One request: reads the table once and finishes on that generation."""

    def __init__(
        self, runtime: Runtime, mirror: Mirror, request: BaseRequest, table: RoutingTable, record: RequestRecord
    ) -> None:
        self._runtime = runtime
        self._mirror = mirror
        self._request = request
        self._headers = request.raw_headers
        self._announced_bytes = request.content_length
        self._table = table
        self._record = record

    async def run(self) -> bool:
        """Answer the request; return whether the client's connection lives on.

        Raises:
            RouterError: what the client gets instead of an answer from a model.
        """
        try:
            chosen = self._choose()
            deployment = self._runtime.deployment(chosen.endpoint.spec.name, chosen.deployment)
            deployment.enter()  # from here on its instances wait for us, however long the body takes to come
            try:
                return await self._score(chosen, deployment)
            finally:
                deployment.leave()
        except ConnectionError:
            self._client_gone()
            return False
        except asyncio.CancelledError:
            self._client_gone()
            raise

    async def _score(self, chosen: Chosen, deployment: Deployment) -> bool:
        upgrades = self._upgrades(chosen.deployment)
        is_copied = self._record.route == "live" and not upgrades
        shadow = self._mirror.sample(chosen, is_live=is_copied)
        body = self._client_body(chosen)
        outgoing = await self._read(chosen, body, shadow, upgrades)
        if shadow is not None:
            self._offer(chosen, shadow, outgoing)
        return await self._forward(chosen, deployment, outgoing, body)

    def _client_gone(self) -> None:
        self._record.status = self._record.status or _CLIENT_GONE
        self._record.reason = self._record.reason or "client_gone"

    # Steps 1 to 3

    def _choose(self) -> Chosen:
        runtime = self._runtime
        request = self._request
        if request.version not in _VERSIONS:
            raise VersionNotSupported
        limit = runtime.limits.max_head_bytes
        headers = self._headers
        if sum(map(len, chain.from_iterable(headers))) + 4 * len(headers) + len(request.raw_path) > limit:
            raise HeadTooLarge(limit)
        return route(
            self._table,
            request.raw_path.encode("utf-8", "surrogateescape"),
            headers,
            self._record,
            tokens=runtime.tokens,
            u=runtime.u(),
            wall_now=runtime.wall_now,
        )

    def _upgrades(self, deployment: DeploymentSpec) -> tuple[bytes, ...]:
        """Protocols that the instance may switch to; for all other requests the offer ends here, as if not made."""
        request = self._request
        if not deployment.upgrades or request.version != HttpVersion11:  # an older client does not wait (RFC 9110, 7.8)
            return ()
        if request.method == "HEAD" or not is_bare(request):
            return ()
        return offered_upgrades(self._headers, deployment.upgrades)

    def _client_body(self, chosen: Chosen) -> ClientBody:
        limit = chosen.endpoint.spec.max_body_bytes
        if self._announced_bytes is not None and self._announced_bytes > limit:
            raise BodyTooLarge(limit)
        runtime, connection = self._runtime, self._request.protocol
        limits = runtime.limits
        assert isinstance(connection, BodyWatch)  # the lane's own
        return ClientBody(
            self._request.content,
            connection,
            length=self._announced_bytes,
            max_bytes=limit,
            pace=Pace(limits.body_timeout_s, limits.min_body_bytes_per_s, runtime.now()),
            deadlines=runtime.patience,
            on_read=self._continue,
        )

    def _continue(self) -> None:
        """Tell a client that waits for it to send its body (RFC 9110, 10.1.1): it is authorised and not too large."""
        request = self._request
        expects = single(self._headers, b"expect")
        if expects is not None and expects.lower() == b"100-continue" and request.version == HttpVersion11:
            assert request.transport is not None
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    async def _read(
        self, chosen: Chosen, body: ClientBody, shadow: DeploymentSpec | None, upgrades: tuple[bytes, ...]
    ) -> Outgoing:
        """The request as its instance gets it, with all of its body or, if that is large, the first part."""
        spec = chosen.endpoint.spec
        limit = max(_BUFFER_BYTES, spec.mirror.max_body_bytes) if shadow is not None else _BUFFER_BYTES
        received = await body.read_up_to(limit)
        self._record.request_bytes = len(received)
        if spec.bandwidth_bytes_per_s:
            self._record.request_throttled_s = await self._throttle(len(received))
        is_streamed = not body.is_complete
        return Outgoing(
            method=self._request.method.encode(),
            target=chosen.target_at(chosen.deployment),
            lines=self._lines(chosen),
            body=self._part(received) if is_streamed else received,
            framing=self._framing(len(received), is_complete=not is_streamed),
            is_streamed=is_streamed,
            is_idempotent=spec.is_idempotent,
            upgrades=upgrades,
        )

    def _lines(self, chosen: Chosen) -> list[bytes]:
        record = self._record
        lines = request_lines(self._headers, keep_credentials=chosen.endpoint.spec.auth_mode == "none")
        if chosen.head.max_forwards and record.method == "OPTIONS":
            lines = forwarded_once(lines)
        lines.append(b"X-Request-Id: " + record.request_id.encode())
        if record.client_request_id:
            lines.append(b"X-Ms-Client-Request-Id: " + record.client_request_id.encode())
        peer = self._request.protocol.peername  # aiohttp asks the kernel once per connection
        host = peer[0] if isinstance(peer, tuple) else ""
        hop = Hop(host.encode(), chosen.head.host, b"https" if self._request.secure else b"http")
        is_trusted = host and self._runtime.trusted_proxies.trust(host)
        lines += forwarding_lines_after(self._headers, hop) if is_trusted else forwarding_lines(hop)
        lines.append(VIA if self._request.version == HttpVersion11 else VIA_OF_1_0)
        return lines

    def _framing(self, received_bytes: int, *, is_complete: bool) -> bytes:
        """One unambiguous framing, whatever the client's was."""
        headers = self._headers
        if not is_complete:
            announced = self._announced_bytes
            return b"Transfer-Encoding: chunked" if announced is None else b"Content-Length: %d" % announced
        if received_bytes:
            return b"Content-Length: %d" % received_bytes
        has_framing = any(name.lower() in {b"content-length", b"transfer-encoding"} for name, _ in headers)
        return b"Content-Length: 0" if has_framing else b""

    def _part(self, part: bytes) -> bytes:
        """A part of a streamed body, in the client's framing."""
        return chunk(part, is_last=False) if self._announced_bytes is None else part

    # Step 5

    def _offer(self, chosen: Chosen, shadow: DeploymentSpec, outgoing: Outgoing) -> None:
        if outgoing.is_streamed:
            self._mirror.skip(chosen.endpoint, "body_too_large")
        else:
            copy = msgspec.structs.replace(outgoing, target=chosen.target_at(shadow))
            self._mirror.offer(chosen.endpoint, shadow, copy)

    # Step 4

    async def _forward(self, chosen: Chosen, deployment: Deployment, outgoing: Outgoing, body: ClientBody) -> bool:
        runtime = self._runtime
        exchange = Exchange(runtime, runtime.pool, deployment, outgoing)
        limit_s = chosen.deployment.request_timeout_s
        try:
            try:
                head = await self._head(exchange, outgoing, body, limit_s)
            except TimeoutError as error:
                exchange.timed_out()
                raise RequestTimeout from error
            self._record.answered = runtime.now()
            return await self._respond(chosen, head, exchange)
        finally:
            exchange.close()

    async def _head(self, exchange: Exchange, outgoing: Outgoing, body: ClientBody, limit_s: float) -> AnswerHead:
        """Send the request and wait for the head of its answer, at most `limit_s` in all, less a large body's time.

        Raises:
            TimeoutError: it did not come in time.
        """
        deadline = asyncio.get_running_loop().time() + limit_s
        if not exchange.start_now(self._sent):
            async with asyncio.timeout_at(deadline):
                await exchange.acquire()
                await exchange.send(self._sent)
        if outgoing.is_streamed:
            return await self._upload(exchange, body, limit_s)
        return await exchange.head(self._sent, deadline)

    def _sent(self) -> None:
        self._record.sent = self._runtime.now()

    async def _upload(self, exchange: Exchange, body: ClientBody, limit_s: float) -> AnswerHead:
        """Pass on the rest of a large body; an answer that comes before its end ends it."""
        sending = asyncio.create_task(self._send_rest(exchange, body, limit_s), name="upload")
        answering = asyncio.create_task(exchange.head(self._sent), name="early-answer")
        try:
            await asyncio.wait((sending, answering), return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                with suppress(UpstreamReset):  # an answer that came before the connection broke says more
                    sending.result()
            async with asyncio.timeout(limit_s):
                return await answering
        finally:
            sending.cancel()
            answering.cancel()
            await asyncio.gather(sending, answering, return_exceptions=True)

    async def _send_rest(self, exchange: Exchange, body: ClientBody, limit_s: float) -> None:
        body.stream(self._runtime.deadlines)
        while part := await body.read():
            self._record.request_bytes += len(part)
            self._record.request_throttled_s += await self._throttle(len(part))
            async with asyncio.timeout(limit_s):  # one that stops reading is as late as one that does not answer
                await exchange.write(self._part(part))
        if self._announced_bytes is None:
            await exchange.write(LAST_CHUNK)
        exchange.sent_all()

    # Step 6

    async def _respond(self, chosen: Chosen, head: AnswerHead, exchange: Exchange) -> bool:
        record = self._record
        spec = chosen.endpoint.spec
        answer = exchange.answer
        assert answer is not None
        record.model_status = head.status
        if head.status == SWITCHING:
            return await self._tunnel(chosen, head, exchange)
        status = client_status(head.status, spec.model_errors)
        is_chunked = head.has_body and head.length is None and self._request.version == HttpVersion11
        closes = self._closes(head, is_chunked=is_chunked)
        record.status = status
        framing = Framing(is_chunked, not head.has_body and record.method != "HEAD", closes)
        runtime = self._runtime
        now = runtime.now()
        start = forwarded_head(record, head.fields, framing, now=now, http_date=runtime.http_date(now))
        try:
            if answer.is_complete and not spec.bandwidth_bytes_per_s:
                self._write_whole(start, answer, is_chunked=is_chunked)
            else:
                await self._stream(start, answer, is_chunked=is_chunked)
        except UpstreamLost as error:
            exchange.upstream_failed(error.reason)
            raise UpstreamReset from error
        except AnswerTimeout:
            exchange.timed_out()
            raise
        exchange.finish()
        return not closes

    async def _tunnel(self, chosen: Chosen, head: AnswerHead, exchange: Exchange) -> bool:
        """Speak the other protocol, to its end."""
        deployment = self._runtime.deployment(chosen.endpoint.spec.name, chosen.deployment)
        tunnel = Tunnel(self._runtime, deployment, exchange, self._record)
        tunnel.open(self._request, head.fields)
        await tunnel.run()
        return False

    def _closes(self, head: AnswerHead, *, is_chunked: bool) -> bool:
        is_delimited = is_chunked or head.length is not None or not head.has_body
        return self._runtime.is_draining or not is_delimited or not can_go_on(self._request)

    def _write_whole(self, start: bytes, answer: Answer, *, is_chunked: bool) -> None:
        """Write an answer that is here already: nearly every one."""
        part = answer.take()
        self._record.response_bytes = len(part)
        self._write(start, part, is_chunked=is_chunked, is_last=True)

    async def _stream(self, start: bytes, answer: Answer, *, is_chunked: bool) -> None:
        """Write the head with what there is of the body, then the rest as it comes and as the client takes it."""
        pending = start
        while True:
            part = answer.take()
            is_last = answer.is_complete
            self._record.response_bytes += len(part)
            self._record.response_throttled_s += await self._throttle(len(part))
            self._write(pending, part, is_chunked=is_chunked, is_last=is_last)
            if is_last:
                return
            pending = b""
            await self._wait_more(answer)

    async def _wait_more(self, answer: Answer) -> None:
        """Return once the client has taken what it was sent, and its instance has sent more.

        Raises:
            ClientStalled, AnswerTimeout: one of them rests too long.
        """
        is_taken = False
        try:
            async with asyncio.timeout(self._runtime.limits.answer_timeout_s):
                if self._request.protocol.writing_paused:
                    answer.hold()  # of what is not read there should not be more
                    await self._request.writer.drain()
                    answer.go_on()
                is_taken = True
                await answer.wait_more()
        except TimeoutError as error:
            raise AnswerTimeout if is_taken else ClientStalled from error

    def _write(self, pending: bytes, part: bytes, *, is_chunked: bool, is_last: bool) -> None:
        if is_chunked:
            part = chunk(part, is_last=is_last)
        transport = self._request.transport
        if transport is not None and (pending or part):
            tell_of_part(self._request)
            transport.write(pending + part)

    async def _throttle(self, size: int) -> float:
        """Delay `size` bytes as the endpoint's bandwidth asks; return the seconds that it took."""
        bucket = self._runtime.bandwidth(self._record.endpoint)
        delay_s = bucket.reserve(size, self._runtime.now()) if bucket is not None else 0.0
        if delay_s:
            await asyncio.sleep(delay_s)
        return delay_s

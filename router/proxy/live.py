"""One request on the fast lane, from its instance to its client."""

import time

from router.core.errors import AnswerTimeout, ClientStalled, RouterError, UpstreamReset
from router.core.plain_reading import PlainAnswer, PlainRequest
from router.core.plain_writing import plain_answer, plain_line, plain_request
from router.core.record import RequestRecord
from router.core.replies import Framing, chunk, client_status, forwarded_head, refusal
from router.proxy.direct import DirectExchange
from router.proxy.routes import Leg
from router.proxy.runtime import Runtime
from router.proxy.upstream import AnswerHead, UpstreamConnection, UpstreamLost, is_joined, pass_on

#: What is logged for a client that went away before its answer; nobody gets it.
CLIENT_GONE = 499


class Client:
    """Where an answer goes.

    Attributes:
        forwarded_for: The lines before the host that the client named, and the start of the line for that.
        is_stalled: It does not take more for now.
    """

    __slots__ = ("forwarded_for", "is_stalled")

    forwarded_for: bytes
    is_stalled: bool

    def write(self, data: bytes) -> None:
        """Send a part of an answer."""
        raise NotImplementedError

    def done(self, now: float, closes: bool) -> None:
        """The answer is complete."""
        raise NotImplementedError

    def cut(self) -> None:
        """The answer is broken: the client must not take it for a whole one."""
        raise NotImplementedError

    def cut_unread(self) -> None:
        """The same, where the client does not read."""
        raise NotImplementedError


class LiveExchange(DirectExchange):
    """Forwards one request and streams its answer.

    Nearly every request is sent at once and gets a 200 that comes whole; what else may happen costs a `RequestRecord`.
    """

    def __init__(self, runtime: Runtime, client: Client, leg: Leg, plain: PlainRequest, request_id: bytes) -> None:
        self._leg = leg
        self._runtime = runtime  # from here on both have types
        self._set_up(self._runtime, self._runtime.pool, self._leg.state, self._leg.is_idempotent, True)
        self._task = None
        self._is_queued = False
        self._has_head = False
        self._head: AnswerHead | None = None
        self._framing: Framing | None = None
        self._record: RequestRecord | None = None
        self._sent: float = 0.0
        self._answered: float = 0.0
        self._client = client
        self._plain = plain
        self._request_id = request_id
        self._began = time.monotonic()
        self.deadline = self._began + self._leg.timeout_s

    def has_begun(self, began: float) -> None:
        """Its time counts from `began` (monotonic seconds) on: its body took a while to come."""
        self._began = began

    def begin(self) -> None:
        """`DirectExchange.begin`, at once for a request that need not wait: a place is free, a connection idle."""
        instance = self._deployment.acquire()
        self._runtime.deadlines.add(self)
        if instance is None:
            self.wait()
            return
        connection = self._pool.reuse(instance.address)
        if connection is None:
            self.grant(instance)
            return
        self._instance = instance
        self._connection = connection
        self._sent = time.monotonic()
        self._send(connection)

    def send_on(self, connection: UpstreamConnection) -> None:
        self._sent = time.monotonic()
        self._send(connection)

    # The answer

    def whole(self, answer: PlainAnswer) -> None:
        plain = self._plain
        if plain.closes or plain.deployment is not None or self._record is not None or self._runtime.is_draining:
            pass_on(self, answer)
        else:
            self._end_plainly(answer)

    def head(self, head: AnswerHead) -> None:
        self._has_head = True
        self._head = head
        self._answered = time.monotonic()

    def flush(self, parts: list[bytes]) -> None:
        self._write(parts, is_last=False)
        self.progress()
        if self._client.is_stalled and self._connection is not None:
            self._connection.pause()

    def end(self, parts: list[bytes]) -> None:
        self._write(parts, is_last=True)
        self.finish()
        self._end()

    def progress(self) -> None:
        """The client has taken, or its instance has sent, something of an answer that has begun."""
        if self._has_head:
            self.deadline = time.monotonic() + self._runtime.limits.answer_timeout_s

    def pause(self) -> None:
        """The client does not keep up."""
        if self._has_head and self._connection is not None:
            self._connection.pause()

    def resume(self) -> None:
        self.progress()
        if self._connection is not None:
            self._connection.resume()

    @property
    def last_progress(self) -> float | None:
        """A number that grows with every part of the answer that goes out; None before."""
        return self.deadline if self._has_head else None

    def is_last(self) -> None:
        """No request follows on the client's connection: it ends with this answer."""
        self._plain.closes = True

    # Ends without an answer

    def fail(self, error: RouterError) -> None:
        record = self._remember()
        if record.status:  # the head of an answer is out: all that is left is to cut it short
            record.reason = error.code
            self._cut()
        else:
            self._plain.closes = refuse(self._runtime, self._client, record, error, closes=self._plain.closes)
            self._end()

    def broke_off(self, error: UpstreamLost, parts: list[bytes]) -> None:
        self.upstream_failed(error.reason)
        self._write(parts, is_last=False)  # what came in the same read as the news of its end
        self._remember().reason = UpstreamReset.code
        self._plain.closes = True  # short of its announced end
        self._end()

    def expire(self) -> None:
        if self._has_head:
            if self._client.is_stalled:
                self._remember().reason = ClientStalled.code
                self._leave()
                self._client.cut_unread()
            else:
                self.timed_out()
                self._remember().reason = AnswerTimeout.code
                self._cut()
        else:
            super().expire()

    def client_gone(self) -> None:
        """Nobody waits for the answer any more."""
        record = self._remember()
        record.status = record.status or CLIENT_GONE
        record.reason = "client_gone"
        self._leave()

    def _send(self, connection: UpstreamConnection) -> None:
        plain, address = self._plain, connection.address
        start = self._leg.starts.get(address) or self._leg.start(address)
        has_body = is_joined(plain.length)
        request = plain_request(plain, start, self._request_id, self._client.forwarded_for, has_body)
        connection.send(request, b"" if has_body else plain.body, self)

    def _end_plainly(self, answer: PlainAnswer) -> None:
        """Steps 6 and 7 for an answer that needs no second thought: `head`, `end` and all that they do at once."""
        leg, runtime, plain, request_id = self._leg, self._runtime, self._plain, self._request_id
        began, sent, answered, length = self._began, self._sent, time.monotonic(), answer.length
        date = runtime.http_date(answered)
        own_s = sent - began
        self._client.write(plain_answer(answer, request_id, leg.constant, plain.client_request_id, own_s, date))
        connection, instance = self._connection, self._instance
        self._connection = self._instance = None
        now = time.monotonic()
        self._pool.give_back(connection, now)  # type: ignore[arg-type]  # the answer came over it
        runtime.deadlines.discard(self)
        leg.state.finish(instance)  # type: ignore[arg-type]  # the connection's
        leg.state.answered.add(now - began, plain.length, length)
        log = runtime.access_log
        if log.is_on and log.is_json:
            pieces, time_text = leg.log_pieces, log.time(now)
            total_s, request_s, response_s = now - began, sent - began, now - answered
            log.add(plain_line(pieces, plain, length, time_text, request_id, total_s, request_s, response_s))
        elif log.is_on:
            self._answered = answered
            log.write(self._remember(response_bytes=length, status=200, model_status=200), now)
        self._client.done(now, closes=False)

    def _write(self, parts: list[bytes], is_last: bool) -> None:
        record = self._remember()
        part = parts[0] if len(parts) == 1 else b"".join(parts)
        record.response_bytes += len(part)
        start = b""
        if self._framing is None:
            self._framing, start = self._start(record)
        if self._framing.is_chunked:
            part = chunk(part, is_last=is_last)
        if start or part:
            self._client.write(start + part)

    def _start(self, record: RequestRecord) -> tuple[Framing, bytes]:
        head = self._head
        assert head is not None
        runtime = self._runtime
        record.model_status = head.status
        record.status = client_status(head.status, self._leg.route.spec.model_errors)
        self._plain.closes = self._plain.closes or runtime.is_draining
        framing = Framing(head.has_body and head.length is None, not head.has_body, self._plain.closes)
        now = time.monotonic()
        return framing, forwarded_head(record, head.fields, framing, now=now, http_date=runtime.http_date(now))

    def _remember(self, **fields: int) -> RequestRecord:
        """The record of this request, brought up to date."""
        plain = self._plain
        record = self._record
        if record is None:
            record = self._record = self._leg.record(
                began=self._began,
                request_id=self._request_id.decode(),
                client_request_id=plain.client_request_id.decode(),
                user_agent=plain.user_agent.decode("latin-1"),
                route="live" if plain.deployment is None else "pinned",
                request_bytes=plain.length,
                **fields,
            )
        record.sent, record.answered = self._sent or None, self._answered or None
        return record

    def _end(self) -> None:
        self._leave()
        self._client.done(time.monotonic(), closes=self._plain.closes)

    def _cut(self) -> None:
        self._leave()
        self._client.cut()

    def _leave(self) -> None:
        self.close()
        self._deployment.leave()
        self._runtime.record(self._remember())


def refuse(runtime: Runtime, client: Client, record: RequestRecord, error: RouterError, *, closes: bool) -> bool:
    """Write the router's own answer; return whether the connection ends with it."""
    closes = closes or error.closes or runtime.is_draining
    record.status = error.status
    record.reason = error.code
    now = runtime.now()
    client.write(refusal(error, record, now=now, http_date=runtime.http_date(now), closes=closes))
    record.response_bytes = len(error.body)
    return closes

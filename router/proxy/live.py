"""One request on the fast lane, from its instance to its client."""

from typing import Protocol

from router.core.errors import RouterError, UpstreamReset
from router.core.record import RequestRecord
from router.core.replies import Framing, chunk, client_status, forwarded_head, refusal
from router.proxy.direct import DirectExchange
from router.proxy.routes import Leg
from router.proxy.runtime import Runtime
from router.proxy.upstream import AnswerHead, UpstreamConnection, UpstreamLost

#: Time without a byte after which an answer that has begun, or its reader, is given up.
ANSWER_IDLE_S = 60.0
#: What is logged for a client that went away before its answer; nobody gets it.
CLIENT_GONE = 499


class Client(Protocol):
    """Where an answer goes."""

    forwarded_for: bytes  # the lines before the host that the client named, and the name of the line for that
    is_stalled: bool

    def write(self, data: bytes) -> None: ...
    def done(self, *, closes: bool) -> None: ...
    def cut(self) -> None: ...


class LiveExchange(DirectExchange):
    """Forwards one request and streams its answer.

    Args:
        rest: The request as its instance gets it, after the first line and `Host`.
        body: What follows, if it is not in `rest` already.
        closes: The client wants its connection closed.
    """

    _head: AnswerHead | None = None
    _framing: Framing | None = None

    def __init__(
        self,
        runtime: Runtime,
        client: Client,
        leg: Leg,
        record: RequestRecord,
        *,
        rest: bytes,
        body: bytes,
        closes: bool,
    ) -> None:
        self._runtime = runtime
        self._pool = runtime.pool
        self._deployment = leg.state
        self._may_resend = leg.is_idempotent
        self._may_wait = True
        self._client = client
        self._leg = leg
        self._record = record
        self._rest = rest
        self._body = body
        self._closes = closes
        self._parts: list[bytes] = []
        self.deadline = record.began + leg.timeout_s

    def send_on(self, connection: UpstreamConnection) -> None:
        self._record.sent = self._runtime.now()
        connection.send(self._leg.start(connection.address) + self._rest, self._body, self)

    # The answer

    def head(self, head: AnswerHead) -> None:
        self._has_head = True
        self._head = head
        self._record.answered = self._runtime.now()

    def body(self, part: bytes) -> None:
        self._parts.append(part)

    def flush(self) -> None:
        self._write(is_last=False)
        self.progress()
        if self._client.is_stalled and self._connection is not None:
            self._connection.pause()

    def end(self) -> None:
        self._write(is_last=True)
        self.finish()
        self._end(closes=self._closes)

    def progress(self) -> None:
        """The client has taken, or its instance has sent, something of an answer that has begun."""
        if self._has_head:
            self.deadline = self._runtime.now() + ANSWER_IDLE_S

    def pause(self) -> None:
        """The client does not keep up."""
        if self._has_head and self._connection is not None:
            self._connection.pause()

    def resume(self) -> None:
        self.progress()
        if self._connection is not None:
            self._connection.resume()

    # Ends without an answer

    def fail(self, error: RouterError) -> None:
        self._record.reason = error.code
        if self._record.status:  # the head of an answer is out: all that is left is to cut it short
            self._cut()
        else:
            self._closes = refuse(self._runtime, self._client, self._record, error, closes=self._closes)
            self._end(closes=self._closes)

    def broke_off(self, error: UpstreamLost) -> None:
        self.upstream_failed(error.reason)
        self._write(is_last=False)  # what came in the same read as the news of its end
        self._record.reason = UpstreamReset.code
        self._end(closes=True)  # short of its announced end

    def expire(self) -> None:
        if self._has_head:
            self._record.reason = UpstreamReset.code
            self._cut()
        else:
            super().expire()

    def client_gone(self) -> None:
        """Nobody waits for the answer any more."""
        self._record.status = self._record.status or CLIENT_GONE
        self._record.reason = "client_gone"
        self._leave()

    def _write(self, *, is_last: bool) -> None:
        parts = self._parts
        part = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        self._record.response_bytes += len(part)
        framing = self._framing
        if framing is None:
            framing, start = self._start()
            if framing.is_chunked:
                part = chunk(part, is_last=is_last)
            self._client.write(start + part)
        else:
            if framing.is_chunked:
                part = chunk(part, is_last=is_last)
            if part:
                self._client.write(part)

    def _start(self) -> tuple[Framing, bytes]:
        head = self._head
        assert head is not None
        record = self._record
        runtime = self._runtime
        record.model_status = head.status
        record.status = client_status(head.status, self._leg.model_errors)
        self._closes = self._closes or runtime.is_draining
        is_chunked = head.has_body and head.length is None
        framing = self._framing = Framing(is_chunked, not head.has_body, self._closes)
        start = forwarded_head(record, head.headers, framing, now=runtime.now(), http_date=runtime.http_date())
        return framing, start

    def _end(self, *, closes: bool) -> None:
        self._leave()
        self._client.done(closes=closes)

    def _cut(self) -> None:
        self._leave()
        self._client.cut()

    def _leave(self) -> None:
        self.close()
        self._deployment.leave()
        self._runtime.record(self._record)


def refuse(runtime: Runtime, client: Client, record: RequestRecord, error: RouterError, *, closes: bool) -> bool:
    """Write the router's own answer; return whether the connection ends with it."""
    closes = closes or error.closes or runtime.is_draining
    record.status = error.status
    record.reason = error.code
    client.write(refusal(error, record, now=runtime.now(), http_date=runtime.http_date(), closes=closes))
    record.response_bytes = len(error.body)
    return closes

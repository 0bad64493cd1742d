"""The lane for everything HTTP/1.1 allows: aiohttp's low-level server before our own upstream connections."""

import structlog
from aiohttp.http import HttpVersion11
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong
from aiohttp.web import BaseRequest, StreamResponse

from router.core.errors import (
    BadRequest,
    ClientStalled,
    HeadTimeout,
    HeadTooLarge,
    InternalError,
    RouterError,
    TooManyFields,
)
from router.core.record import RequestRecord
from router.core.replies import refusal
from router.proxy.ending import end_connection
from router.proxy.mirror import Mirror
from router.proxy.persistence import can_go_on
from router.proxy.refused import begun_method, refuse_unread
from router.proxy.runtime import Runtime
from router.proxy.scoring import Scoring
from router.proxy.unread import reset

log = structlog.get_logger()

#: aiohttp 3.14 has a class of its own for this error's like, but not for this error.
_TOO_MANY_FIELDS = "Too many headers received"


class Written(StreamResponse):
    """Tells aiohttp that the answer is on its way already, and whether the connection lives on."""

    def __init__(self, *, keep_alive: bool) -> None:
        self._lives_on = keep_alive

    async def prepare(self, request: BaseRequest) -> None:
        """The head was written by the lane."""
        if not self._lives_on:
            await end_connection(request)

    async def write_eof(self, data: bytes = b"") -> None:
        """So was the body."""

    @property
    def keep_alive(self) -> bool:
        return self._lives_on


_KEPT = Written(keep_alive=True)
CLOSED = Written(keep_alive=False)


class FullLane:
    """Answers requests that aiohttp has parsed."""

    def __init__(self, runtime: Runtime, mirror: Mirror) -> None:
        self._runtime = runtime
        self._mirror = mirror

    async def handle(self, request: BaseRequest) -> StreamResponse:
        """Score one request, from its head to its last byte."""
        runtime = self._runtime
        record = self._new_record(request)
        scoring = Scoring(runtime, self._mirror, request, runtime.table, record)
        try:
            lives_on = await scoring.run()
        except RouterError as error:
            lives_on = self._refuse(request, error, record)
        except Exception:
            log.exception("request.crashed", request_id=record.request_id)
            lives_on = self._refuse(request, InternalError(), record)
        finally:
            runtime.record(record)
        return _KEPT if lives_on else CLOSED

    def refuse_malformed(
        self, request: BaseRequest, error: BaseException | None, *, is_head_too_large: bool, begun: bytes
    ) -> StreamResponse:
        """Answer bytes that are not a request that we are willing to understand.

        Args:
            begun: The first of them.
        """
        record = self._new_record(request)
        record.method = begun_method(begun)
        record.protocol = ""
        refused: RouterError
        limits = self._runtime.limits
        if is_head_too_large or isinstance(error, LineTooLong):
            refused = HeadTooLarge(limits.max_head_bytes)
        elif isinstance(error, BadHttpMessage) and error.message == _TOO_MANY_FIELDS:
            refused = TooManyFields(limits.max_head_fields)
        else:
            refused = BadRequest("The request is not well-formed HTTP/1.1.")
        self._refuse(request, refused, record)
        self._runtime.record(record)
        return CLOSED

    def refuse_late_head(self, began: float, begun: bytes) -> bytes:
        """The answer to a head that does not come to an end; it was due since `began` (monotonic seconds).

        Args:
            begun: Its first bytes.
        """
        error = HeadTimeout(self._runtime.limits.head_timeout_s)
        answer, record = refuse_unread(self._runtime, error, begun, began)
        self._runtime.record(record)
        return answer

    def _new_record(self, request: BaseRequest) -> RequestRecord:
        runtime = self._runtime
        return RequestRecord(
            generation=runtime.table.generation,
            began=runtime.now(),
            request_id=runtime.request_id().decode(),
            method=request.method,
            protocol="HTTP/1.1" if request.version == HttpVersion11 else "HTTP/1.0",
        )

    def _refuse(self, request: BaseRequest, error: RouterError, record: RequestRecord) -> bool:
        """Write the router's own answer; return whether the connection lives on."""
        runtime = self._runtime
        record.reason = error.code
        if record.status:  # the head of an answer is out: all that is left is to cut it short
            _cut(request, error)
            return False
        record.status = error.status
        closes = error.closes or runtime.is_draining or not can_go_on(request)
        now = runtime.now()
        answer = refusal(error, record, now=now, http_date=runtime.http_date(now), closes=closes)
        if request.transport is not None:
            request.transport.write(answer)
        record.response_bytes = 0 if record.method == "HEAD" else len(error.body)
        return not closes


def _cut(request: BaseRequest, error: RouterError) -> None:
    if request.transport is not None and error.code == ClientStalled.code:
        reset(request.transport)
    elif request.transport is not None:
        request.transport.abort()

"""A connection to the admin site that knows what its caller owes, and since when."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast

from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from aiohttp.web import BaseRequest, Response, Server, StreamResponse
from aiohttp.web_protocol import RequestHandler

from router.control.admin_refusals import Refusals
from router.core.errors import BadRequest, HeadTooLarge
from router.core.pace import Pace

Fault = Literal["head_timeout", "body_timeout", "not_read"]

#: The slowest pace of a body, as the scoring port has it by default.
_MIN_BODY_BYTES_PER_S = 1024
#: An answer that nobody takes any of for this long is given up.
_ANSWER_TIMEOUT_S = 30.0
#: aiohttp's word for a head with more fields than it takes.
_TOO_MANY_FIELDS = "Too many headers received"
_LATE = (
    b"HTTP/1.1 408 Request Timeout\r\nx-teal-reason: %b\r\nConnection: close\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\nContent-Length: 38\r\n\r\nThe rest of the request did not come.\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerLimits:
    """What callers of one address may take: so many at a time, and seconds.

    Attributes:
        head_s: For a request's head; the first one counts from the connection on.
        body_s: That a body may be silent, or behind in all.
        idle_s: Between requests.
    """

    max_connections: int = 64
    head_s: float = 10.0
    body_s: float = 30.0
    idle_s: float = 75.0


class Caller(RequestHandler):
    """aiohttp's connection, which has no time limit of its own but the one between requests.

    Args:
        refusals: Told of requests that are not understood.
        gone: Told once the connection is closed.
    """

    __slots__ = (
        "_connection",
        "_gone",
        "_has_begun",
        "_head_since",
        "_heard",
        "_limits",
        "_now",
        "_pace",
        "_refusals",
        "_unread",
        "_unread_since",
    )

    def __init__(self, server: Server, limits: CallerLimits, refusals: Refusals, gone: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        # Without a log of its own, as aiohttp's runner makes it.
        super().__init__(server, loop=loop, access_log=None, keepalive_timeout=limits.idle_s)  # type: ignore[arg-type]
        self._limits = limits
        self._refusals = refusals
        self._gone = gone
        self._now = loop.time
        self._connection: asyncio.Transport | None = None  # aiohttp forgets its own before all is sent
        self._head_since = self._heard = self._now()
        self._pace: Pace | None = None
        self._has_begun = False
        self._unread = 0
        self._unread_since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._connection = cast(asyncio.Transport, transport)
        self._head_since = self._heard = self._now()
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._connection = None
        super().connection_lost(exc)
        self._gone()

    def data_received(self, data: bytes) -> None:
        requests, self._has_begun = self._request_count, True
        self._heard = self._now()
        if self._pace is not None:
            self._pace.came(len(data), self._heard)
        try:
            super().data_received(data)
        except (ValueError, IndexError):
            # yarl's, for targets like `http://a[b]@`. aiohttp's parser stays in this error: fed again, it reports it as
            # one of the request's.
            super().data_received(b"\0")
        if self._request_count != requests:
            self._head_since, self._pace = 0.0, None
        elif self._awaits_request:
            self._head_since = self._head_since or self._heard

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> StreamResponse:
        """The answer to bytes that are no request that we take; aiohttp would log them, with a traceback."""
        if not isinstance(exc, HttpProcessingError):
            return super().handle_error(request, status, exc, message)
        text, refusal = _refusal_of(exc, self.max_field_size, self.max_headers)
        self._refusals.note(refusal.code, method="", path="", status=refusal.status)
        headers = {"x-teal-reason": refusal.code, "cache-control": "no-store", "x-content-type-options": "nosniff"}
        answer = Response(status=refusal.status, text=text, headers=headers)
        answer.force_close()
        return answer

    @property
    def _awaits_request(self) -> bool:
        """Whether nothing is being answered."""
        return self._waiter is not None and not self._waiter.done()

    @property
    def _lingers(self) -> bool:
        """Whether it has its answer, before the rest of its body came; aiohttp waits for that."""
        is_answered = self._has_begun and self._current_request is None and not self._messages
        return is_answered and not self._awaits_request

    @property
    def _awaits_body(self) -> bool:
        return self._current_request is not None and not self._current_request.content.is_eof()

    def look(self, now: float) -> Fault | None:
        """What the caller has failed to do in time; called several times a second.

        Args:
            now: Seconds on the loop's clock, as everywhere here.
        """
        self._note_unread(now)
        if self._unread and now - self._unread_since >= _ANSWER_TIMEOUT_S:
            return "not_read"
        if self._awaits_request and self._head_since and now - self._head_since >= self._limits.head_s:
            return "head_timeout"
        return "body_timeout" if self._is_late_with_body(now) else None

    def rests_since(self, now: float) -> tuple[int, float] | None:
        """Since when we wait for the caller, after a number by which those come first that lose the least.

        None while it waits for us.
        """
        if self._connection is None:
            return 0, now  # it is just being made
        self._note_unread(now)
        if self._unread:
            return 2, self._unread_since
        if self._lingers or (self._awaits_body and not self._reading_paused):
            return 1, self._heard
        return (0, self._head_since or self._heard) if self._awaits_request else None

    def give_up(self, fault: Fault) -> None:
        """Close; who has begun a request, and was sent nothing yet, gets to know why."""
        if fault != "not_read" and self._connection is not None and self._can_be_told:
            self._connection.write(_LATE % fault.encode())
            self.force_close()
        else:
            self.cut()

    def cut(self) -> None:
        """Close at once."""
        if self._connection is not None:
            self._connection.abort()
        self.force_close()

    @property
    def _can_be_told(self) -> bool:
        request = self._current_request
        if self._force_close:
            return False
        if request is not None:
            return not request.writer.output_size
        return self._has_begun

    def _is_late_with_body(self, now: float) -> bool:
        if not self._awaits_body:
            self._pace = None
            return False
        if self._pace is None:
            self._pace = Pace(self._limits.body_s, _MIN_BODY_BYTES_PER_S, now)
        elif self._reading_paused:  # it is us who have not read
            self._pace.resume(now)
        return now >= self._pace.deadline

    def _note_unread(self, now: float) -> None:
        unread = 0 if self._connection is None else self._connection.get_write_buffer_size()
        if unread != self._unread:
            self._unread, self._unread_since = unread, now


def _refusal_of(
    error: HttpProcessingError, most_bytes: int, most_fields: int
) -> tuple[str, type[BadRequest] | type[HeadTooLarge]]:
    """What a caller is told of a request that could not be parsed, and what kind of refusal that is."""
    if isinstance(error, LineTooLong):
        return f"A line of the request's head has more than {most_bytes} bytes.\n", HeadTooLarge
    if error.message == _TOO_MANY_FIELDS:
        return f"The request's head has more than {most_fields} fields.\n", HeadTooLarge
    return "The request is not well-formed HTTP/1.1.\n", BadRequest

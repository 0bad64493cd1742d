"""Whether a client's connection can serve another request."""

from typing import Any, Protocol

from aiohttp import EMPTY_PAYLOAD, StreamReader
from aiohttp.http import HttpVersion11
from aiohttp.web import BaseRequest
from aiohttp.web_protocol import RequestPayloadError

from router.proxy.reading import Reading

#: How a chunked body without trailers ends: the line end of what is before it, the last chunk, an empty line.
_PLAIN_END = b"\r\n0\r\n\r\n"
_HEAD_END = b"\r\n\r\n"


class BodyReader(Protocol):
    """Who waits for the body of the request that is being handled."""

    def came(self) -> None: ...
    def can_wait(self, kept: bytes) -> bool: ...
    def dripped(self, size: int) -> None: ...


class BodyWatch(Reading):
    """A client's connection that notices how the body of a request ends, or that it never will.

    Attributes:
        reader: Told of what comes, as long as there is one.
        is_spent: It has served as many requests as it may.
        has_bare_head: The last request was whole with its head, as far as this can be told, and nothing came after it.
        ended_plainly: The body that is watched came in chunks, without trailers, and nothing came in one read with its
            end: then that could not be told.
    """

    __slots__ = ("_body", "_last_bytes", "ended_plainly", "has_bare_head", "is_spent", "reader")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._last_bytes = b""
        self._body: StreamReader = EMPTY_PAYLOAD
        self.reader: BodyReader | None = None
        self.is_spent = False
        self.has_bare_head = False
        self.ended_plainly = False

    def data_received(self, data: bytes) -> None:
        before, number, had_ended = self._last_bytes, len(self._messages), self._body.is_eof()
        self._last_bytes = (self._last_bytes + data[-len(_PLAIN_END) :])[-len(_PLAIN_END) :]
        super().data_received(data)
        if data:
            self.has_bare_head = len(self._messages) == number + 1 and _ends_with_first_head(before, data)
        if not had_ended:
            self._look_at_end()
        self._check_body()
        if self.reader is not None:
            self.reader.came()

    def watch(self, body: StreamReader) -> None:
        """Watch the body of the request that is being handled now."""
        self._body = body
        self._look_at_end()
        self._check_body()

    @property
    def is_reading_paused(self) -> bool:
        """aiohttp holds as much as it takes unread."""
        return bool(self._reading_paused)

    def _look_at_end(self) -> None:
        """Called when the body may just have ended: later, what came last may be of another request."""
        self.ended_plainly = self._body.is_eof() and not self._messages and self._last_bytes == _PLAIN_END

    def _check_body(self) -> None:
        if self._messages and not self._body.is_eof():
            # Nothing can follow a body that has not ended, except the news that its framing broke. aiohttp would tell
            # it after this request, which waits for the body.
            self._body.set_exception(RequestPayloadError("broken framing"))
            self._body.feed_eof()


def _ends_with_first_head(before: bytes, data: bytes) -> bool:
    """Whether the end of a head that `data` ends with is the only one in it; `before` is what came last before it."""
    joined = before[1 - len(_HEAD_END) :] + data
    return joined.find(_HEAD_END) == len(joined) - len(_HEAD_END)


def can_go_on(request: BaseRequest) -> bool:
    """Whether the connection is fit for a request after this one: its body was received, and what follows is HTTP."""
    return (
        request.keep_alive
        and request.version == HttpVersion11
        and request.content.is_eof()
        and request.content.exception() is None
        and "Upgrade" not in request.headers  # aiohttp reads what follows as another protocol
        and not _may_have_trailers(request)
        and not _is_spent(request)
    )


def is_bare(request: BaseRequest) -> bool:
    """Whether nothing but the request's head has come."""
    connection = request.protocol
    return isinstance(connection, BodyWatch) and connection.has_bare_head


def _may_have_trailers(request: BaseRequest) -> bool:
    """aiohttp 3.14 hands the last trailer of a chunked body to the next request, as its first field."""
    if "Transfer-Encoding" not in request.headers:
        return False
    connection = request.protocol
    return not isinstance(connection, BodyWatch) or not connection.ended_plainly


def _is_spent(request: BaseRequest) -> bool:
    connection = request.protocol
    return isinstance(connection, BodyWatch) and connection.is_spent

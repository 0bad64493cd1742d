"""Whether a client's connection can serve another request."""

from typing import Any, Protocol

from aiohttp import EMPTY_PAYLOAD, StreamReader
from aiohttp.http import HttpVersion11
from aiohttp.web import BaseRequest
from aiohttp.web_protocol import RequestPayloadError

from router.proxy.reading import Reading


class BodyReader(Protocol):
    """Who waits for the body of the request that is being handled."""

    def heard(self, size: int, when: float | None = None) -> None: ...
    def came(self) -> None: ...
    def can_wait(self, kept: bytes) -> bool: ...
    def least_wanted(self, kept_bytes: int) -> int: ...


class BodyWatch(Reading):
    """A client's connection that notices how the body of a request ends, or that it never will.

    Attributes:
        reader: Told of what comes, as long as there is one.
        is_spent: It has served as many requests as it may.
    """

    __slots__ = ("_body", "is_spent", "reader")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._body: StreamReader = EMPTY_PAYLOAD
        self.reader: BodyReader | None = None
        self.is_spent = False

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._check_body()
        if self.reader is not None:
            self.reader.came()

    def watch(self, body: StreamReader) -> None:
        """Watch the body of the request that is being handled now."""
        self._body = body
        self._check_body()

    def read_unwoken(self) -> bool:
        """Read what nobody was woken for, if that is done here; whether there was anything."""
        return False

    @property
    def is_reading_paused(self) -> bool:
        """aiohttp holds as much as it takes unread."""
        return bool(self._reading_paused)

    def _check_body(self) -> None:
        if self._messages and not self._body.is_eof():
            # Nothing can follow a body that has not ended, except the news that its framing broke. aiohttp would tell
            # it after this request, which waits for the body.
            self._body.set_exception(RequestPayloadError("broken framing"))
            self._body.feed_eof()


def can_go_on(request: BaseRequest) -> bool:
    """Whether the connection is fit for a request after this one: its body was received, and what follows is HTTP."""
    return (
        request.keep_alive
        and request.version == HttpVersion11
        and request.content.is_eof()
        and request.content.exception() is None
        and "Upgrade" not in request.headers  # aiohttp reads what follows as another protocol
        and not _is_last(request)
    )


def is_bare(request: BaseRequest) -> bool:
    """Whether nothing but the request's head has come."""
    connection = request.protocol
    return isinstance(connection, BodyWatch) and connection.has_bare_head


def _is_last(request: BaseRequest) -> bool:
    connection = request.protocol
    return isinstance(connection, BodyWatch) and connection.is_spent

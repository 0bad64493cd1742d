"""How requests are read on the full lane: one after the other, and no head that is larger than it may be.

Rules
- A request that is whole gets its answer, whatever follows it (RFC 9112, 9.3.2). aiohttp 3.14 forgets the requests of a
  read that ends malformed, so its parser is made to stop behind each one, and told to go on when that is taken up.
- While a request is handled, what follows it is looked at once its body is here: whether a request has come already is
  known when the answer says if the connection lives on.
- aiohttp bounds each field, not their sum: what has come of a head is counted here.
"""

from typing import Any

from aiohttp import EMPTY_PAYLOAD, StreamReader
from aiohttp.http import HttpRequestParser
from aiohttp.web_protocol import RequestHandler, RequestPayloadError

from router.proxy.runtime import Runtime

#: Requests that wait for their turn; with so many, nothing more is read of the client.
_MAX_WAITING = 2
#: In a head, it is malformed wherever it stands.
_NUL = b"\0"
_HEAD_END = b"\r\n\r\n"


class Reading(RequestHandler):
    """A client's connection whose requests are parsed one at a time.

    Attributes:
        is_head_too_large: So was the last head, or what had come of it.
    """

    __slots__ = ("_head_bytes", "_is_chunked", "_newest_body", "_runtime", "_surplus", "is_head_too_large")

    def __init__(self, runtime: Runtime, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._runtime = runtime
        self._parser = HttpRequestParser(
            self,
            self._loop,
            self._read_bufsize,
            max_line_size=self.max_line_size,
            max_field_size=self.max_field_size,
            max_headers=self.max_headers,
            payload_exception=RequestPayloadError,
            auto_decompress=False,  # bodies go through as they are
            max_msg_queue_size=1,
        )
        self._max_msg_queue_size = _MAX_WAITING
        self._msg_queue_resume_size = _MAX_WAITING - 1
        self._newest_body: StreamReader = EMPTY_PAYLOAD
        self._head_bytes = 0  # of a head that has not come to its end
        self._is_chunked = False  # the newest request's body
        self._surplus = b""  # what was behind the newest request in the read that it ended in
        self.is_head_too_large = False

    @property
    def has_begun_next(self) -> bool:
        """Whether something of a head has come behind the newest request, as far as that can be told."""
        return self._head_bytes > 0 or bool(self._surplus)

    def data_received(self, data: bytes) -> None:
        earlier, was_in_body = self._request_count, not self._newest_body.is_eof()
        body_bytes = self._newest_body.total_bytes
        self._parse(data)
        if self._request_count != earlier:
            message, self._newest_body = self._messages[-1]
            self._is_chunked = getattr(message, "chunked", False)  # what is no request has no such word
            self._head_bytes = 0
            data = self._surplus + data  # with several requests in one read, the next ones come of it
            self._surplus = self._behind(data, data.find(_HEAD_END) + len(_HEAD_END))
        elif was_in_body:
            self._surplus = self._behind(data, -body_bytes)
            self.look_behind()
        elif not self._upgraded:  # what comes then is not HTTP
            self._count_head(len(data))

    def look_behind(self) -> None:
        """Parse what has come behind the newest request, if that is whole and being handled."""
        if not self._messages and self._newest_body.is_eof():
            self.data_received(b"")

    def _behind(self, data: bytes, body_began: int) -> bytes:
        """What a read has behind the end of the newest request; behind chunks nothing more is served."""
        if self._is_chunked or not self._newest_body.is_eof():
            return b""
        return data[body_began + self._newest_body.total_bytes :].lstrip(b"\r\n")

    def _parse(self, data: bytes) -> None:
        try:
            super().data_received(data)
        except (ValueError, IndexError):
            # yarl's, for targets like `http://a[b]@`, let through by aiohttp 3.14. Its parser stays in this error: fed
            # again, it reports it as one of the request's.
            super().data_received(_NUL)

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self._runtime.limits.max_head_bytes and not self.is_head_too_large:
            self.is_head_too_large = True
            self._parse(_NUL)

"""How requests are read on the full lane: one after the other, and no head that is larger than it may be.

Rules
- Its parser is never given more than belongs to one request: a head up to its empty line, a body up to its end.
- A body of chunks is read here, and goes on in chunks of our own: what is odd about the client's, blanks in extensions
  and trailers for two, aiohttp 3.14 would refuse, or hand to the next request.
- What comes behind is kept until that is taken up, and looked at then: whether a request has come already is known when
  the answer says if the connection lives on. So a request that is whole gets its answer, whatever follows it (RFC 9112,
  9.3.2): aiohttp 3.14 forgets the requests of a read that ends malformed.
- aiohttp bounds each field, not their sum: what has come of a head is counted here.
- A tab around a transfer coding is a blank (RFC 9110, 5.5): the parser is given one.
"""

import re
from typing import Any

from aiohttp import EMPTY_PAYLOAD, StreamReader
from aiohttp.http import HttpRequestParser
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web_protocol import RequestHandler, RequestPayloadError

from router.core.chunks import Chunks
from router.core.headers import without_tabs_in_coding
from router.core.replies import chunk
from router.proxy.runtime import Runtime

#: Messages that wait for their turn, for aiohttp: a request, and the news that its body broke.
_MAX_WAITING = 2
#: What is kept behind a request that waits; with more, nothing is read of the client.
_HELD_BYTES = 64 * 1024
#: Before a head, nothing (RFC 9112, 2.2).
_BLANK = re.compile(rb"[\r\n]+")
#: In a head, it is malformed wherever it stands.
_NUL = b"\0"
#: With the end of the line before it.
_EMPTY_LINE = b"\r\n\r\n"
_FIRST_BYTES = len(b"HEAD ")
_CODING_BYTES = len(b"transfer-encoding:")


class Reading(RequestHandler):
    """A client's connection whose requests are parsed one at a time.

    Attributes:
        is_head_too_large: So was the last head, or what had come of it.
    """

    __slots__ = (
        "_begun_line",
        "_chunks",
        "_first_bytes",
        "_head_bytes",
        "_is_broken",
        "_last_bytes",
        "_length",
        "_may_lag",
        "_newest_body",
        "_runtime",
        "_surplus",
        "is_head_too_large",
    )

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
        self._length = 0  # of the newest request's body, unless that comes in chunks
        self._chunks: Chunks | None = None  # of that body
        self._may_lag = False  # asked to pause at the end of a chunk, aiohttp does in the next, and is asked to go on
        self._is_broken = False  # nothing can follow what was no request
        self._head_bytes = 0  # of a head that has not come to its end
        self._surplus = b""  # what has come and is not parsed yet
        self._first_bytes = b""  # of the newest head, or what was none
        self._begun_line = b""  # the first bytes of the line of a head that has not come to its end
        self._last_bytes = b""  # that were parsed: an empty line may have begun with them
        self.is_head_too_large = False

    @property
    def has_begun_next(self) -> bool:
        """Whether something of a head has come behind the newest request."""
        return self._head_bytes > 0 or bool(self._surplus)

    @property
    def least_missing_bytes(self) -> int:
        """How many bytes must come before the newest body can be whole, whatever they are; 0 once it has ended."""
        body = self._newest_body
        if body.is_eof():
            return 0
        missing_bytes = self._length - body.total_bytes if self._chunks is None else self._chunks.least_missing_bytes
        return max(0, missing_bytes - len(self._surplus))

    @property
    def has_bare_head(self) -> bool:
        """Whether the newest request, which nobody waits for, was whole with its head, and nothing came after that."""
        body = self._newest_body
        is_bare = self._chunks is None and body.is_eof() and body.total_bytes == 0
        return is_bare and not (self._messages or self.has_begun_next or self._message_tail)

    @property
    def first_bytes(self) -> bytes:
        """Of the newest head, or what was none: as many as tell a HEAD request, whose answer has no body."""
        return self._first_bytes

    def data_received(self, data: bytes) -> None:
        if self._upgraded:  # what comes then is not HTTP
            super().data_received(data)
            return
        if not data and not self._newest_body.is_eof():  # aiohttp's word for it: go on
            self._parse(data)
        data = self._surplus + data
        at = 0
        while at < len(data) and (end := self._read_piece(data, at)) > at:
            at = end
        self._surplus = data[at:]
        if at:
            self._last_bytes = (self._last_bytes + data[max(0, at - 3) : at])[-3:]
        if self._is_full and not self._buffer_paused:
            self._pause_reading_for_buffer()

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self._newest_body = EMPTY_PAYLOAD  # which knew its connection: the two would wait for the garbage collector

    def look_behind(self) -> None:
        """Parse what has come behind the newest request, if nobody waits and that is whole."""
        if self._surplus and not self._messages:
            self.data_received(b"")

    def _resume_reading_for_buffer(self) -> None:  # aiohttp's, whenever a request is taken up
        if not self._is_full:
            super()._resume_reading_for_buffer()

    @property
    def _is_full(self) -> bool:
        return len(self._surplus) > _HELD_BYTES and self._newest_body.is_eof()

    def _read_piece(self, data: bytes, at: int) -> int:
        """Parse what belongs together of what begins at `at`; return where that ends, or `at` if it has to wait."""
        body = self._newest_body
        if self._is_broken:
            return len(data)
        if body.is_eof() and not self._upgraded:
            if self._messages:
                return at
            end = self._end_of_head(data, at)
            self._take_head(data[at:end])
            return end
        if self._upgraded:
            end = len(data)
        elif self._reading_paused:
            return at
        elif self._chunks is not None:
            return self._take_chunks(self._chunks, data, at)
        else:
            end = min(len(data), at + self._length - body.total_bytes)
        self._parse(data[at:end])
        return end

    def _end_of_head(self, data: bytes, at: int) -> int:
        """Behind the next empty line; those before a head are taken together, as they can be many."""
        blank = _BLANK.match(data, at)
        if blank is not None and not self._head_bytes:
            return blank.end()
        return self._end_of_lines(data, at)

    def _end_of_lines(self, data: bytes, at: int) -> int:
        """Behind the next empty line."""
        if at == 0 and (begun := (self._last_bytes + data[:3]).find(_EMPTY_LINE)) >= 0:
            return begun + len(_EMPTY_LINE) - len(self._last_bytes)
        end = data.find(_EMPTY_LINE, max(0, at - 3))
        return end + len(_EMPTY_LINE) if end >= 0 else len(data)

    def _take_head(self, piece: bytes) -> None:
        """Parse a head, or what there is of one."""
        earlier = self._request_count
        piece = self._look_at_head(piece)
        self._parse(piece)
        if self._request_count == earlier and not self._upgraded:
            self._count_head(piece)

    def _take_chunks(self, chunks: Chunks, data: bytes, at: int) -> int:
        """Parse the content of a body of chunks; return where that ends, or all that has come of it."""
        end = chunks.read(data, at)
        content = chunks.take()
        framed = chunk(content, is_last=chunks.has_ended)
        if chunks.is_broken:
            framed += _NUL
            self._is_broken = True
        if framed:
            self._parse(framed)
        return end

    def _look_at_head(self, piece: bytes) -> bytes:
        """Note how a head begins; return what the parser gets of it."""
        if not self._head_bytes:
            self._first_bytes = piece.lstrip(b"\r\n")[:_FIRST_BYTES]
        elif len(self._first_bytes) < _FIRST_BYTES:
            self._first_bytes = (self._first_bytes + piece)[:_FIRST_BYTES]
        begun = self._begun_line
        _, end, last = piece.rpartition(b"\n")
        self._begun_line = (last if end else begun + last)[:_CODING_BYTES]
        return without_tabs_in_coding(begun + piece)[len(begun) :] if b"\t" in piece else piece

    def _parse(self, data: bytes) -> None:
        earlier = self._request_count
        try:
            super().data_received(data)
            if self._reading_paused:
                self._may_lag = True
            elif self._may_lag and data:
                self._may_lag = False
                super().data_received(b"")
        except (ValueError, IndexError):
            # yarl's, for targets like `http://a[b]@`, let through by aiohttp 3.14. Its parser stays in this error: fed
            # again, it reports it as one of the request's.
            super().data_received(_NUL)
        if self._request_count != earlier:
            self._note_newest(*self._messages[-1])

    def _note_newest(self, message: object, body: StreamReader) -> None:
        """A request has come, with all of its head, or what is none."""
        self._newest_body = body
        self._head_bytes = 0
        self._begun_line = b""
        if isinstance(message, RawRequestMessage):
            limits = self._runtime.limits
            self._chunks = Chunks(limits.max_head_bytes, limits.max_head_fields) if message.chunked else None
            self._length = int(message.headers.get("Content-Length", "").lstrip("0") or 0)  # of up to 64 bits
        else:
            self._is_broken = True

    def _count_head(self, piece: bytes) -> None:
        self._head_bytes += len(piece) if self._head_bytes else len(piece.lstrip(b"\r\n"))
        if self._head_bytes > self._runtime.limits.max_head_bytes and not self.is_head_too_large:
            self.is_head_too_large = True
            self._parse(_NUL)

"""Where a body of chunks ends, and what is in it, read as it comes.

Rules
- Only what RFC 9112, 7.1 has is understood, blanks around the parts of an extension included. Lines end with CRLF.
- Extensions mean nothing to us, and trailers are dropped: both are looked at, so that no two can differ in where a body
  ends, and both are bounded. A trailer that would frame or route a message is refused (RFC 9110, 6.5.1).
- Whoever reads on is given the content, and frames that anew: a parser behind this one finds nothing to be misled by.
"""

import re

from router.core.headers import CONTROLS, NAME_BYTES
from router.core.replies import LAST_CHUNK

_CRLF = b"\r\n"
_HEX = rb"0-9A-Fa-f"
_TOKEN = rb"[%b]++" % re.escape(NAME_BYTES)
_QUOTED = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*+"'
_EXTENSION = rb"[ \t]*+;[ \t]*+%b(?:[ \t]*+=[ \t]*+(?:%b|%b))?" % (_TOKEN, _TOKEN, _QUOTED)
_SIZE = rb"(?=[%b])0*+[%b]{0,16}+" % (_HEX, _HEX)  # of 64 bits
_SIZE_LINE = re.compile(rb"(%b)(?:%b)*+\r\n" % (_SIZE, _EXTENSION))
_FIELD_LINE = re.compile(rb"(%b):[^%b]*+\r\n" % (_TOKEN, re.escape(CONTROLS)))
#: What has come of a line whose end has not; of an extension or a value, its bytes are looked at first.
_BEGUN_SIZE = re.compile(rb"(%b)(?:[ \t]*+(?:;[^%b]*+)?)?\r?" % (_SIZE, re.escape(CONTROLS)))
_BEGUN_FIELD = re.compile(rb"\r|%b(?::[^%b]*+\r?)?" % (_TOKEN, re.escape(CONTROLS)))
_BEGUN_REST = re.compile(rb"[^%b]*+\r?" % re.escape(CONTROLS))
#: They say where the message ends, or where it goes: to believe them, or not to, would be to read another message.
_NO_TRAILERS = frozenset((b"content-length", b"transfer-encoding", b"host"))
#: A line of this much and twice its chunk's content is taken for granted; what is more is counted.
_LINE_BYTES = 16

# What is read next. From `_ENDED` on, nothing.
_LINE, _CONTENT, _CONTENT_END, _TRAILERS, _ENDED, _BROKEN = range(6)


class Chunks:
    """Reads one body.

    Args:
        max_bytes: Of a line, of all trailers, and of what all extensions have more than the content is worth.
        max_trailers: How many there may be.
    """

    __slots__ = (
        "_excess_bytes",
        "_left_bytes",
        "_line",
        "_max_bytes",
        "_max_trailers",
        "_parts",
        "_state",
        "_trailer_bytes",
        "_trailers",
    )

    def __init__(self, max_bytes: int, max_trailers: int) -> None:
        self._max_bytes = max_bytes
        self._max_trailers = max_trailers
        self._state = _LINE
        self._left_bytes = 0  # of a chunk's content, or of the line end behind it
        self._line = b""  # the beginning of one whose end has not come
        self._excess_bytes = 0
        self._trailer_bytes = 0
        self._trailers = 0
        self._parts: list[bytes] = []

    @property
    def has_ended(self) -> bool:
        """The body is whole."""
        return self._state == _ENDED

    @property
    def is_broken(self) -> bool:
        """What came is no such body, whatever follows."""
        return self._state == _BROKEN

    @property
    def least_missing_bytes(self) -> int:
        """How many bytes must come before the body can be whole, whatever they are; 0 once it is, or is broken."""
        state, line = self._state, self._line
        if state == _CONTENT:
            return self._left_bytes + len(_CRLF) + len(LAST_CHUNK)
        if state == _CONTENT_END:
            return self._left_bytes + len(LAST_CHUNK)
        line_end = 1 if line[-1:] == b"\r" else 2
        if state == _LINE:
            begun = _BEGUN_SIZE.match(line)
            size = int(begun[1], 16) if begun is not None else 0  # more digits only make it larger
            if size:
                return line_end + size + len(_CRLF) + len(LAST_CHUNK)
            return line_end + len(_CRLF) + (not line)
        if state == _TRAILERS:
            return line_end + (len(_CRLF) if line.strip(b"\r") else 0)
        return 0

    def read(self, data: bytes, at: int) -> int:
        """Read what comes, from `at` on; return where the body ends in it, or what is left of it is to be dropped."""
        while at < len(data) and self._state < _ENDED:
            if self._state == _LINE:
                begun = at if self._line else self._read_chunks(data, at)
                at = self._read_line(data, begun) if begun < len(data) else begun
            elif self._state == _CONTENT:
                at = self._read_content(data, at)
            elif self._state == _CONTENT_END:
                at = self._read_content_end(data, at)
            else:
                at = self._read_trailer(data, at)
        return at

    def take(self) -> bytes:
        """The content that was read and not taken yet."""
        parts, self._parts = self._parts, []
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _read_chunks(self, data: bytes, at: int) -> int:
        """Read chunks that are whole and have nothing special about them: they can be very small, and very many."""
        parts = self._parts
        while (line := _SIZE_LINE.match(data, at)) is not None:
            begin = line.end()
            size = int(line[1], 16)
            if not size or size > len(data) - begin or begin - at > _LINE_BYTES:
                break
            end = begin + size
            if data[end : end + 2] != _CRLF:
                break
            parts.append(data[begin:end])
            at = end + 2
        return at

    def _read_line(self, data: bytes, at: int) -> int:
        end = data.find(b"\n", at) + 1
        if not end:
            return self._hold(data, at, b";", _BEGUN_SIZE)
        length = len(self._line) + end - at
        found = _SIZE_LINE.fullmatch(self._line + data[at:end]) if length <= self._max_bytes else None
        self._line = b""
        if found is None:
            self._state = _BROKEN
            return end
        size = int(found[1], 16)
        self._excess_bytes += max(0, length - _LINE_BYTES - 2 * size)
        self._left_bytes = size
        self._state = _CONTENT if size else _TRAILERS
        if self._excess_bytes > self._max_bytes:
            self._state = _BROKEN
        return end

    def _read_content(self, data: bytes, at: int) -> int:
        part = data[at : min(len(data), at + self._left_bytes)]
        self._parts.append(part)
        self._left_bytes -= len(part)
        if not self._left_bytes:
            self._left_bytes = len(_CRLF)
            self._state = _CONTENT_END
        return at + len(part)

    def _read_content_end(self, data: bytes, at: int) -> int:
        piece = data[at : at + self._left_bytes]
        if not _CRLF[-self._left_bytes :].startswith(piece):
            self._state = _BROKEN
            return len(data)
        self._left_bytes -= len(piece)
        if not self._left_bytes:
            self._state = _LINE
        return at + len(piece)

    def _read_trailer(self, data: bytes, at: int) -> int:
        end = data.find(b"\n", at) + 1
        if not end:
            return self._hold(data, at, b":", _BEGUN_FIELD)
        line, self._line = self._line + data[at:end], b""
        if line == _CRLF:
            self._state = _ENDED
            return end
        self._trailers += 1
        self._trailer_bytes += len(line)
        found = _FIELD_LINE.fullmatch(line)
        is_too_much = self._trailer_bytes > self._max_bytes or self._trailers > self._max_trailers
        if found is None or is_too_much or found[1].lower() in _NO_TRAILERS:
            self._state = _BROKEN
        return end

    def _hold(self, data: bytes, at: int, mark: bytes, begun: re.Pattern[bytes]) -> int:
        """Keep the beginning of a line, unless it can be none; behind `mark` in it, any byte but a control may be."""
        line, piece = self._line, data[at:]
        is_right = _BEGUN_REST.fullmatch(piece) if mark in line else begun.fullmatch(line + piece)
        is_too_much = len(line) + len(piece) + self._trailer_bytes > self._max_bytes
        if is_right is None or is_too_much or line[-1:] == b"\r":
            self._state = _BROKEN
        self._line = line + piece
        return len(data)

"""One HTTP/1.1 connection to an instance: bytes out, a parsed answer in."""

import asyncio
import fcntl
import socket
import struct
import termios
from typing import Protocol, cast

import httptools

from router.core.headers import MAX_ANSWER_HEAD_BYTES, AnswerFields, read_answer, without_tabs_in_coding
from router.core.plain_reading import PlainAnswer, read_plain_answer
from router.core.upgrades import SWITCHING, UPGRADE_REQUIRED, required_upgrades, upgrade_taken
from router.proxy.outgoing import Outgoing

_CRLF = b"\r\n"
_HEAD_END = b"\r\n\r\n"
_NO_BODY = frozenset((204, 304))
_VERSIONS = frozenset(("1.0", "1.1"))
#: Up to here a body is joined to its head: one copy costs less than a second buffer to write from.
_JOINED_BYTES = 16 * 1024


class UpstreamLost(Exception):
    """The instance broke off or answered garbage.

    Attributes:
        reason: `reset`, `garbage` or `connect`, for the failure counter.
        is_unread: The instance cannot have processed the request: it did not even read it to its end.
    """

    def __init__(self, reason: str, *, is_unread: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_unread = is_unread


class AnswerHead:
    """Status line and fields of an answer, and how its body is framed.

    Attributes:
        length: Of the body as announced; None: chunked, or until the connection closes.
    """

    __slots__ = ("fields", "has_body", "length", "status")

    def __init__(self, status: int, fields: AnswerFields, length: int | None, has_body: bool) -> None:
        self.status = status
        self.fields = fields
        self.length = length
        self.has_body = has_body


class Sink(Protocol):
    """Where an answer goes, piece by piece; `lost`, `end` or `whole` is the last call.

    `whole` has all of a plain answer, in the place of `head` and `end`. `head` is called while the parser runs and only
    takes what it is given. `flush` has the parts of the body that came in one read, `end` the last of them: then the
    connection may be used for another exchange at once, as after `whole`.
    """

    def whole(self, answer: PlainAnswer) -> None: ...
    def head(self, head: AnswerHead) -> None: ...
    def flush(self, parts: list[bytes]) -> None: ...
    def end(self, parts: list[bytes]) -> None: ...
    def lost(self, error: UpstreamLost, parts: list[bytes]) -> None: ...


def is_joined(length: int) -> bool:
    """Whether a body of `length` bytes is sent in one piece with its head."""
    return length < _JOINED_BYTES


def pass_on(sink: Sink, answer: PlainAnswer) -> None:
    """Pass on a plain answer as one that was parsed."""
    fields = AnswerFields(answer.fields.split(_CRLF)[:-1], answer.length, False, answer.has_date)
    sink.head(AnswerHead(200, fields, answer.length, True))
    sink.end([answer.body])


class UpstreamConnection:
    """A connection that carries one exchange at a time; `sink` is None while it is idle."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.idle_since = 0.0
        self.is_reused = False
        self._transport: asyncio.Transport | None = None
        self._outgoing: Outgoing | None = None  # while there is a transport
        self._parts: list[bytes] = []  # of the body, since the sink was told of some
        self.on_body = self._parts.append  # a call from C to C
        self._parser = httptools.HttpResponseParser(self)
        # Nothing else is: servers fill up the line, and blanks before an extension are allowed (RFC 9112, 7.1.1).
        self._parser.set_dangerous_leniencies(lenient_spaces_after_chunk_size=True)
        self._sink: Sink | None = None
        self._is_reusable = True
        self._expects_no_body = False
        self._until_close = False
        self._headers: list[tuple[bytes, bytes]] = []
        self._has_head = False  # of this answer
        self._head_bytes = 0  # at most: what came until the head was there
        self._is_complete = False  # this answer
        self._has_answered = False  # a byte of this answer has come
        self._upgrades: tuple[bytes, ...] = ()  # what the instance may switch to
        self._surplus = b""  # came after the head with which it did
        self._can_write = asyncio.Event()
        self._can_write.set()

    def __repr__(self) -> str:
        state = "closed" if self.is_closed else "busy" if self._sink else "idle"
        return f"UpstreamConnection({self.address}, {state})"

    # What the pool and the lanes call

    @property
    def is_closed(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    def fits(self) -> bool:
        """Whether it is idle and fit for another exchange, as far as we have heard."""
        return self._sink is None and self._is_reusable and self._transport is not None

    def send(
        self,
        head: bytes,
        body: bytes | memoryview,
        sink: Sink,
        expects_no_body: bool = False,
        upgrades: tuple[bytes, ...] = (),
    ) -> None:
        """Begin an exchange.

        Args:
            body: The whole body, or its first part if `write` follows.
            expects_no_body: The answer has none whatever its head announces (HEAD).
            upgrades: Protocols that it offers; an answer with 101 takes one, and `detach` must follow it.
        """
        outgoing = self._outgoing
        if outgoing is None or not self._is_reusable:  # it has ended since it was made
            sink.lost(UpstreamLost("reset", is_unread=True), [])
            return
        self._sink = sink
        self._expects_no_body = expects_no_body
        self._upgrades = upgrades
        self._has_answered = self._has_head = self._is_complete = self._until_close = False
        self._head_bytes = 0
        self._parts.clear()
        if not body:
            outgoing.write(head)
        elif is_joined(len(body)):
            outgoing.write(b"".join((head, body)))
        else:
            outgoing.write_two(head, body)

    async def write(self, chunk: bytes) -> None:
        """Send more of the body; waits while the instance does not keep up.

        Raises:
            UpstreamLost: the connection is gone.
        """
        if self._outgoing is None or self.is_closed:
            raise UpstreamLost("reset")
        self._outgoing.write(chunk)
        await self._can_write.wait()

    def pause(self) -> None:
        """Stop reading the answer until `resume`, if more of it is to come: its reader is behind."""
        if self._transport is not None and self._sink is not None:
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def detach(self) -> tuple[asyncio.Transport, bytes]:
        """Give away the transport, which does not read, of a connection that has switched protocols.

        Returns:
            It, and what has come over it since.

        Raises:
            UpstreamLost: the connection is gone.
        """
        if self.is_closed:
            raise UpstreamLost("reset")
        transport, self._transport = self._transport, None
        self._outgoing = None
        return cast(asyncio.Transport, transport), self._surplus

    def close(self) -> None:
        """Break off whatever is going on; the sink hears nothing more."""
        self._sink = None
        self._is_reusable = False
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._outgoing = Outgoing(self._transport)

    def pause_writing(self) -> None:
        self._can_write.clear()

    def resume_writing(self) -> None:
        self._can_write.set()

    def data_received(self, data: bytes) -> None:
        if self._sink is None:
            self.close()  # nobody asked: an answer out of step must not reach the next request
            return
        if not self._has_answered and self._take_whole(data):
            return
        self._has_answered = True
        try:
            if not self._has_head:
                self._head_bytes += len(data)
                if b"\t" in data:
                    head, end, rest = data.partition(_HEAD_END)
                    data = without_tabs_in_coding(head) + end + rest
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as stop:
            self._is_reusable = False
            has_switched = isinstance(stop, httptools.HttpParserUpgrade)
            if not self._is_complete or (self._parser.get_status_code() == SWITCHING) != has_switched:
                self._lose(UpstreamLost("garbage"))
                return
            if has_switched:
                self._surplus = data[stop.args[0] :]
                self.pause()
        if self._is_complete:
            self._finish()
        elif self._has_head:
            self._sink.flush(self._take_parts())
        elif self._head_bytes > MAX_ANSWER_HEAD_BYTES:
            self._lose(UpstreamLost("garbage"))

    def eof_received(self) -> bool:
        self._is_reusable = False
        if self._sink is not None:
            if self._until_close:
                self._finish()
            else:
                self._lose(UpstreamLost("reset", is_unread=self._has_unread_bytes()))
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self._sink is not None:
            # A peer that closes with bytes of ours unread resets the connection.
            is_unread = isinstance(exc, ConnectionResetError | BrokenPipeError)
            self._lose(UpstreamLost("reset", is_unread=is_unread))
        self._transport = self._outgoing = None
        self._can_write.set()

    # httptools

    def on_message_begin(self) -> None:
        if self._is_complete:
            raise ValueError("more than was asked for: what follows is out of step")

    def on_header(self, name: bytes, value: bytes | None) -> None:
        if not self._has_head:  # afterwards come trailers, which end here
            self._headers.append((name, value or b""))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        headers, self._headers = self._headers, []
        if (
            self._head_bytes > MAX_ANSWER_HEAD_BYTES
            and sum(len(n) + len(v) for n, v in headers) > MAX_ANSWER_HEAD_BYTES
        ):
            raise ValueError("head of the answer too large")
        if status < 200:
            if status < 100:
                raise ValueError("no status")
            if status == SWITCHING:
                self._switch(headers)
            return
        version = self._parser.get_http_version()
        if version not in _VERSIONS:
            raise ValueError("not a version of ours")
        self._has_head = True
        fields = read_answer(headers)
        if status == UPGRADE_REQUIRED:
            fields.lines.extend(required_upgrades(headers))
        if fields.is_chunked and version != "1.1":  # faulty framing (RFC 9112, 6.1)
            self._is_reusable = False
        has_body = not self._expects_no_body and status not in _NO_BODY
        self._until_close = has_body and fields.length is None and not fields.is_chunked
        self._sink.head(AnswerHead(status, fields, fields.length, has_body))  # type: ignore[union-attr]
        if self._expects_no_body:
            # The parser would wait for the announced body of an answer to HEAD, so this connection ends here.
            self._is_reusable = False
            self._is_complete = True

    def on_message_complete(self) -> None:
        if self._has_head:
            self._is_reusable = self._is_reusable and self._parser.should_keep_alive()
            self._is_complete = True

    def _switch(self, headers: list[tuple[bytes, bytes]]) -> None:
        protocol = upgrade_taken(headers, self._upgrades)
        if protocol is None:
            raise ValueError("nobody asked to switch to that")
        self._has_head = True
        fields = read_answer(headers)
        fields.lines.extend((b"connection: Upgrade", b"upgrade: " + protocol))
        self._sink.head(AnswerHead(SWITCHING, fields, None, False))  # type: ignore[union-attr]

    # Ends of an exchange

    def _take_whole(self, data: bytes) -> bool:
        """Pass on a plain 200 that came in one read, as nearly every answer does; the parser never sees it."""
        answer = None if self._expects_no_body else read_plain_answer(data)
        if answer is None:
            return False
        sink, self._sink = self._sink, None
        sink.whole(answer)  # type: ignore[union-attr]
        return True

    def _finish(self) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            parts = self._take_parts()
            sink.end([] if self._expects_no_body else parts)

    def _take_parts(self) -> list[bytes]:
        parts = self._parts[:]
        self._parts.clear()
        return parts

    def _lose(self, error: UpstreamLost) -> None:
        sink, self._sink = self._sink, None
        if self._transport is not None:
            self._transport.abort()
        if sink is not None:
            is_unread = error.is_unread and not self._has_answered
            sink.lost(UpstreamLost(error.reason, is_unread=is_unread), self._take_parts())

    def _has_unread_bytes(self) -> bool:
        """Whether the peer, which has just closed, left bytes of ours unread.

        Its end of stream may overtake the news that it threw our request away: then the socket already holds a pending
        error (TCP: the reset that answered our bytes), or still counts bytes that were never acknowledged.
        """
        transport = cast(asyncio.Transport, self._transport)
        if transport.get_write_buffer_size() > 0:
            return True
        connection = transport.get_extra_info("socket")
        if connection is None or connection.family == socket.AF_UNIX:
            return False  # a Unix peer that leaves bytes unread resets at once
        if connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            return True
        unsent = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4))
        return bool(struct.unpack("i", unsent)[0])


async def connect(address: str) -> UpstreamConnection:
    """A new connection to `unix:/path` or `http://host:port`.

    Raises:
        OSError: it cannot be made.
    """
    loop = asyncio.get_running_loop()
    connection = UpstreamConnection(address)

    def made() -> asyncio.Protocol:
        return cast(asyncio.Protocol, connection)  # in all but its base: a compiled class cannot have one

    if address.startswith("unix:"):
        await loop.create_unix_connection(made, address[5:])
    else:
        host, port = split_address(address)
        await loop.create_connection(made, host, port)
    return connection


def split_address(address: str) -> tuple[str, int]:
    """Host and port of `http://host:port`, the host without the brackets of an IPv6 literal."""
    host, _, port = address.removeprefix("http://").rstrip("/").rpartition(":")
    return host.strip("[]"), int(port)

"""The fast lane: small scoring requests without a task, a stream or a URL object for each.

It takes `POST /score` with a `Content-Length` up to MAX_BODY_BYTES and nothing unusual about it. At the first thing
else, the connection and every byte of it that has not been answered go to aiohttp's server, which is always right, and
stay there. A request with a trivial run() costs 110-139 us of CPU here and 223-286 us there over one connection, 80-90
and 170-186 us over four (three interleaved runs of 10,000; uvloop, Python 3.11, two cores that others used too).
"""

from __future__ import annotations

import asyncio
from typing import Callable, List, Optional, Tuple, cast

from workers.encode import Answer
from workers.request import ScoreRequest
from workers.runners import Call, Runner
from workers.traffic import Phase, Traffic
from workers.wire import MAX_ID_LENGTH, WITHOUT_BODY, HeadRenderer

try:
    import httptools
except ImportError:  # then every connection is aiohttp's from its beginning
    httptools = None  # type: ignore[assignment,unused-ignore]

IS_AVAILABLE = httptools is not None
MAX_BODY_BYTES = 262144
MAX_RAW_BYTES = 2 * MAX_BODY_BYTES  # of a request that is still arriving, head included
SIMPLE_LINE = b"POST /score HTTP/1.1\r\n"
UNUSUAL = frozenset((b"expect", b"transfer-encoding", b"upgrade"))

RawHeaders = List[Tuple[bytes, bytes]]


class FastConnection(asyncio.Protocol):
    """One client connection, for as long as its requests are simple."""

    def __init__(
        self, runner: Runner, renderer: HeadRenderer, traffic: Traffic, hand_over: Callable[[], asyncio.Protocol]
    ) -> None:
        self._runner = runner
        self._renderer = renderer
        self._traffic = traffic
        self._hand_over = hand_over
        self._reading = _Reading()
        self._parser = httptools.HttpRequestParser(self._reading)
        self._transport: asyncio.Transport
        self._call: Optional[Call] = None
        self._unanswered = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; see asyncio.Protocol."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's derive from nothing of asyncio's
        self._traffic.fast.add(self._transport)

    def connection_lost(self, exc: Optional[Exception]) -> None:
        """End; a call whose client left is abandoned."""
        self._traffic.fast.discard(self._transport)
        if self._call:
            self._call.is_abandoned = True
            self._call = None
            self._traffic.ended()

    def data_received(self, data: bytes) -> None:
        """Parse, then score, wait for more, or hand over."""
        self._unanswered = self._unanswered + data if self._unanswered else data
        if self._call:  # the client does not wait for its answer: nothing more is read until it is out
            self._transport.pause_reading()
            return
        if not self._parse(data) or self._traffic.phase is Phase.DRAINING:
            self._leave()
        elif self._reading.is_complete:
            self._score()

    def pause_writing(self) -> None:
        """Read no further request from a client that does not read its answers."""
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on once it does."""
        self._transport.resume_reading()

    def _parse(self, data: bytes) -> bool:
        """Return whether all that came is still a simple request, or the beginning of one."""
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            return False
        unanswered, reading = self._unanswered, self._reading
        if not reading.is_simple:
            return False
        if reading.is_complete:
            return unanswered.startswith(SIMPLE_LINE)
        return len(unanswered) <= MAX_RAW_BYTES and SIMPLE_LINE.startswith(unanswered[: len(SIMPLE_LINE)])

    def _score(self) -> None:
        self._traffic.began()
        request = ScoreRequest("POST", "/score", self._reading.headers, self._reading.body)
        self._unanswered = b""
        self._reading.is_complete = False
        self._call = Call(request, self._respond)
        # Last: from here on the run thread competes for the interpreter's lock.
        self._runner.submit(self._call)

    def _respond(self, answer: Answer) -> None:
        if self._call is None:  # the client left
            return
        self._call = None
        stays = self._traffic.phase is Phase.SERVING
        head = self._renderer.render(answer, self._reading.request_id, self._reading.client_request_id, stays)
        self._transport.write(head if answer.status in WITHOUT_BODY else head + answer.body)
        self._traffic.ended()
        if not stays:
            self._transport.close()
        elif self._unanswered:
            self._leave()

    def _leave(self) -> None:
        handler = self._hand_over()
        self._traffic.fast.discard(self._transport)
        self._transport.set_protocol(handler)
        handler.connection_made(self._transport)
        handler.data_received(self._unanswered)
        self._transport.resume_reading()


class _Reading:
    """What the parser found so far in the request that is arriving; its methods are the parser's callbacks."""

    def __init__(self) -> None:
        self.headers: RawHeaders = []
        self.body = b""
        self.request_id = b""
        self.client_request_id = b""
        self.is_complete = False
        self.is_simple = True

    def on_message_begin(self) -> None:
        """Two requests at once are not simple."""
        self.is_simple = not self.is_complete
        self.headers, self.body = [], b""

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header."""
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Decide whether the fast lane understands all of the request."""
        found = {name.lower(): value for name, value in self.headers}
        self.request_id = found.get(b"x-request-id", b"")
        self.client_request_id = found.get(b"x-ms-client-request-id", b"")
        if (
            int(found.get(b"content-length", MAX_BODY_BYTES + 1)) > MAX_BODY_BYTES
            or not UNUSUAL.isdisjoint(found)
            or found.get(b"connection", b"keep-alive").lower() != b"keep-alive"
            or len(self.request_id) > MAX_ID_LENGTH
            or len(self.client_request_id) > MAX_ID_LENGTH
        ):
            self.is_simple = False

    def on_body(self, body: bytes) -> None:
        """Called several times when the body comes in pieces."""
        self.body = self.body + body if self.body else body

    def on_message_complete(self) -> None:
        """The whole request is here."""
        self.is_complete = True

"""The fast lane: small scoring requests without a task, a stream or a URL object for each.

It takes `POST /score` with a `Content-Length` up to MAX_BODY_BYTES and nothing unusual about it. At the first thing
else, the connection and every byte of it that has not been answered go to aiohttp's server, which is always right, and
stay there. `benchmarks/worker_overhead.py` measures what a request costs here when run() does nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from typing import Callable, List, Optional, Tuple, cast

from workers.encode import Answer
from workers.inbox import Loan
from workers.request import ScoreRequest
from workers.runners import Runner
from workers.traffic import Phase, Traffic
from workers.wire import MAX_ID_LENGTH, WITHOUT_BODY, HeadRenderer

try:
    import httptools
except ImportError:  # then every connection is aiohttp's from its beginning
    httptools = None  # type: ignore[assignment,unused-ignore]

IS_AVAILABLE = httptools is not None
MAX_BODY_BYTES = 262144
MAX_RAW_BYTES = 2 * MAX_BODY_BYTES  # of a request that is still arriving, head included
READ_BYTES = 65536  # a larger buffer would be mapped anew for each read
SIMPLE_LINE = b"POST /score HTTP/1.1\r\n"
UNUSUAL = frozenset((b"expect", b"transfer-encoding", b"upgrade"))

RawHeaders = List[Tuple[bytes, bytes]]


class FastConnection(asyncio.Protocol):
    """One client connection, for as long as its requests are simple.

    An answer is written by the thread that ran run(): waking the loop for it costs more than all the rest. What the
    socket does not take at once is left to the loop, and so is every later answer of the connection, to keep the order.

    While it is lent (see workers.inbox) the loop does not read it. The run thread alone ends the loan, except during
    run(): then the loop may, and `_writing` is held by whoever looks at that.
    """

    def __init__(
        self, runner: Runner, renderer: HeadRenderer, traffic: Traffic, hand_over: Callable[[], asyncio.Protocol]
    ) -> None:
        self.transport: asyncio.Transport
        self._runner = runner
        self._renderer = renderer
        self._traffic = traffic
        self._hand_over = hand_over
        self._loop = asyncio.get_running_loop()
        self._reading = _Reading()
        self._parser = httptools.HttpRequestParser(self._reading)
        self._call: Optional[_FastCall] = None
        self._unanswered = b""
        self._is_held = False
        self.is_lent = False
        self._socket: Optional[socket.socket] = None
        self._writing = threading.Lock()  # while a run thread has it, the descriptor stays this connection's

    @property
    def is_busy(self) -> bool:
        """See traffic.FastClient."""
        return self._call is not None or self.is_lent or self._writing.locked()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; see asyncio.Protocol."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's derive from nothing of asyncio's
        self._socket = socket.socket(fileno=transport.get_extra_info("socket").fileno())
        self._traffic.fast.add(self)

    def connection_lost(self, exc: Optional[Exception]) -> None:
        """End; a call whose client left is abandoned."""
        with self._writing:
            if self._call:
                self._call.is_abandoned = True
                self._call = None
            self._let_go()
        self._traffic.fast.discard(self)

    def data_received(self, data: bytes) -> None:
        """Parse, then score, wait for more, or hand over."""
        self._unanswered = self._unanswered + data if self._unanswered else data
        if self._call:  # the client does not wait for its answer: nothing more is read until it is out
            self._is_held = True
            if self._call:  # still: from now on the run thread sees that somebody is held
                self.transport.pause_reading()
                return
            self._is_held = False
        self._advance(data)

    def pause_writing(self) -> None:
        """Read no further request from a client that does not read its answers."""
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on once it does."""
        self.transport.resume_reading()

    def take_back(self) -> None:
        """End a loan whose run() takes long, so that a client that leaves is noticed."""
        if not self.is_lent:
            return
        with self._writing:
            if not self.is_lent or not self._call:
                return
            self.is_lent = False
        self.transport.resume_reading()

    def fileno(self) -> int:
        """See inbox.Loan."""
        return self._socket.fileno() if self._socket else -1

    def read(self) -> Optional[_FastCall]:
        """See inbox.Loan."""
        try:
            data = self._socket.recv(READ_BYTES) if self._socket else b""
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        if not data:
            self.give_back()  # the loop finds out what it is
            return None
        self._unanswered = self._unanswered + data if self._unanswered else data
        if not self._parse(data) or self._traffic.phase is Phase.DRAINING:
            self._return(self._leave)
            return None
        with self._writing:
            return self._begin() if self._reading.is_complete else None

    def give_back(self) -> None:
        """See inbox.Loan."""
        self._return(self.transport.resume_reading)

    def answer(self, call: _FastCall, answer: Answer) -> Optional[Loan]:
        """Send the answer to `call`; in the run thread. Return the connection if it is lent to that thread."""
        stays = self._traffic.phase is Phase.SERVING
        head = self._renderer.render(answer, call.request_id, call.client_request_id, stays)
        rest = head if answer.status in WITHOUT_BODY else head + answer.body
        with self._writing:
            if call.is_abandoned:
                return None
            if stays and self._socket:
                self._call = None  # before the client has its answer and can send the next request
                rest = _send(self._socket, rest)
                if not rest and not self._is_held:
                    return self if self.is_lent else None
            if rest:
                self._let_go()
            if self.is_lent:
                self.is_lent, self._is_held = False, True
            # RuntimeError: the loop ended at the drain timeout while run() was still at work.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._go_on, call, rest, stays)
        return None

    def _go_on(self, call: _FastCall, rest: bytes, stays: bool) -> None:
        """Send the rest of an answer, then read what was held."""
        if self.transport.is_closing():  # the client left
            return
        if rest:
            self.transport.write(rest)
        if not stays:
            self.transport.close()
        if self._call is call:
            self._call = None
        if self._is_held and not self._call and stays:
            self._is_held = False
            self.transport.resume_reading()
            if self._unanswered:
                self._advance(self._unanswered)

    def _advance(self, data: bytes) -> None:
        if not self._parse(data) or self._traffic.phase is Phase.DRAINING:
            self._leave()
        elif self._reading.is_complete:
            self._score()

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
        call = self._begin()
        if self._socket and self._runner.may_lend(self):
            self.transport.pause_reading()
            self.is_lent = True
        # Last: from here on the run thread competes for the interpreter's lock.
        self._runner.submit(call)

    def _begin(self) -> _FastCall:
        """The request that has been read, as the call that is being answered."""
        self._traffic.begun += 1
        self._unanswered = b""
        self._call = call = _FastCall(self, self._reading)
        self._reading.is_complete = False
        return call

    def _return(self, then: Callable[[], object]) -> None:
        """End the loan in the run thread; the loop goes on."""
        self.is_lent = False
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._returned, then)

    def _returned(self, then: Callable[[], object]) -> None:
        if not self.transport.is_closing():
            then()

    def _leave(self) -> None:
        with self._writing:
            self._let_go()
        self._traffic.fast.discard(self)
        handler = self._hand_over()
        self.transport.set_protocol(handler)
        handler.connection_made(self.transport)
        handler.data_received(self._unanswered)
        self.transport.resume_reading()

    def _let_go(self) -> None:
        """Write nothing past the transport any more."""
        if self._socket:
            self._socket.detach()
            self._socket = None


class _FastCall:
    """A call whose answer is written to its connection at once."""

    __slots__ = ("client_request_id", "is_abandoned", "origin", "request", "request_id")

    def __init__(self, connection: FastConnection, reading: _Reading) -> None:
        self.origin = connection
        self.request = ScoreRequest("POST", "/score", reading.headers, reading.body)
        self.request_id = reading.request_id
        self.client_request_id = reading.client_request_id
        self.is_abandoned = False

    def deliver(self, answer: Answer) -> Optional[Loan]:
        """See inbox.Call."""
        return self.origin.answer(self, answer)


def _send(to: socket.socket, data: bytes) -> bytes:
    """Send what fits; return the rest."""
    try:
        return data[to.send(data) :]
    except OSError:  # nothing fits, or nobody is there, which the transport finds out
        return data


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

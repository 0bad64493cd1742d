"""A steady load on kept-alive connections that outlives what it asks: every request and what became of it is kept.

Run as a program, so that nothing that its starter does delays it; ends on SIGTERM, after the last answers.

Each client sends a request on its turn and waits for the answer; while it waits it misses its turns, and does not make
up for them. A turn that is not missed is where it would have been: clients that waited for the same thing are not in
step afterwards, which would be felt as long as the load lasts. Each request carries a number, which its answer has to
carry too.
"""

import argparse
import asyncio
import contextlib
import math
import re
import signal
import struct
import time
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import uvloop

PATIENCE_S = 15.0
RECONNECT_S = 0.02
LAST_ANSWERS_S = 5.0
#: When sent and when done, on the monotonic clock; outcome; form of the answer; the client's port, 0 if not connected.
RECORD = struct.Struct("<ddhhH")
#: Outcomes without a status: not connected; closed before the end of the answer; no answer in time; not its answer.
REFUSED, CUT, SILENT, WRONG = -1, -2, -3, -4
OUTCOMES = {REFUSED: "refused", CUT: "cut", SILENT: "silent", WRONG: "wrong"}
READY = "ready"

CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
# What may differ between two answers that are otherwise the same.
VARYING = re.compile(
    rb"\r\n(?:date|x-request-id|x-teal-generation|server-timing|x-ms-run-fn-exec-ms|content-length|connection):[^\r]*",
    re.IGNORECASE,
)
BODY = b'{"number": %d, "rest": "' + b"0123456789" * 39 + b'"}'


class Load:
    """What all clients share: where they ask, and what they found.

    Args:
        is_chunked: Send bodies in chunks, which teal's fast lane leaves to the full one.
    """

    def __init__(self, url: str, *, key: str, is_chunked: bool, interval_s: float) -> None:
        parts = urlsplit(url)
        self.address = (parts.hostname or "", parts.port or 80)
        framing = b"Transfer-Encoding: chunked" if is_chunked else b"Content-Length: %d"
        self._head = (
            f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {key}\r\n"
            "Content-Type: application/json\r\n"
        ).encode() + framing
        self._is_chunked = is_chunked
        self._number = 1_000_000_000  # all are as long as the first
        self._forms: dict[bytes, int] = {}
        self.interval_s = interval_s
        self.is_over = False
        self.records = bytearray()

    def request(self) -> tuple[int, bytes]:
        """The next request, and its number."""
        self._number += 1
        body = BODY % self._number
        if self._is_chunked:
            return self._number, self._head + b"\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        return self._number, self._head % len(body) + b"\r\n\r\n" + body

    def record(self, sent: float, outcome: int, form: int = -1, port: int = 0) -> None:
        self.records += RECORD.pack(sent, time.monotonic(), outcome, form, port)

    def form(self, head: bytes, body: bytes, number: int) -> int:
        """The number of this form of answer: the same for answers that differ only in what has to differ."""
        plain = VARYING.sub(b"", head) + b"\r\n\r\n" + body.replace(b"%d" % number, b"#")
        return self._forms.setdefault(plain, len(self._forms))

    def forms(self) -> list[bytes]:
        return list(self._forms)


class Connection(asyncio.Protocol):
    """One connection of a client, which may have given it up."""

    def __init__(self, client: "Client") -> None:
        self._client = client
        self._answer = bytearray()
        self.transport: asyncio.WriteTransport | None = None
        self.port = 0  # the client's

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.port = transport.get_extra_info("sockname")[1]
        self.transport = cast(asyncio.WriteTransport, transport)  # uvloop's own class is none of asyncio's

    def connection_lost(self, _error: Exception | None) -> None:
        self._client.lost(self)

    def data_received(self, received: bytes) -> None:
        self._answer += received
        end = self._answer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._answer[:end])
        length = CONTENT_LENGTH.search(head)
        whole = end + 4 + int(length[1]) if length else 0
        if len(self._answer) < whole:
            return
        body = bytes(self._answer[end + 4 :])
        is_framed = len(self._answer) == whole
        self._answer.clear()
        self._client.answered(self, head, body, is_framed=is_framed)

    def write(self, request: bytes) -> None:
        assert self.transport is not None
        self.transport.write(request)

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()


class Client:
    """Asks on its turn, with at most one request in flight."""

    def __init__(self, load: Load, due: float) -> None:
        self._load = load
        self._loop = asyncio.get_running_loop()
        self._due = due
        self._connection: Connection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._sent: float | None = None  # since when a request is in flight
        self._number = 0
        self._turn: asyncio.TimerHandle = self._loop.call_at(due, self._ask)
        self._patience: asyncio.TimerHandle | None = None

    @property
    def is_waiting(self) -> bool:
        return self._sent is not None

    def give_up(self) -> None:
        """End at once; a request in flight was never answered."""
        if self._sent is not None:
            self._lose_patience()
        self._turn.cancel()
        self._drop()

    def lost(self, connection: Connection) -> None:
        """The other side has closed a connection."""
        if connection is self._connection:
            if self._sent is not None:
                self._done(CUT)
            self._connection = None

    def answered(self, connection: Connection, head: bytes, body: bytes, *, is_framed: bool) -> None:
        """Something came; whether it is one whole answer with a length, `is_framed` says."""
        if connection is not self._connection:
            return
        status = int(head[9:12])
        if self._sent is None:  # nobody asked
            self._load.record(time.monotonic(), WRONG, port=connection.port)
        elif not is_framed or (status == 200 and b"%d" % self._number not in body):
            self._done(WRONG)
        else:
            self._done(status, self._load.form(head, body, self._number))
        if not is_framed or b"\r\nconnection: close" in head.lower():
            self._drop()

    def _ask(self) -> None:
        if self._load.is_over:
            return
        self._sent = time.monotonic()
        self._patience = self._loop.call_later(PATIENCE_S, self._lose_patience)
        if self._connection is None:
            self._connecting = self._loop.create_task(self._connect(), name="connect")
        else:
            self._write(self._connection)

    async def _connect(self) -> None:
        try:
            _, self._connection = await self._loop.create_connection(lambda: Connection(self), *self._load.address)
        except OSError:
            self._done(REFUSED, again_in_s=RECONNECT_S)
        else:
            self._write(self._connection)
        finally:
            self._connecting = None

    def _write(self, connection: Connection) -> None:
        self._number, request = self._load.request()
        connection.write(request)

    def _lose_patience(self) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
        self._done(SILENT)
        self._drop()

    def _done(self, outcome: int, form: int = -1, *, again_in_s: float = 0.0) -> None:
        assert self._sent is not None
        port = 0 if self._connection is None else self._connection.port
        self._load.record(self._sent, outcome, form, port)
        self._sent = None
        if self._patience is not None:
            self._patience.cancel()
        self._due = next_turn(self._due, self._load.interval_s, self._loop.time() + again_in_s)
        self._turn = self._loop.call_at(self._due, self._ask)

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()


def next_turn(last: float, interval_s: float, earliest: float) -> float:
    """The first turn after the `last` one that is not before `earliest`; turns are `interval_s` apart."""
    missed = max(0, math.ceil((earliest - last) / interval_s) - 1)
    return last + (1 + missed) * interval_s


async def run(load: Load, clients: int, stopping: asyncio.Event) -> None:
    """Ask until told to stop, and then wait for the last answers."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    asking = [Client(load, start + number * load.interval_s / clients) for number in range(clients)]
    await stopping.wait()
    load.is_over = True
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LAST_ANSWERS_S):
            while any(client.is_waiting for client in asking):  # noqa: ASYNC110 - fifty clients, and it is the end
                await asyncio.sleep(0.02)
    for client in asking:
        client.give_up()


async def _run_until_sigterm(load: Load, clients: int) -> None:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    print(READY, flush=True)
    await run(load, clients, stopping)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--key", default="none")
    parser.add_argument("--chunked", action="store_true")
    parser.add_argument("--rate", type=float, default=1000.0, help="requests per second, of all clients together")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--records", type=Path, required=True, help="file for what became of each request")
    parser.add_argument("--forms", type=Path, required=True, help="folder for one answer of each form")
    options = parser.parse_args()
    load = Load(options.url, key=options.key, is_chunked=options.chunked, interval_s=options.clients / options.rate)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run_until_sigterm(load, options.clients))
    options.records.write_bytes(load.records)
    options.forms.mkdir(exist_ok=True)
    for number, form in enumerate(load.forms()):
        (options.forms / str(number)).write_bytes(form)


if __name__ == "__main__":
    main()

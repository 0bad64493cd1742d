"""Instances as a test needs them: raw sockets, every byte under its control."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

#: Connections that may wait to be accepted: more than any test opens at once.
BACKLOG = 1024

Script = Callable[["Conversation"], Awaitable[None]]


@dataclass
class Seen:
    """A request as an instance saw it, byte for byte."""

    line: bytes
    fields: list[bytes]
    body: bytes

    def values(self, name: str) -> list[bytes]:
        """Values of a field, by name without regard to case."""
        wanted = name.lower().encode()
        return [line.split(b": ", 1)[1] for line in self.fields if line.split(b":")[0].lower() == wanted]

    @property
    def names(self) -> list[bytes]:
        return [line.split(b":")[0] for line in self.fields]


class Conversation:
    """One connection from the proxy, seen from the instance."""

    def __init__(self, peer: "Peer", reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.peer = peer
        self.reader = reader
        self.writer = writer

    async def request(self) -> Seen:
        """Read one whole request."""
        head = await self.head()
        body = await self.body(head)
        seen = Seen(head.line, head.fields, body)
        self.peer.seen.append(seen)
        self.peer.came.set()
        return seen

    async def head(self) -> Seen:
        raw = await self.reader.readuntil(b"\r\n\r\n")
        line, *fields = raw[:-4].split(b"\r\n")
        return Seen(line, fields, b"")

    async def body(self, head: Seen) -> bytes:
        if head.values("transfer-encoding"):
            return await self._chunked()
        length = head.values("content-length")
        return await self.reader.readexactly(int(length[0])) if length else b""

    async def _chunked(self) -> bytes:
        body = b""
        while True:
            size = int(await self.reader.readuntil(b"\r\n"), 16)
            chunk = await self.reader.readexactly(size + 2)
            if not size:
                return body
            body += chunk[:-2]

    async def send(self, raw: bytes) -> None:
        self.writer.write(raw)
        await self.writer.drain()

    async def answer(self, body: bytes = b'{"y": 1}', status: str = "200 OK", extra: bytes = b"") -> None:
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n".encode()
        await self.send(head + extra + b"\r\n" + body)

    def reset(self) -> None:
        """Close with a reset, as a host does that has lost the connection."""
        self.writer.transport.abort()

    async def closed(self) -> None:
        """Wait until the proxy has closed its side."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65536):
                pass


@dataclass
class Peer:
    """A scripted instance."""

    address: str
    script: Script
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0
    open_now: int = 0
    came: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open_now += 1
        try:
            await self.script(Conversation(self, reader, writer))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the proxy closed: a normal end
        finally:
            self.open_now -= 1
            writer.close()

    async def requests(self, number: int) -> list[Seen]:
        """Wait until `number` requests have come."""
        while len(self.seen) < number:
            self.came.clear()
            await self.came.wait()
        return self.seen


async def answer_ok(conversation: Conversation) -> None:
    """Answer every request on the connection with 200 and a small JSON body."""
    while True:
        await conversation.request()
        await conversation.answer()


async def echo(conversation: Conversation) -> None:
    """Answer with what was seen: line, fields and the body's length."""
    while True:
        seen = await conversation.request()
        body = {"line": seen.line.decode("latin-1"), "fields": [f.decode("latin-1") for f in seen.fields]}
        await conversation.answer(json.dumps(body | {"bytes": len(seen.body)}).encode())


def says(raw: bytes) -> Script:
    """An instance that answers every request with exactly these bytes."""

    async def script(conversation: Conversation) -> None:
        while True:
            await conversation.request()
            await conversation.send(raw)

    return script


def says_once(raw: bytes) -> Script:
    """An instance that answers with exactly these bytes and closes."""

    async def script(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(raw)

    return script


@asynccontextmanager
async def running(script: Script, unix: Path | None = None) -> AsyncIterator[Peer]:
    """An instance that follows `script` on each connection, on TCP or on a Unix socket."""
    peer = Peer("", script)
    if unix is None:
        # A SYN that finds no room is sent again after a second, the next after three: later than a proxy waits.
        server = await asyncio.start_server(peer.handle, "127.0.0.1", 0, backlog=BACKLOG)
        peer.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    else:
        server = await asyncio.start_unix_server(peer.handle, unix, backlog=BACKLOG)
        peer.address = f"unix:{unix}"
    try:
        yield peer
    finally:
        server.close()

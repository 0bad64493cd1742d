"""Instances on bare sockets, for what a stream would hide: what the kernel has received and nobody has read."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

ANSWER = b'HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n{"y": 1}'

SocketScript = Callable[["SocketConversation"], Awaitable[None]]


class SocketConversation:
    """One connection from the proxy; reads no byte that it is not told to read."""

    def __init__(self, peer: "SocketPeer", connection: socket.socket) -> None:
        self.peer = peer
        self.connection = connection

    async def read(self, size: int) -> bytes:
        """Up to `size` bytes; empty when the proxy has closed."""
        return await asyncio.get_running_loop().sock_recv(self.connection, size)

    async def request(self) -> bytes:
        """Read one whole request with a Content-Length; keep its body in `peer.bodies` and return it."""
        raw = b""
        while b"\r\n\r\n" not in raw:
            raw += await self._more()
        head, _, body = raw.partition(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
        while len(body) < length:
            body += await self._more()
        self.peer.bodies.append(body)
        return body

    async def send(self, raw: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.connection, raw)

    def close(self) -> None:
        """Close as a process does that ends: with a reset if bytes are unread, else with an end of stream."""
        self.connection.close()

    def reset(self) -> None:
        """Close with a reset, whatever is unread."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    async def _more(self) -> bytes:
        received = await self.read(65536)
        if not received:
            raise ConnectionError("the proxy has closed")
        return received


class SocketPeer:
    """A scripted instance."""

    def __init__(self, address: str, script: SocketScript) -> None:
        self.address = address
        self.bodies: list[bytes] = []
        self.conversations: list[SocketConversation] = []
        self._script = script
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def connections(self) -> int:
        return len(self.conversations)

    async def accept(self, listener: socket.socket) -> None:
        """Follow the script on each connection, for ever."""
        while True:
            connection, _ = await asyncio.get_running_loop().sock_accept(listener)
            connection.setblocking(False)
            conversation = SocketConversation(self, connection)
            self.conversations.append(conversation)
            self._tasks.append(asyncio.create_task(self._follow(conversation), name="conversation"))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for conversation in self.conversations:
            conversation.close()

    async def _follow(self, conversation: SocketConversation) -> None:
        with contextlib.suppress(ConnectionError):  # the proxy closed: a normal end
            await self._script(conversation)


@asynccontextmanager
async def listening(script: SocketScript, unix: Path | None = None) -> AsyncIterator[SocketPeer]:
    """An instance on TCP or on a Unix socket."""
    listener = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
    listener.bind(str(unix) if unix else ("127.0.0.1", 0))
    listener.listen(1000)
    listener.setblocking(False)
    peer = SocketPeer(f"unix:{unix}" if unix else f"http://127.0.0.1:{listener.getsockname()[1]}", script)
    accepting = asyncio.create_task(peer.accept(listener), name="accept")
    try:
        yield peer
    finally:
        accepting.cancel()
        await asyncio.gather(accepting, return_exceptions=True)
        await peer.close()
        listener.close()

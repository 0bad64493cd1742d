"""The proxy's end of the socket to the control process."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

from router.core.wire import Down, FrameReader, Up, decode_down, frame

_READ_BYTES = 256 * 1024
#: Statistics that the control process does not read are not worth more memory than this.
_MAX_UNSENT_BYTES = 8 * 2**20
_CLOSE_S = 1.0


class Link:
    """Messages down from the control process, and up to it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, connection: socket.socket) -> "Link":
        """Use an inherited end of a socket pair."""
        connection.setblocking(False)
        return cls(*await asyncio.open_unix_connection(sock=connection))

    async def messages(self) -> AsyncIterator[Down]:
        """What the control process says, until it is gone."""
        frames = FrameReader()
        while received := await self._reader.read(_READ_BYTES):
            for payload in frames.feed(received):
                yield decode_down(payload)

    def tell(self, message: Up) -> None:
        """Send a message; cumulative ones are left out while the control process is behind."""
        transport = self._writer.transport
        if not transport.is_closing() and transport.get_write_buffer_size() < _MAX_UNSENT_BYTES:
            self._writer.write(frame(message))

    async def close(self) -> None:
        """Send what is still to be sent."""
        self._writer.close()
        with contextlib.suppress(ConnectionError, TimeoutError):  # the control process went first, or does not read
            async with asyncio.timeout(_CLOSE_S):
                await self._writer.wait_closed()

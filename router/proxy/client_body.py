"""The body of a client's request: bounded in size and in the time that it may take to come."""

import asyncio
from collections.abc import Callable

from aiohttp import StreamReader
from aiohttp.web_protocol import RequestPayloadError

from router.core.errors import BadRequest, BodyTimeout, BodyTooLarge


class ClientBody:
    """Reads one request's body.

    Args:
        idle_s: How long the body may be silent, and how far it may fall behind the slowest pace that is borne.
        min_bytes_per_s: That pace. What a client is behind it adds up; being ahead of it earns nothing, so a fast start
            buys no slow end.
        on_read: Called once before the first wait, to tell a client that asked first to go on.
    """

    def __init__(
        self,
        content: StreamReader,
        *,
        max_bytes: int,
        idle_s: float,
        min_bytes_per_s: float,
        on_read: Callable[[], None],
    ) -> None:
        self._content = content
        self._max_bytes = max_bytes
        self._idle_s = idle_s
        self._min_bytes_per_s = min_bytes_per_s
        self._on_read = on_read
        self._has_begun = False
        self._late_s = 0.0  # behind the slowest pace; the time that an instance takes to read is not counted
        self.read_bytes = 0

    @property
    def is_complete(self) -> bool:
        """Everything was read."""
        return self._content.at_eof()

    async def read_up_to(self, limit: int) -> bytes:
        """The body, or its first part if it is longer than `limit` bytes (then a little more than `limit`).

        Raises:
            BodyTooLarge, BodyTimeout, BadRequest
        """
        if self._content.is_eof():
            return self._count(self._content.read_nowait())
        parts = []
        while self.read_bytes <= limit and (part := await self.read()):
            parts.append(part)
        return b"".join(parts)

    async def read(self) -> bytes:
        """The next part; empty at the end.

        Raises:
            BodyTooLarge, BodyTimeout, BadRequest
        """
        if not self._has_begun:
            self._has_begun = True
            self._on_read()
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout(self._idle_s - self._late_s):
                part = await self._content.readany()
        except TimeoutError as error:
            raise BodyTimeout(self._idle_s) from error
        except RequestPayloadError as error:
            raise BadRequest("The request body is not framed as its head announces.") from error
        except RuntimeError as error:  # aiohttp's word for a connection that was closed before we came to read
            raise ConnectionResetError from error
        if self._min_bytes_per_s:
            self._late_s = max(0.0, self._late_s + loop.time() - began - len(part) / self._min_bytes_per_s)
        return self._count(part)

    def _count(self, part: bytes) -> bytes:
        self.read_bytes += len(part)
        if self.read_bytes > self._max_bytes:
            raise BodyTooLarge(self._max_bytes)
        return part

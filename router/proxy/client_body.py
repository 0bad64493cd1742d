"""The body of a client's request: bounded in size and in the time that it may take to come."""

import asyncio
from collections.abc import Callable

from aiohttp import StreamReader
from aiohttp.web_protocol import RequestPayloadError

from router.core.errors import BadRequest, BodyTimeout, BodyTooLarge
from router.core.pace import Pace


class ClientBody:
    """Reads one request's body.

    Args:
        pace: How late it may be; the time that an instance takes to read is not counted.
        on_read: Called once before the first wait, to tell a client that asked first to go on.
    """

    def __init__(
        self,
        content: StreamReader,
        *,
        max_bytes: int,
        pace: Pace,
        on_read: Callable[[], None],
    ) -> None:
        self._content = content
        self._max_bytes = max_bytes
        self._pace = pace
        self._on_read = on_read
        self._has_begun = False
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
        loop, pace = asyncio.get_running_loop(), self._pace
        pace.resume(loop.time())
        try:
            async with asyncio.timeout_at(pace.deadline):
                part = await self._content.readany()
        except TimeoutError as error:
            raise BodyTimeout(pace.idle_s) from error
        except RequestPayloadError as error:
            raise BadRequest("The request body is not framed as its head announces.") from error
        except RuntimeError as error:  # aiohttp's word for a connection that was closed before we came to read
            raise ConnectionResetError from error
        pace.came(len(part), loop.time())
        return self._count(part)

    def _count(self, part: bytes) -> bytes:
        self.read_bytes += len(part)
        if self.read_bytes > self._max_bytes:
            raise BodyTooLarge(self._max_bytes)
        return part

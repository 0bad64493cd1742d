"""The body of a client's request: bounded in size and in the time that it may take to come.

Rules
- Nobody is woken by a byte of a body that is wanted in larger parts: its connection says that something came, and how
  late it is by then is all that changes.
- Of a body that is passed on as it comes, a little that follows a part at once waits a moment for more.
- All that comes over its connection has come in time: the framing of chunks, and what the connection keeps back. What
  waits in the kernel is looked for before the body is too late.
- The time of all bodies is looked after by one timer.
"""

import asyncio
from collections.abc import Callable

from aiohttp import StreamReader
from aiohttp.web_protocol import RequestPayloadError

from router.core.errors import BadRequest, BodyTimeout, BodyTooLarge
from router.core.pace import Pace
from router.proxy.deadlines import Deadlines
from router.proxy.frugal import is_slow
from router.proxy.persistence import BodyWatch

#: Of a body that is wanted whole, the part for which it is worth being woken.
_PART_BYTES = 64 * 1024
#: Of one that is passed on as it comes: less than this waits until so long after the part before it. So bytes that come
#: one by one cost next to nothing, and no model waits for its next part for longer than that.
_GATHERED_BYTES = 1024
_GATHER_S = 0.05


class ClientBody:
    """Reads one request's body.

    Args:
        connection: What `content` comes over.
        length: As announced; None if it comes in chunks.
        pace: How late it may be; the time that an instance takes to read is not counted.
        deadlines: What looks after its time while it is waited for.
        on_read: Called once before the first wait, to tell a client that asked first to go on.
    """

    __slots__ = (
        "_began",
        "_connection",
        "_content",
        "_deadlines",
        "_gathers_until",
        "_has_begun",
        "_is_streamed",
        "_length",
        "_loop",
        "_max_bytes",
        "_on_read",
        "_pace",
        "_seen_bytes",
        "_waiter",
        "_wanted_bytes",
        "deadline",
        "read_bytes",
    )

    def __init__(
        self,
        content: StreamReader,
        connection: BodyWatch,
        *,
        length: int | None,
        max_bytes: int,
        pace: Pace,
        deadlines: Deadlines,
        on_read: Callable[[], None],
    ) -> None:
        self._content = content
        self._connection = connection
        self._length = length
        self._max_bytes = max_bytes
        self._pace = pace
        self._deadlines = deadlines
        self._on_read = on_read
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._has_begun = False
        self._is_streamed = False
        self._gathers_until = 0.0  # of the loop's clock; 0: no longer
        self._seen_bytes = 0  # that the pace knows of
        self._wanted_bytes = 1  # unread ones, for which it is worth being woken
        self._waiter: asyncio.Future[None] | None = None
        self.deadline = 0.0
        self.read_bytes = 0

    @property
    def is_complete(self) -> bool:
        """Everything was read."""
        return self._content.at_eof()

    def stream(self, deadlines: Deadlines) -> None:
        """From now on it is passed on as it comes: `deadlines`, which are to be exact, look after it."""
        self._is_streamed = True
        self._deadlines = deadlines

    async def read_up_to(self, limit: int) -> bytes:
        """The body, or its first part if it is longer than `limit` bytes (then a little more than `limit`).

        Raises:
            BodyTooLarge, BodyTimeout, BadRequest
        """
        if self._content.is_eof():
            return self._count(self._unread())
        parts = []
        while self.read_bytes <= limit and (part := await self.read(min(_PART_BYTES, limit + 1 - self.read_bytes))):
            parts.append(part)
        return b"".join(parts)

    async def read(self, at_least: int = 1) -> bytes:
        """The next part; empty at the end. Shorter than asked for if the body ends, or aiohttp holds no more of it.

        Raises:
            BodyTooLarge, BodyTimeout, BadRequest
        """
        if not self._has_begun:
            self._has_begun = True
            self._on_read()
        self._catch_up()
        self._wanted_bytes = min(at_least, self._max_bytes + 1 - self.read_bytes)  # with one too many it is refused
        try:
            if not self._is_due():
                await self._wait()
        except RequestPayloadError as error:
            raise self._broken() from error
        if self._is_streamed:
            self._gathers_until = self._loop.time() + _GATHER_S
        return self._count(self._unread())

    def _unread(self) -> bytes:
        try:
            return self._content.read_nowait()
        except RequestPayloadError as error:
            raise self._broken() from error

    def _broken(self) -> Exception:
        if self._connection.transport is None:
            return ConnectionResetError("The client went away in the middle of its body.")
        return BadRequest("The request body is not framed as its head announces.")

    def heard(self, size: int, when: float | None = None) -> None:
        """So many bytes have come over the connection, the last at `when` (now if None)."""
        self._pace.came(size, self._loop.time() if when is None else when)
        self._set_deadline()

    def came(self) -> None:
        """Something was read: a part of the body, its end, the news that there will be none, or nothing of it yet."""
        waiter = self._waiter
        self._seen_bytes = self._content.total_bytes
        if waiter is not None and not waiter.done() and self._is_due():
            waiter.set_result(None)

    def can_wait(self, kept: bytes) -> bool:
        """Whether what the connection would keep back is not worth being woken for, and sure not to end the body."""
        waiter, come_bytes = self._waiter, self._content.total_bytes
        if waiter is None or waiter.done() or come_bytes - self.read_bytes + len(kept) >= self._enough_bytes():
            return False
        if self._length is None:
            return b"\n" not in kept  # the last chunk ends with it
        return len(kept) < self._length - come_bytes

    def least_wanted(self, kept_bytes: int) -> int:
        """For how many bytes more than the connection keeps back it may be woken: 1 for any."""
        waiter = self._waiter
        if waiter is None or waiter.done() or self._is_streamed or not is_slow(self._began):
            return 1
        return self._wanted_bytes - (self._content.total_bytes - self.read_bytes) - kept_bytes

    def expire(self) -> None:
        """It is too late, or little enough has waited for more."""
        if self._gathers_until:
            self._gathers_until = 0.0
            self._connection.data_received(b"")  # what it keeps back is due, and comes
        elif self._connection.read_unwoken() and self.deadline > self._loop.time():
            pass  # it is not late, only unread
        elif self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(BodyTimeout(self._pace.idle_s))

    def _catch_up(self) -> None:
        """The time until now was not the client's; what it sent meanwhile is to its credit."""
        now, come_bytes = self._loop.time(), self._content.total_bytes
        self._pace.resume(now)
        if come_bytes > self._seen_bytes:
            self._pace.came(come_bytes - self._seen_bytes, now)
            self._seen_bytes = come_bytes
        self._set_deadline()

    def _set_deadline(self) -> None:
        deadline = self._pace.deadline
        self.deadline = min(deadline, self._gathers_until) if self._gathers_until else deadline

    def _enough_bytes(self) -> int:
        """Unread ones, for which it is worth being woken now."""
        is_gathering = self._gathers_until and self._loop.time() < self._gathers_until
        return max(self._wanted_bytes, _GATHERED_BYTES) if is_gathering else self._wanted_bytes

    def _is_due(self) -> bool:
        """Whether there is something to read, and reason to."""
        content = self._content
        unread_bytes = content.total_bytes - self.read_bytes
        is_enough = unread_bytes >= self._enough_bytes() or (unread_bytes > 0 and self._connection.is_reading_paused)
        return is_enough or content.is_eof() or content.exception() is not None

    async def _wait(self) -> None:
        if not self._connection.connected:
            raise ConnectionResetError  # it was closed before we came to read
        self._waiter = self._loop.create_future()
        self._connection.reader = self
        self._deadlines.add(self)
        try:
            await self._waiter
        finally:
            self._waiter = None
            self._connection.reader = None
            self._deadlines.discard(self)

    def _count(self, part: bytes) -> bytes:
        self.read_bytes += len(part)
        if self.read_bytes > self._max_bytes:
            raise BodyTooLarge(self._max_bytes)
        return part

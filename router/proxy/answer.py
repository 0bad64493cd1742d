"""An instance's answer as something that a coroutine can wait for and read."""

import asyncio
from collections import deque

from router.awake import LATE_S
from router.core.plain_reading import PlainAnswer
from router.proxy.upstream import AnswerHead, UpstreamConnection, UpstreamLost, pass_on

#: Unread bytes of one answer above which its instance is not read any more.
_HIGH_WATER_BYTES = 128 * 1024
_BREATH_S = 0.002


class Answer:
    """The sink of one exchange. Holds a high-water mark of unread bytes at most, and one read of the socket."""

    __slots__ = ("_chunks", "_connection", "_error", "_held_bytes", "_is_paused", "_waiter", "head_now", "is_complete")

    def __init__(self, connection: UpstreamConnection) -> None:
        self._connection = connection
        self._chunks: deque[bytes] = deque()
        self._held_bytes = 0
        self._is_paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._error: UpstreamLost | None = None
        self.head_now: AnswerHead | None = None
        self.is_complete = False

    # The reader's side

    async def wait_head(self, deadline: float | None = None) -> AnswerHead:
        """The head, as soon as it is there.

        Args:
            deadline: Of the loop's clock. A timer on this one wait costs a third of an `asyncio.timeout` around it.

        Raises:
            UpstreamLost: the instance broke off before.
            TimeoutError: the head did not come in time.
        """
        timer = None if deadline is None else asyncio.get_running_loop().call_at(deadline, self._expire, deadline)
        try:
            while self.head_now is None:
                if self._error is not None:
                    raise self._error
                await self._wait()
            return self.head_now
        finally:
            if timer is not None:
                timer.cancel()

    def take(self) -> bytes:
        """The part of the body that has come so far; empty if none has."""
        chunks = self._chunks
        taken = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        self._held_bytes = 0
        self.go_on()
        return taken

    def hold(self) -> None:
        """Read no more of it until `go_on` or `take`: what it goes to does not keep up."""
        if not self._is_paused and not self.is_complete:
            self._is_paused = True
            self._connection.pause()

    def go_on(self) -> None:
        """Read on."""
        if self._is_paused:
            self._is_paused = False
            self._connection.resume()

    async def wait_more(self) -> None:
        """Return once more of the body, or its end, has come.

        Raises:
            UpstreamLost: the instance broke off in the middle of it.
        """
        while not self._chunks and not self.is_complete:
            if self._error is not None:
                raise self._error
            await self._wait()

    async def read(self) -> bytes:
        """The next part of the body; empty at its end.

        Raises:
            UpstreamLost: the instance broke off in the middle of it.
        """
        await self.wait_more()
        return self.take()

    # The connection's side

    def whole(self, answer: PlainAnswer) -> None:
        pass_on(self, answer)

    def head(self, head: AnswerHead) -> None:
        self.head_now = head
        self._wake()

    def flush(self, parts: list[bytes]) -> None:
        self._add(parts)
        if self._held_bytes > _HIGH_WATER_BYTES:
            self.hold()
        self._wake()

    def end(self, parts: list[bytes]) -> None:
        self._add(parts)
        self.is_complete = True
        self.go_on()  # all of it is here; the connection may serve the next exchange
        self._wake()

    def lost(self, error: UpstreamLost, parts: list[bytes]) -> None:
        self._add(parts)
        self._error = error
        self._wake()

    def _add(self, parts: list[bytes]) -> None:
        self._chunks += parts
        self._held_bytes += sum(map(len, parts))

    def _expire(self, deadline: float | None) -> None:
        loop = asyncio.get_running_loop()
        if deadline is not None and loop.time() - deadline > LATE_S:
            loop.call_later(_BREATH_S, self._expire, None)  # this process stood still: what came is read first
        elif self.head_now is None and self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(TimeoutError())

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

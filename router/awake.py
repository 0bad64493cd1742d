"""Time limits for others that count only while this process runs.

Rules
- A process that stood still (SIGSTOP, a starved machine, a long turn of the loop) learns on waking that time is over
  before it reads what came meanwhile. So whoever finds a look at the clock to be late looks at what has come first.
- That is granted to one late look, not to each: a loop that is always late still comes to an end.
"""

import asyncio
from types import TracebackType

#: A look that comes later than this was held up.
LATE_S = 0.1
#: Parts of a time limit, each of which is counted if this process ran during it.
_PARTS = 8


class AwakeTimeout:
    """`asyncio.timeout` of which a part does not count while the loop did not run; at most twice as many parts in all.

    Raises:
        TimeoutError: the time is over.
    """

    def __init__(self, seconds: float) -> None:
        self._part_s = seconds / _PARTS
        self._left = _PARTS
        self._looks_left = 2 * _PARTS
        self._timeout = asyncio.timeout(None)
        self._loop = asyncio.get_running_loop()
        self._look_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()
        self._look_later()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self._timeout.__aexit__(kind, error, trace)

    def _look_later(self) -> None:
        self._look_at = self._loop.time() + self._part_s
        self._timer = self._loop.call_at(self._look_at, self._look)

    def _look(self) -> None:
        self._looks_left -= 1
        if self._loop.time() - self._look_at <= LATE_S:
            self._left -= 1
        if self._left and self._looks_left:
            self._look_later()
        else:
            self._timer = None
            self._timeout.reschedule(self._loop.time())

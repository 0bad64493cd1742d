"""Where run() runs: never on the event loop that answers probes.

The main thread is the first, and by default the only, run thread: it also imported the script and called init(). So
what belongs to a thread (sqlite connections, torch's grad mode, decimal contexts) is the same in init() and run(), as
in Azure's server, and signal handlers that a script installs are accepted. HTTP lives in a second thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Callable, Optional, Protocol

from workers.encode import Answer
from workers.inbox import Call, Inbox, Loan
from workers.request import ScoreRequest
from workers.script import Script


class LoopCall:
    """A call whose answer an event loop waits for."""

    __slots__ = ("_done", "_loop", "is_abandoned", "request")

    origin = None

    def __init__(self, request: ScoreRequest, done: Callable[[Answer], object]) -> None:
        """Have `done` called with the answer on this thread's running loop."""
        self.request = request
        self.is_abandoned = False
        self._done = done
        self._loop = asyncio.get_running_loop()

    def deliver(self, answer: Answer) -> Optional[Loan]:
        """See Call."""
        # RuntimeError: the loop ended at the drain timeout while run() was still at work.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._done, answer)
        return None


class Runner(Protocol):
    """Runs calls, at most `concurrency` at a time, in the order they came."""

    def submit(self, call: Call) -> None:
        """Take a call; its answer is delivered, unless it is abandoned first."""
        ...

    def may_lend(self, origin: object) -> bool:
        """Whether the next call of a connection may be submitted with the connection lent (see workers.inbox)."""
        ...

    def recall(self) -> None:
        """Have what is lent given back, and lend nothing more; from any thread."""
        ...

    def work(self) -> None:
        """Serve in the calling thread until stopped."""
        ...

    def stop(self) -> None:
        """Have `work` return once what is running has ended; from any thread."""
        ...

    @property
    def is_stuck(self) -> bool:
        """Whether every place is held by a run() that goes on though nobody waits for its answer; from any thread."""
        ...


class _Places:
    """The calls that run now."""

    def __init__(self, concurrency: int) -> None:
        self._concurrency = concurrency
        self._running: set[Call] = set()

    @property
    def is_stuck(self) -> bool:
        running = self._running.copy()
        return len(running) >= self._concurrency and all(call.is_abandoned for call in running)

    def take(self, call: Call) -> None:
        """Count `call` as running; from any thread."""
        self._running.add(call)

    def leave(self, call: Call) -> None:
        """It ended."""
        self._running.discard(call)


async def finish(runner: Runner, request: ScoreRequest) -> Answer:
    """Return the answer to a request; cancelled, it abandons the call."""
    future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    call = LoopCall(request, lambda answer: None if future.done() else future.set_result(answer))
    runner.submit(call)
    try:
        return await future
    finally:
        call.is_abandoned = True


class ThreadRunner:
    """For a plain `def run`: a queue and `concurrency` threads, the one that calls `work` among them."""

    def __init__(self, script: Script, concurrency: int) -> None:
        self._answer = script.answer
        self._concurrency = concurrency
        # A trivial run() through aiohttp's server: 95 us of CPU without any hop, 163 with this queue and one
        # call_soon_threadsafe, 252 with loop.run_in_executor (one connection, uvloop).
        self._inbox = Inbox(lends=concurrency == 1)
        self._places = _Places(concurrency)

    @property
    def is_stuck(self) -> bool:
        """See Runner."""
        return self._places.is_stuck

    def submit(self, call: Call) -> None:
        """See Runner."""
        self._inbox.put(call)

    def may_lend(self, origin: object) -> bool:
        """See Runner."""
        return self._inbox.may_lend(origin)

    def recall(self) -> None:
        """See Runner."""
        self._inbox.recall()

    def work(self) -> None:
        """See Runner."""
        for number in range(1, self._concurrency):
            threading.Thread(target=self._take, name=f"run-{number}", daemon=True).start()
        self._take()

    def stop(self) -> None:
        """See Runner."""
        for _ in range(self._concurrency):
            self._inbox.put(None)

    def _take(self) -> None:
        loan: Optional[Loan] = None
        while True:
            call = self._inbox.get(loan)
            if call is None:
                return
            loan = None
            # Its client left while it waited: running it would only delay those who still wait.
            if not call.is_abandoned:
                self._places.take(call)
                answer = self._answer(call.request)
                self._places.leave(call)
                loan = call.deliver(answer)


class LoopRunner:
    """For an `async def run`: one event loop of the script's own and `concurrency` tasks on it.

    Not the HTTP loop: a run() that computes between its awaits must not make a probe wait.
    """

    def __init__(self, script: Script, concurrency: int, loop: asyncio.AbstractEventLoop) -> None:
        """Serve on `loop`, which must be the current one of this thread: Python 3.9 binds the queue to it here."""
        self._answer = script.answer_async
        self._concurrency = concurrency
        self._loop = loop
        self._queue: asyncio.Queue[Optional[Call]] = asyncio.Queue()
        self._places = _Places(concurrency)

    @property
    def is_stuck(self) -> bool:
        """See Runner."""
        return self._places.is_stuck

    def submit(self, call: Call) -> None:
        """See Runner."""
        self._loop.call_soon_threadsafe(self._queue.put_nowait, call)

    def may_lend(self, origin: object) -> bool:
        """Never: a loop waits for all connections at once anyway."""
        return False

    def recall(self) -> None:
        """See Runner; nothing is lent."""

    def work(self) -> None:
        """See Runner."""
        self._loop.run_until_complete(self._take_all())

    def stop(self) -> None:
        """See Runner."""
        for _ in range(self._concurrency):
            self._loop.call_soon_threadsafe(self._queue.put_nowait, None)

    async def _take_all(self) -> None:
        await asyncio.gather(*(self._take() for _ in range(self._concurrency)))

    async def _take(self) -> None:
        while True:
            call = await self._queue.get()
            if call is None:
                return
            if not call.is_abandoned:
                self._places.take(call)
                answer = await self._answer(call.request)
                self._places.leave(call)
                call.deliver(answer)

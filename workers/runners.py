"""Where run() runs: never on the event loop that answers probes.

The main thread is the first, and by default the only, run thread: it also imported the script and called init(). So
what belongs to a thread (sqlite connections, torch's grad mode, decimal contexts) is the same in init() and run(), as
in Azure's server, and signal handlers that a script installs are accepted. HTTP lives in a second thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from queue import SimpleQueue
from typing import Optional, Protocol, Tuple

from workers.encode import Answer
from workers.request import ScoreRequest
from workers.script import Script

Waiting = Tuple["asyncio.Future[Answer]", ScoreRequest]


class Runner(Protocol):
    """Runs requests through a script, at most `concurrency` at a time, in the order they came."""

    def submit(self, request: ScoreRequest) -> asyncio.Future[Answer]:
        """Return, on the calling loop, the future answer; cancelled before its turn, the request never runs."""
        ...

    def work(self) -> None:
        """Serve in the calling thread until stopped."""
        ...

    def stop(self) -> None:
        """Have `work` return once what is running has ended; from any thread."""
        ...


class ThreadRunner:
    """For a plain `def run`: a queue and `concurrency` threads, the one that calls `work` among them."""

    def __init__(self, script: Script, concurrency: int) -> None:
        self._answer = script.answer
        self._concurrency = concurrency
        # MEASURED
        self._queue: SimpleQueue[Optional[Waiting]] = SimpleQueue()

    def submit(self, request: ScoreRequest) -> asyncio.Future[Answer]:
        """See Runner."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._queue.put((future, request))
        return future

    def work(self) -> None:
        """See Runner."""
        for number in range(1, self._concurrency):
            threading.Thread(target=self._take, name=f"run-{number}", daemon=True).start()
        self._take()

    def stop(self) -> None:
        """See Runner."""
        for _ in range(self._concurrency):
            self._queue.put(None)

    def _take(self) -> None:
        while True:
            waiting = self._queue.get()
            if waiting is None:
                return
            future, request = waiting
            # Its client left while it waited: running it would only delay those who still wait.
            if not future.cancelled():
                _deliver(future, self._answer(request))


class LoopRunner:
    """For an `async def run`: one event loop of the script's own and `concurrency` tasks on it.

    Not the HTTP loop: a run() that computes between its awaits must not make a probe wait.
    """

    def __init__(self, script: Script, concurrency: int, loop: asyncio.AbstractEventLoop) -> None:
        """Serve on `loop`, which must be the current one of this thread: Python 3.9 binds the queue to it here."""
        self._answer = script.answer_async
        self._concurrency = concurrency
        self._loop = loop
        self._queue: asyncio.Queue[Optional[Waiting]] = asyncio.Queue()

    def submit(self, request: ScoreRequest) -> asyncio.Future[Answer]:
        """See Runner."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._loop.call_soon_threadsafe(self._queue.put_nowait, (future, request))
        return future

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
            waiting = await self._queue.get()
            if waiting is None:
                return
            future, request = waiting
            if not future.cancelled():
                _deliver(future, await self._answer(request))


def _deliver(future: asyncio.Future[Answer], answer: Answer) -> None:
    # RuntimeError: the HTTP loop ended at the drain timeout while run() was still at work.
    with contextlib.suppress(RuntimeError):
        future.get_loop().call_soon_threadsafe(_settle, future, answer)


def _settle(future: asyncio.Future[Answer], answer: Answer) -> None:
    if not future.done():  # cancelled: the client left while run() was at work
        future.set_result(answer)

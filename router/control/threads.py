"""Threads for work that may never end, such as reading a file whose server is gone.

The event loop's own threads are few, so that work which hangs would take them from all else, and the interpreter waits
for them before it ends. These are many, and nobody waits for them.
"""

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import ParamSpec, TypeVar

from router.control.refusal import Unavailable

P = ParamSpec("P")
T = TypeVar("T")


class Threads:
    """Runs each function in a thread of its own.

    Args:
        limit: How many may run at a time.
        busy: What is told to whoever comes when as many do.
    """

    def __init__(self, name: str, *, limit: int, busy: str) -> None:
        self._name = name
        self._limit = limit
        self._busy = busy
        self._running: set[threading.Thread] = set()

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What the function returns. Whoever is cancelled while waiting leaves it running.

        Raises:
            Unavailable: too many are running.
        """
        if len(self._running) >= self._limit:
            raise Unavailable(self._busy)
        done: Future[T] = Future()
        done.set_running_or_notify_cancel()  # from here on only the thread may end it
        work = partial(contextvars.copy_context().run, function, *args, **kwargs)
        thread = threading.Thread(target=self._work, args=(work, done), name=self._name, daemon=True)
        self._running.add(thread)
        thread.start()
        return await asyncio.wrap_future(done)

    def join(self, timeout_s: float) -> None:
        """Wait until all that are running have ended, but no longer than `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        for thread in tuple(self._running):
            thread.join(max(0.0, deadline - time.monotonic()))

    def _work(self, work: Callable[[], T], done: Future[T]) -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001  # whoever waits gets it
            self._running.discard(threading.current_thread())
            done.set_exception(error)
        else:
            self._running.discard(threading.current_thread())
            done.set_result(result)

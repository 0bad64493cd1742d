"""One coarse timer for everything that must end in time."""

import asyncio
from collections.abc import Callable
from typing import Protocol

#: How late an end may come. A timer of its own for each request would cost a tenth of what the request costs.
PRECISION_S = 0.02


class Ends(Protocol):
    """Something with a deadline (monotonic seconds), which it may move; told once it has passed."""

    deadline: float

    def expire(self) -> None: ...


class Deadlines:
    """Looks every `PRECISION_S` after what is due, and not at all while there is nothing."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._waiting: dict[Ends, None] = {}
        self._is_armed = False

    def __repr__(self) -> str:
        return f"Deadlines({len(self._waiting)} waiting)"

    def add(self, one: Ends) -> None:
        self._waiting[one] = None
        if not self._is_armed:
            self._is_armed = True
            asyncio.get_running_loop().call_later(PRECISION_S, self._sweep)

    def discard(self, one: Ends) -> None:
        self._waiting.pop(one, None)

    def _sweep(self) -> None:
        now = self._now()
        for one in list(self._waiting):
            if one.deadline <= now and one in self._waiting:  # another one's end may have ended it
                one.expire()
        self._is_armed = bool(self._waiting)
        if self._is_armed:
            asyncio.get_running_loop().call_later(PRECISION_S, self._sweep)

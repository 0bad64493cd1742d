"""One coarse timer for everything that must end in time."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from router.awake import LATE_S

#: How late an end may come. A timer of its own for each request would cost a tenth of what the request costs.
PRECISION_S = 0.02
#: Ends in one turn of the loop, which others wait for; looks that take as long; and until the next ones.
_AT_ONCE = 25
_LOOKS_AT_ONCE = 250
_BREATH_S = 0.002


_One = TypeVar("_One")


class Ends(Protocol):
    """Something with a deadline (monotonic seconds), which it may move; told once it has passed."""

    deadline: float

    def expire(self) -> None: ...


class Deadlines:
    """Looks every `precision_s` after what is due, and not at all while there is nothing."""

    def __init__(self, now: Callable[[], float], precision_s: float = PRECISION_S) -> None:
        self._now = now
        self._precision_s = precision_s
        self._waiting: dict[Ends, None] = {}
        self._due: list[Ends] = []  # at the last look, and not told yet
        self._is_armed = False
        self._look_at = 0.0  # of the loop's clock
        self._was_late = False  # the last look, which was put off

    def __repr__(self) -> str:
        return f"Deadlines({len(self._waiting)} waiting)"

    def add(self, one: Ends) -> None:
        self._waiting[one] = None
        if not self._is_armed:
            self._look_in(self._precision_s)

    def discard(self, one: Ends) -> None:
        self._waiting.pop(one, None)

    def _look_in(self, seconds: float) -> None:
        self._is_armed = True
        loop = asyncio.get_running_loop()
        self._look_at = loop.time() + seconds
        loop.call_at(self._look_at, self._sweep)

    def _sweep(self) -> None:
        self._was_late = not self._was_late and asyncio.get_running_loop().time() - self._look_at > LATE_S
        if self._was_late:  # this process stood still: what came meanwhile is read first
            self._look_in(_BREATH_S)
            return
        now = self._now()
        due = self._due or [one for one in self._waiting if one.deadline <= now]
        self._due = due[_AT_ONCE:]
        for one in due[:_AT_ONCE]:
            if one in self._waiting and one.deadline <= now:  # another one's end may have ended it
                one.expire()
        self._is_armed = False
        if self._waiting:
            self._look_in(_BREATH_S if self._due else self._precision_s)


def end_due(ones: Sequence[_One], is_due: Callable[[_One], bool], end: Callable[[_One], None]) -> None:
    """End those that are due: in one turn of the loop some are looked at, and fewer ended; nobody waits for all."""
    due = [one for one in ones[:_LOOKS_AT_ONCE] if is_due(one)]
    for one in due[:_AT_ONCE]:
        end(one)
    rest = [*due[_AT_ONCE:], *ones[_LOOKS_AT_ONCE:]]
    if rest:
        asyncio.get_running_loop().call_later(_BREATH_S, end_due, rest, is_due, end)

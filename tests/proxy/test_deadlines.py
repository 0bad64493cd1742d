"""One timer for many deadlines."""

import asyncio

from router.proxy.deadlines import Deadlines, end_due
from tests.proxy.waiting import until


class Waiting:
    """Something with a deadline that notes its end, and may end another."""

    def __init__(self, deadline: float, log: list["Waiting"], ends: tuple[Deadlines, "Waiting"] | None = None) -> None:
        self.deadline = deadline
        self._log = log
        self._ends = ends

    def expire(self) -> None:
        self._log.append(self)
        if self._ends is not None:
            deadlines, other = self._ends
            deadlines.discard(other)


async def test_what_is_due_is_told_and_the_rest_is_not() -> None:
    """Of three, the one whose time is over and that was not taken out."""
    ended: list[Waiting] = []
    deadlines = Deadlines(lambda: 10.0)
    due, later, gone = Waiting(9.0, ended), Waiting(11.0, ended), Waiting(9.0, ended)
    for one in (later, gone, due):
        deadlines.add(one)
    deadlines.discard(gone)
    await until(lambda: ended)
    assert ended == [due]
    deadlines.discard(later)
    deadlines.discard(due)
    assert repr(deadlines) == "Deadlines(0 waiting)"


async def test_a_deadline_may_be_moved() -> None:
    """What counts is where it stands when it is looked at."""
    ended: list[Waiting] = []
    now = 10.0
    deadlines = Deadlines(lambda: now)
    moved, fixed = Waiting(9.0, ended), Waiting(9.5, ended)
    deadlines.add(moved)
    deadlines.add(fixed)
    moved.deadline = 12.0
    await until(lambda: ended)
    assert ended == [fixed]
    deadlines.discard(fixed)
    ended.clear()
    now = 12.0
    await until(lambda: ended)
    assert ended == [moved]
    deadlines.discard(moved)


async def test_an_end_that_ends_another_is_the_only_one() -> None:
    """What was taken out in the same look is not told any more."""
    ended: list[Waiting] = []
    deadlines = Deadlines(lambda: 10.0)
    second = Waiting(9.0, ended)
    first = Waiting(9.0, ended, ends=(deadlines, second))
    deadlines.add(first)
    deadlines.add(second)
    await until(lambda: ended)
    assert ended == [first]
    deadlines.discard(first)


async def test_nothing_is_looked_after_when_nothing_waits() -> None:
    """The timer stops with the last one, and starts again with the next."""
    looks = 0

    def now() -> float:
        nonlocal looks
        looks += 1
        return 0.0

    deadlines = Deadlines(now)
    one = Waiting(1.0, [])
    deadlines.add(one)
    deadlines.discard(one)
    await until(lambda: looks)
    await asyncio.sleep(0.1)
    assert looks == 1
    deadlines.add(one)
    await until(lambda: looks == 2)
    deadlines.discard(one)


async def test_of_many_a_few_are_ended_in_one_turn() -> None:
    """The first at once, all that are due in the end, and none of them twice."""
    ended: list[int] = []
    end_due(range(1000), lambda one: one % 2 == 0, ended.append)
    assert ended == list(range(0, 50, 2))
    await until(lambda: len(ended) >= 500)
    assert sorted(ended) == list(range(0, 1000, 2))

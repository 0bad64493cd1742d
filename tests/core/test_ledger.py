"""Counts that several proxies share, and who among them waits."""

import asyncio
import os
import sys

import pytest

from router.core.ledger import RESERVED, Count, Row, clear, row_bytes
from tests.core.several_proxies import Proxies


def rows(proxies: Proxies, number: int = RESERVED) -> list[Row]:
    return [one.row(number) for one in proxies.ledgers]


# Claims


def test_a_limit_holds_for_the_sum() -> None:
    """What one proxy has claimed is missing for the others, until it gives it back."""
    a, b = rows(Proxies(2))
    assert [a.claim(1, 3), b.claim(1, 3), a.claim(1, 3)] == [True, True, True]
    assert [a.claim(1, 3), b.claim(1, 3)] == [False, False]
    b.give_back(1)
    assert a.claim(1, 3)
    assert (a.own, b.own, a.total(), b.total()) == (3, 0, 3, 3)


def test_rows_do_not_touch_each_other() -> None:
    """A claim in one is none in its neighbours."""
    proxies = Proxies(3)
    rows(proxies, 4)[2].claim(7, 7)
    assert [[row.total() for row in rows(proxies, number)] for number in (3, 4, 5)] == [[0] * 3, [7] * 3, [0] * 3]


def test_amounts_are_claimed_whole_or_not_at_all() -> None:
    """A claim that is too large leaves nothing behind."""
    a, b = rows(Proxies(2))
    assert a.claim(60, 100)
    assert not b.claim(41, 100)
    assert b.claim(40, 100)


def test_a_limit_that_was_lowered_waits_for_what_is_over_it() -> None:
    """The next claim needs the sum below the new limit."""
    a, b = rows(Proxies(2))
    assert [a.claim(1, 4), a.claim(1, 4), b.claim(1, 4), b.claim(1, 4)] == [True] * 4
    a.give_back(1)
    a.give_back(1)
    assert not a.claim(1, 2)
    b.give_back(1)
    assert a.claim(1, 2)


def test_what_an_ended_proxy_held_is_free() -> None:
    """Clearing its words takes back its claims and its wait, and nobody else's."""
    proxies = Proxies(3)
    a, b, c = rows(proxies)
    for row in (a, b, c):
        row.claim(2, 6)
        row.wait(1.0)
    proxies.end(1)
    assert (a.total(), a.own, c.own) == (4, 2, 2)
    assert [a.since(slot) for slot in range(3)] == [1.0, 0.0, 1.0]


def test_a_closed_row_is_empty() -> None:
    """Whatever its owner forgot to give back."""
    proxies = Proxies(2)
    a, b = rows(proxies)
    a.claim(3, 9)
    a.wait(1.0)
    a.close()
    assert b.total() == 0
    assert not b.is_awaited()


def test_one_process_counts_by_itself() -> None:
    """`Count` keeps a limit as a row does."""
    count = Count()
    assert [count.claim(2, 3), count.claim(2, 3), count.claim(1, 3)] == [True, False, True]
    count.give_back(1)
    assert count.own == 2


_HOLDS_AND_LOOKS = """
import mmap, sys, time
from router.core.ledger import RESERVED, Ledger
memory = mmap.mmap(int(sys.argv[1]), 4096)
class Of(Ledger):
    def map_memory(self):
        return memoryview(memory)
slot = int(sys.argv[2])
row = Of(slot, 2).row(RESERVED)
cell = memoryview(memory)[2048:2056].cast("Q")
held = meetings = 0
end = time.monotonic() + 0.5
while time.monotonic() < end:
    if row.claim(1, 1):
        held += 1
        cell[0] = slot
        meetings += sum(cell[0] != slot for _ in range(5))
        row.give_back(1)
print(held > 0, meetings)
"""


async def test_two_processes_never_hold_the_same_place() -> None:
    """Both get it again and again, and while one has it, the other writes nothing."""
    fd = os.memfd_create("ledger")
    os.ftruncate(fd, 4096)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    commands = [(sys.executable, "-c", _HOLDS_AND_LOOKS, str(fd), str(slot)) for slot in range(2)]
    processes = [
        await asyncio.create_subprocess_exec(*command, pass_fds=[fd], stdout=asyncio.subprocess.PIPE, env=environment)
        for command in commands
    ]
    said = [(await process.communicate())[0] for process in processes]
    os.close(fd)
    assert said == [b"True 0\n", b"True 0\n"]


# Waits


def test_everybody_sees_that_somebody_waits() -> None:
    """Until nobody does any more."""
    a, b = rows(Proxies(2))
    assert not b.is_awaited()
    a.wait(5.0)
    assert b.is_awaited()
    a.wait(0.0)
    assert not b.is_awaited()


@pytest.mark.parametrize(
    ("theirs", "first"),
    [
        ((99.8, 0.0), 1),  # the only one
        ((99.8, 99.7), 2),  # the longest of two
        ((99.896, 0.0), None),  # not long enough to be worth a change of process
        ((99.95, 0.0), None),  # younger
        ((0.0, 0.0), None),  # nobody
    ],
)
def test_the_longest_wait_goes_first(theirs: tuple[float, float], first: int | None) -> None:
    """A proxy stands back for another one whose longest wait is notably longer than its own."""
    a, b, c = rows(Proxies(3))
    a.wait(99.9)
    b.wait(theirs[0])
    c.wait(theirs[1])
    assert a.outwaits(99.9, now=100.0) == first


def test_nobody_stands_back_for_a_proxy_that_stands_still() -> None:
    """One that has not been heard of for a second does not hold up the others; it is still woken."""
    proxies = Proxies(2)
    a, b = rows(proxies)
    b.wait(99.0)
    proxies.time += 0.9
    assert a.outwaits(100.0, now=proxies.time) == 1
    proxies.time += 0.2
    assert a.outwaits(100.0, now=proxies.time) is None
    a.call_next()
    assert proxies.ledgers[1].is_woken


def test_only_the_next_is_called() -> None:
    """A place that was given back wakes the one who waits longest, and not the proxy that gave it back."""
    proxies = Proxies(3)
    a, b, c = rows(proxies)
    a.wait(97.0)
    b.wait(99.0)
    c.wait(98.0)
    a.call_next()
    assert [one.is_woken for one in proxies.ledgers] == [False, False, True]


# Rows in use


def test_rows_that_are_used_beyond_the_table_are_told() -> None:
    """The control process gives away only rows that nobody uses."""
    ledger = Proxies(2).ledgers[0]
    opened = [ledger.row(number) for number in (3, 4, 5)]
    ledger.listed = frozenset({4})
    assert sorted(ledger.kept) == [3, 5]
    opened[0].close()
    assert ledger.kept == (5,)


def test_a_row_beyond_the_end_is_found_in_grown_memory() -> None:
    """Rows that were opened before stay what they are."""
    proxies = Proxies(2, rows=3)
    before = rows(proxies, 2)
    before[0].claim(1, 1)
    proxies.memory = bytearray(bytes(proxies.memory) + bytes(7 * row_bytes(2)))
    after = rows(proxies, 9)
    after[0].claim(5, 5)
    assert (before[1].total(), after[1].total()) == (1, 5)


def test_clearing_reaches_every_row() -> None:
    """Also the last one."""
    memory = bytearray(b"\1" * 4 * row_bytes(2))
    clear(memoryview(memory), 0, 2)
    assert bytes(memory) == (b"\0" * 8 + b"\1" * 8) * 8

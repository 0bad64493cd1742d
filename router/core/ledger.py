"""Counts that several proxies keep in memory they share, so that a limit holds for the sum of all.

Rules
- The memory is rows, and a row has two words for each proxy: what it counts, and since when its longest wait lasts. A
  proxy writes its own words only, and reads everybody's. There is no lock, so nobody waits for one who was interrupted.
- Who claims writes first and reads the sum afterwards; where the sum is over the limit, the claim is taken back. Of
  two who claim the last place at the same moment the later one sees the other's claim, so what is granted never adds
  up to more than the limit. Both may be refused; then both look again.
- In the same way, who waits writes that down and then looks once more, and who gives back does so and then looks who
  waits: no wake-up is lost.
- A place goes to whoever waits longest, give or take `SLACK_S`: to wake another process takes time, in which an
  instance would stand idle.
- When a proxy has ended, the control process clears its words. What it had counted is free at once.
"""

import threading
from typing import Protocol

_WORD_BYTES = 8
_WORDS_PER_SLOT = 2
#: Whose wait began less than this before another's does not go first.
SLACK_S = 0.005
#: Nobody stands back for a proxy that has not been heard of for as long as this,
SILENT_S = 1.0
#: nor for one that has left free what it was woken for, as often as this in a row that somebody looked.
PATIENCE = 3
#: Rows of the proxies themselves: when each was last heard of (its waits), the bytes that its copies hold, its clients.
BEATS, HELD_BYTES, CONNECTIONS = 0, 1, 2
RESERVED = 3

# Between a write and the read that must not overtake it. POSIX (4.12, memory synchronization) has both calls
# synchronise memory; on x86 each of them is a locked instruction, on ARM a release followed by an acquire.
_lock = threading.Lock()
_lock.acquire()
_release, _acquire = _lock.release, _lock.acquire


def fence() -> None:
    """Make what was written visible to every processor before anything is read."""
    _release()
    _acquire()


def row_bytes(slots: int) -> int:
    """Size of a row that `slots` proxies share."""
    return slots * _WORDS_PER_SLOT * _WORD_BYTES


def clear(memory: memoryview, slot: int, slots: int) -> None:
    """Forget what the proxy of `slot` counts and waits for. It must have ended: only one may write its words."""
    words = memory.cast("Q")
    for word in range(slot, len(words), slots):
        words[word] = 0


class Claims(Protocol):
    """A count with a limit: `Row`, or `Count` where nobody else counts."""

    @property
    def own(self) -> int: ...
    def claim(self, amount: int, limit: int) -> bool: ...
    def add(self, amount: int) -> None: ...
    def give_back(self, amount: int) -> None: ...
    def close(self) -> None: ...


class Count:
    """What one process counts by itself."""

    __slots__ = ("own",)

    def __init__(self) -> None:
        self.own = 0

    def claim(self, amount: int, limit: int) -> bool:
        """Count `amount` more, unless that passes the limit."""
        if self.own + amount > limit:
            return False
        self.own += amount
        return True

    def add(self, amount: int) -> None:
        """Count `amount` more, whatever the limit."""
        self.own += amount

    def give_back(self, amount: int) -> None:
        """Count `amount` less."""
        self.own -= amount

    def close(self) -> None:
        """Nothing is counted any more."""


class Row:
    """What all proxies count of one thing, changed by one of them."""

    __slots__ = ("_counts", "_ledger", "_since", "_since_bytes", "_slot", "number")

    def __init__(self, ledger: "Ledger", number: int, memory: memoryview) -> None:
        """Use the row in `memory`, which is just as long."""
        half = len(memory) // 2
        self.number = number
        self._ledger = ledger
        self._slot = ledger.slot
        self._counts = memory[:half].cast("Q")
        self._since_bytes = memory[half:]
        self._since = self._since_bytes.cast("d")

    def __repr__(self) -> str:
        return f"Row({self.number}, {self._counts.tolist()}, waiting since {self._since.tolist()})"

    def total(self) -> int:
        """The sum over all proxies."""
        return sum(self._counts)

    @property
    def own(self) -> int:
        """What this proxy counts of it."""
        return self._counts[self._slot]

    def others(self) -> list[int]:
        """What each of the other proxies counts."""
        counts = self._counts.tolist()
        del counts[self._slot]
        return counts

    def claim(self, amount: int, limit: int) -> bool:
        """Count `amount` more, unless that takes the sum over the limit; who waits meanwhile is told of a retreat."""
        counts, slot = self._counts, self._slot
        if sum(counts) + amount > limit:
            return False
        counts[slot] += amount
        _release()
        _acquire()
        if sum(counts) <= limit:
            return True
        self.give_back(amount)
        if self.is_awaited():
            self.call_next()
        return False

    def add(self, amount: int) -> None:
        """Count `amount` more, whatever the limit."""
        self._counts[self._slot] += amount

    def give_back(self, amount: int) -> None:
        """Count `amount` less. What is read afterwards is newer than that."""
        self._counts[self._slot] -= amount
        _release()
        _acquire()

    # Waiting

    def is_awaited(self) -> bool:
        """Whether a proxy, perhaps this one, waits for something to be given back."""
        return self._since_bytes.tobytes() != self._ledger.nobody

    def wait(self, since: float) -> None:
        """Let the others know that somebody waits here since then (0: nobody)."""
        self._since[self._slot] = since

    def since(self, slot: int) -> float:
        """Since when the proxy of `slot` waits."""
        return self._since[slot]

    def outwaits(self, since: float, now: float) -> int | None:
        """The slot of a proxy that is well and has waited longer than one who waits since then."""
        return self._first(since - SLACK_S, heard_after=now - SILENT_S)

    def call_next(self) -> None:
        """Wake the other proxy that waits longest, if one does."""
        slot = self._first(float("inf"), heard_after=float("-inf"))
        if slot is not None:
            self._ledger.wake(slot)

    def close(self) -> None:
        """Nothing is counted here any more: the row may become another thing's."""
        self._counts[self._slot] = 0
        self._since[self._slot] = 0.0
        self._ledger.opened.discard(self.number)

    def _first(self, before: float, *, heard_after: float) -> int | None:
        found = None
        for slot, since in enumerate(self._since):
            if 0 < since < before and slot != self._slot and self._ledger.heard(slot) >= heard_after:
                found, before = slot, since
        return found


class Queue(Protocol):
    """Something with requests that wait for what others may give back."""

    def serve_queue(self) -> None: ...


class Ledger:
    """One proxy's way to the rows. What touches the system is left to a subclass.

    Attributes:
        is_impatient: Whether those who wait longer elsewhere have had their chance.
        stood_back: Whether something free was left to a request that waits longer elsewhere, since the last `look`.
        opened: Numbers of the rows that this proxy uses.
        listed: Numbers of those that the newest table names.
        waiting: Queues that are not empty.
    """

    def __init__(self, slot: int, slots: int) -> None:
        self.slot = slot
        self.slots = slots
        self.is_impatient = False
        self.stood_back = False
        self.opened: set[int] = set()
        self.listed: frozenset[int] = frozenset()
        self.waiting: dict[Queue, None] = {}
        self.nobody = bytes(slots * _WORD_BYTES)
        self._looks_in_vain = 0
        self._memory = memoryview(b"")
        self._beats = self.row(BEATS)

    def row(self, number: int) -> Row:
        """The row of that number, for this proxy to count in until it is closed."""
        size = row_bytes(self.slots)
        end = (number + 1) * size
        if end > len(self._memory):
            self._memory = self.map_memory()
        self.opened.add(number)
        return Row(self, number, self._memory[end - size : end])

    @property
    def kept(self) -> tuple[int, ...]:
        """Rows that are still used though the newest table does not name them."""
        return tuple(number for number in self.opened - self.listed if number >= RESERVED)

    def waits(self, queue: Queue) -> None:
        """Serve this queue, too, from time to time."""
        if not self.waiting:
            self.watch()
        self.waiting[queue] = None

    def waits_no_more(self, queue: Queue) -> None:
        """The queue is empty."""
        self.waiting.pop(queue, None)

    def beat(self) -> None:
        """Tell the others that this proxy is well."""
        self._beats.wait(self.now())

    def heard(self, slot: int) -> float:
        """When the proxy of `slot` was last heard of."""
        return self._beats.since(slot)

    def serve(self) -> None:
        """Give those who wait what is free now."""
        for queue in list(self.waiting):
            queue.serve_queue()

    def look(self) -> None:
        """What a proxy does every few milliseconds while anything waits: nobody depends on what another one does."""
        self.stood_back = False
        self.is_impatient = self._looks_in_vain >= PATIENCE
        self.serve()
        self.is_impatient = False
        self._looks_in_vain = self._looks_in_vain + 1 if self.stood_back else 0

    # What a subclass does

    def map_memory(self) -> memoryview:
        """The memory as far as it reaches now."""
        raise NotImplementedError

    def now(self) -> float:
        """Seconds on the monotonic clock, which is the same in all processes."""
        raise NotImplementedError

    def wake(self, slot: int) -> None:
        """Have the proxy of `slot` call `serve` soon."""
        raise NotImplementedError

    def watch(self) -> None:
        """Call `look` every few milliseconds while there is anything in `waiting`."""
        raise NotImplementedError

"""Ledgers of several proxies over one memory, in one process."""

from router.core import ledger
from router.core.ledger import Ledger, row_bytes


class Proxies:
    """The memory of `slots` proxies, their clock and their ledgers."""

    def __init__(self, slots: int, rows: int = 10) -> None:
        self.memory = bytearray(rows * row_bytes(slots))
        self.time = 100.0
        self.ledgers = [OneLedger(self, slot, slots) for slot in range(slots)]
        for one in self.ledgers:
            one.beat()

    def end(self, slot: int) -> None:
        """The process of a slot ends, and the control process notices."""
        slots = len(self.ledgers)
        ledger.clear(memoryview(self.memory), slot, slots)
        self.ledgers[slot] = OneLedger(self, slot, slots)

    def pass_time(self, seconds: float) -> None:
        """Every proxy is well meanwhile."""
        self.time += seconds
        for one in self.ledgers:
            one.beat()


class OneLedger(Ledger):
    """A ledger whose system is a test."""

    def __init__(self, proxies: Proxies, slot: int, slots: int) -> None:
        self._proxies = proxies
        self.is_woken = False
        self.is_watching = False
        super().__init__(slot, slots)

    def map_memory(self) -> memoryview:
        return memoryview(self._proxies.memory)

    def now(self) -> float:
        return self._proxies.time

    def wake(self, slot: int) -> None:
        self._proxies.ledgers[slot].is_woken = True

    def watch(self) -> None:
        self.is_watching = True

    def take_up(self) -> bool:
        """Do what a proxy does when it was woken; return whether it was."""
        was_woken, self.is_woken = self.is_woken, False
        if was_woken:
            self.serve()
        return was_woken

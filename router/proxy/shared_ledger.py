"""The ledger in memory that all proxy processes map, each woken through an event counter of its own."""

import asyncio
import contextlib
import mmap
import os
import time
from collections.abc import Sequence

from router.core.crowd import Crowd, crowd_bytes
from router.core.ledger import Ledger

#: How often those who wait look for themselves: nothing is lost if a proxy that should have woken them stands still.
_LOOK_EVERY_S = 0.02


class SharedLedger(Ledger):
    """The ledger of one proxy process.

    Args:
        memory_fd: The memory; it may grow, and does before a table names a row beyond its end.
        wake_fds: Event counters of all proxies, by slot.
    """

    now = staticmethod(time.monotonic)

    def __init__(self, memory_fd: int, wake_fds: Sequence[int], slot: int) -> None:
        self._memory_fd = memory_fd
        self._wake_fds = wake_fds
        self._is_watching = False
        super().__init__(slot, len(wake_fds))

    def start(self) -> None:
        """Listen for the other proxies."""
        asyncio.get_running_loop().add_reader(self._wake_fds[self.slot], self._woken)

    def stop(self) -> None:
        """Listen no more."""
        asyncio.get_running_loop().remove_reader(self._wake_fds[self.slot])

    def map_memory(self) -> memoryview:
        return memoryview(mmap.mmap(self._memory_fd, os.fstat(self._memory_fd).st_size))

    def wake(self, slot: int) -> None:
        with contextlib.suppress(BlockingIOError):  # it was woken 2**64 times and has not looked yet
            os.eventfd_write(self._wake_fds[slot], 1)

    def watch(self) -> None:
        if not self._is_watching:
            self._is_watching = True
            asyncio.get_running_loop().call_later(_LOOK_EVERY_S, self._look)

    def _woken(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake_fds[self.slot])
        self.serve()

    def _look(self) -> None:
        self._is_watching = False
        self.look()
        if self.waiting:
            self.watch()


def shared_crowd(memory_fd: int, slot: int, slots: int) -> Crowd:
    """The clients of all proxies, as the proxy of `slot` counts them."""
    return Crowd(memoryview(mmap.mmap(memory_fd, crowd_bytes(slots))), slot, slots)

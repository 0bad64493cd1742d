"""What a process measures of itself: how late its event loop is, and for how long the garbage collector stops it.

A pause costs two calls per collection, of which a proxy has one in ten thousand new objects that outlive a request; a
request costs nothing.
"""

import asyncio
import gc
from collections.abc import Callable
from time import monotonic

from router.core.peak import Peak
from router.core.stats import Vitals

_HALF_S = 30.0


class VitalSigns:
    """Keeps `vitals` up to date, from the moment on that it is made until `close`."""

    def __init__(self, vitals: Vitals | None = None) -> None:
        now = monotonic()
        self.vitals = Vitals() if vitals is None else vitals
        self._longest_lag = Peak(_HALF_S, now)
        self._longest_pause = Peak(_HALF_S, now)
        self._pause_began = now
        gc.callbacks.append(self._collect)

    async def watch(self, every_s: float, then: Callable[[], None]) -> None:
        """Measure how late the event loop is, and call `then`, every `every_s` seconds for ever."""
        while True:
            due = monotonic() + every_s
            await asyncio.sleep(every_s)
            self.tick(max(0.0, monotonic() - due))
            then()

    def tick(self, lag_s: float) -> None:
        """To be called every now and then, with the seconds by which the event loop was late this time."""
        now = monotonic()
        vitals = self.vitals
        self._longest_lag.add(lag_s, now)
        vitals.loop_lag_s = lag_s
        vitals.loop_lag_max_s = self._longest_lag.largest(now)
        vitals.gc_pause_max_s = self._longest_pause.largest(now)

    def close(self) -> None:
        """Measure no more."""
        gc.callbacks.remove(self._collect)

    def _collect(self, phase: str, _info: dict[str, int]) -> None:
        """What the collector calls before and after; one collection is over before the next begins."""
        now = monotonic()
        if phase == "start":
            self._pause_began = now
            return
        pause_s = now - self._pause_began
        self.vitals.gc_pauses += 1
        self.vitals.gc_pause_sum_s += pause_s
        self._longest_pause.add(pause_s, now)

"""The largest value of a while, for those who look less often than values come."""


class Peak:
    """Remembers the largest of the values that came within the last `half_s` to twice `half_s` seconds.

    So whoever looks every `half_s` seconds misses none, and each is forgotten soon after.

    Args:
        now: Seconds on the caller's monotonic clock.
    """

    __slots__ = ("_before", "_ends", "_half_s", "_largest")

    def __init__(self, half_s: float, now: float) -> None:
        self._half_s = half_s
        self._ends = now + half_s
        self._largest = 0.0
        self._before = 0.0  # of the half that is over

    def __repr__(self) -> str:
        return f"Peak({self._largest:g}, before {self._before:g})"

    def add(self, value: float, now: float) -> None:
        """One more value, 0 or above."""
        self._turn(now)
        self._largest = max(self._largest, value)

    def largest(self, now: float) -> float:
        """The largest that is remembered; 0 if there is none."""
        self._turn(now)
        return max(self._largest, self._before)

    def _turn(self, now: float) -> None:
        if now < self._ends:
            return
        self._before = self._largest if now < self._ends + self._half_s else 0.0
        self._largest = 0.0
        self._ends = now + self._half_s

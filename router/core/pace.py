"""How late a body may be that comes in pieces: silent for so long, or behind the slowest pace that is borne."""


class Pace:
    """Of one body. What its client is behind adds up; being ahead earns nothing, so a fast start buys no slow end.

    Args:
        idle_s: How long the body may be silent, and how far it may fall behind in all.
        min_bytes_per_s: The slowest pace; 0 for any.
        now: Monotonic seconds, as everywhere here.
    """

    __slots__ = ("_late_s", "_min_bytes_per_s", "_since", "idle_s")

    def __init__(self, idle_s: float, min_bytes_per_s: float, now: float) -> None:
        self.idle_s = idle_s
        self._min_bytes_per_s = min_bytes_per_s
        self._late_s = 0.0
        self._since = now

    def came(self, size: int, now: float) -> None:
        """So many bytes more are here."""
        if self._min_bytes_per_s:
            self._late_s = max(0.0, self._late_s + now - self._since - size / self._min_bytes_per_s)
        self._since = now

    def resume(self, now: float) -> None:
        """From now on the client is waited for again: the time until now was not its own."""
        self._since = now

    @property
    def deadline(self) -> float:
        """When the body is too late if nothing more comes."""
        return self._since + self.idle_s - self._late_s

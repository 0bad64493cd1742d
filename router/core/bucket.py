"""A token bucket in bytes, computed from elapsed time."""

from router.core.ledger import Row


class TokenBucket:
    """Holds up to `burst` bytes and refills at `rate` bytes per second; starts full.

    Args:
        rate: Bytes per second, above 0.
        burst: Size in bytes; an amount over it can never be taken.
        now: Seconds on the caller's monotonic clock.
    """

    __slots__ = ("_level", "_then", "burst", "rate")

    def __init__(self, *, rate: float, burst: float, now: float) -> None:
        self.rate = rate
        self.burst = burst
        self._level = burst
        self._then = now

    def __repr__(self) -> str:
        return f"TokenBucket({self._level:.0f} of {self.burst:.0f} bytes, {self.rate:.0f}/s)"

    def level(self, now: float) -> float:
        """Bytes in the bucket at `now`; below 0 while reserved bytes are still to be paid."""
        if now > self._then:
            self._level = min(self.burst, self._level + (now - self._then) * self.rate)
            self._then = now
        return self._level

    def take(self, amount: int, now: float) -> bool:
        """Take `amount` bytes if they are there; take nothing and return False if not.

        Args:
            now: Seconds on the caller's monotonic clock. May repeat; stepping back refills nothing.
        """
        if self.level(now) < amount:
            return False
        self._level -= amount
        return True

    def reserve(self, amount: int, now: float) -> float:
        """Take `amount` bytes in any case and return the seconds to wait until they would have been there."""
        self._level = self.level(now) - amount
        return max(0.0, -self._level / self.rate)

    def resize(self, *, rate: float, burst: float, now: float) -> None:
        """Change rate and size, keeping what is in the bucket as far as it fits."""
        self._level = min(self.level(now), burst)
        self.rate = rate
        self.burst = burst

    def close(self) -> None:
        """Nothing will be taken any more."""


class SharedBucket(TokenBucket):
    """A bucket that several proxies take from, each of which knows the level from what all have taken.

    In the long run the rate holds for the sum. At once it may be passed by what others took since this proxy last
    looked, so it looks from time to time, also if it needs nothing. It starts full, as for one proxy alone, but empty
    where others have taken before: nobody knows how much of that has come back.
    """

    __slots__ = ("_row", "_seen")

    def __init__(self, *, rate: float, burst: float, now: float, row: Row) -> None:
        super().__init__(rate=rate, burst=burst, now=now)
        self._row = row
        self._seen = row.others()
        if any(self._seen):
            self._level = 0.0

    def level(self, now: float) -> float:
        taken = self._row.others()
        if taken != self._seen:
            for seen, bytes_taken in zip(self._seen, taken, strict=True):
                # A proxy that was started again counts from 0.
                self._level -= bytes_taken - seen if bytes_taken >= seen else bytes_taken
            self._seen = taken
        return TokenBucket.level(self, now)  # `super` is unknown to a compiled method that others call directly

    def take(self, amount: int, now: float) -> bool:
        is_taken = TokenBucket.take(self, amount, now)
        if is_taken:
            self._row.add(amount)
        return is_taken

    def reserve(self, amount: int, now: float) -> float:
        self._row.add(amount)
        return TokenBucket.reserve(self, amount, now)

    def close(self) -> None:
        self._row.close()

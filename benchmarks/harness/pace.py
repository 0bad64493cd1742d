"""An open loop's arrivals, and what is told about the answers: pure arithmetic."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from harness.wrk import Answers

Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Requests that come on their own, `per_second` on average, whatever the system does with those before them.

    They come in a Poisson process: the waits between them are independent, as those of many clients are.
    """

    per_second: float
    seconds: float
    connections: int = 64
    seed: int = 0


def arrivals(pace: Pace) -> list[int]:
    """When each request is due, in nanoseconds after the start."""
    source = random.Random(pace.seed)
    due: list[int] = []
    at_s = source.expovariate(pace.per_second)
    while at_s < pace.seconds:
        due.append(round(at_s * 1e9))
        at_s += source.expovariate(pace.per_second)
    return due


def percentile(ordered: Sequence[Number], percent: float) -> Number:
    """The least of the values that at least `percent` of all do not exceed (nearest rank).

    Raises:
        ValueError: there are no values.
    """
    if not ordered:
        raise ValueError("no values")
    rank = -(-len(ordered) * percent // 100)  # rounded up
    return ordered[max(0, int(rank) - 1)]


def answers(*, latency_ns: Sequence[int], late_ns: Sequence[int], duration_ns: int, errors: int) -> Answers:
    """What clients saw: `latency_ns` from the time when each request was due, `late_ns` until it was sent."""
    latency, late = sorted(latency_ns), sorted(late_ns)
    return Answers(
        requests=len(latency),
        duration_s=duration_ns / 1e9,
        p50_ms=percentile(latency, 50) / 1e6,
        p99_ms=percentile(latency, 99) / 1e6,
        late_p50_ms=percentile(late, 50) / 1e6,
        late_p99_ms=percentile(late, 99) / 1e6,
        errors=errors,
    )

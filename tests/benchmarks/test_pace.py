"""When an open loop's requests are due, and what is told of their answers."""

from itertools import pairwise

import pytest
from harness.pace import Pace, answers, arrivals, percentile

PACE = Pace(per_second=1000, seconds=10, seed=1)


def test_requests_come_at_the_rate() -> None:
    """1,000 per second for 10 seconds are about 10,000 (300 is three standard deviations)."""
    assert len(arrivals(PACE)) == pytest.approx(10_000, abs=300)


def test_requests_come_in_order_until_the_end() -> None:
    """No request is due before the one ahead of it, or after the run."""
    due = arrivals(PACE)
    assert due == sorted(due)
    assert 0 <= due[0] < due[-1] < 10_000_000_000


def test_waits_are_those_of_independent_clients() -> None:
    """In a Poisson process 1/e of all waits, 36.8 %, are longer than the mean of 1 ms."""
    due = arrivals(PACE)
    longer = sum(after - before > 1_000_000 for before, after in pairwise(due))
    assert longer / len(due) == pytest.approx(0.368, abs=0.02)


def test_a_seed_gives_the_same_arrivals_again() -> None:
    """Systems that are compared in a round get the same."""
    assert arrivals(PACE) == arrivals(Pace(per_second=1000, seconds=10, seed=1))


def test_another_seed_gives_others() -> None:
    """Rounds differ."""
    assert arrivals(PACE) != arrivals(Pace(per_second=1000, seconds=10, seed=2))


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([7], 50, 7),
        ([7], 99, 7),
        ([1, 2], 50, 1),
        ([1, 2, 3], 50, 2),
        (list(range(1, 101)), 50, 50),
        (list(range(1, 101)), 99, 99),
        (list(range(1, 102)), 99, 100),
        (list(range(1, 101)), 100, 100),
    ],
)
def test_percentile_is_one_of_the_values(values: list[int], percent: float, expected: int) -> None:
    """The least value that at least so many percent of all do not exceed."""
    assert percentile(values, percent) == expected


def test_percentile_of_nothing_is_refused() -> None:
    """A run without answers has no latency, not one of 0."""
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


def test_latency_and_lateness_come_out_in_milliseconds() -> None:
    """Nanoseconds go in, in any order."""
    found = answers(
        latency_ns=[3_000_000, 1_000_000, 2_000_000], late_ns=[9_000, 1_000, 2_000], duration_ns=10**9, errors=1
    )
    assert (found.p50_ms, found.p99_ms, found.late_p50_ms, found.late_p99_ms) == (2.0, 3.0, 0.002, 0.009)
    assert (found.requests, found.good, found.per_second) == (3, 2, 2.0)

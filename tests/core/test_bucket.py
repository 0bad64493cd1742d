"""The token bucket, by literal times and amounts."""

import pytest

from router.core.bucket import TokenBucket


def bucket() -> TokenBucket:
    return TokenBucket(rate=10.0, burst=100.0, now=1000.0)


def test_it_starts_full() -> None:
    """A new bucket gives its whole burst at once."""
    assert bucket().take(100, 1000.0)


def test_a_take_that_is_too_large_takes_nothing() -> None:
    """A refused amount leaves the level as it was."""
    one = bucket()
    assert not one.take(101, 1000.0)
    assert one.level(1000.0) == 100.0


@pytest.mark.parametrize(
    ("now", "level"), [(1000.0, 0.0), (1000.5, 5.0), (1009.9, 99.0), (1010.0, 100.0), (9999.0, 100.0), (999.0, 0.0)]
)
def test_it_refills_with_time_up_to_its_size(now: float, level: float) -> None:
    """The level follows elapsed time, never above the burst; a clock that steps back refills nothing."""
    one = bucket()
    one.take(100, 1000.0)
    assert one.level(now) == pytest.approx(level)


def test_a_clock_that_steps_back_and_forth_refills_once() -> None:
    """Time that was refilled already is not refilled again."""
    one = bucket()
    one.take(100, 1000.0)
    assert [one.level(now) for now in (1001.0, 1000.0, 1001.0, 1002.0)] == [10.0, 10.0, 10.0, 20.0]


def test_what_exceeds_the_burst_can_never_be_taken() -> None:
    """No waiting makes an amount above the burst fit."""
    assert not bucket().take(101, 10_000.0)


@pytest.mark.parametrize(("amount", "delay"), [(0, 0.0), (100, 0.0), (110, 1.0), (600, 50.0)])
def test_a_reservation_says_how_long_to_wait(amount: int, delay: float) -> None:
    """What is not there is owed: the wait is the debt over the rate."""
    assert bucket().reserve(amount, 1000.0) == delay


def test_reservations_queue_up() -> None:
    """A second reservation waits for the first one's debt too."""
    one = bucket()
    assert [one.reserve(100, 1000.0), one.reserve(50, 1000.0), one.reserve(50, 1000.0)] == [0.0, 5.0, 10.0]


def test_a_smaller_bucket_keeps_what_fits() -> None:
    """Resizing keeps the level up to the new size and refills at the new rate."""
    one = bucket()
    one.resize(rate=1.0, burst=30.0, now=1000.0)
    assert one.level(1000.0) == 30.0
    one.take(30, 1000.0)
    assert one.level(1002.0) == 2.0


def test_a_larger_bucket_is_not_filled_by_resizing() -> None:
    """Resizing gives no bytes away, and settles the old rate first."""
    one = bucket()
    one.take(100, 1000.0)
    one.resize(rate=1000.0, burst=1000.0, now=1001.0)
    assert one.level(1001.0) == 10.0

"""The token bucket, by literal times and amounts."""

import pytest

from router.core.bucket import SharedBucket, TokenBucket
from router.core.ledger import RESERVED
from tests.core.several_proxies import Proxies


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


# Shared


def shared(proxies: Proxies, slot: int, now: float = 1000.0) -> SharedBucket:
    return SharedBucket(rate=10.0, burst=100.0, now=now, row=proxies.ledgers[slot].row(RESERVED))


def test_what_one_proxy_takes_is_missing_for_the_others() -> None:
    """The burst is there once, and may be taken by one proxy."""
    proxies = Proxies(2)
    one, other = shared(proxies, 0), shared(proxies, 1)
    assert one.take(80, 1000.0)
    assert not other.take(21, 1000.0)
    assert other.take(20, 1000.0)
    assert (one.level(1000.0), other.level(1000.0)) == (0.0, 0.0)


def test_the_rate_holds_for_the_sum() -> None:
    """What flows in may be taken by whoever needs it, and is there once."""
    proxies = Proxies(2)
    one, other = shared(proxies, 0), shared(proxies, 1)
    assert one.take(100, 1000.0)
    assert other.level(1000.0) == 0.0
    assert one.take(50, 1005.0)
    assert not other.take(1, 1005.0)
    assert other.take(10, 1006.0)
    assert one.level(1007.0) == 10.0


def test_reserved_bytes_delay_every_proxy() -> None:
    """Whoever comes later waits for what all have reserved."""
    proxies = Proxies(2)
    one, other = shared(proxies, 0), shared(proxies, 1)
    assert one.reserve(150, 1000.0) == 5.0
    assert other.reserve(20, 1000.0) == 7.0


def test_a_proxy_that_starts_again_counts_from_nothing() -> None:
    """What its predecessor took is not given back, and what it takes itself is missing."""
    proxies = Proxies(2)
    one, other = shared(proxies, 0), shared(proxies, 1)
    assert other.take(60, 1000.0)
    assert one.level(1000.0) == 40.0
    proxies.end(1)
    assert one.level(1000.0) == 40.0
    other = shared(proxies, 1)
    assert other.take(10, 1000.0)
    assert one.level(1000.0) == 30.0


def test_a_proxy_that_comes_late_starts_with_an_empty_bucket() -> None:
    """What others took before may be missing still."""
    proxies = Proxies(2)
    assert shared(proxies, 0).take(60, 1000.0)
    late = shared(proxies, 1, now=1003.0)
    assert not late.take(1, 1003.0)
    assert late.take(10, 1004.0)


def test_a_closed_bucket_leaves_an_empty_row() -> None:
    """For whatever comes into it next."""
    proxies = Proxies(2)
    one = shared(proxies, 0)
    one.take(60, 1000.0)
    one.close()
    assert proxies.ledgers[1].row(RESERVED).total() == 0
    assert proxies.ledgers[0].kept == ()

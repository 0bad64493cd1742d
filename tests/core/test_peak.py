"""The largest value of a while."""

import pytest

from router.core.peak import Peak


def test_nothing_is_0() -> None:
    """Without values there is no peak."""
    assert Peak(30.0, now=0.0).largest(now=5.0) == 0.0


def test_the_largest_is_kept_whatever_follows() -> None:
    """A smaller value after it changes nothing."""
    peak = Peak(30.0, now=0.0)
    peak.add(0.2, now=1.0)
    peak.add(0.7, now=2.0)
    peak.add(0.1, now=3.0)
    assert peak.largest(now=4.0) == 0.7


@pytest.mark.parametrize(("now", "expected"), [(29.0, 0.7), (30.0, 0.7), (59.0, 0.7), (60.0, 0.0), (1000.0, 0.0)])
def test_a_value_is_remembered_for_one_to_two_halves(now: float, expected: float) -> None:
    """Whoever looks every 30 s sees it once at least; a quiet time forgets it."""
    peak = Peak(30.0, now=0.0)
    peak.add(0.7, now=2.0)
    assert peak.largest(now) == expected


@pytest.mark.parametrize(("now", "expected"), [(31.0, 0.7), (60.0, 0.7), (61.5, 0.2), (89.0, 0.2), (95.0, 0.0)])
def test_values_move_on_half_by_half(now: float, expected: float) -> None:
    """What came in the second half outlives what came in the first."""
    peak = Peak(30.0, now=0.0)
    peak.add(0.7, now=2.0)
    peak.add(0.2, now=31.0)
    assert peak.largest(now) == expected

"""How late a body may be that comes in pieces."""

from router.core.pace import Pace


def test_silence_is_borne_for_so_long() -> None:
    """From the beginning, and from each piece on, where any pace will do."""
    pace = Pace(30.0, 0.0, now=100.0)
    assert pace.deadline == 130.0
    pace.came(1, now=120.0)
    assert pace.deadline == 150.0


def test_what_is_behind_the_slowest_pace_adds_up() -> None:
    """A byte a second of a thousand: all but a millisecond of each second is taken from the patience."""
    pace = Pace(30.0, 1000.0, now=100.0)
    pace.came(1, now=101.0)
    pace.came(1, now=102.0)
    assert round(pace.deadline, 3) == 102.0 + 30.0 - 1.998


def test_being_ahead_earns_nothing() -> None:
    """A fast start buys no slow end."""
    pace = Pace(30.0, 1000.0, now=100.0)
    pace.came(1_000_000, now=101.0)
    assert pace.deadline == 131.0


def test_the_time_of_others_is_not_counted() -> None:
    """Until the client is waited for again."""
    pace = Pace(30.0, 1000.0, now=100.0)
    pace.resume(now=150.0)
    pace.came(1000, now=151.0)
    assert pace.deadline == 181.0

"""Numbers as text."""

import pytest

from router.core.digits import milliseconds, whole


@pytest.mark.parametrize(
    ("number", "text"), [(0, b"0"), (89, b"89"), (999, b"999"), (1000, b"1000"), (2**40, b"1099511627776")]
)
def test_a_whole_number(number: int, text: bytes) -> None:
    """Without leading zeros, however large."""
    assert whole(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((0.0, b"0.000"), (0.0000004, b"0.000"), (0.0000006, b"0.001"), (0.00125, b"1.250"), (0.25, b"250.000")),
        *((0.9998999, b"999.900"), (0.9999996, b"1000.000"), (1.5, b"1500.000"), (61.0, b"61000.000")),
        (-0.0015, b"-1.500"),
    ],
)
def test_milliseconds_have_three_decimals(seconds: float, text: bytes) -> None:
    """Rounded to the nearest microsecond, also for times of seconds and for clocks that step back."""
    assert milliseconds(seconds) == text

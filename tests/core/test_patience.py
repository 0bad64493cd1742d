"""When a silent process counts as stuck."""

import pytest

from router.core.patience import Patience


@pytest.mark.parametrize(
    ("silence_s", "has_spoken", "is_stopped", "is_over"),
    [
        (14.9, True, False, False),
        (15.0, True, False, True),
        (59.9, False, False, False),
        (60.0, False, False, True),
        (1.9, True, True, False),
        (2.0, True, True, True),
        (59.9, False, True, False),
        (60.0, False, True, True),
    ],
)
def test_who_runs_or_starts_is_borne_with_for_longer(
    silence_s: float, has_spoken: bool, is_stopped: bool, is_over: bool
) -> None:
    """A busy process has seconds, one that starts a minute, one that was there and cannot run two seconds."""
    assert Patience().is_over(silence_s, has_spoken=has_spoken, is_stopped=is_stopped) is is_over

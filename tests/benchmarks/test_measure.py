"""Turns."""

from harness.measure import in_turns


def test_every_second_round_goes_backwards() -> None:
    """Nobody always comes first."""
    assert list(in_turns("ab", 3)) == [(0, "a"), (0, "b"), (1, "b"), (1, "a"), (2, "a"), (2, "b")]

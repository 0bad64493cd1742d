"""What the Locust profile decides."""

import random

import pytest
from harness.profile import Ramp, statistics_name, vary

RAMP = Ramp(warm_users=2, warm_s=10, peak_users=52, ramp_s=20, hold_s=30)


@pytest.mark.parametrize(
    ("elapsed_s", "users"), [(0, 2), (9.9, 2), (10, 2), (20, 27), (30, 52), (59.9, 52), (60, None)]
)
def test_users_warm_up_then_ramp_then_hold(elapsed_s: float, users: int | None) -> None:
    """2 users for 10 s, up to 52 in 20 s, 52 for 30 s, then the end."""
    assert RAMP.users_at(elapsed_s) == users


def test_ramp_of_no_length_jumps_to_the_peak() -> None:
    """After the warm-up all users are there at once."""
    assert Ramp(warm_users=1, warm_s=1, peak_users=9, ramp_s=0, hold_s=5).users_at(1) == 9


def test_variation_stays_within_two_percent() -> None:
    """A row keeps its shape and every number is near the sample's."""
    [row] = vary([[100.0, -50.0, 0.0]], random.Random(1))
    assert row == [pytest.approx(100, rel=0.02), pytest.approx(-50, rel=0.02), 0.0]


def test_two_requests_differ() -> None:
    """The same rows are never sent twice."""
    source = random.Random(1)
    assert vary([[1.0]], source) != vary([[1.0]], source)


@pytest.mark.parametrize(
    ("headers", "is_pinned", "name"),
    [
        ({"azureml-model-deployment": "blue"}, False, "blue"),
        ({"azureml-model-deployment": "green"}, True, "green (pinned)"),
        ({}, False, "no deployment"),
        (None, True, "no deployment"),
    ],
)
def test_answer_is_counted_by_its_deployment(headers: dict[str, str] | None, is_pinned: bool, name: str) -> None:
    """The deployment that answered names the line; a refusal has a line of its own."""
    assert statistics_name(headers, is_pinned) == name

"""Which instances start and which drain next."""

import pytest

from router.core.lifecycle import State
from router.core.rollout import Present, Step, is_settled, next_step


def at(number: int, version: str, state: State = State.READY, has_served: bool | None = None) -> Present:
    """An instance; one that is ready has served, one that starts has not, unless said otherwise."""
    served = state not in (State.STARTING, State.BACKOFF) if has_served is None else has_served
    return Present(number=number, version=version, state=state, has_served=served)


def test_nothing_there_starts_all() -> None:
    """A new deployment starts all of its instances at once."""
    assert next_step("a", 3, []) == Step(start=(0, 1, 2))


def test_what_is_wanted_is_left_alone() -> None:
    """Nothing to start, nothing to drain."""
    assert next_step("a", 2, [at(0, "a"), at(1, "a")]) == Step()


@pytest.mark.parametrize("state", [State.STARTING, State.BACKOFF, State.UNREADY, State.FAILING])
def test_instance_that_is_down_keeps_its_place(state: State) -> None:
    """It comes back by its own back-off; no other is started for it."""
    assert next_step("a", 2, [at(0, "a"), at(1, "a", state, has_served=True)]) == Step()


def test_scaling_up_starts_the_difference_under_free_numbers() -> None:
    """Numbers in use are not given again, and gaps are filled."""
    assert next_step("a", 4, [at(0, "a"), at(2, "a", State.DRAINING)]) == Step(start=(1, 3, 4))


def test_scaling_down_drains_the_difference_highest_first() -> None:
    """Of equals, the last ones go."""
    assert next_step("a", 1, [at(0, "a"), at(1, "a"), at(2, "a")]) == Step(drain=(2, 1))


def test_scaling_down_drains_what_serves_nobody_first() -> None:
    """An instance that is down goes before one that works."""
    assert next_step("a", 1, [at(0, "a", State.BACKOFF), at(1, "a")]) == Step(drain=(0,))


def test_scaling_to_nothing_drains_all() -> None:
    """No instance is wanted."""
    assert next_step("a", 0, [at(0, "a")]) == Step(drain=(0,))


def test_new_version_starts_one_before_anything_is_drained() -> None:
    """New first, one at a time."""
    assert next_step("b", 2, [at(0, "a"), at(1, "a")]) == Step(start=(2,))


def test_old_stays_until_the_new_one_is_ready() -> None:
    """While init() runs, or fails again and again, nothing moves."""
    old = [at(0, "a"), at(1, "a")]
    assert next_step("b", 2, [*old, at(2, "b", State.STARTING)]) == Step()
    assert next_step("b", 2, [*old, at(2, "b", State.BACKOFF)]) == Step()


def test_new_one_that_is_ready_replaces_one_old_one() -> None:
    """One surplus at a time."""
    assert next_step("b", 2, [at(0, "a"), at(1, "a"), at(2, "b")]) == Step(drain=(1,))


def test_next_new_one_waits_until_the_old_one_has_gone() -> None:
    """At most one process more than wanted runs, those that drain included."""
    assert next_step("b", 2, [at(0, "a"), at(1, "a", State.DRAINING), at(2, "b")]) == Step()
    assert next_step("b", 2, [at(0, "a"), at(2, "b")]) == Step(start=(1,))


def test_roll_that_also_grows_starts_the_growth_at_once() -> None:
    """Two old, four wanted: three new ones fit."""
    assert next_step("b", 4, [at(0, "a"), at(1, "a")]) == Step(start=(2, 3, 4))


def test_roll_that_also_shrinks_drains_the_difference_first() -> None:
    """Three old, one wanted: one old one is enough until the new one is ready."""
    assert next_step("b", 1, [at(0, "a"), at(1, "a"), at(2, "a")]) == Step(drain=(2, 1))


def test_old_one_that_is_down_is_replaced_first() -> None:
    """Readiness is not given up where a dead one can go."""
    assert next_step("b", 2, [at(0, "a", State.UNREADY), at(1, "a"), at(2, "b")]) == Step(drain=(0,))


def test_old_ones_that_never_served_go_at_once() -> None:
    """A repaired script does not wait for the broken one."""
    broken = [at(0, "a", State.BACKOFF), at(1, "a", State.STARTING)]
    assert next_step("b", 2, broken) == Step(start=(2, 3), drain=(0, 1))


def test_return_to_the_old_version_keeps_it_and_drops_the_new_one() -> None:
    """The instances of the wanted version are there; what had been begun is undone."""
    there = [at(0, "a"), at(1, "a"), at(2, "b", State.BACKOFF)]
    assert next_step("a", 2, there) == Step(drain=(2,))
    assert next_step("a", 2, [at(0, "a"), at(1, "a"), at(2, "b")]) == Step(drain=(2,))


def test_return_half_way_rolls_back_new_first() -> None:
    """One of each is ready: another of the wanted version starts before the other goes."""
    assert next_step("a", 2, [at(0, "a"), at(1, "b")]) == Step(start=(2,))


def test_deployment_that_leaves_and_returns_does_not_wait() -> None:
    """What still drains from before does not hold up what is wanted now."""
    assert next_step("a", 1, [at(0, "a", State.DRAINING)]) == Step(start=(1,))


def test_settled_means_exactly_what_is_wanted_and_ready() -> None:
    """Leaving ones do not count; old, missing and unready ones do."""
    assert is_settled("a", 1, [at(0, "a"), at(1, "b", State.DRAINING)])
    assert is_settled("a", 0, [])
    assert not is_settled("a", 1, [])
    assert not is_settled("a", 1, [at(0, "a", State.UNREADY)])
    assert not is_settled("a", 1, [at(0, "b")])
    assert not is_settled("a", 1, [at(0, "a"), at(1, "b")])

"""When live traffic follows the config."""

from collections.abc import Mapping

import pytest

from router.control.config.deployment import DeploymentConfig
from router.control.config.schema import EndpointConfig
from router.control.states import DeploymentKey
from router.control.switchover import IsReady, Switchover


def endpoint(traffic: Mapping[str, float], **fields: object) -> EndpointConfig:
    """Its deployments are those that `traffic` names."""
    deployments = {name: DeploymentConfig(upstreams=(f"http://{name}:1",)) for name in traffic}
    return EndpointConfig.model_validate({"traffic": traffic, "deployments": deployments, **fields})


def ready(*names: str) -> IsReady:
    keys = {DeploymentKey(("churn", name)) for name in names}
    return keys.__contains__


def following(switchover: Switchover, config: EndpointConfig, is_ready: IsReady) -> EndpointConfig:
    switchover.follow({"churn": config})
    return switchover.in_force(is_ready)["churn"]


def traffic_after(before: Mapping[str, float], wanted: Mapping[str, float], is_ready: IsReady) -> Mapping[str, float]:
    switchover = Switchover()
    following(switchover, endpoint(before), is_ready)
    return following(switchover, endpoint(wanted), is_ready).traffic


BLUE, GREEN, BOTH, OFF = {"blue": 100}, {"green": 100}, {"blue": 50, "green": 50}, {"blue": 0}


@pytest.mark.parametrize(
    ("before", "wanted", "is_ready", "expected"),
    [
        (BLUE, GREEN, ready("blue", "green"), GREEN),
        (BLUE, GREEN, ready("blue"), BLUE),
        (BLUE, GREEN, ready("green"), GREEN),
        (BLUE, GREEN, ready(), BLUE),  # blue may come back sooner than green comes
        (BLUE, BOTH, ready("blue"), BLUE),
        (BLUE, BOTH, ready("green"), BLUE | BOTH),
        (BOTH, GREEN, ready("blue"), BOTH),  # green carries weight already, and cannot take more
        (BOTH, GREEN, ready("green"), GREEN),
        (BOTH, BLUE, ready("blue"), BLUE),
        (OFF, GREEN, ready(), GREEN),
        (BLUE, OFF, ready("blue"), OFF),
    ],
)
def test_weights_wait_for_those_that_gain(
    before: Mapping[str, float], wanted: Mapping[str, float], is_ready: IsReady, expected: Mapping[str, float]
) -> None:
    """An endpoint keeps its weights until everything that gains is ready, or only the new side can serve."""
    assert traffic_after(before, wanted, is_ready) == expected


def test_the_first_config_is_in_force_at_once() -> None:
    """There is nothing before it that could serve."""
    assert following(Switchover(), endpoint(GREEN), ready()).traffic == GREEN


def test_a_removed_deployment_stays_as_long_as_it_carries_the_traffic() -> None:
    """It goes with its weight."""
    switchover = Switchover()
    following(switchover, endpoint(BLUE), ready("blue"))
    assert set(following(switchover, endpoint(GREEN), ready("blue")).deployments) == {"blue", "green"}
    assert set(switchover.in_force(ready("blue", "green"))["churn"].deployments) == {"green"}


def test_what_carries_the_traffic_is_not_scaled_to_nothing() -> None:
    """`instance_count: 0` counts once the traffic has moved."""
    switchover = Switchover()
    before = endpoint({"blue": 100, "green": 0})
    following(switchover, before, ready("blue"))
    empty = before.deployments["blue"].model_copy(update={"instance_count": 0})
    wanted = before.model_copy(update={"traffic": GREEN, "deployments": {**before.deployments, "blue": empty}})
    assert following(switchover, wanted, ready("blue")).deployments["blue"].instance_count == 1
    assert switchover.in_force(ready("blue", "green"))["churn"].deployments["blue"].instance_count == 0


def test_all_but_the_weights_follows_at_once() -> None:
    """A held endpoint has the new settings."""
    switchover = Switchover()
    following(switchover, endpoint(BLUE), ready("blue"))
    held = following(switchover, endpoint(GREEN, idempotent=True), ready("blue"))
    assert (held.idempotent, held.traffic) == (True, BLUE)


def test_a_target_of_copies_that_still_carries_traffic_gets_none() -> None:
    """Blue becomes the mirror's target when it has handed over."""
    switchover = Switchover()
    following(switchover, endpoint({"blue": 100, "green": 0}), ready("blue"))
    wanted = endpoint({"blue": 0, "green": 100}, mirror_traffic={"blue": 10})
    assert following(switchover, wanted, ready("blue")).mirror_traffic == {}
    assert switchover.in_force(ready("blue", "green"))["churn"].mirror_traffic == {"blue": 10}


def test_a_held_endpoint_says_what_it_waits_for() -> None:
    """Only until it is there, or the file takes it back."""
    switchover = Switchover()
    following(switchover, endpoint(BLUE), ready("blue"))
    following(switchover, endpoint(GREEN), ready("blue"))
    reason = "traffic stays as it was until green has a ready instance"
    assert switchover.held(ready("blue")) == {"churn": reason}
    following(switchover, endpoint(BLUE), ready("blue"))
    assert switchover.held(ready("blue")) == {}


def test_an_endpoint_that_comes_back_begins_anew() -> None:
    """What it did before it left the file holds nothing up."""
    switchover = Switchover()
    following(switchover, endpoint(BLUE), ready("blue"))
    switchover.follow({})
    assert switchover.in_force(ready("blue")) == {}
    assert following(switchover, endpoint(GREEN), ready("blue")).traffic == GREEN

"""Every rule is applied to a config, with the path of the field that breaks it."""

from collections.abc import Mapping

import pytest

from router.control.config.schema import RouterConfig
from router.control.config.validate import config_breaches, transition_breaches

UPSTREAM = {"upstreams": ["http://127.0.0.1:9100"]}
CODE = {"code_configuration": {"code": "c", "scoring_script": "s.py"}}


def places(**fields: object) -> list[str]:
    return [".".join(map(str, breach.path)) for breach in config_breaches(RouterConfig.model_validate(fields))]


def places_in_endpoint(**fields: object) -> list[str]:
    return places(endpoints={"churn": fields})


def test_a_config_that_keeps_every_rule_has_no_breaches() -> None:
    """Two deployments and a mirror."""
    deployments = {"blue": CODE, "green": UPSTREAM}
    assert places_in_endpoint(traffic={"blue": 100}, mirror_traffic={"green": 10}, deployments=deployments) == []


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"traffic": {"blue": 90}, "deployments": {"blue": UPSTREAM}}, "traffic"),
        ({"traffic": {"grey": 100}}, "traffic.grey"),
        ({"mirror_traffic": {"blue": 60}, "deployments": {"blue": UPSTREAM}}, "mirror_traffic"),
        ({"deployments": {"b": UPSTREAM}}, "deployments.b"),
        ({"deployments": {f"dep-{n}": UPSTREAM for n in range(21)}}, "deployments"),
        ({"deployments": {"blue": {**UPSTREAM, "name": "green"}}}, "deployments.blue.name"),
        ({"deployments": {"blue": {**UPSTREAM, "endpoint_name": "x"}}}, "deployments.blue.endpoint_name"),
        (
            {"deployments": {"blue": {"upstreams": ["unix:/x", "http://localhost:8080"]}}},
            "deployments.blue.upstreams.1",
        ),
        (
            {"traffic": {"blue": 100}, "deployments": {"blue": {**CODE, "instance_count": 0}}},
            "deployments.blue.instance_count",
        ),
        ({"name": "other"}, "name"),
    ],
)
def test_a_breach_in_an_endpoint_has_its_path(fields: dict[str, object], expected: str) -> None:
    """From the top of the file."""
    assert places_in_endpoint(**fields) == [f"endpoints.churn.{expected}"]


def test_instance_count_of_upstreams_does_not_count() -> None:
    """Their instances are the upstreams."""
    deployments = {"blue": {**UPSTREAM, "instance_count": 0}}
    assert places_in_endpoint(traffic={"blue": 100}, deployments=deployments) == []


def test_breaches_outside_of_endpoints_have_their_path() -> None:
    """Names of endpoints, the admin address, and no authentication on an open listener."""
    assert places(admin={"http": "0.0.0.0:1"}) == ["admin.http"]
    assert places(endpoints={"churn": {}, "CHURN": {}}) == ["endpoints.CHURN"]
    assert places(listen="0.0.0.0:1", endpoints={"churn": {"auth_mode": "none"}}) == ["endpoints.churn.auth_mode"]


def in_transition(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    """What going over from one config of the endpoint to another breaks."""
    configs = (RouterConfig.model_validate({"endpoints": {"churn": fields}}) for fields in (before, after))
    return [f"{'.'.join(map(str, breach.path))}: {breach.message}" for breach in transition_breaches(*configs)]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {}),
        ({}, {"a": "1"}),
        ({"a": "1"}, {"b": "2", "a": "1"}),
        ({"a": 1, "b": True}, {"a": "1", "b": "true"}),
    ],
)
def test_properties_may_be_added(before: dict[str, object], after: dict[str, object]) -> None:
    """To an endpoint and to a deployment; values are text, however they are written."""
    blue = [{"deployments": {"blue": {**UPSTREAM, "properties": fields}}} for fields in (before, after)]
    assert in_transition({"properties": before}, {"properties": after}) == []
    assert in_transition(*blue) == []


def test_properties_of_an_endpoint_stay() -> None:
    """All that are gone or altered are told; names of properties differ in case."""
    before = {"properties": {"a": "1", "b": "2", "c": "3"}}
    assert in_transition(before, {"properties": {"a": "1", "B": "2", "c": "4"}}) == [
        "endpoints.churn.properties.b: was '2'; properties may be added, not removed or altered",
        "endpoints.churn.properties.c: was '3'; properties may be added, not removed or altered",
    ]


def test_properties_of_a_deployment_stay() -> None:
    """Also when it becomes one of another kind."""
    before = {"deployments": {"blue": {**UPSTREAM, "properties": {"a": "1"}}}}
    assert in_transition(before, {"deployments": {"blue": CODE}}) == [
        "endpoints.churn.deployments.blue.properties.a: was '1'; properties may be added, not removed or altered"
    ]


def test_what_goes_takes_its_properties_along() -> None:
    """A deployment, or a whole endpoint; what comes has none to keep."""
    blue = {"deployments": {"blue": {**UPSTREAM, "properties": {"a": "1"}}}}
    green = {"deployments": {"green": {**UPSTREAM, "properties": {"a": "2"}}}}
    gone = RouterConfig.model_validate({"endpoints": {"churn": {"properties": {"a": "1"}, **blue}}})
    assert in_transition(blue, green) == []
    assert transition_breaches(gone, RouterConfig()) == []
    assert transition_breaches(RouterConfig(), gone) == []

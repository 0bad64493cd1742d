"""Every rule is applied to a config, with the path of the field that breaks it."""

import pytest

from router.control.config.schema import RouterConfig
from router.control.config.validate import config_breaches

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

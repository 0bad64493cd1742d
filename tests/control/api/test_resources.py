"""Endpoints and deployments as `show` prints them."""

from typing import Any

import msgspec
import pytest

from router.control.api.messages import Operation
from router.control.api.resources import Resource, deployment_resource, endpoint_resource, endpoint_state
from router.control.config.deployment import DeploymentConfig
from router.control.config.schema import EndpointConfig
from router.control.states import DeploymentKey, DeploymentStatus, InstanceStatus, ProvisioningState

UPSTREAM: dict[str, Any] = {"upstreams": ["http://127.0.0.1:9100"]}
CODE: dict[str, Any] = {"code_configuration": {"code": "/srv/code", "scoring_script": "score.py"}}
KEY = DeploymentKey(("churn", "blue"))


def endpoint(held: str = "", **fields: object) -> Resource:
    config = EndpointConfig.model_validate(fields)
    return endpoint_resource("churn", config, base_url="http://127.0.0.1:8080", state="Succeeded", held=held)


def deployment(status: DeploymentStatus | None = None, **fields: object) -> Resource:
    config = DeploymentConfig.model_validate(fields)
    return deployment_resource(KEY, config, status, weight=90, mirror_percent=0)


def operation(command: str, deployment: str = "") -> Operation:
    return Operation(
        id="1", command=command, endpoint="churn", deployment=deployment, started="2026-01-01T00:00:00.000Z"
    )


def test_an_endpoint_has_azures_fields() -> None:
    """Those that are written, those that are not, and those that the router sets."""
    shown = endpoint(auth_mode="aml_token", tags={"owner": "ann"}, description="Churn")
    expected = {
        "id": "/endpoints/churn",
        "name": "churn",
        "description": "Churn",
        "tags": {"owner": "ann"},
        "properties": {},
        "auth_mode": "aml_token",
        "traffic": {},
        "mirror_traffic": {},
        "kind": "Managed",
        "location": "local",
        "provisioning_state": "Succeeded",
        "scoring_uri": "http://127.0.0.1:8080/api/v1/endpoint/churn/score",
        "openapi_uri": "http://127.0.0.1:8080/api/v1/endpoint/churn/swagger.json",
        "identity": None,
        "compute": None,
        "public_network_access": None,
    }
    assert {name: shown[name] for name in expected} == expected


def test_an_endpoint_has_no_deployments_and_no_second_name() -> None:
    """They are resources of their own; a name that is written in the file is said once."""
    shown = endpoint(name="CHURN", deployments={"blue": UPSTREAM}, **{"$schema": "https://azure"})
    assert shown["name"] == "churn"
    assert {"deployments", "$schema", "schema_url"} & shown.keys() == set()


def test_traffic_lists_every_deployment() -> None:
    """Zeros too, in the order of the file; the mirror has what is written."""
    shown = endpoint(
        traffic={"GREEN": 66.7, "blue": 33.3},
        mirror_traffic={"Grey": 10},
        deployments=dict.fromkeys(["blue", "green", "grey"], UPSTREAM),
    )
    assert msgspec.json.encode(shown["traffic"]) == b'{"blue":33.3,"green":66.7,"grey":0}'
    assert shown["mirror_traffic"] == {"grey": 10}


def test_traffic_that_waits_says_why() -> None:
    """Empty when it does not."""
    assert (endpoint(held="traffic stays as it was")["held"], endpoint()["held"]) == ("traffic stays as it was", "")


def test_a_deployment_has_azures_fields() -> None:
    """With defaults, and what teal adds."""
    shown = deployment(**CODE, model={"path": "/srv/m.pkl"}, instance_count=2, environment_variables={"A": 1})
    expected = {
        "id": "/endpoints/churn/deployments/blue",
        "name": "blue",
        "endpoint_name": "churn",
        "type": "managed",
        "kind": "managed",
        "code_configuration": {"code": "/srv/code", "scoring_script": "score.py"},
        "environment_variables": {"A": "1"},
        "instance_count": 2,
        "scale_settings": {"type": "default"},
        "traffic_percent": 90,
        "mirror_percent": 0,
    }
    assert {name: shown[name] for name in expected} == expected
    assert {"upstreams", "scoring_path", "upgrades"} & shown.keys() == set()


def test_a_deployment_that_runs_elsewhere_has_its_upstreams() -> None:
    """And nothing of what teal does not run."""
    shown = deployment(**UPSTREAM, type="kubernetes")
    assert (shown["upstreams"], shown["kind"], shown["type"]) == (["http://127.0.0.1:9100"], "upstreams", "kubernetes")
    assert {"model", "code_configuration", "environment"} & shown.keys() == set()


def test_a_deployment_that_nobody_has_looked_after_is_being_created() -> None:
    """It is in the config, and its instances are not known yet."""
    shown = deployment(**CODE)
    assert (shown["provisioning_state"], shown["reason"], shown["instances"]) == ("Creating", "", [])


def test_a_deployment_that_failed_says_why() -> None:
    """With its log and its instances."""
    status = DeploymentStatus(
        key=KEY,
        kind="managed",
        provisioning_state="Failed",
        reason="init() raised",
        log_tail=("ValueError: no model",),
        instances=(InstanceStatus(name="0", address="unix:/0", state="backoff", restarts=3),),
    )
    shown = deployment(status, **CODE)
    told = (shown["provisioning_state"], shown["reason"], shown["log_tail"])
    assert told == ("Failed", "init() raised", ["ValueError: no model"])
    assert shown["instances"] == [msgspec.to_builtins(status.instances[0])]


@pytest.mark.parametrize("fields", [UPSTREAM, CODE | {"warmup_request": {"path": "/srv/r.json"}, "startup_probe": {}}])
def test_a_deployment_is_json(fields: dict[str, Any]) -> None:
    """Paths are text."""
    shown = deployment(**fields)
    assert msgspec.json.decode(msgspec.json.encode(shown)) == shown


@pytest.mark.parametrize(
    ("under_way", "expected"),
    [
        ([], "Succeeded"),
        ([operation("online-endpoint create")], "Creating"),
        ([operation("online-endpoint update")], "Updating"),
        ([operation("online-endpoint create"), operation("online-endpoint update")], "Updating"),
        ([operation("online-endpoint update"), operation("online-endpoint delete")], "Deleting"),
        ([operation("online-deployment create", "blue")], "Succeeded"),
        ([operation("online-deployment delete", "blue"), operation("online-endpoint update")], "Updating"),
    ],
)
def test_an_endpoint_is_in_the_state_of_its_own_operations(
    under_way: list[Operation], expected: ProvisioningState
) -> None:
    """Its deployments have states of their own."""
    assert endpoint_state(under_way) == expected


@pytest.mark.parametrize(("has_failed", "expected"), [(False, "Updating"), (True, "Failed")])
def test_an_endpoint_whose_traffic_waits_is_not_done(has_failed: bool, expected: ProvisioningState) -> None:
    """What it says of its traffic does not hold yet, or never will."""
    assert endpoint_state([], held="traffic stays as it was", has_failed=has_failed) == expected

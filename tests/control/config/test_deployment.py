"""The shape of a deployment."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from router.control.config.deployment import DeploymentConfig, ModelConfig

CODE = {"code_configuration": {"code": "src", "scoring_script": "score.py"}}


def deployment(**fields: object) -> DeploymentConfig:
    return DeploymentConfig.model_validate(fields)


def test_a_managed_deployment_has_azures_defaults() -> None:
    """Times are milliseconds in request_settings and seconds in probes."""
    config = deployment(**CODE)
    probe = {
        "initial_delay": 10,
        "period": 10,
        "timeout": 2,
        "success_threshold": 1,
        "failure_threshold": 30,
        "path": "/",
    }
    assert config.is_managed
    assert config.instance_count == 1
    assert config.request_settings.model_dump() == {
        "request_timeout_ms": 5000,
        "max_concurrent_requests_per_instance": 1,
        "max_queue_per_instance": 100,
        "max_queue_wait_ms": 500,
    }
    assert config.liveness_probe.model_dump() == probe
    assert config.readiness_probe.model_dump() == probe
    assert config.startup_probe is None


def test_upstreams_have_defaults_of_their_own() -> None:
    """A server elsewhere queues by itself, and is probed sooner."""
    config = deployment(upstreams=["http://127.0.0.1:9100"])
    assert not config.is_managed
    assert (config.scoring_path, config.upgrades) == ("/score", ("websocket",))
    assert config.request_settings.max_concurrent_requests_per_instance == 1000
    assert config.readiness_probe.model_dump() == {
        "initial_delay": 0,
        "period": 5,
        "timeout": 2,
        "success_threshold": 1,
        "failure_threshold": 2,
        "path": "/",
    }


@pytest.mark.parametrize(("given", "expected"), [([], ()), (["WebSocket", "chat/2"], ("websocket", "chat/2"))])
def test_upgrades_are_listed(given: list[str], expected: tuple[str, ...]) -> None:
    """In any spelling; none is possible."""
    assert deployment(upstreams=["http://127.0.0.1:9100"], upgrades=given).upgrades == expected


def test_given_fields_win_over_the_defaults_of_upstreams() -> None:
    """Each by itself."""
    config = deployment(upstreams=["unix:/run/x"], readiness_probe={"period": 7, "path": "/v2/health/ready"})
    assert (config.readiness_probe.period, config.readiness_probe.path) == (7, "/v2/health/ready")
    assert config.readiness_probe.failure_threshold == 2


def test_a_deployment_is_of_one_kind() -> None:
    """Neither both nor none."""
    with pytest.raises(ValidationError, match="exclude each other; expected one of them"):
        deployment(upstreams=["http://x:1"], **CODE)
    with pytest.raises(ValidationError, match=r"expected code_configuration \(teal runs it\) or upstreams"):
        deployment()


def test_a_model_is_a_path_or_an_asset() -> None:
    """Azure's two ways of writing it."""
    inline = deployment(model={"path": "model.pkl", "name": "m", "version": 3}, **CODE).model
    assert inline == ModelConfig(path=Path("model.pkl"), name="m", version="3")
    assert deployment(model="azureml:m:3", **CODE).model == "azureml:m:3"
    assert deployment(model="azureml:m@latest", **CODE).model == "azureml:m@latest"


@pytest.mark.parametrize(
    "asset", ["m:3", "azureml:m", "azureml:", "azureml:a:b:c", "azureml:m@newest", "azureml://x/y"]
)
def test_any_other_asset_is_refused(asset: str) -> None:
    """With the two forms that there are."""
    with pytest.raises(ValidationError, match="is not an asset; expected azureml:NAME:VERSION or azureml:NAME@latest"):
        deployment(model=asset, **CODE)


def test_a_model_without_a_path_is_refused() -> None:
    """A name alone is written in the other form."""
    with pytest.raises(ValidationError, match="expected a path, or azureml:NAME:VERSION"):
        deployment(model={"name": "m"}, **CODE)


def test_an_environment_has_one_source() -> None:
    """Which of two would win cannot be guessed."""
    with pytest.raises(ValidationError, match="conda_file and python exclude each other; expected one of them"):
        deployment(environment={"conda_file": "conda.yaml", "python": "/usr/bin/python3"}, **CODE)


def test_environment_variables_become_text() -> None:
    """Numbers as they are, true and false as JSON has them."""
    config = deployment(environment_variables={"A": 1, "B": True, "C": "x", "D": 1.5}, **CODE)
    assert config.environment_variables == {"A": "1", "B": "true", "C": "x", "D": "1.5"}


def test_every_azure_field_of_a_deployment_is_accepted() -> None:
    """Those without effect are kept."""
    config = deployment(
        **{"$schema": "https://azuremlschemas.azureedge.net/latest/managedOnlineDeployment.schema.json"},
        name="blue",
        endpoint_name="churn",
        description="d",
        tags={"a": "b"},
        properties={"a": "b"},
        type="managed",
        model={"path": "m", "type": "custom_model"},
        environment={"conda_file": "conda.yaml", "image": "mcr.microsoft.com/x:latest", "inference_config": {}},
        environment_variables={"A": "b"},
        instance_type="Standard_DS3_v2",
        instance_count=1,
        app_insights_enabled=True,
        scale_settings={"type": "default"},
        data_collector={"collections": {"model_inputs": {"enabled": "true"}}},
        request_settings={"request_timeout_ms": 1, "max_concurrent_requests_per_instance": 1, "max_queue_wait_ms": 1},
        liveness_probe={"initial_delay": 1, "period": 1, "timeout": 1, "success_threshold": 1, "failure_threshold": 1},
        readiness_probe={"initial_delay": 1, "period": 1, "timeout": 1, "success_threshold": 1, "failure_threshold": 1},
        egress_public_network_access="disabled",
        private_network_connection=True,
        model_mount_path="/var/model",
        resources={"requests": {"cpu": "0.1"}},
        **CODE,
    )
    assert (config.instance_type, config.data_collector) == (
        "Standard_DS3_v2",
        {"collections": {"model_inputs": {"enabled": "true"}}},
    )

"""The shape of the config and its defaults."""

import json
from collections.abc import Iterator

import pytest
from pydantic import BaseModel, JsonValue, ValidationError

from router.control.config.fields import Config
from router.control.config.schema import DeploymentConfig, EndpointConfig, RouterConfig, json_schema
from router.core.rules import HostPort

UPSTREAM = {"upstreams": ["http://127.0.0.1:9100"]}


def endpoint(**fields: object) -> EndpointConfig:
    return EndpointConfig.model_validate(fields)


def test_limits_have_their_defaults() -> None:
    """In bytes and seconds."""
    assert RouterConfig().limits.model_dump() == {
        "max_connections": 20_000,
        "max_connections_per_address": 10_000,
        "max_body_bytes": 104857600,
        "max_requests_per_connection": None,
        "max_head_bytes": 32768,
        "max_head_fields": 256,
        "head_timeout_s": 10,
        "body_timeout_s": 30,
        "min_body_bytes_per_s": 1024,
        "answer_timeout_s": 60,
        "upgrade_idle_timeout_s": 300,
        "keepalive_timeout_s": 75,
        "drain_timeout_s": 30,
    }


def test_an_endpoint_has_its_defaults() -> None:
    """Without traffic it is off."""
    config = endpoint()
    assert (config.auth_mode, config.traffic, config.mirror_traffic, config.deployments) == ("key", {}, {}, {})
    assert (config.idempotent, config.model_errors, config.token_lifetime_s) == (False, "azure", 3600)
    assert config.limits.model_dump() == {"bandwidth_bytes_per_s": None, "max_body_bytes": None}
    assert config.mirror.model_dump() == {
        "rate_bytes_per_s": 5000000,
        "burst_bytes": 5000000,
        "max_in_flight": 64,
        "max_body_bytes": 1000000,
        "max_percent": 50,
        "max_targets": 1,
        "allow_live_target": False,
    }


def test_trusted_proxies_are_one_network_or_many() -> None:
    """An address is a network of its own; nobody is trusted by default."""
    assert RouterConfig.model_validate({"trusted_proxies": "10.1.2.3"}).trusted_proxies == ("10.1.2.3/32",)
    many = RouterConfig.model_validate({"trusted_proxies": ["10.0.0.0/8", "2001:db8::/32"]})
    assert many.trusted_proxies == ("10.0.0.0/8", "2001:db8::/32")
    assert RouterConfig.model_validate({}).trusted_proxies == ()


def test_listen_is_one_address_or_many() -> None:
    """In the order written."""
    one = RouterConfig.model_validate({"listen": "127.0.0.1:80"})
    many = RouterConfig.model_validate({"listen": ["127.0.0.1:80", "[::1]:80"]})
    assert one.listen_addresses == (HostPort("127.0.0.1", 80),)
    assert many.listen_addresses == (HostPort("127.0.0.1", 80), HostPort("::1", 80))


def test_the_admin_address_may_be_absent() -> None:
    """null turns it off."""
    assert RouterConfig.model_validate({"admin": {"http": None}}).admin.address is None
    assert RouterConfig().admin.address == HostPort("127.0.0.1", 8081)


@pytest.mark.parametrize("processes", [1, 256, "auto"])
def test_proxy_processes_are_a_number_or_auto(processes: int | str) -> None:
    """From 1 to 256."""
    assert RouterConfig.model_validate({"proxy": {"processes": processes}}).proxy.processes == processes


@pytest.mark.parametrize("processes", [0, 257, True, 1.0, "1", None])
def test_any_other_number_of_processes_is_refused(processes: object) -> None:
    """A bool is no number."""
    with pytest.raises(ValidationError, match="expected auto, or a number of processes from 1 to 256"):
        RouterConfig.model_validate({"proxy": {"processes": processes}})


@pytest.mark.parametrize("written", ["key", "KEY", "Key"])
def test_auth_mode_is_read_without_case(written: str) -> None:
    """As Azure does."""
    assert endpoint(auth_mode=written).auth_mode == "key"


def test_aad_token_is_refused_with_what_to_use_instead() -> None:
    """In any case."""
    with pytest.raises(ValidationError, match=r"aad_token is not supported: .* use key or aml_token"):
        endpoint(auth_mode="AAD_Token")


def test_weights_are_kept_under_the_deployments_spelling() -> None:
    """Names are compared without case, and fractions are kept."""
    deployments = {"Blue": UPSTREAM, "green": UPSTREAM, "grey": UPSTREAM}
    config = endpoint(traffic={"BLUE": 66.7, "green": 33.3}, mirror_traffic={"Grey": 5}, deployments=deployments)
    assert config.traffic == {"Blue": 66.7, "green": 33.3}
    assert config.mirror_traffic == {"grey": 5.0}


def test_every_azure_field_of_an_endpoint_is_accepted() -> None:
    """Those without effect are kept."""
    config = endpoint(
        **{"$schema": "https://azuremlschemas.azureedge.net/latest/managedOnlineEndpoint.schema.json"},
        name="churn",
        description="d",
        tags={"a": 1},
        properties={"b": True},
        auth_mode="key",
        compute="azureml:k8s",
        identity={"type": "user_assigned", "user_assigned_identities": [{"resource_id": "x"}]},
        public_network_access="enabled",
        traffic={},
        mirror_traffic={},
    )
    assert (config.tags, config.properties, config.compute) == ({"a": "1"}, {"b": "true"}, "azureml:k8s")


def models_below(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for found in model.__subclasses__():
        yield from models_below(found)


FIELDS = [(model, name) for model in models_below(Config) for name in model.model_fields]


@pytest.mark.parametrize(("model", "name"), FIELDS, ids=[f"{model.__name__}.{name}" for model, name in FIELDS])
def test_every_field_is_described_in_a_sentence(model: type[BaseModel], name: str) -> None:
    """The descriptions are what editors and `teal schema` show."""
    assert (model.model_fields[name].description or "").endswith(".")


def test_the_json_schema_is_plain_json_with_a_title() -> None:
    """Without an id, which would tie it to an address."""
    schema = json.loads(json.dumps(json_schema()))
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["title"] == "teal.yaml"
    assert "$id" not in schema
    assert schema["additionalProperties"] is False


def properties(name: str) -> dict[str, JsonValue]:
    return dict(json.loads(json.dumps(json_schema()))["$defs"][name]["properties"])


def test_the_json_schema_has_sizes_as_numbers_or_text() -> None:
    """Editors accept `2GiB` where the config does."""
    assert properties("MirrorConfig")["burst_bytes"] == {
        "anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": r"^[\d.]+\s*[a-zA-Z]*$"}],
        "default": 5000000,
        "description": "Bytes of copies that may be sent at once after a quiet time.",
        "title": "Burst Bytes",
    }


def test_a_config_is_frozen() -> None:
    """A running config cannot change under a reader."""
    with pytest.raises(ValidationError, match="frozen"):
        endpoint().auth_mode = "none"


def test_equal_configs_are_equal() -> None:
    """So that a reload can tell what changed."""
    assert DeploymentConfig.model_validate(UPSTREAM) == DeploymentConfig.model_validate(UPSTREAM)

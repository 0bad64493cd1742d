"""Endpoints and deployments as `show` prints them: Azure's fields first, then what teal adds."""

from collections.abc import Mapping, Sequence

import msgspec

from router.control.api.messages import Operation
from router.control.config.deployment import DeploymentConfig
from router.control.config.schema import EndpointConfig
from router.control.states import DeploymentKey, DeploymentStatus, ProvisioningState
from router.core.rules import plain_number

#: Its fields are those of Azure's YAML, and a few more.
Resource = dict[str, object]


def endpoint_resource(
    name: str, config: EndpointConfig, *, base_url: str, state: ProvisioningState, held: str
) -> Resource:
    """An endpoint.

    Args:
        held: Why its traffic does not follow the config yet; empty when it does.
    """
    scoring = f"{base_url}/api/v1/endpoint/{name}"
    fields = config.model_dump(mode="json", by_alias=True, exclude={"schema_url", "name", "deployments"})
    return {
        "id": f"/endpoints/{name}",
        "name": name,
        **fields,
        "kind": "Managed",
        "location": "local",
        "provisioning_state": state,
        "scoring_uri": f"{scoring}/score",
        "openapi_uri": f"{scoring}/swagger.json",
        "traffic": _all(config.traffic, config),
        "mirror_traffic": {name: plain_number(percent) for name, percent in config.mirror_traffic.items()},
        "held": held,
    }


def deployment_resource(
    key: DeploymentKey,
    config: DeploymentConfig,
    status: DeploymentStatus | None,
    *,
    weight: float,
    mirror_percent: float,
) -> Resource:
    """A deployment; `status` is None until somebody has looked after it."""
    endpoint, name = key
    fields = config.model_dump(mode="json", by_alias=True, exclude={"schema_url", "name", "endpoint_name"})
    unused = (
        {"upstreams", "scoring_path", "upgrades"}
        if config.is_managed
        else {"code_configuration", "environment", "model"}
    )
    return {
        "id": f"/endpoints/{endpoint}/deployments/{name}",
        "name": name,
        "endpoint_name": endpoint,
        **{field: value for field, value in fields.items() if field not in unused},
        "type": config.type or "managed",
        "kind": "managed" if config.is_managed else "upstreams",
        "provisioning_state": status.provisioning_state if status else "Creating",
        "traffic_percent": plain_number(weight),
        "mirror_percent": plain_number(mirror_percent),
        "reason": status.reason if status else "",
        "log_tail": list(status.log_tail) if status else [],
        "instances": [msgspec.to_builtins(instance) for instance in status.instances] if status else [],
    }


def endpoint_state(under_way: Sequence[Operation], *, held: str = "", has_failed: bool = False) -> ProvisioningState:
    """Where an endpoint stands; its deployments have states of their own.

    Args:
        held: Why its traffic does not follow the config yet; empty when it does.
        has_failed: Whether a deployment that it gives live traffic to has failed.
    """
    verbs = {operation.command.rpartition(" ")[2] for operation in under_way if not operation.deployment}
    if "delete" in verbs:
        return "Deleting"
    if verbs:
        return "Creating" if verbs == {"create"} else "Updating"
    if held:
        return "Failed" if has_failed else "Updating"
    return "Succeeded"


def _all(weights: Mapping[str, float], config: EndpointConfig) -> dict[str, float]:
    """Every deployment's weight, in the order of the config, 0 included."""
    return {name: plain_number(weights.get(name, 0)) for name in dict.fromkeys([*config.deployments, *weights])}

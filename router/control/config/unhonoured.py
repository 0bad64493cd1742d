"""Fields that a config may have, because Azure's files have them, and that do nothing here."""

from collections.abc import Iterator, Mapping

from pydantic import BaseModel

from router.control.config.deployment import KEPT, DeploymentConfig
from router.control.config.schema import RouterConfig
from router.core.rules import Breach

_FOR_WORKERS = (
    "model",
    "environment",
    "environment_variables",
    "instance_count",
    "warmup_request",
    "max_memory_bytes",
    "max_tasks",
    "liveness_probe",
    "startup_probe",
)


def unhonoured(config: RouterConfig) -> list[Breach]:
    """Fields that are set and have no effect, each with the reason; paths start at the top."""
    return list(_kept(config, ())) + [
        Breach(("endpoints", endpoint_name, "deployments", name, *warning.path), warning.message)
        for endpoint_name, endpoint in config.endpoints.items()
        for name, deployment in endpoint.deployments.items()
        for warning in _of_the_other_kind(deployment)
    ]


def _kept(model: BaseModel, path: tuple[str, ...]) -> Iterator[Breach]:
    """Set fields whose description says that they are only kept."""
    for name in model.model_fields_set:
        value = getattr(model, name)
        description = type(model).model_fields[name].description or ""
        if description.startswith(KEPT) and value is not None:
            yield Breach((*path, name), f"has no effect: {description.removeprefix(KEPT).rstrip('.')}")
        for below, child in _children(value):
            yield from _kept(child, (*path, name, *below))


def _children(value: object) -> Iterator[tuple[tuple[str, ...], BaseModel]]:
    if isinstance(value, BaseModel):
        yield (), value
    elif isinstance(value, Mapping):
        yield from (((str(key),), child) for key, child in value.items() if isinstance(child, BaseModel))


def _of_the_other_kind(deployment: DeploymentConfig) -> Iterator[Breach]:
    given = deployment.model_fields_set
    if deployment.is_managed:
        if "scoring_path" in given:
            yield Breach(("scoring_path",), "has no effect: only upstreams have one, workers score at /score")
        if "upgrades" in given:
            yield Breach(("upgrades",), "has no effect: only upstreams have other protocols, workers speak HTTP")
        if "path" in deployment.readiness_probe.model_fields_set:
            yield Breach(("readiness_probe", "path"), "has no effect: only upstreams have one, workers are probed at /")
        return
    for name in _FOR_WORKERS:
        if name in given:
            yield Breach((name,), "has no effect: upstreams run elsewhere; it is for workers that teal runs")

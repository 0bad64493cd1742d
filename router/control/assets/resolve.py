"""From references in a config (`azureml:NAME:VERSION`) to what they mean, and back: who uses a version or a copy."""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from router.control.assets.registry import LATEST, Asset, Kind, Registry
from router.control.assets.store import ContentStore
from router.control.config.deployment import DeploymentConfig, EnvironmentConfig, ModelConfig
from router.control.config.schema import EndpointConfig, RouterConfig
from router.control.refusal import NotFound
from router.control.states import DeploymentKey

KINDS: tuple[Kind, ...] = ("model", "environment")

_REFERENCE = re.compile(r"azureml:(?P<name>[^:@/\s]+)(?::(?P<version>[^:@/\s]+)|@latest)")


class Reference(NamedTuple):
    """A name and a version, which may be `latest`."""

    name: str
    version: str


class Resolver:
    """Puts the files of registered models and environments in the place of their names."""

    def __init__(self, registry: Registry, store: ContentStore) -> None:
        self._registry = registry
        self._store = store

    def __call__(self, config: RouterConfig) -> tuple[RouterConfig, dict[DeploymentKey, str]]:
        """The config without references, and why some deployments still have theirs; reads the disk.

        Raises:
            StateError: the registry cannot be read.
        """
        known = _Known(self._registry, self._store)
        failures: dict[DeploymentKey, str] = {}
        endpoints = dict(config.endpoints)
        for name, endpoint in config.endpoints.items():
            changed, failed = _endpoint(name, endpoint, known.meaning)
            failures |= failed
            if changed:
                deployments = {**endpoint.deployments, **changed}
                endpoints[name] = endpoint.model_copy(update={"deployments": deployments})
        return config.model_copy(update={"endpoints": endpoints}), failures


def parse_reference(value: object) -> Reference | None:
    """What a value refers to; None if it is no reference."""
    match = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
    return Reference(match["name"], match["version"] or LATEST) if match else None


def asset_config(asset: Asset, store: ContentStore) -> ModelConfig | EnvironmentConfig:
    """An asset as it would stand in a deployment.

    Raises:
        NotFound: its copy is gone.
    """
    for copy in asset.copies.values():
        if not (store.root / copy).exists():
            raise NotFound(f"the copy of {asset.id} is gone from {store.root}; register it again with the same files")
    shape = ModelConfig if asset.kind == "model" else EnvironmentConfig
    fields = {name: value for name, value in asset.fields.items() if name in shape.model_fields}
    paths = {field: str(store.root / copy) for field, copy in asset.copies.items()}
    return shape.model_validate({**fields, **paths, "name": asset.name, "version": asset.version})


def users_of(config: RouterConfig, kind: Kind, name: str, version: str) -> list[str]:
    """Deployments that a version may not be taken from, as `endpoint/deployment`.

    Where `config` has `@latest`, every version of the name counts; in a resolved config it is the one that it means.
    """
    return [
        f"{endpoint_name}/{deployment_name}"
        for endpoint_name, endpoint in config.endpoints.items()
        for deployment_name, deployment in endpoint.deployments.items()
        if _uses(deployment, kind, name, version)
    ]


def digests_in_use(
    config: RouterConfig, registry: Registry, store: ContentStore, texts: Iterable[str] = ()
) -> set[str]:
    """The copies that a sweep must leave: of the config, of what is registered, and of configs that may come back.

    Args:
        texts: Of config files.

    Raises:
        StateError: the registry cannot be read.
    """
    pattern = re.compile(rf"{re.escape(store.root.name)}/([0-9a-f]{{64}})(?![0-9a-f])")
    named = {digest for text in (config.model_dump_json(), *texts) for digest in pattern.findall(text)}
    assets = (asset for kind in KINDS for asset in registry.list(kind, archived="all"))
    return named | {copy.partition("/")[0] for asset in assets for copy in asset.copies.values()}


class _Known:
    """Looks each reference up once."""

    def __init__(self, registry: Registry, store: ContentStore) -> None:
        self._registry = registry
        self._store = store
        self._meanings: dict[tuple[Kind, Reference], ModelConfig | EnvironmentConfig | NotFound] = {}

    def meaning(self, kind: Kind, reference: Reference) -> ModelConfig | EnvironmentConfig | NotFound:
        """What a reference means, or why it means nothing."""
        key = (kind, reference)
        if key not in self._meanings:
            self._meanings[key] = self._look_up(kind, reference)
        return self._meanings[key]

    def _look_up(self, kind: Kind, reference: Reference) -> ModelConfig | EnvironmentConfig | NotFound:
        try:
            return asset_config(self._registry.get(kind, *reference), self._store)
        except NotFound as error:
            return error


_Meaning = Callable[[Kind, Reference], ModelConfig | EnvironmentConfig | NotFound]


def _endpoint(
    name: str, endpoint: EndpointConfig, meaning: _Meaning
) -> tuple[dict[str, DeploymentConfig], dict[DeploymentKey, str]]:
    """Those deployments of an endpoint that have references: resolved, or with the reason why not."""
    changed, failures = {}, {}
    for deployment_name, deployment in endpoint.deployments.items():
        found: dict[str, object] = {kind: meaning(kind, reference) for kind, reference in _references(deployment)}
        reasons = [
            f"{name}.deployments.{deployment_name}.{kind}: {missing}"
            for kind, missing in found.items()
            if isinstance(missing, NotFound)
        ]
        if reasons and deployment.is_managed:
            failures[DeploymentKey((name, deployment_name))] = "; ".join(reasons)
        elif found and not reasons:
            changed[deployment_name] = deployment.model_copy(update=found)
    return changed, failures


def _references(deployment: DeploymentConfig) -> Iterator[tuple[Kind, Reference]]:
    for kind in KINDS:
        reference = parse_reference(deployment.model if kind == "model" else deployment.environment)
        if reference is not None:
            yield kind, reference


def _uses(deployment: DeploymentConfig, kind: Kind, name: str, version: str) -> bool:
    value = deployment.model if kind == "model" else deployment.environment
    if isinstance(value, ModelConfig | EnvironmentConfig):
        used = Reference(value.name or "", value.version or "")
    else:
        used = parse_reference(value) or Reference("", "")
    return used.name.lower() == name.lower() and used.version in {version, LATEST}

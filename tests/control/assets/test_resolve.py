"""References in a config become what they mean; those that mean nothing fail their deployment and no other."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from router.control.assets.registry import Draft, Registry
from router.control.assets.resolve import Resolver, digests_in_use, parse_reference, users_of
from router.control.assets.store import ContentStore
from router.control.config.deployment import EnvironmentConfig, ModelConfig
from router.control.config.load import load_content
from router.control.config.schema import RouterConfig
from router.control.state import State
from router.control.states import DeploymentKey
from router.control.tables import worker_spec

OTHER = "0" * 64


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    state = State.open(tmp_path / ".teal")
    yield Registry(state)
    state.close()


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / ".teal" / "assets")


@pytest.fixture
def model(registry: Registry, store: ContentStore) -> Path:
    """`churn:1`, and where its copy is."""
    return register_model(registry, store, "churn", "1")


@pytest.fixture
def environment(registry: Registry, store: ContentStore) -> Path:
    """`sklearn:3`, and where its conda file is."""
    digest = store.keep_text("conda.yaml", "dependencies: [python=3.11]\n")
    draft = Draft(kind="environment", name="sklearn", version="3", copies={"conda_file": f"{digest}/conda.yaml"})
    registry.create(draft)
    return store.path(digest)


def register_model(registry: Registry, store: ContentStore, name: str, version: str) -> Path:
    digest = store.keep_text("model.pkl", f"{name} {version}")
    fields = {"type": "mlflow_model", "tags": {"owner": "ann"}, "stage": "Production"}
    draft = Draft(kind="model", name=name, version=version, copies={"path": f"{digest}/model.pkl"}, fields=fields)
    registry.create(draft)
    return store.path(digest)


def config_of(tmp_path: Path, *deployments: str) -> RouterConfig:
    """A config with deployments `blue` and `green` of one endpoint, with these fields."""
    lines = ["endpoints:", "  shop:", "    deployments:"]
    for name, fields in zip(("blue", "green"), deployments, strict=False):
        lines.append(f"      {name}: {{code_configuration: {{code: src, scoring_script: score.py}}, {fields}}}")
    return load_content("\n".join(lines).encode(), tmp_path / "teal.yaml").config


def test_model_becomes_its_copy(tmp_path: Path, registry: Registry, store: ContentStore, model: Path) -> None:
    """A worker finds a registered model as it finds one with a path."""
    config, failures = Resolver(registry, store)(config_of(tmp_path, "model: azureml:churn:1"))
    deployment = config.endpoints["shop"].deployments["blue"]
    assert failures == {}
    assert deployment.model == ModelConfig(
        path=model, name="churn", version="1", type="mlflow_model", tags={"owner": "ann"}
    )
    assert worker_spec(DeploymentKey(("shop", "blue")), deployment, 30).model_path == model


def test_environment_becomes_its_copy(
    tmp_path: Path, registry: Registry, store: ContentStore, environment: Path
) -> None:
    """A worker runs in a registered environment as in one with a conda file."""
    config, failures = Resolver(registry, store)(config_of(tmp_path, "environment: 'azureml:sklearn@latest'"))
    deployment = config.endpoints["shop"].deployments["blue"]
    assert failures == {}
    assert deployment.environment == EnvironmentConfig(conda_file=environment, name="sklearn", version="3")
    assert worker_spec(DeploymentKey(("shop", "blue")), deployment, 30).environment.conda_file == environment


def test_latest_is_what_it_is_now(tmp_path: Path, registry: Registry, store: ContentStore, model: Path) -> None:
    """A newer version takes effect when the config is applied again."""
    config = config_of(tmp_path, "model: azureml:churn@latest")
    resolver = Resolver(registry, store)
    first = resolver(config)[0].endpoints["shop"].deployments["blue"].model
    newer = register_model(registry, store, "churn", "2")
    second = resolver(config)[0].endpoints["shop"].deployments["blue"].model
    assert [m.path for m in (first, second) if isinstance(m, ModelConfig)] == [model, newer]


def test_archived_version_still_works(tmp_path: Path, registry: Registry, store: ContentStore, model: Path) -> None:
    """Archiving takes nothing from who uses it."""
    registry.archive("model", "churn", "1")
    config, failures = Resolver(registry, store)(config_of(tmp_path, "model: azureml:churn:1"))
    assert failures == {}
    assert isinstance(config.endpoints["shop"].deployments["blue"].model, ModelConfig)


def test_unknown_asset_fails_its_deployment_only(
    tmp_path: Path, registry: Registry, store: ContentStore, model: Path
) -> None:
    """The reason says what there is; the other deployment is served."""
    given = config_of(tmp_path, "model: azureml:churn:7, environment: azureml:torch:1", "model: azureml:churn:1")
    config, failures = Resolver(registry, store)(given)
    assert failures == {
        DeploymentKey(("shop", "blue")): (
            "shop.deployments.blue.model: model churn has no version 7; there is 1; "
            "shop.deployments.blue.environment: there is no environment torch; there is none"
        )
    }
    deployments = config.endpoints["shop"].deployments
    assert (deployments["blue"].model, list(deployments)) == ("azureml:churn:7", ["blue", "green"])
    assert isinstance(deployments["green"].model, ModelConfig)


def test_copy_that_is_gone_fails_its_deployment(
    tmp_path: Path, registry: Registry, store: ContentStore, model: Path
) -> None:
    """Somebody who removes files from the state directory is told what to do."""
    shutil.rmtree(model.parent)
    _, failures = Resolver(registry, store)(config_of(tmp_path, "model: azureml:churn:1"))
    assert failures[DeploymentKey(("shop", "blue"))] == (
        f"shop.deployments.blue.model: the copy of azureml:churn:1 is gone from {store.root}; "
        "register it again with the same files"
    )


def test_config_without_references_stays_as_it_is(tmp_path: Path, registry: Registry, store: ContentStore) -> None:
    """Paths are nobody else's business."""
    config = config_of(tmp_path, "model: {path: m.pkl}, environment: {python: /usr/bin/python3}")
    assert Resolver(registry, store)(config) == (config, {})


def test_reference_of_upstreams_fails_nothing(tmp_path: Path, registry: Registry, store: ContentStore) -> None:
    """What has no effect there, as a warning says, keeps nothing from being served."""
    text = "endpoints: {shop: {deployments: {blue: {upstreams: ['http://127.0.0.1:9'], model: 'azureml:x:1'}}}}"
    config = load_content(text.encode(), tmp_path / "teal.yaml").config
    assert Resolver(registry, store)(config) == (config, {})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("azureml:churn:1", ("churn", "1")),
        ("azureml:churn@latest", ("churn", "latest")),
        ("azureml:churn", None),
        ("azureml:churn@newest", None),
        ("azureml:churn:1\n", None),
        ("models/churn", None),
        ({"path": "m"}, None),
        (None, None),
    ],
)
def test_references_are_told_from_other_values(value: object, expected: tuple[str, str] | None) -> None:
    """A reference is `azureml:NAME:VERSION` or `azureml:NAME@latest`, and nothing else is."""
    assert parse_reference(value) == expected


def test_users_are_those_who_refer_to_the_version(tmp_path: Path) -> None:
    """By reference, by `@latest`, or inline with that name and version; names without case."""
    config = config_of(tmp_path, "model: azureml:Churn:1", "model: azureml:churn@latest")
    assert users_of(config, "model", "churn", "1") == ["shop/blue", "shop/green"]
    assert users_of(config, "model", "churn", "2") == ["shop/green"]
    assert users_of(config, "environment", "churn", "1") == []
    inline = config_of(tmp_path, "model: {path: m.pkl, name: churn, version: 1}", "model: {path: m.pkl}")
    assert users_of(inline, "model", "churn", "1") == ["shop/blue"]


def test_users_of_latest_are_known_once_it_is_resolved(
    tmp_path: Path, registry: Registry, store: ContentStore, model: Path
) -> None:
    """In a resolved config an older version is free to go."""
    register_model(registry, store, "churn", "2")
    config, _ = Resolver(registry, store)(config_of(tmp_path, "model: azureml:churn@latest"))
    assert (users_of(config, "model", "churn", "1"), users_of(config, "model", "churn", "2")) == ([], ["shop/blue"])


def test_digests_in_use_are_those_of_the_config(tmp_path: Path, registry: Registry, store: ContentStore) -> None:
    """Of every path of a deployment, whether it is written as relative or as absolute."""
    digests = [f"{number:064x}" for number in range(4)]
    config = config_of(
        tmp_path,
        f"model: {{path: .teal/assets/{digests[0]}/m.pkl}}, warmup_request: {{path: .teal/assets/{digests[1]}/r.json}}",
        f"model: {{path: {store.root}/{digests[2]}/m}}, environment: {{conda_file: {store.root}/{digests[3]}/c.yaml}}",
    )
    assert digests_in_use(config, registry, store) == set(digests)


def test_digests_in_use_are_those_of_the_registry(registry: Registry, store: ContentStore, model: Path) -> None:
    """What is registered stays, archived or not, used or not."""
    registry.archive("model", "churn", "1")
    assert digests_in_use(RouterConfig(), registry, store) == {model.parent.name}


def test_digests_in_use_are_those_of_earlier_configs(registry: Registry, store: ContentStore) -> None:
    """What an undo may bring back keeps its copies."""
    text = f"blue: {{model: {{path: .teal/assets/{OTHER}/m.pkl}}}}\n# x/assets/{OTHER[:-1]}1\n"
    assert digests_in_use(RouterConfig(), registry, store, [text]) == {OTHER, OTHER[:-1] + "1"}

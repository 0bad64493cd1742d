"""A name and a version mean one thing for ever."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from router.control.assets.registry import Draft, Registry, asset_resource
from router.control.refusal import Conflict, Invalid, NotFound, Refusal
from router.control.state import State

ONE, TWO = "1" * 64, "2" * 64


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    opened = State.open(tmp_path / "state")
    yield opened
    opened.close()


@pytest.fixture
def registry(state: State) -> Registry:
    return Registry(state)


def model(name: str = "churn", version: str | None = None, digest: str = ONE, **fields: object) -> Draft:
    copies = {"path": f"{digest}/model.pkl"}
    return Draft(kind="model", name=name, version=version, copies=copies, fields={"type": "custom_model", **fields})


def test_versions_are_numbered(registry: Registry) -> None:
    """Without a version it is the next free number."""
    versions = [registry.create(model(digest=digest)).asset.version for digest in (ONE, TWO, ONE)]
    assert versions == ["1", "2", "3"]


def test_next_number_is_above_all_there_are(registry: Registry) -> None:
    """Versions that are no numbers are passed over."""
    for version in ("7", "2024-01-01", "v12"):
        registry.create(model(version=version))
    assert registry.create(model(digest=TWO)).asset.version == "8"


def test_newest_with_the_same_content_is_not_registered_again(registry: Registry) -> None:
    """Repeating a command without a version makes no further version."""
    first = registry.create(model())
    again = registry.create(model())
    assert (first.is_new, again.is_new) == (True, False)
    assert again.asset == first.asset


def test_same_version_with_the_same_content_is_the_same(registry: Registry) -> None:
    """Repeating a command changes nothing."""
    first = registry.create(model(version="1"))
    again = registry.create(model(version="1"))
    assert (first.is_new, again.is_new) == (True, False)
    assert again.asset == first.asset
    assert len(registry.list("model")) == 1


def test_same_version_with_other_content_is_refused(registry: Registry) -> None:
    """The message says which version is free, and nothing has changed."""
    kept = registry.create(model(version="1")).asset
    registry.create(model(version="4"))
    with pytest.raises(Conflict) as refused:
        registry.create(model(version="1", digest=TWO))
    assert str(refused.value) == "model churn:1 has another content; free is 5"
    assert registry.get("model", "churn", "1") == kept


def test_other_type_is_other_content(registry: Registry) -> None:
    """What makes it the version that it is counts, not only its files."""
    registry.create(model(version="1"))
    with pytest.raises(Conflict):
        registry.create(model(version="1", type="mlflow_model"))


def test_description_and_tags_may_be_replaced(registry: Registry) -> None:
    """What only describes a version is no other content; what is not given stays."""
    registry.create(model(version="1", description="first", tags={"a": "1"}))
    again = registry.create(model(version="1", tags={"b": "2"})).asset
    assert again.fields == {"type": "custom_model", "description": "first", "tags": {"b": "2"}}
    assert registry.get("model", "churn", "1") == again


def test_properties_may_only_be_added(registry: Registry) -> None:
    """As Azure has it: properties are added, never changed."""
    registry.create(model(version="1", properties={"run": "7"}))
    again = registry.create(model(version="1", properties={"git": "abc"})).asset
    assert again.fields["properties"] == {"run": "7", "git": "abc"}
    with pytest.raises(Conflict) as refused:
        registry.create(model(version="1", properties={"run": "8"}))
    assert str(refused.value) == "azureml:churn:1: properties may be added and not changed: run"


def test_preview_stores_nothing(registry: Registry) -> None:
    """What would be registered can be told before it is."""
    assert registry.preview(model()).id == "azureml:churn:1"
    assert registry.list("model") == ()


def test_kinds_have_their_own_names(registry: Registry) -> None:
    """A model and an environment may have the same name and version."""
    registry.create(model(version="1"))
    registry.create(Draft(kind="environment", name="churn", version="1", fields={"python": "/usr/bin/python3"}))
    assert (len(registry.list("model")), len(registry.list("environment"))) == (1, 1)


def test_names_are_compared_without_case(registry: Registry) -> None:
    """`Churn` is `churn`, spelled as it was first."""
    registry.create(model(name="Churn", version="1"))
    assert registry.create(model(name="churn", version="2")).asset.name == "Churn"
    assert registry.get("model", "CHURN", "2").id == "azureml:Churn:2"


def test_latest_is_the_newest_that_is_not_archived(registry: Registry) -> None:
    """Newest by creation, not by number."""
    for version in ("2", "1", "3"):
        registry.create(model(version=version))
    registry.archive("model", "churn", "3")
    assert registry.get("model", "churn", "latest").version == "1"
    registry.restore("model", "churn", "3")
    assert registry.get("model", "churn", "latest").version == "3"


def test_archived_version_is_there_and_not_listed(registry: Registry) -> None:
    """Whoever uses it by its version goes on."""
    for version in ("1", "2"):
        registry.create(model(version=version))
    assert registry.archive("model", "churn", "1").is_archived
    assert registry.get("model", "churn", "1").is_archived
    assert [asset.version for asset in registry.list("model")] == ["2"]
    assert [asset.version for asset in registry.list("model", archived="only")] == ["1"]
    assert [asset.version for asset in registry.list("model", "churn", archived="all")] == ["1", "2"]


def test_missing_version_lists_what_there_is(registry: Registry) -> None:
    """The answer to a mistyped version helps."""
    for version in ("1", "2"):
        registry.create(model(version=version))
    with pytest.raises(NotFound) as missing:
        registry.get("model", "churn", "3")
    assert str(missing.value) == "model churn has no version 3; there is 1, 2"


def test_missing_name_lists_what_there_is(registry: Registry) -> None:
    """The answer to a mistyped name helps."""
    with pytest.raises(NotFound) as missing:
        registry.get("model", "chrun", "latest")
    assert str(missing.value) == "there is no model chrun; there is none"
    registry.create(model(version="1"))
    registry.create(model(name="fraud", version="1"))
    with pytest.raises(NotFound) as missing:
        registry.get("model", "chrun", "latest")
    assert str(missing.value) == "there is no model chrun; there is churn, fraud"


def test_no_latest_where_all_is_archived(registry: Registry) -> None:
    """What is archived is not chosen."""
    registry.create(model(version="1"))
    registry.archive("model", "churn", "1")
    with pytest.raises(NotFound) as missing:
        registry.get("model", "churn", "latest")
    assert str(missing.value) == "model churn has no version that is not archived; there is 1"


def test_long_list_is_cut(registry: Registry) -> None:
    """Thousands of versions make no message of thousands of words."""
    for number in range(1, 24):
        registry.create(model(version=str(number)))
    with pytest.raises(NotFound, match=r"there is 1, 2, .*, 20 and 3 more$"):
        registry.get("model", "churn", "99")


def test_version_in_use_is_not_deleted(registry: Registry) -> None:
    """The message names who uses it."""
    registry.create(model(version="1"))
    with pytest.raises(Conflict) as refused:
        registry.delete("model", "churn", "1", users=["shop/blue", "shop/green"])
    assert str(refused.value) == "azureml:churn:1 is used by shop/blue, shop/green; delete them first, or archive it"
    assert registry.get("model", "churn", "1").version == "1"


def test_latest_is_not_deleted(registry: Registry) -> None:
    """Who deletes says what."""
    registry.create(model(version="7"))
    with pytest.raises(Refusal) as refused:
        registry.delete("model", "churn", "latest", users=[])
    assert str(refused.value) == "name the version that is to be deleted; the latest is 7"
    assert registry.get("model", "churn", "7").version == "7"


def test_deleted_version_is_gone(registry: Registry) -> None:
    """It is neither found nor listed."""
    registry.create(model(version="1"))
    registry.delete("model", "churn", "1", users=[])
    assert registry.list("model", archived="all") == ()
    for again in (registry.get, registry.archive):
        with pytest.raises(NotFound, match="there is no model churn; there is none"):
            again("model", "churn", "1")


def test_number_of_a_deleted_version_is_not_given_again(registry: Registry) -> None:
    """A config that is brought back finds nothing rather than something else."""
    registry.create(model())
    registry.delete("model", "churn", "1", users=[])
    assert registry.create(model(digest=TWO)).asset.version == "2"


def test_deleted_version_can_be_asked_for_again(registry: Registry) -> None:
    """Who names the version may have it, with whatever content."""
    registry.create(model(version="1"))
    registry.delete("model", "churn", "1", users=[])
    created = registry.create(model(version="1", digest=TWO))
    assert created.is_new
    assert registry.get("model", "churn", "1").copies == {"path": f"{TWO}/model.pkl"}


@pytest.mark.parametrize(
    "name", ["", "..", ".", "a/b", "a:b", "a b", "-a", "modèle", "名", "a\n", "a" * 256, "a@b", "\0"]
)
def test_bad_name_is_refused(registry: Registry, name: str) -> None:
    """The message says what is right."""
    with pytest.raises(Invalid) as refused:
        registry.create(model(name=name))
    assert str(refused.value) == (
        f"name: {name!r} is no name of a model; expected 1 to 255 letters, digits, hyphens, dots and underscores, "
        "the first a letter or digit"
    )


@pytest.mark.parametrize("name", ["a", "A-b_c.1", "0", "a" * 255])
def test_good_name_is_taken(registry: Registry, name: str) -> None:
    """Azure's characters are enough."""
    assert registry.create(model(name=name)).asset.name == name


@pytest.mark.parametrize("version", ["", "..", "1/2", "1:2", "v 1"])
def test_bad_version_is_refused(registry: Registry, version: str) -> None:
    """Versions have the characters of names."""
    with pytest.raises(Invalid, match=r"^version: .* is no version of an environment; expected 1 to 255 letters"):
        registry.create(Draft(kind="environment", name="sklearn", version=version))


def test_latest_is_no_version(registry: Registry) -> None:
    """`@latest` would not mean it."""
    with pytest.raises(Invalid) as refused:
        registry.create(model(version="Latest"))
    assert str(refused.value) == "version: 'Latest' means the newest version; expected one such as 1"


def test_registry_outlives_the_daemon(tmp_path: Path) -> None:
    """What is registered is on the disk when `create` returns."""
    state = State.open(tmp_path / "state")
    created = Registry(state).create(model(tags={"owner": "ann"})).asset
    state.close()
    state = State.open(tmp_path / "state")
    assert Registry(state).get("model", "churn", "1") == created
    state.close()


def test_threads_get_numbers_of_their_own(registry: Registry) -> None:
    """Two who register at the same time do not get the same version."""
    digests = [f"{number:064x}" for number in range(20)]
    threads = [threading.Thread(target=registry.create, args=[model(digest=digest)]) for digest in digests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    found = {asset.copies["path"][:64]: asset.version for asset in registry.list("model")}
    assert sorted(found) == digests
    assert sorted(found.values(), key=int) == [str(number) for number in range(1, 21)]


def test_resource_has_azures_fields(registry: Registry) -> None:
    """A model as `show` prints it."""
    asset = registry.create(model(version="3", tags={"owner": "ann"})).asset
    resource = asset_resource(asset)
    assert resource.pop("creation_time").endswith("Z")  # type: ignore[attr-defined]
    assert resource == {
        "id": "azureml:churn:3",
        "name": "churn",
        "version": "3",
        "description": None,
        "tags": {"owner": "ann"},
        "properties": {},
        "type": "custom_model",
        "path": f"assets/{ONE}/model.pkl",
        "is_archived": False,
        "digest": asset.digest,
    }

"""Which fields are text, by name, and by the shapes that the config has."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from router.cli.field_kinds import is_text, is_unknown
from router.control.config.deployment import DeploymentConfig, EnvironmentConfig, ModelConfig
from router.control.config.schema import EndpointConfig

SHAPES = (EndpointConfig, DeploymentConfig, ModelConfig, EnvironmentConfig)
#: Text that has a prefix or a suffix, or a mapping.
NEVER_MISTAKEN = frozenset({"conda_file", "model", "environment"})


def fields(schema: Mapping[str, Any], shape: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[Any]:
    """The path and the schema of every field; `deployments` are a definition's own."""
    for name, field in shape.get("properties", {}).items():
        path = (*above, name)
        yield path, field
        for branch in (field, *branches(field)):
            if "$ref" in branch and name != "deployments":
                yield from fields(schema, schema["$defs"][branch["$ref"].rpartition("/")[2]], path)


def branches(field: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    own = [*field.get("anyOf", ()), *field.get("oneOf", ())]
    return own + [below for branch in own for below in branches(branch)]


def types(field: Mapping[str, Any]) -> set[str]:
    """What a value may be: names of JSON's types."""
    own = field.get("type", ())
    return {own} if isinstance(own, str) else set(own).union(*map(types, branches(field)))


def leaves() -> Iterator[Any]:
    for shape in SHAPES:
        schema = shape.model_json_schema(by_alias=True)
        yield from ((path, types(field)) for path, field in fields(schema, schema) if types(field))


TEXTS = {
    path
    for path, kinds in leaves()
    if "string" in kinds and "integer" not in kinds and "array" not in kinds and path[-1] not in NEVER_MISTAKEN
}
OTHERS = {path for path, kinds in leaves() if kinds & {"integer", "number", "boolean", "array"} and path not in TEXTS}


@pytest.mark.parametrize("path", sorted(TEXTS), ids=".".join)
def test_text_of_the_config_is_known(path: tuple[str, ...]) -> None:
    """A text field that the config gets has to be named here, too."""
    assert is_text(path)


@pytest.mark.parametrize("path", sorted(OTHERS), ids=".".join)
def test_number_of_the_config_is_no_text(path: tuple[str, ...]) -> None:
    """Nor is a truth value, or a list."""
    assert not is_text(path)


def test_shapes_were_looked_through() -> None:
    """The two tests above had something to look at, fields of fields included."""
    assert {("description",), ("model", "version"), ("readiness_probe", "path")} <= TEXTS
    assert {("instance_count",), ("readiness_probe", "period"), ("mirror", "max_percent")} <= OTHERS


@pytest.mark.parametrize("field", ["traffic.version", "mirror_traffic.name", "traffic.path"])
def test_weight_is_no_text(field: str) -> None:
    """Whatever its deployment is called."""
    assert not is_text(tuple(re.split(r"\.", field)))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (("resources", "requests", "cpu"), True),
        (("environment", "build", "jobs"), True),
        (("readiness_probe", "period"), False),
        (("traffic", "build"), False),
    ],
)
def test_structures_of_azure_are_unknown(path: tuple[str, ...], expected: bool) -> None:
    """At the top, and in what is given with a deployment."""
    assert is_unknown(path) is expected

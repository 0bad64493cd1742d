"""What is wrong with the shape of a config, in sentences that say what would be right."""

import difflib
from collections.abc import Iterator, Mapping
from typing import get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails
from yaml.nodes import MappingNode, Node, ScalarNode

from router.control.config.deployment import ASSET, INLINE
from router.control.config.document import Document, KeyPath
from router.control.config.schema import RouterConfig

# Azure prints these with `show`; people paste them back.
_READ_ONLY = frozenset({"id", "location", "scoring_uri", "openapi_uri", "provisioning_state", "kind"})

#: What other tools call it.
_MEANT = {"instances": "instance_count", "replicas": "instance_count"}

_EXPECTED = {
    "bool_type": "expected true or false",
    "dict_type": "expected a mapping",
    "finite_number": "expected a finite number",
    "float_type": "expected a number",
    "greater_than": "expected more than {gt:g}",
    "greater_than_equal": "expected at least {ge:g}",
    "int_type": "expected a whole number",
    "less_than_equal": "expected at most {le:g}",
    "literal_error": "expected {expected}",
    "mapping_type": "expected a mapping",
    "model_type": "expected a mapping",
    "path_type": "expected a path",
    "string_type": "expected text",
    "tuple_type": "expected a list",
}


def explain(error: ErrorDetails, document: Document) -> tuple[KeyPath, str]:
    """Where an error of pydantic's stands, and what would be right there."""
    path = _written(error["loc"], document)
    context = error.get("ctx", {})
    match error["type"]:
        case "missing":
            return path, "missing; it has no default"
        case "extra_forbidden":
            return path, _unknown(path)
        case "value_error":
            return path, str(context["error"])
        case "string_too_short":
            return path, "empty, expected text"
        case kind if kind in _EXPECTED:
            expected = _EXPECTED[kind].format_map(context).replace("'", "")
            return path, f"{_shown(document.node(path), error['input'])}, {expected}"
        case _:
            return path, error["msg"]


def _written(location: KeyPath, document: Document) -> KeyPath:
    """The location without what pydantic and the schema put in: union members, and the list around a single value."""
    path: KeyPath = ()
    for step in location:
        if document.node((*path, step)) is not None or (step not in {ASSET, INLINE} and isinstance(step, str)):
            path = (*path, step)
    return path


def _unknown(path: KeyPath) -> str:
    name = str(path[-1])
    if name in _READ_ONLY and path[0] == "endpoints":
        return "read-only, the router sets it; remove it"
    known = _field_names(_model_at(path[:-1]))
    if (meant := _MEANT.get(name)) in known:
        return f"unknown field; did you mean {meant}?"
    near = difflib.get_close_matches(name.lower(), known, n=1)
    return f"unknown field; did you mean {near[0]}?" if near else f"unknown field; there is {', '.join(known)}"


def _field_names(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_at(path: KeyPath) -> type[BaseModel]:
    """The model that describes the mapping at `path`."""
    model: type[BaseModel] = RouterConfig
    steps = iter(path)
    for step in steps:
        annotation = model.model_fields[str(step)].annotation
        model = next(_models_in(annotation))
        if get_origin(annotation) is Mapping:
            next(steps, None)  # the name of an endpoint or deployment
    return model


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _shown(node: Node | None, value: object) -> str:
    """The value as the file has it, with what YAML made of it where that surprises."""
    if value is None:
        return "no value"
    if not isinstance(node, ScalarNode):
        return "a mapping" if isinstance(node, MappingNode) else "a list"
    text = node.value if len(node.value) <= 40 else node.value[:40] + "..."
    if isinstance(value, bool):
        return text if text.lower() in {"true", "false"} else f"{text} means {str(value).lower()} in YAML"
    return f"the text {text!r}" if isinstance(value, str) else text

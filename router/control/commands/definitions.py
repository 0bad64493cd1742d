"""Definitions as Azure's commands take them: the text of a file, values set over it, copies in place of its paths."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from router.control.config.document import MAX_DEPTH, Document, KeyPath, UnreadableError, read_document
from router.control.config.problem import MOST_PROBLEMS, Problem
from router.control.refusal import Invalid

#: Azure prints these with `show`, and teal its own; people paste them back.
READ_ONLY = frozenset(
    {
        "$schema", "name", "endpoint_name", "id", "location", "scoring_uri", "openapi_uri", "provisioning_state",
        "kind", "held", "reason", "log_tail", "traffic_percent", "mirror_percent",
    }
)  # fmt: skip
#: Fields that are paths, of a deployment.
PATH_FIELDS = (
    "model.path",
    "code_configuration.code",
    "environment.conda_file",
    "environment.requirements",
    "environment.python",
    "warmup_request.path",
)
_SHOWN = 100
# What is written in another way, such as 007, is a name.
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A definition as plain data, and the way back to the lines of its file."""

    fields: Mapping[str, object]
    file: Path | None = None
    document: Document | None = None

    def problem(self, path: KeyPath, message: str) -> Problem:
        """A problem of one of its fields."""
        is_written = self.document is not None and self.document.node(path[:1]) is not None
        return Problem(
            path=self.file if is_written else None,
            line=self.document.line(path) if self.document is not None and is_written else None,
            field=".".join(map(str, path)),
            message=message,
        )


def read_definition(text: str, file: str | None) -> Definition:
    """The definition in `text`.

    Raises:
        Invalid: it is no YAML mapping, or has keys twice and such; with the lines of `file`.
    """
    path = Path(file) if file else None
    try:
        document = read_document(text, example="name: my-name")
    except UnreadableError as error:
        raise Invalid([Problem(path=path, line=error.line, field="", message=error.message)]) from error
    if document.flaws:
        raise Invalid(
            Problem(path=path, line=flaw.line, field=".".join(map(str, flaw.path)), message=flaw.message)
            for flaw in document.flaws[:MOST_PROBLEMS]
        )
    return Definition(fields=document.data, file=path, document=document)


def settable(fields: Mapping[str, object]) -> dict[str, object]:
    """The fields of a definition less what `show` adds to it; what stays is for the schema to judge."""
    # As `show` prints them they are a list. Whoever gives a number means instance_count, and is told so.
    shown = READ_ONLY | {"instances"} if isinstance(fields.get("instances"), list) else READ_ONLY
    return {name: value for name, value in fields.items() if name not in shown}


def split(field: str) -> KeyPath:
    """The path of a dotted field; `upstreams[0]` and `upstreams.0` are the first of a list.

    Raises:
        Invalid: a part of it is empty, or it has more parts than anything is nested.
    """
    steps = re.sub(r"\[(\d+)\]", r".\1", field).split(".")
    if not all(steps) or len(steps) > MAX_DEPTH:
        message = "not a field; expected one such as tags.owner"
        raise Invalid([Problem(path=None, line=None, field=field[:_SHOWN], message=message)])
    return tuple(int(step) if index and _INDEX.fullmatch(step) else step for index, step in enumerate(steps))


def with_values(data: Mapping[str, object], values: Iterable[tuple[KeyPath, object]]) -> dict[str, object]:
    """The data with values put in; what is missing above them is made."""
    changed = _own(data)
    for path, value in values:
        _put(changed, path, value)
    return changed


def without(data: Mapping[str, object], paths: Iterable[KeyPath]) -> dict[str, object]:
    """The data less what is at `paths`, where it is there."""
    changed = _own(data)
    for path in paths:
        parent = value_at(changed, path[:-1])
        if isinstance(parent, dict):
            parent.pop(str(path[-1]), None)
        elif isinstance(parent, list) and isinstance(path[-1], int) and path[-1] < len(parent):
            del parent[path[-1]]
    return changed


def value_at(data: object, path: KeyPath) -> object:
    """What is at `path`; None if there is nothing."""
    for step in path:
        if isinstance(data, Mapping):
            data = data.get(str(step))
        elif isinstance(data, list) and isinstance(step, int) and step < len(data):
            data = data[step]
        else:
            return None
    return data


def copied(value: object, path: KeyPath) -> object:
    """A copy that shares nothing with the value, nor a part of it with another, as YAML's aliases do.

    Raises:
        Invalid: it is nested too deep for a file.
    """
    if len(path) > MAX_DEPTH:
        message = f"nested more than {MAX_DEPTH} levels deep"
        raise Invalid([Problem(path=None, line=None, field=str(path[0]), message=message)])
    match value:
        case Mapping():
            return {str(name): copied(item, (*path, name)) for name, item in value.items()}
        case list():
            return [copied(item, (*path, index)) for index, item in enumerate(value)]
        case _:
            return value


def _own(data: Mapping[str, object]) -> dict[str, object]:
    return {name: copied(value, (name,)) for name, value in data.items()}


def _put(data: dict[str, object], path: KeyPath, value: object) -> None:
    parent: object = data
    for depth, following in enumerate(path[1:], start=1):
        child = value_at(parent, path[depth - 1 : depth])
        if not isinstance(child, dict | list):
            # A list begins with its first item; any other number is the name of a tag, or the like.
            child = [] if following == 0 else {}
            _assign(parent, path[:depth], child)
        parent = child
    _assign(parent, path, copied(value, path))


def _assign(parent: object, path: KeyPath, value: object) -> None:
    step = path[-1]
    if isinstance(parent, dict):
        parent[str(step)] = value
    elif isinstance(parent, list) and isinstance(step, int) and step <= len(parent):
        parent[step : step + 1] = [value]
    elif isinstance(parent, list):
        message = f"there is no such place in the list; it has {len(parent)} items, of which the first is 0"
        raise Invalid([Problem(path=None, line=None, field=".".join(map(str, path)), message=message)])

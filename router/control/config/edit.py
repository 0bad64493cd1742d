"""Changes to the text of a config file that leave everything else in it as somebody has written it.

Rules
- The data that the edits make of the file's data is worked out first; then the text is changed wherever it says
  something else, and read again: what it says is that data, or the edit is refused.
- What equals what is there is not written again.
- A mapping of which nothing is left is `{}`, a list `[]`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import yaml

from router.control.config.document import KeyPath, UnreadableError, read_document
from router.control.config.layout import Layout
from router.control.config.render import RenderError
from router.control.config.rewrite import RewriteError, rewritten

_BOM = "\ufeff"


class EditError(Exception):
    """The text cannot be changed in this way; the message is one sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Set:
    """Put a value in a place; what is missing above it is made."""

    path: KeyPath
    value: object


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove:
    """Take away what is in a place, if something is."""

    path: KeyPath


Edit = Set | Remove


def edit_text(text: str, edits: Sequence[Edit]) -> str:
    """The text with the edits made, one after the other. Keys are compared with case: `path` is not `PATH`.

    Raises:
        EditError: it is no YAML mapping, an edit is about something that cannot be, or YAML cannot say it.
    """
    bom = _BOM if text.startswith(_BOM) else ""
    text = text.removeprefix(_BOM)
    before = _data(text)
    after = edited(before, edits)
    try:
        return bom + rewritten(text, before, after)
    except (RenderError, RewriteError) as error:
        raise EditError(str(error)) from error


def edited(data: Mapping[str, object], edits: Sequence[Edit]) -> dict[str, object]:
    """The data with the edits made; what they do not change is the same objects.

    Raises:
        EditError: an edit is about something that cannot be.
    """
    changed: object = data
    for edit in edits:
        match edit:
            case Set(path=path, value=value):
                changed = _with(changed, path, 0, value)
            case Remove(path=()):
                changed = {}
            case Remove(path=path):
                changed = _without(changed, path)
    if not isinstance(changed, dict):
        raise EditError("a config file is a mapping as a whole")
    return changed


def _data(text: str) -> dict[str, object]:
    """What the text says; nothing if it has nothing but comments."""
    try:
        document = read_document(text)
    except UnreadableError as error:
        if _is_empty(text):
            return {}
        raise EditError(f"line {error.line}: {error.message}") from error
    if document.flaws:
        flaw = document.flaws[0]
        raise EditError(f"line {flaw.line}: {_field(flaw.path)}: {flaw.message}")
    return document.data


def _is_empty(text: str) -> bool:
    try:
        root = Layout(text).root
    except yaml.YAMLError:
        return False
    return root is None or (root.kind == "scalar" and not root.style and root.text in {"", "~", "null"})


def _with(data: object, path: KeyPath, depth: int, value: object) -> object:
    """The data with a value at the rest of the path, of which `depth` steps are made."""
    if depth == len(path):
        return _plain(value, path)
    step = path[depth]
    if isinstance(data, list) or (isinstance(step, int) and not isinstance(data, dict)):
        return _with_item(data if isinstance(data, list) else [], path, depth, value)
    mapping = data if isinstance(data, dict) else {}
    key = str(step)
    return mapping | {key: _with(mapping.get(key), path, depth + 1, value)}


def _with_item(items: list[object], path: KeyPath, depth: int, value: object) -> list[object]:
    step = path[depth]
    if not isinstance(step, int):
        raise EditError(f"{_field(path[:depth])} is a list; expected the number of an item in it, not {step}")
    if not 0 <= step <= len(items):
        raise EditError(f"{_field(path[: depth + 1])} is out of range: the list has {len(items)} items")
    old = items[step] if step < len(items) else None
    return [*items[:step], _with(old, path, depth + 1, value), *items[step + 1 :]]


def _without(data: object, path: KeyPath) -> object:
    """The data without what is at the path; the same object if there is nothing."""
    step, rest = path[0], path[1:]
    if isinstance(data, list):
        if not isinstance(step, int) or not 0 <= step < len(data):
            return data
        left = [_without(data[step], rest)] if rest else []
        return [*data[:step], *left, *data[step + 1 :]]
    if not isinstance(data, dict):
        return data
    key = str(step)
    if key not in data:
        return data
    if rest:
        return data | {key: _without(data[key], rest)}
    return {name: value for name, value in data.items() if name != key}


def _plain(value: object, path: KeyPath) -> object:
    """The value as YAML has it."""
    match value:
        case Mapping():
            wrong = next((key for key in value if not isinstance(key, str)), None)
            if wrong is not None:
                raise EditError(f"{_field(path)}: the key {wrong!r} is no text")
            return {str(key): _plain(item, (*path, str(key))) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item, (*path, index)) for index, item in enumerate(value)]
        case None | bool() | int() | float() | str():
            return value
        case _:
            raise EditError(f"{_field(path)}: expected text, a number, a list or a mapping, not {value!r}")


def _field(path: KeyPath) -> str:
    """The path as people write it."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")

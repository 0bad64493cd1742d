"""The README has a row for whatever an operator may be told: alerts, reasons, warnings."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from router.cli.commands import COMMANDS
from router.control.admin import NOT_READY
from router.control.config.schema import json_schema
from router.control.refusal import Refusal
from router.core.errors import RouterError
from tests.monitoring.files import ROOT, alerts

SECTION = (ROOT / "README.md").read_text().split("\n## When something is wrong\n")[1].split("\n## ")[0]
ALERTS, REASONS, EVENTS = SECTION.split("\n#### ")[1:]
_LEVELS = frozenset({"warning", "error", "exception", "critical"})
_WORD = re.compile(r"`([\w.]+)`")
_COMMAND = re.compile(r"`teal ([a-z][\w -]*?)(?: [A-Z]| -|`)")

#: What a field of the file looks like, with or without a value; `LimitNOFILE=`, `run()` and commands do not.
_FIELD = re.compile(r"([a-z_]+(?:\.[a-z_]+)*)(?::.*)?")
_PROGRAMS = frozenset({"df", "dmesg", "top"})
_COMMANDS = _PROGRAMS | {"curl", "journalctl", "openssl", "systemctl", "teal", "vmstat"}
_UNIT = frozenset({"LimitNOFILE=", "TasksMax="})
_FIELDS_OF_THE_LOG = frozenset({"error", "exit_status", "hint", "is_stopped", "outcome", "reason"})


def advice(section: str) -> list[list[str]]:
    """What is marked as code in the last column, by row."""
    rows = [re.split(r"(?<!\\)\|", line) for line in section.splitlines() if line.startswith("| `")]
    return [re.findall(r"`([^`]+)`", row[3]) for row in rows]


def advised_fields() -> set[str]:
    """The fields of the file that an operator is told to set: all that looks like one and is nothing else."""
    others = {*_PROGRAMS, *_FIELDS_OF_THE_LOG, *symptoms(EVENTS)}
    marked = {found[1] for row in advice(SECTION) for text in row if (found := _FIELD.fullmatch(text))}
    return {field for field in marked - others if not field.startswith("teal_")}


def fields_of(shape: Mapping[str, Any], definitions: Mapping[str, Any]) -> Iterator[str]:
    """Every field of the file, by its path; names of endpoints and deployments are left out of it."""
    shape = definitions[shape["$ref"].rpartition("/")[2]] if "$ref" in shape else shape
    for name, field in shape.get("properties", {}).items():
        yield name
        yield from (f"{name}.{inner}" for inner in fields_of(field, definitions))
    for inner in [*shape.get("anyOf", ()), *shape.get("allOf", ()), shape.get("additionalProperties")]:
        if isinstance(inner, Mapping):
            yield from fields_of(inner, definitions)


def is_command(text: str) -> bool:
    """Whether it is a program of teal's or of the system's, or what is set in the unit."""
    return text.split(maxsplit=1)[0] in _COMMANDS or text in _UNIT


def is_field(text: str) -> bool:
    """Whether it is a field of the file; that there are such fields is another test."""
    found = _FIELD.fullmatch(text)
    return found is not None and found[1] in advised_fields()


def symptoms(table: str) -> list[str]:
    """What stands in the first column."""
    rows = [line.split("|") for line in table.splitlines() if line.startswith("| `")]
    return [word for row in rows for word in _WORD.findall(row[1])]


def kinds(base: type) -> Iterator[type]:
    """A class and all that are made of it."""
    yield base
    for kind in base.__subclasses__():
        yield from kinds(kind)


def events(path: Path) -> Iterator[str]:
    """What a module may log at warning or above; the name of an event is a literal where it is logged."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name), args=[first, *_]):
                # By the name `tell` go calls whose level depends.
                if name in _LEVELS or (name == "tell" and isinstance(node.func, ast.Name)):
                    assert isinstance(first, ast.Constant), f"{path}:{node.lineno}: the event's name is not a literal"
                    yield str(first.value)


def test_every_alert_has_a_row() -> None:
    """And every row is about an alert that there is."""
    assert sorted(symptoms(ALERTS)) == sorted(alert["alert"] for alert in alerts())


def test_every_reason_of_a_refusal_has_a_row() -> None:
    """`client_gone` included, which nobody is left to be told."""
    assert sorted(symptoms(REASONS)) == sorted({kind.code for kind in kinds(RouterError)} | {"client_gone"})


def test_every_refusal_at_the_admin_addresses_is_named() -> None:
    """Below the same table."""
    told = set(_WORD.findall(REASONS))
    assert {kind.code for kind in kinds(Refusal)} | {NOT_READY} <= told


def test_every_warning_of_the_log_has_a_row() -> None:
    """Whatever a process logs at warning or above, found in the sources."""
    sources = [path for path in (ROOT / "router").rglob("*.py") if "cli" not in path.parts]
    assert sorted(symptoms(EVENTS)) == sorted({event for path in sources for event in events(path)})


@pytest.mark.parametrize("command", sorted(set(_COMMAND.findall(SECTION))))
def test_every_command_that_is_advised_exists(command: str) -> None:
    """With the names that teal has for it."""
    assert command in COMMANDS


@pytest.mark.parametrize("field", sorted(advised_fields()))
def test_every_field_that_is_advised_exists(field: str) -> None:
    """In the configuration model, at that path or below one of its sections."""
    schema = json_schema()
    known = set(fields_of(schema, schema["$defs"]))
    assert any(path == field or path.endswith(f".{field}") for path in known)


def test_fields_are_known_by_their_section() -> None:
    """One that is named in a section that it is not in would be found out."""
    schema = json_schema()
    known = set(fields_of(schema, schema["$defs"]))
    assert {"access_log", "limits.max_connections", "endpoints.deployments.readiness_probe"} <= known
    assert "limits.access_log" not in known


def test_every_alert_ends_in_a_command_or_a_field() -> None:
    """Who was woken by it has something to type, and not only something to read."""
    assert [row for row in advice(ALERTS) if not any(is_command(text) or is_field(text) for text in row)] == []


def test_every_row_says_what_to_run_or_to_set() -> None:
    """Something to type, whatever else it says."""
    assert [] not in advice(SECTION)

"""The README has a row for whatever an operator may be told: alerts, reasons, warnings."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from router.cli.commands import COMMANDS
from router.control.admin import NOT_READY
from router.control.refusal import Refusal
from router.core.errors import RouterError
from tests.monitoring.files import ROOT, alerts

SECTION = (ROOT / "README.md").read_text().split("\n## When something is wrong\n")[1].split("\n## ")[0]
ALERTS, REASONS, EVENTS = SECTION.split("\n#### ")[1:]
_LEVELS = frozenset({"warning", "error", "exception", "critical"})
_WORD = re.compile(r"`([\w.]+)`")
_COMMAND = re.compile(r"`teal ([a-z][\w -]*?)(?: [A-Z]| -|`)")


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

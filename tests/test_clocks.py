"""Deadlines, pauses and buckets go by a clock that nobody can set; who reads the other one, and what for."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
MODULES = sorted(path.relative_to(ROOT) for folder in ("router", "workers") for path in (ROOT / folder).rglob("*.py"))

#: Modules that ask what time it is, and for what: to show it, to write it down, or because a token says so.
WALL_CLOCK = {
    "router/cli/check.py": "compared with when a certificate ends",
    "router/cli/status_live.py": "shown: how long ago something was",
    "router/control/assets/registry.py": "written down: when an asset was registered",
    "router/control/assets/store.py": "compared with the times of files",
    "router/control/commands/commands.py": "the times in a token that is issued",
    "router/control/commands/operations.py": "written down: when an operation began and ended",
    "router/control/daemon.py": "shown: since when it runs; the times in a token that is issued",
    "router/control/history.py": "written down: when a file was applied",
    "router/control/reloads.py": "shown: when a file was read",
    "router/control/supervisor/checks.py": "shown: since when an instance is in its state",
    "router/control/supervisor/instance.py": "shown: since when an instance is in its state",
    "router/control/supervisor/logs.py": "written down: when a worker said something",
    "router/control/trial.py": "the times in a token that is issued",
    "router/proxy/access_log.py": "written down: when a request was answered",
    "router/proxy/runtime.py": "shown: the field Date; compared with the times in a token",
}
ASKS = {
    ("time", "time"), ("time", "time_ns"), ("time", "gmtime"), ("time", "localtime"), ("time", "ctime"),
    ("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today"),
}  # fmt: skip


def names(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Every `owner.name` in a module, and every name that it takes from another."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield node.value.id, node.attr
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)


def test_the_wall_clock_is_read_by_these_and_for_that() -> None:
    """Setting it changes what is shown, what is written down and what a token's own times say; nothing waits for it."""
    found = {str(path) for path in MODULES if ASKS & set(names(ast.parse((ROOT / path).read_text())))}
    assert found == set(WALL_CLOCK)

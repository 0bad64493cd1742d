"""Imports point only downward, as the design's layers say."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted(path.relative_to(ROOT) for folder in ("router", "workers") for path in (ROOT / folder).rglob("*.py"))

#: What each part of the program may import of the program. `router` itself holds the version.
BOTTOM = (
    "router",
    "router.awake",
    "router.compiled",
    "router.core",
    "router.descriptors",
    "router.line_writer",
    "router.logs",
    "router.tls",
    "router.vitals",
)
ALLOWED = {
    "router.awake": (),
    "router.compiled": (),
    "router.core": ("router.core",),
    "router.descriptors": (),
    "router.line_writer": (),
    "router.logs": ("router.line_writer",),
    "router.tls": (),
    "router.vitals": ("router.core",),
    "router.proxy": (*BOTTOM, "router.proxy"),
    "router.control": (*BOTTOM, "router.control"),
    "router.cli": (*BOTTOM, "router.control", "router.cli"),
    "router": (),
    "workers": ("workers",),
}
#: A decision takes time and chance as arguments, and does no I/O.
NOT_IN_CORE = {"asyncio", "socket", "time", "random", "logging", "datetime", "secrets", "structlog", "aiohttp", "os"}


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in it."""
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the layer"
            module = node.module or ""
            yield from (f"{module}.{alias.name}" for alias in node.names) if module == "router" else (module,)


def layer(module: str) -> str:
    """The part of the program that a module belongs to."""
    parts = module.split(".")
    found = next((known for known in (".".join(parts[:2]), parts[0]) if known in ALLOWED), None)
    assert found is not None, f"{module} belongs to no layer"
    return found


def of_this_program(path: Path) -> set[str]:
    return {module for module in imports(path) if module.split(".")[0] in {"router", "workers"}}


def name(path: Path) -> str:
    return ".".join(path.with_suffix("").parts)


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_imports_point_downward(path: Path) -> None:
    """A module imports its own layer and those below, nothing else of the program."""
    allowed = ALLOWED[layer(name(path))]
    assert {module for module in of_this_program(path) if layer(module) not in allowed} == set()


@pytest.mark.parametrize("path", [path for path in MODULES if path.parts[:2] == ("router", "core")], ids=str)
def test_core_does_no_io(path: Path) -> None:
    """Core imports no loop, socket, clock, random source or log."""
    assert {module for module in imports(path) if module.split(".")[0] in NOT_IN_CORE} == set()


def test_there_is_no_import_cycle() -> None:
    """No module imports itself, however far around."""
    graph = {name(path).removesuffix(".__init__"): of_this_program(path) for path in MODULES}
    done: set[str] = set()
    for start in graph:
        _visit(graph, start, (), done)


def _visit(graph: dict[str, set[str]], module: str, path: tuple[str, ...], done: set[str]) -> None:
    assert module not in path, " -> ".join((*path, module))
    if module in done:
        return
    for imported in graph.get(module, ()):
        _visit(graph, imported, (*path, module), done)
    done.add(module)

"""The request path as machine code: used while it fits its sources, and only then."""

import ast
import functools
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from router.compiled import INTERPRETED, Compiled, NotCompiled

SOURCE = "class Counter:\n    def __init__(self) -> None:\n        self.n = 0\n\n    def one_more(self) -> int:\n"
PXD = "cdef class Counter:\n    cdef public Py_ssize_t n\n    cpdef Py_ssize_t one_more(self)\n"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package of one module that has types."""
    folder = tmp_path / "counting"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "counter.py").write_text(SOURCE + "        self.n += 1\n        return self.n\n")
    (folder / "counter.pxd").write_text(PXD)
    return folder


@pytest.fixture
def run(package: Path) -> Callable[..., str]:
    """What a new process prints that has the compiled package on its path."""

    def run(code: str, **environment: str) -> str:
        use = "import sys\nfrom pathlib import Path\nfrom router.compiled import Compiled\n"
        use += f"c = Compiled(Path({str(package)!r}))\nif c.fits: sys.meta_path.insert(0, c)\n"
        path = os.pathsep.join((str(package.parent), str(Path(__file__).parent.parent)))
        done = subprocess.run(
            [sys.executable, "-c", use + code],
            env={**os.environ, "PYTHONPATH": path, **environment},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    return run


def test_what_was_compiled_is_loaded_instead_of_its_source(package: Path, run: Callable[..., str]) -> None:
    """It does the same, from another file."""
    Compiled(package).compile()
    printed = run(
        "from counting.counter import Counter, __file__; c = Counter(); c.one_more(); print(c.one_more(), __file__)"
    )
    number, _, file = printed.partition(" ")
    assert number == "2"
    assert Path(file).parent == package / "_compiled"


@pytest.mark.parametrize("edited", ["counter.py", "counter.pxd"])
def test_an_edited_source_runs_as_it_is_written(package: Path, run: Callable[..., str], edited: str) -> None:
    """What was compiled from an older text is left aside."""
    compiled = Compiled(package)
    compiled.compile()
    assert compiled.fits
    source = package / edited
    source.write_text(source.read_text() + "# edited\n")
    assert not compiled.fits
    assert run("from counting.counter import __file__; print(__file__)") == str(package / "counter.py")


def test_nothing_is_compiled_without_a_compiler(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names what failed, and the sources go on being used."""
    monkeypatch.setenv("CC", "no-such-compiler")
    compiled = Compiled(package)
    with pytest.raises(NotCompiled, match="no-such-compiler"):
        compiled.compile()
    assert not compiled.fits


def test_a_failed_compilation_leaves_what_was_there(package: Path) -> None:
    """A source that cannot be compiled costs nothing but itself."""
    compiled = Compiled(package)
    compiled.compile()
    before = (package / "counter.py").read_text()
    (package / "counter.py").write_text("class Counter:\n    def one_more(self, other): return 1\n")
    with pytest.raises(NotCompiled, match="counter"):
        compiled.compile()
    (package / "counter.py").write_text(before)
    assert compiled.fits


def test_none_in_the_place_of_an_object_is_an_error(package: Path, run: Callable[..., str]) -> None:
    """Compiled code raises where Python would, instead of ending the process."""
    (package / "counter.py").write_text(
        (package / "counter.py").read_text()
        + "\n\nclass Holder:\n    def __init__(self) -> None:\n        self.counter = None\n\n"
        + "    def count(self) -> int:\n        return self.counter.one_more()\n"
    )
    (package / "counter.pxd").write_text(PXD + "\ncdef class Holder:\n    cdef Counter counter\n")
    Compiled(package).compile()
    code = "from counting.counter import Holder\ntry: Holder().count()\nexcept AttributeError: print('raised')"
    assert run(code) == "raised"


def test_the_sources_run_where_somebody_says_so() -> None:
    """For a debugger, which sees into them."""
    code = "from router import compiled; print(compiled.use(), compiled.is_used())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, INTERPRETED: "1"},
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "False False\n"


PACKAGE = Path(__file__).parent.parent / "router"
DECLARED_CLASS = re.compile(r"^cdef class (\w+)(?:\((\w+)\))?:\n((?:(?: .*)?\n)*)", re.MULTILINE)
DECLARED_ATTRIBUTE = re.compile(r"^ +cdef (?:public |readonly )?[\w.]+ (\w+)$", re.MULTILINE)


@functools.cache
def declared() -> dict[str, tuple[str, set[str]]]:
    """Base and attributes of each class that a `.pxd` of the router declares."""
    texts = [pxd.read_text() + "\n" for pxd in PACKAGE.rglob("*.pxd")]
    found = [match for text in texts for match in DECLARED_CLASS.finditer(text)]
    return {match[1]: (match[2] or "", set(DECLARED_ATTRIBUTE.findall(match[3]))) for match in found}


@functools.cache
def assigned() -> dict[str, set[str]]:
    """The attributes that each class beside a `.pxd` sets on itself."""
    trees = [ast.parse(pxd.with_suffix(".py").read_text()) for pxd in PACKAGE.rglob("*.pxd")]
    classes = [node for tree in trees for node in tree.body if isinstance(node, ast.ClassDef)]
    return {node.name: {name for one in ast.walk(node) for name in _set_on_self(one)} for node in classes}


def _set_on_self(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and isinstance(node.value, ast.Name):
        return [node.attr] if node.value.id == "self" else []
    return []


@pytest.mark.parametrize("name", sorted(declared()))
def test_every_attribute_of_a_typed_class_is_declared(name: str) -> None:
    """Interpreted, a class takes any attribute; compiled, only those that its `.pxd` names."""
    classes = declared()
    known, base = set[str](), name
    while base:
        base, attributes = classes[base]
        known |= attributes
    assert assigned()[name] - known == set()

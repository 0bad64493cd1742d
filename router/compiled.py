"""The request path as machine code: the same modules, compiled by Cython with the types of their `.pxd` files.

Rules
- What is compiled is the Python source itself. Where it has not been compiled, it runs interpreted and does the same.
- A module with a `.pyx` beside it is compiled from that: the same functions once more, written for bytes in memory.
- The result is used only while it fits: made from these very sources, for this very interpreter. So an edited module
  runs as it is written, interpreted, until it is compiled again.
- All of the modules are compiled or none is: they call each other without asking Python.

`python -m router.compiled` compiles. It needs Cython, setuptools, a C compiler and Python's own headers.
"""

import hashlib
import importlib.util
import os
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Mapping, Sequence
from importlib.machinery import ExtensionFileLoader, ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

_PACKAGE = Path(__file__).parent
_SUFFIX: str = sysconfig.get_config_var("EXT_SUFFIX")
#: Set to anything, it has the Python source run, for a debugger or a comparison.
INTERPRETED = "TEAL_INTERPRETED"
# None where an object is expected raises, as it does in Python; without it the process would crash.
_DIRECTIVES = {"language_level": "3", "annotation_typing": False, "binding": True, "nonecheck": True}


class NotCompiled(Exception):
    """The modules could not be compiled; the text says why."""


class Compiled:
    """Finds the compiled modules before Python finds their sources; belongs into `sys.meta_path`.

    Args:
        package: Folder of the package `router`.
    """

    def __init__(self, package: Path = _PACKAGE) -> None:
        self.package = package
        self.folder = package / "_compiled"
        self.modules: Mapping[str, Path] = {_module(package, pxd): pxd for pxd in sorted(package.rglob("*.pxd"))}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Where to load a compiled module from; None for every other one."""
        if name not in self.modules:
            return None
        file = str(self.folder / (name + _SUFFIX))
        return importlib.util.spec_from_file_location(name, file, loader=ExtensionFileLoader(name, file))

    @property
    def fits(self) -> bool:
        """Whether what was compiled last was made from the sources as they are now."""
        try:
            return (self.folder / "fingerprint").read_text() == self.fingerprint()
        except OSError:
            return False

    def fingerprint(self) -> str:
        """Of the sources and of the interpreter that they are compiled for."""
        digest = hashlib.sha256(f"{sys.version}{_SUFFIX}{sorted(_DIRECTIVES.items())}".encode())
        digest.update(Path(__file__).read_bytes())  # how they are compiled
        for name, pxd in self.modules.items():
            for source in sorted({pxd, pxd.with_suffix(".py"), _source(pxd)}):
                digest.update(f"{name} {source.stat().st_size} ".encode())
                digest.update(source.read_bytes())
        return digest.hexdigest()

    def compile(self) -> None:
        """Compile all modules anew, in about half a minute; what was there is replaced when all is done.

        Raises:
            NotCompiled: a tool is missing or failed.
        """
        with tempfile.TemporaryDirectory(prefix="teal-compile-") as folder:
            tree = Path(folder)
            fingerprint = self.fingerprint()
            for pxd in self.modules.values():
                for source in (pxd, _source(pxd)):
                    _copy(source, tree / self.package.name / source.relative_to(self.package))
            for package in {path.parent for path in tree.rglob("*.pxd")} | {tree / self.package.name}:
                (package / "__init__.py").touch()
            _compile(tree, list(self.modules))
            self._replace(tree / "built", fingerprint)

    def _replace(self, built: Path, fingerprint: str) -> None:
        # A process that runs keeps the files that it has loaded; one that starts meanwhile finds no fingerprint.
        (self.folder / "fingerprint").unlink(missing_ok=True)
        self.folder.mkdir(exist_ok=True)
        for old in self.folder.iterdir():
            old.unlink()
        for file in built.rglob(f"*{_SUFFIX}"):
            name = ".".join((*file.relative_to(built).parts[:-1], file.name.removesuffix(_SUFFIX)))
            _copy(file, self.folder / (name + _SUFFIX))
        (self.folder / "fingerprint").write_text(fingerprint)


def use() -> bool:
    """Load compiled modules from now on, where they fit and nobody forbids it; return whether.

    It must come before the first of them is imported: they cannot be mixed with their sources.
    """
    if is_used():
        return True
    if not is_usable():
        return False
    compiled = Compiled()
    if not compiled.modules.keys().isdisjoint(sys.modules):
        raise ImportError("compiled modules cannot take the place of modules that are loaded already")
    sys.meta_path.insert(sys.meta_path.index(PathFinder), compiled)
    return True


def is_usable() -> bool:
    """Whether a process that starts now would run the compiled modules. Reads all of their sources."""
    compiled = Compiled()
    return not os.environ.get(INTERPRETED) and bool(compiled.modules) and compiled.fits


def is_used() -> bool:
    """Whether this process runs the compiled modules."""
    return any(isinstance(finder, Compiled) for finder in sys.meta_path)


def main() -> int:
    compiled = Compiled()
    if compiled.fits:
        return 0
    print("compiling the request path (once, about half a minute)", file=sys.stderr)
    try:
        compiled.compile()
    except NotCompiled as error:
        print(
            f"not compiled: {error}\nteal works without, at about three times the CPU per request.",
            file=sys.stderr,
        )
        return 1
    return 0


def _compile(tree: Path, modules: list[str]) -> None:
    """Compile `modules` of the packages below `tree` into `tree/built`."""
    try:
        from Cython.Build import cythonize  # noqa: PLC0415
        from Cython.Compiler.Errors import CompileError  # noqa: PLC0415
        from setuptools import Distribution, Extension  # noqa: PLC0415
        from setuptools.errors import BaseError, CCompilerError  # noqa: PLC0415
    except ImportError as error:
        raise NotCompiled(f"{error.name} is not installed") from error
    processes = os.cpu_count() or 1
    before = Path.cwd()
    os.chdir(tree)  # setuptools puts what is in between below the current folder
    try:
        extensions = [
            Extension(name, [str(_source(Path(f"{name.replace('.', '/')}.pxd")))], extra_compile_args=["-O3", "-g0"])
            for name in modules
        ]
        options = {"compiler_directives": _DIRECTIVES, "nthreads": processes, "quiet": True}
        generated = cythonize(extensions, **options)  # type: ignore[no-untyped-call]
        command = Distribution({"ext_modules": generated}).get_command_obj("build_ext")
        command.build_lib, command.parallel = "built", processes
        command.ensure_finalized()
        command.run()
    except (CompileError, BaseError, CCompilerError) as error:
        raise NotCompiled(str(error)) from error
    finally:
        os.chdir(before)


def _source(pxd: Path) -> Path:
    """What is compiled with the types of `pxd`."""
    written = pxd.with_suffix(".pyx")
    return written if written.exists() else pxd.with_suffix(".py")


def _module(package: Path, pxd: Path) -> str:
    return ".".join((package.name, *pxd.relative_to(package).with_suffix("").parts))


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


if __name__ == "__main__":
    sys.exit(main())

"""What a conda environment file asks for, said in the words that uv understands.

Rules, from conda's own `MatchSpec`:
    `numpy=1.2`           1.2 and everything below it: `==1.2.*`
    `numpy==1.2`          that version; so do `numpy 1.2` and `numpy=1.2=py310_0`, whose build string is dropped
    `numpy>=1,<2`         as it stands
    `numpy 1.2|1.4`       has no PEP 440 form and is refused by name
"""

import re
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from router.control.config.document import UnreadableError, read_document

OLDEST_PYTHON = (3, 9)  # what `workers` runs on

RENAMED: Mapping[str, str] = {
    "dask-core": "dask",
    "faiss": "faiss-cpu",
    "matplotlib-base": "matplotlib",
    "msgpack-python": "msgpack",
    "opencv": "opencv-python-headless",
    "py-opencv": "opencv-python-headless",
    "py-xgboost": "xgboost",
    "py-xgboost-cpu": "xgboost",
    "py-xgboost-gpu": "xgboost",
    "pyarrow-core": "pyarrow",
    "pytables": "tables",
    "python-flatbuffers": "flatbuffers",
    "python-graphviz": "graphviz",
    "pytorch": "torch",
    "pytorch-cpu": "torch",
    "pytorch-gpu": "torch",
    "ruamel_yaml": "ruamel.yaml",
    "seaborn-base": "seaborn",
    "tensorflow-base": "tensorflow",
    "tensorflow-gpu": "tensorflow",
}

# Libraries and tools that conda packages by themselves: wheels bring their own copy or the system has one.
_LIBRARIES = """
    blas bzip2 ca-certificates conda cpuonly cuda cuda-toolkit cudatoolkit cudnn expat freetype gcc gxx
    gxx_linux-64 gcc_linux-64 icu intel-openmp jpeg krb5 lcms2 ld_impl_linux-64 libblas libcblas libedit libffi libgcc
    libgcc-ng libgfortran libgfortran-ng libgfortran5 libgomp liblapack libopenblas libpng libsqlite libstdcxx
    libstdcxx-ng libtiff libuuid libxcrypt libzlib lz4-c mkl mkl-service nccl ncurses nomkl openblas openmp openssl
    pytorch-cuda pytorch-mutex readline sqlite tk xz yaml zlib zstd _libgcc_mutex _openmp_mutex
"""
NOT_PYTHON = frozenset(_LIBRARIES.split())

_BRACKETS = re.compile(r"\[(?P<fields>[^\]]*)\]$")
_FIELD = re.compile(r"""(?P<key>\w+)\s*=\s*(?P<quote>['"]?)(?P<value>[^'"]*)(?P=quote)\s*(?:,|$)""")
_NAME = re.compile(r"(?P<name>[A-Za-z0-9_][A-Za-z0-9_.-]*)\s*(?P<rest>.*)$")
_CLAUSE = re.compile(r"(?P<operator>===|[=!<>~]=|[<>=]|)(?P<version>[^=<>!~,\s]+)$")
_BUILD = re.compile(r"(?P<version>.*[^=<>!~,])=[^=<>!~,]+")  # after a version, a single = begins the build string
_RELEASE = re.compile(r"\d+(\.\d+)*$")
_SHOWN = reprlib.Repr()
_SHOWN.maxlevel, _SHOWN.maxstring = 3, 200


class CondaFileError(ValueError):
    """The file is not a conda environment, or asks for what pip-style requirements cannot say.

    Attributes:
        line: Where, if it cannot be read.
    """

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True, kw_only=True)
class CondaFile:
    """A conda environment file, translated.

    Attributes:
        python: A version (`3.10`) or a specifier (`>=3.10,<3.12`); None if the file leaves it open.
        requirements: The conda packages as PEP 508 requirements.
        pip: The lines of the `pip:` section as they stand.
        notes: What was renamed or left out, one sentence each.
    """

    python: str | None
    requirements: tuple[str, ...]
    pip: tuple[str, ...]
    notes: tuple[str, ...]


def parse_conda_file(text: str) -> CondaFile:
    """Translate the text of a conda environment file.

    Raises:
        CondaFileError: One sentence that names the entry.
    """
    matches, pip = _dependencies(text)
    python: str | None = None
    requirements: list[str] = []
    notes: list[str] = []
    for name, specifier in map(parse_match_spec, matches):
        if name == "python":
            python = python_request(specifier)
        elif name in NOT_PYTHON:
            notes.append(f"left out {name}: not a Python package, wheels bring what they need of it")
        else:
            requirements.append(RENAMED.get(name, name) + specifier)
            if name in RENAMED:
                notes.append(f"{name} is called {RENAMED[name]} outside conda")
    return CondaFile(python=python, requirements=tuple(requirements), pip=pip, notes=tuple(notes))


def parse_match_spec(text: str) -> tuple[str, str]:
    """The lower-case name and the PEP 440 specifier (`""` for any version) of a conda match spec.

    Raises:
        CondaFileError: The spec is malformed or uses alternatives (`|`).
    """
    spec = text.strip().rpartition("::")[2]
    fields = _BRACKETS.search(spec)
    named = _NAME.match(spec[: fields.start()] if fields else spec)
    if named is None:
        raise CondaFileError(f"{_SHOWN.repr(text)} is not a conda package specification")
    rest = named["rest"]
    if fields is not None:
        rest = {field["key"]: field["value"] for field in _FIELD.finditer(fields["fields"])}.get("version", rest)
    return named["name"].lower(), _specifier(rest, text)


def python_request(specifier: str) -> str | None:
    """The `--python` that uv is given for a PEP 440 specifier of Python itself.

    Raises:
        CondaFileError: A version that is older than the worker can run on.
    """
    if not specifier:
        return None
    exact = re.fullmatch(r"==(\d+)(?:\.(\d+))?(\.\d+)*(?:\.\*)?", specifier)
    oldest = ".".join(map(str, OLDEST_PYTHON))
    if exact is None:
        return f"{specifier},>={oldest}"
    if exact[2] is None and int(exact[1]) == OLDEST_PYTHON[0]:
        return f">={oldest},<{OLDEST_PYTHON[0] + 1}"
    version = specifier.removeprefix("==").removesuffix(".*")
    if (int(exact[1]), int(exact[2] or 0)) < OLDEST_PYTHON:
        raise CondaFileError(f"asks for Python {version}, and teal's worker needs {oldest} or later")
    return version


def _dependencies(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The match specs and the pip lines of a file's `dependencies`."""
    entries = _content(text).get("dependencies")
    if not isinstance(entries, list):
        raise CondaFileError("has no list of 'dependencies'")
    pip = [line for entry in entries if isinstance(entry, dict) for line in _pip_lines(entry)]
    return _texts(entry for entry in entries if not isinstance(entry, dict)), _texts(pip)


def _content(text: str) -> dict[str, object]:
    try:
        document = read_document(text, example="dependencies: []")
    except UnreadableError as error:
        raise CondaFileError(error.message, error.line) from error
    for flaw in document.flaws:
        raise CondaFileError(f"{'.'.join(map(str, flaw.path))}: {flaw.message}", flaw.line)
    return document.data


def _pip_lines(entry: dict[object, object]) -> list[object]:
    lines = entry.get("pip")
    if set(entry) != {"pip"} or not isinstance(lines, list | None):
        raise CondaFileError(
            f"has {_SHOWN.repr(entry)} among its dependencies; only a list under 'pip' can stand there"
        )
    return lines or []


def _texts(entries: Iterable[object]) -> tuple[str, ...]:
    texts = []
    for entry in entries:
        if not isinstance(entry, str) or not entry.strip():
            raise CondaFileError(f"has {_SHOWN.repr(entry)} among its dependencies, which is not text")
        texts.append(entry.strip())
    return tuple(texts)


def _specifier(rest: str, text: str) -> str:
    """PEP 440 for what follows the name, the build string dropped."""
    if "|" in rest:
        raise CondaFileError(f"{_SHOWN.repr(text)} gives alternative versions ('|'); write one range instead")
    version, exact = _without_build(re.sub(r"\s*([=!<>~,]+)\s*", r"\1", rest.strip()))
    clauses = [_CLAUSE.match(clause) for clause in version.split(",") if clause]
    if None in clauses:
        raise CondaFileError(f"{_SHOWN.repr(text)} is not a conda package specification")
    translated = (_clause(clause["operator"], clause["version"], exact) for clause in clauses if clause)
    return ",".join(clause for clause in translated if clause)


def _without_build(rest: str) -> tuple[str, bool]:
    """The version part, and whether conda reads a lone version in it as exact.

    `=1.2=build`, `1.2 build` and a bare `1.2` are exact, `=1.2` is not.
    """
    version, space, _ = rest.partition(" ")
    with_build = _BUILD.fullmatch(version)
    if with_build:
        return with_build["version"], True
    return version, bool(space) or not version.startswith("=")


def _clause(operator: str, version: str, exact: bool) -> str:
    release = version.rstrip("*").rstrip(".")
    if not release:
        return ""
    if operator in ("", "="):
        fuzzy = version.endswith("*") or not exact
        return f"=={release}.*" if fuzzy and _RELEASE.match(release) else f"=={release}"
    if version.endswith("*"):
        return f"{operator}{release}.*" if operator in ("==", "!=") else f"{operator}{release}"
    return operator + version

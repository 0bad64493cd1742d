"""What an environment is made from, gathered from a deployment's files, with a digest of all of it."""

import hashlib
import json
import platform
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from router.control.conda import CondaFileError, parse_conda_file
from router.control.config.source import NotUtf8Error, read_source, text_of

_INCLUDE = re.compile(r"(?P<option>-r|-c|--requirement|--constraint)[ =]*(?P<target>[^\s=].*?)(?:\s+#.*)?$")


class RecipeError(ValueError):
    """A file that cannot be read or does not describe an environment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """All that an environment depends on.

    Attributes:
        source: The deployment's file; relative paths in it start at its folder.
        python: The version that it asks for, or None.
        interpreter: What uv is asked for: a path, a version, or a range of versions.
        lines: Requirements, one a line.
        files: Files of requirements and constraints, as options of `uv pip install`.
        digest: 16 hexadecimal digits over the content of everything named above, and over what teal adds.
        notes: What a person should know about how the file was read.
    """

    source: Path
    python: str | None
    interpreter: str
    lines: tuple[str, ...]
    files: tuple[str, ...]
    digest: str
    notes: tuple[str, ...]


def read_conda_recipe(source: Path, worker_needs: tuple[str, ...]) -> Recipe:
    """Read a conda environment file and the files that its pip section includes.

    Raises:
        RecipeError: One sentence that names the file and the entry.
    """
    try:
        conda = parse_conda_file(_read(source))
    except CondaFileError as error:
        place = f"{source} " if error.line is None else f"{source}:{error.line}: "
        raise RecipeError(f"{place}{error}") from error
    return _recipe(source, conda.python, conda.requirements + conda.pip, conda.notes, worker_needs)


def read_requirements_recipe(source: Path, worker_needs: tuple[str, ...]) -> Recipe:
    """Read a requirements file and the files that it includes.

    Raises:
        RecipeError: One sentence that names the file.
    """
    return _recipe(source, None, (f"-r {source}",), (), worker_needs)


def _recipe(
    source: Path, python: str | None, entries: tuple[str, ...], notes: tuple[str, ...], worker_needs: tuple[str, ...]
) -> Recipe:
    lines = tuple(entry for entry in entries if not _INCLUDE.match(entry))
    includes = [include for entry in entries if (include := _INCLUDE.match(entry))]
    contents = [text for include in includes for text in _contents(source, include["target"], seen=set())]
    local = any(_is_local(line) for text in ("\n".join(lines), *contents) for line in text.splitlines())
    interpreter = _interpreter(python)
    own = [sys.executable, platform.python_version()] if interpreter == sys.executable else []
    folder = str(source.parent) if local else ""
    ingredients = [interpreter, own, folder, lines, [include["option"] for include in includes], contents, worker_needs]
    return Recipe(
        source=source,
        python=python,
        interpreter=interpreter,
        lines=lines,
        files=tuple(text for include in includes for text in (include["option"], include["target"])),
        digest=hashlib.sha256(json.dumps(ingredients).encode()).hexdigest()[:16],
        notes=notes,
    )


def _interpreter(python: str | None) -> str:
    """teal's own interpreter where it will do: it is certainly there."""
    own = platform.python_version().split(".")
    if python is None or own[: python.count(".") + 1] == python.split("."):
        return sys.executable
    return python


def _contents(includer: Path, target: str, seen: set[Path]) -> Iterator[str]:
    """The text of an included file and of all that it includes; each once. What a URL holds is not looked at."""
    file = includer.parent / target
    if "://" in target or file in seen:
        return
    seen.add(file)
    try:
        text = _read(file)
    except RecipeError as error:
        raise error if file == includer else RecipeError(f"{includer} includes {target}: {error}") from error
    yield text
    for line in text.splitlines():
        include = _INCLUDE.match(line.strip())
        if include:
            yield from _contents(file, include["target"], seen)


def _is_local(line: str) -> bool:
    """Whether a requirement is a path, whose meaning depends on where the file lies."""
    text = line.strip()
    return not _INCLUDE.match(text) and not text.startswith("#") and "/" in text and "://" not in text


def _read(file: Path) -> str:
    try:
        # Line ends as Python's text files have them: the digest has been of these.
        return text_of(read_source(file)).replace("\r\n", "\n").replace("\r", "\n")
    except OSError as error:
        raise RecipeError(f"{file} cannot be read: {error.strerror}") from error
    except NotUtf8Error as error:
        raise RecipeError(f"{file}:{error.line}: {error}") from error

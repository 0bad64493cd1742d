"""What an environment's file names beside itself, and all of that as one piece of content.

A conda or requirements file may include others (`-r more.txt`) and name packages by path (`./x.whl`, `-e ./src`).
What is relative goes along, in a folder that has it where the file looks for it. What is absolute stays where it is.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from router.control.assets.content import Content, ContentError, text_of
from router.control.conda import CondaFileError, parse_conda_file

#: Fields that name a conda file, of a deployment's definition and of an environment's.
CONDA_FIELDS = ("environment.conda_file", "conda_file")
REQUIREMENTS_FIELDS = ("environment.requirements", "requirements")

#: What the folder is called that has a file and what it names.
FOLDER = "environment"

_OPTION = re.compile(
    r"(?P<option>-[rcef]|--requirement|--constraint|--editable|--find-links)[ =]*(?P<target>[^\s=].*)$"
)
_INCLUDES = ("-r", "-c", "--requirement", "--constraint")
_COMMENT = re.compile(r"(^|\s)#.*$")
_ARCHIVES = (".whl", ".zip", ".tar.gz", ".tgz")


class Named(NamedTuple):
    """A file or folder that a file names: as it is written, and where it is, below the folder of the first file."""

    target: str
    path: Path


def content_for(field: str, path: Path) -> Content:
    """What goes along for a path in a definition's field, such as `environment.conda_file`.

    Raises:
        ContentError: it cannot be read or copied, or names what cannot.
    """
    if field in CONDA_FIELDS or field in REQUIREMENTS_FIELDS:
        return recipe_content(path, is_conda=field in CONDA_FIELDS)
    return Content.of(path)


def recipe_content(file: Path, *, is_conda: bool) -> Content:
    """An environment's file: by itself, or in a folder called `FOLDER` with all that it names.

    Raises:
        ContentError: it, or what it names, is not there, cannot be copied, or lies outside of its folder.
    """
    file = file.absolute()
    named = named_files(file, is_conda=is_conda)
    if not named:
        return Content.of(file)
    sources = {f"{FOLDER}/{file.name}": file}
    for _, path in named:
        inner = os.path.normpath(path.relative_to(file.parent))
        sources |= _sources(path, FOLDER if inner == "." else f"{FOLDER}/{inner}")
    parents = {os.fspath(parent) for name in sources for parent in Path(name).parents if parent.name}
    return Content.made_of(FOLDER, [*sources.items(), *((name, file.parent) for name in parents - sources.keys())])


def named_files(file: Path, *, is_conda: bool) -> list[Named]:
    """The relative paths that a file and those it includes name; each once.

    Raises:
        ContentError: one of them is not there, cannot be read, or lies outside of the file's folder.
    """
    text = text_of(file)
    if is_conda:
        try:
            text = "\n".join(parse_conda_file(text).pip)
        except CondaFileError:
            return []  # whoever reads it as a recipe says what is wrong with it
    return list(dict.fromkeys(_named(file, text, file.parent, {file})))


def targets(text: str) -> Iterator[tuple[str, bool]]:
    """The relative paths in lines of requirements, each with whether it includes further requirements."""
    for line in text.replace("\\\n", " ").splitlines():
        target, is_include = _target(_COMMENT.sub("", line).strip())
        is_elsewhere = "://" in target or target.startswith(("/", "file:/", "~", "${"))
        if target and not is_elsewhere:
            yield target.removeprefix("file:"), is_include


def _target(line: str) -> tuple[str, bool]:
    option = _OPTION.match(line)
    if option:
        return _bare(option["target"]), option["option"] in _INCLUDES
    if line.startswith("-"):
        return "", False
    name, at, url = line.partition("@")
    if at and re.fullmatch(r"[\w.-]+\s*(\[[^\]]*\])?\s*", name):
        return _bare(url.strip()), False
    target = _bare(line)
    is_path = "/" in target or target in {".", ".."} or target.endswith(_ARCHIVES)
    return (target if is_path else ""), False


def _bare(text: str) -> str:
    """A path without quotes, extras, markers and hashes after it."""
    return re.split(r"\s+;|\s+--|\[|;\s", text.strip())[0].strip().strip("\"'")


def _named(includer: Path, text: str, top: Path, seen: set[Path]) -> Iterator[Named]:
    for target, is_include in targets(text):
        # Included files lie beside who includes them; packages are looked for from the first file's folder on.
        path = _place(includer, target, includer.parent if is_include else top, top)
        yield Named(target, path)
        if is_include and path not in seen:
            seen.add(path)
            yield from _named(path, text_of(path), top, seen)


def _place(includer: Path, target: str, folder: Path, top: Path) -> Path:
    path = Path(os.path.normpath(folder / target))
    if not path.is_relative_to(top):
        raise ContentError(
            f"{includer} names {target}, which is outside of {top}; put it into that folder, or give its absolute path"
        )
    if not path.exists():
        raise ContentError(f"{includer} names {target}, and {path} is not there")
    return path


def _sources(path: Path, name: str) -> dict[str, Path]:
    """The files and folders at `path`, by the names that they have when it is called `name`."""
    content = Content.of(path)
    return {name + entry.fingerprint.name.removeprefix(content.name): entry.source for entry in content.entries}

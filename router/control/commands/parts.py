"""The parts of a deployment that are files: model, code and environment, each copied and looked at."""

import os
import sys
from collections.abc import MutableMapping
from pathlib import Path, PurePosixPath

from router.control.commands.copies import Copies, Copy
from router.control.config.document import KeyPath
from router.control.config.script import script_problems
from router.control.recipe import RecipeError, read_conda_recipe, read_requirements_recipe

Fields = MutableMapping[str, object]

_IGNORE_FILES = (".amlignore", ".gitignore")


def take_model(copies: Copies, at: KeyPath, given: Fields) -> dict[str, Copy]:
    """The copy of a model, by its field.

    Args:
        at: Where its fields are in the definition.
    """
    copy = copies.take((*at, "path"), given.get("path"))
    return {} if copy is None else {"path": copy}


def take_environment(copies: Copies, at: KeyPath, given: Fields) -> dict[str, Copy]:
    """The copy of an environment's file, by its field; the path of an interpreter becomes absolute instead."""
    _check_python(copies, at, given)
    taken = {}
    for field in ("conda_file", "requirements"):
        copy = copies.take_recipe((*at, field), given.get(field))
        if copy is not None:
            taken[field] = copy
            _check_recipe(copies, (*at, field), copy)
    return taken


def take_code(copies: Copies, given: Fields, *, check_syntax: bool) -> dict[str, Copy]:
    """The copy of a code folder, by its field, once its script was looked at.

    Args:
        check_syntax: Whether the script is for the Python that runs here.
    """
    at = ("code_configuration",)
    copy = copies.take((*at, "code"), given.get("code"))
    if copy is None:
        return {}
    if not copy.path.is_dir():
        copies.complain((*at, "code"), f"{copy.own} is not a folder")
        return {}
    script = given.get("scoring_script")
    if isinstance(script, str):
        for message in _script_problems(copy, script, check_syntax=check_syntax):
            copies.complain((*at, "scoring_script"), message)
    return {"code": copy}


def take_warmup(copies: Copies, given: Fields) -> dict[str, Copy]:
    """The copy of a warm-up request's body, by its field."""
    at = ("warmup_request", "path")
    copy = copies.take(at, given.get("path"))
    if copy is not None and not copy.path.is_file():
        copies.complain(at, f"{copy.own} is not a file")
        return {}
    return {} if copy is None else {"path": copy}


def runs_on_own_interpreter(conda_file: Path | None, python: object) -> bool:
    """Whether an environment's scripts are read by the Python that runs teal; another one may know more syntax."""
    if python is not None:
        return False
    try:
        return conda_file is None or read_conda_recipe(conda_file, ()).interpreter == sys.executable
    except RecipeError:
        return False


def _check_python(copies: Copies, at: KeyPath, given: Fields) -> None:
    value = given.get("python")
    own = copies.own_path((*at, "python"), value) if isinstance(value, str) and value else None
    if own is None:
        return
    given["python"] = own
    if not (Path(own).is_file() and os.access(own, os.X_OK)):
        copies.complain((*at, "python"), f"{own} is not an executable file")


def _check_recipe(copies: Copies, key: KeyPath, copy: Copy) -> None:
    read = read_conda_recipe if key[-1] == "conda_file" else read_requirements_recipe
    try:
        read(copy.path, ())
    except RecipeError as error:
        copies.complain(key, copy.told(str(error)))


def _script_problems(copy: Copy, script: str, *, check_syntax: bool) -> list[str]:
    steps = PurePosixPath(script)
    if steps.is_absolute() or ".." in steps.parts:
        return [f"{script} leads out of {copy.own}; expected a script in that folder, such as score.py"]
    problems = [copy.told(message) for message in script_problems(copy.path, script, check_syntax=check_syntax)]
    ignore_file = next((name for name in _IGNORE_FILES if (copy.path / name).is_file()), None)
    if ignore_file is not None and not (copy.path / script).exists():
        return [f"{problem}; see whether {copy.own}/{ignore_file} leaves it behind" for problem in problems]
    return problems

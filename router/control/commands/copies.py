"""Takes copies of what a definition's paths name, and gathers what is wrong with them."""

import dataclasses
import os
from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path
from typing import NamedTuple

import yaml

from router.control.api.messages import Change
from router.control.assets.content import Content, ContentError
from router.control.assets.recipe_files import named_files, recipe_content
from router.control.assets.store import ContentStore
from router.control.commands.definitions import Definition, split
from router.control.config.document import KeyPath
from router.control.config.problem import Problem
from router.control.refusal import Invalid, NotFound

_LookAt = Callable[[str], Content]
_INLINE = "the inline conda_file"


class Copy(NamedTuple):
    """A file or folder in the store, and what the user calls it."""

    path: Path
    own: str

    def told(self, message: str) -> str:
        """A message about the copy, in the user's words."""
        message = message.replace(str(self.path), self.own)
        return message.replace(str(self.path.parent), str(Path(self.own).parent))


class Copies:
    """The copies for one definition.

    Args:
        made: Digests of the copies that were made before, by path; those that are made are added.

    Attributes:
        problems: What keeps the definition from being taken in.
    """

    def __init__(
        self, store: ContentStore, change: Change, definition: Definition | None, made: MutableMapping[str, str]
    ) -> None:
        self.problems: list[Problem] = []
        self._made = made
        self._store = store
        self._change = change
        self._definition = definition
        self._unused = dict(change.content)

    def complain(self, key: KeyPath, message: str) -> None:
        """Add a problem of a field."""
        self.problems.append(self.problem(key, message))

    def problem(self, key: KeyPath, message: str) -> Problem:
        """A problem of a field, with its line if it stands in the definition's file."""
        is_set = any(_lead_into_each_other(split(field), key) for field in self._change.set)
        if self._definition is not None and not is_set:
            problem = self._definition.problem(key, message)
            return dataclasses.replace(problem, path=self._definition.file, key=key)
        return Problem(path=None, line=None, field=".".join(map(str, key)), message=message, key=key)

    def own_path(self, key: KeyPath, value: str) -> str | None:
        """What the user means by a path; None, and a problem, if it cannot be told."""
        if "://" in value or value.startswith("azureml:"):
            self.complain(key, f"{value} is not on this machine; download it, and give the path of the file or folder")
            return None
        path = Path(value).expanduser()
        if not path.is_absolute() and self._change.file is None and ".".join(map(str, key)) not in self._change.content:
            self.complain(key, f"{value} is a relative path, and there is no file that it starts from; give all of it")
            return None
        return os.path.normpath(Path(self._change.file or "").parent / path)

    def take(self, key: KeyPath, value: object) -> Copy | None:
        """A copy of the file or folder that a field names; None if it names none, or there is a problem with it."""
        return self._taken(key, value, lambda own: Content.of(Path(own)))

    def take_recipe(self, key: KeyPath, value: object) -> Copy | None:
        """A copy of a conda or requirements file, or of an inline conda file; what it includes lies beside it."""
        is_conda = key[-1] == "conda_file"
        if is_conda and isinstance(value, Mapping):
            return self._taken_inline(key, value)
        copy = self._taken(key, value, lambda own: recipe_content(Path(own), is_conda=is_conda))
        if copy is not None and copy.path.is_dir():
            copy = Copy(copy.path / Path(copy.own).name, copy.own)
        return copy if copy is not None and self._has_what_it_names(key, copy, is_conda=is_conda) else None

    def place(self, copy: Copy) -> str:
        """Where a copy is in the store."""
        return str(copy.path.relative_to(self._store.root))

    def check_all_used(self) -> None:
        """Add a problem for what was sent along and is named nowhere."""
        for field in self._unused:
            self.complain(split(field), "content came along for this field, and no path in it that it could be")

    def _taken(self, key: KeyPath, value: object, look_at: _LookAt) -> Copy | None:
        if not isinstance(value, str) or not value:
            return None  # what kind of value it is gets checked with the whole config
        own = self.own_path(key, value)
        if own is None:
            return None
        try:
            digest = self._unused.pop(".".join(map(str, key)), None) or self._made.get(own)
            if digest is None:
                digest = self._made[own] = self._store.keep(look_at(own))
            return Copy(self._store.path(digest), own)
        except (ContentError, NotFound) as error:
            self.complain(key, str(error))
        except Invalid as error:
            self.complain(key, "; ".join(problem.message for problem in error.problems))
        return None

    def _taken_inline(self, key: KeyPath, value: Mapping[str, object]) -> Copy | None:
        text = yaml.safe_dump(dict(value), sort_keys=False, allow_unicode=True)
        copy = Copy(self._store.path(self._store.keep_text("conda.yaml", text)), _INLINE)
        try:
            named_files(copy.path, is_conda=True)
        except ContentError as error:
            self.complain(key, f"{copy.told(str(error))}; write it into a file, beside what it names")
            return None
        return copy

    def _has_what_it_names(self, key: KeyPath, copy: Copy, *, is_conda: bool) -> bool:
        if not copy.path.is_file():
            self.complain(key, f"{copy.own} is not a file")
            return False
        try:
            named_files(copy.path, is_conda=is_conda)
        except ContentError as error:
            self.complain(key, f"{copy.told(str(error))}; it has to be sent along with it")
            return False
        return True


def _lead_into_each_other(one: KeyPath, other: KeyPath) -> bool:
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]

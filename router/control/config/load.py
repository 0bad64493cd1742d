"""Reading the config file: all its problems at once, each with its line."""

import gc
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from router.control.config.document import Document, KeyPath, UnreadableError, read_document
from router.control.config.explain import explain
from router.control.config.problem import MOST_PROBLEMS, Problem
from router.control.config.schema import RouterConfig
from router.control.config.source import MAX_SOURCE_BYTES, NotUtf8Error, read_source, text_of, too_large
from router.control.config.unhonoured import unhonoured
from router.control.config.validate import config_breaches
from router.core.rules import Breach, name_breaches


class ConfigError(Exception):
    """The config is refused; `problems` has the reasons in the order of their lines, `count` how many there are."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        ordered = sorted(problems, key=lambda problem: problem.line or 0)
        self.count = len(ordered)
        self.problems = tuple(ordered[:MOST_PROBLEMS])
        if left_out := ordered[MOST_PROBLEMS:]:
            more = f"{len(left_out):,} more problems from here on; put these right first"
            self.problems += (Problem(path=left_out[0].path, line=left_out[0].line, field="", message=more),)
        super().__init__("\n".join(str(problem) for problem in self.problems))


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A valid config, the bytes that it was read from, and the way from its fields back to their lines."""

    config: RouterConfig
    path: Path
    content: bytes
    document: Document

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """Fields that are accepted and have no effect here."""
        return tuple(self.problem(*warning) for warning in unhonoured(self.config))

    def problem(self, path: KeyPath, message: str) -> Problem:
        """A problem of the field at `path`, with its line."""
        return _problem(self.path, self.document, path, message)


def load_config(path: Path) -> Loaded:
    """The config in the file at `path`.

    Raises:
        ConfigError: It cannot be read or is not valid.
    """
    try:
        content = read_source(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError([Problem(path=path, line=None, field="", message=reason)]) from error
    return load_content(content, path)


def parse_config(content: bytes | str, path: Path) -> RouterConfig:
    """The config in `content`; relative paths in it start at the folder of `path`, which is not read.

    Raises:
        ConfigError: It is not valid.
    """
    return load_content(content.encode() if isinstance(content, str) else content, path).config


def load_content(content: bytes, path: Path) -> Loaded:
    """The config in `content`, as if it had been read from `path`.

    Raises:
        ConfigError: It is not valid.
    """
    with collector_paused():
        return _loaded(content, path)


@contextmanager
def collector_paused() -> Iterator[None]:
    """Keep the garbage collector from visiting a growing heap of which nothing is garbage.

    It took half the time of a large config: 1.1 s against 0.6 s for 22,500 lines.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _loaded(content: bytes, path: Path) -> Loaded:
    try:
        document = read_document(_decoded(content))
    except UnreadableError as error:
        raise ConfigError([Problem(path=path, line=error.line, field="", message=error.message)]) from error
    folder = path.absolute().parent
    problems = [Problem(path=path, line=f.line, field=_field(f.path), message=f.message) for f in document.flaws]
    try:
        config = _validated(document.data, folder)
        breaches = config_breaches(config)
    except ValidationError as error:
        config = None
        breaches = _breaches_around(error, document, folder)
    problems += [_problem(path, document, *breach) for breach in breaches]
    if problems or config is None:
        raise ConfigError(problems)
    return Loaded(config=config, path=path, content=content, document=document)


def _decoded(content: bytes) -> str:
    if len(content) > MAX_SOURCE_BYTES:  # what a change would make of the file
        raise UnreadableError(1, too_large(len(content)))
    try:
        return text_of(content)
    except NotUtf8Error as error:
        raise UnreadableError(error.line, str(error)) from error


def _validated(data: Mapping[str, object], folder: Path) -> RouterConfig:
    return RouterConfig.model_validate(data, context={"folder": folder})


def _breaches_around(error: ValidationError, document: Document, folder: Path) -> list[Breach]:
    """What is wrong with the shape, and which rules are broken by the parts whose shape is right."""
    flawed = {flaw.path for flaw in document.flaws}
    explained = [explain(detail, document) for detail in error.errors(include_url=False)]
    breaches = [Breach(path, message) for path, message in explained if path not in flawed]
    sound = _without([path for path, _ in explained], document.data)
    found = config_breaches(_validated(sound, folder))
    if "listen" in document.data and "listen" not in sound:
        found = [breach for breach in found if breach.path[-2:-1] != ("upstreams",)]
    return breaches + found + _names_of_unsound(document.data, sound)


def _without(paths: Iterable[KeyPath], data: Mapping[str, object]) -> dict[str, object]:
    """The data less every top-level field and every endpoint that one of the paths leads into."""
    sound = dict(data)
    endpoints = data.get("endpoints")
    left = dict(endpoints) if isinstance(endpoints, Mapping) else {}
    for path in paths:
        if path[0] == "endpoints" and len(path) > 1:
            left.pop(path[1], None)
        else:
            sound.pop(str(path[0]), None)
    return sound | ({"endpoints": left} if "endpoints" in sound else {})


def _names_of_unsound(data: Mapping[str, object], sound: Mapping[str, object]) -> list[Breach]:
    """Breaches of the endpoint names that `sound` has left out, against all the names there are."""
    endpoints, kept = data.get("endpoints"), sound.get("endpoints")
    if not isinstance(endpoints, Mapping) or not isinstance(kept, Mapping):
        return []
    found = name_breaches([str(name) for name in endpoints])
    seen = {breach.path for breach in name_breaches([str(name) for name in kept])}
    return [Breach(("endpoints", *breach.path), breach.message) for breach in found if breach.path not in seen]


def _problem(file: Path, document: Document, path: KeyPath, message: str) -> Problem:
    return Problem(path=file, line=document.line(path), field=_field(path), message=message, key=path)


def _field(path: KeyPath) -> str:
    """The path as people write it, less the leading `endpoints`, under which nearly everything stands."""
    steps = path[1:] if len(path) > 1 and path[0] == "endpoints" else path
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return text.removeprefix(".")

"""What a command is given of a resource: the file of `--file`, and the options over it."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from router.cli.client import Daemon
from router.cli.errors import Interrupted, Refused, WrongUsage
from router.cli.notes import Notes
from router.cli.uploads import upload
from router.control.assets.content import ContentError
from router.control.commands.definitions import Definition, read_definition, split, value_at, with_values
from router.control.config.document import KeyPath
from router.control.config.source import NotUtf8Error, read_source, text_of
from router.control.refusal import Invalid

#: A path that stays where it is: an interpreter cannot be copied.
_IN_PLACE = "environment.python"
_STANDARD_INPUT = frozenset({"-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"})
#: Files without a folder of their own: standard input, and what a shell makes of `<(...)`.
_STREAMS = ("/dev/", "/proc/self/fd/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A definition as the user wrote it.

    Attributes:
        file: As typed, `-` for standard input; None without one.
        text: Of the file.
        definition: What the file says.
        set: Values by dotted field, over the file's.
        remove: Dotted fields to take away.
    """

    file: str | None = None
    text: str | None = None
    definition: Definition = field(default_factory=lambda: Definition(fields={}))
    set: Mapping[str, object] = field(default_factory=dict)
    remove: tuple[str, ...] = ()

    @property
    def fields(self) -> dict[str, object]:
        """The file's fields, with what is set over them."""
        try:
            return with_values(self.definition.fields, ((split(name), value) for name, value in self.set.items()))
        except Invalid as error:
            raise Refused(map(str, error.problems)) from error

    @property
    def folder(self) -> Path:
        """Where relative paths start, those of `--set` included: at the file, as Azure has it, or here."""
        if self.file is None or self.file in _STANDARD_INPUT or self.file.startswith(_STREAMS):
            return Path.cwd()
        return Path(os.path.abspath(self.file)).parent  # noqa: PTH100  # keeps links

    def text_of(self, name: str, option: str | None) -> str:
        """A name that stands in an option or in the file.

        Raises:
            WrongUsage: it stands nowhere.
        """
        value = self.fields.get(name) if option is None else option
        if value is None or value == "":
            where = f", or `{name}:` in {self.file}" if self.file else f", or a --file with `{name}:` in it"
            raise WrongUsage([f"no {name.replace('_', ' ')}: give it with --{name.replace('_', '-')}{where}"])
        return str(value)

    @property
    def is_empty(self) -> bool:
        """Whether it says nothing."""
        return self.file is None and not self.set and not self.remove

    @property
    def absolute_file(self) -> str | None:
        """What the daemon calls the file; JSON has no bytes that are no text."""
        if self.file is None:
            return None
        return str(self.folder / Path(self.file).name).encode(errors="backslashreplace").decode()

    def as_typed(self, line: str) -> str:
        """A line of the daemon, with the file called as the user called it."""
        absolute = self.absolute_file
        is_about_file = absolute is not None and line.startswith(f"{absolute}:")
        return f"{self.file}{line[len(absolute or '') :]}" if is_about_file else line


def given(
    file: str | None,
    values: Mapping[str, object] | None = None,
    remove: Iterable[str] | None = None,
    **options: str | int | None,
) -> Given:
    """What `--file`, `--set`, `--remove` and options that stand for a field say.

    Args:
        options: By field; None where it was not given.

    Raises:
        Refused: the file cannot be read, or is no YAML mapping.
    """
    named = {name: value for name, value in options.items() if value is not None}
    text = None if file is None else _read(file)
    try:
        definition = Definition(fields={}) if text is None else read_definition(text, file)
    except Invalid as error:
        raise Refused(map(str, error.problems)) from error
    return Given(
        file=file, text=text, definition=definition, set={**(values or {}), **named}, remove=tuple(remove or ())
    )


def change(
    daemon: Daemon,
    notes: Notes,
    given: Given,
    path_fields: Iterable[str] = (),
    names: Iterable[str] = (),
) -> dict[str, object]:
    """The body that asks the daemon for it, once what its paths name has been uploaded.

    Args:
        path_fields: Dotted fields that are paths.
        names: Fields that the address has; they are not set once more.

    Raises:
        Refused: something is not there or cannot be read, or the daemon does not take it.
        Interrupted: Ctrl-C, before all of it was uploaded.
    """
    values = {name: value for name, value in given.set.items() if name not in names}
    content = {}
    missing: list[Refused] = []
    for name, path in _local_paths(given.fields, path_fields):
        place = os.path.normpath(given.folder / Path(path).expanduser())
        if name == _IN_PLACE:
            values |= {} if given.file else {name: place}
            continue
        try:
            content[name] = upload(daemon, notes, name, Path(place))
        except ContentError as error:
            missing.append(_misplaced(given, split(name), str(error)))
        except KeyboardInterrupt as error:
            raise Interrupted([f"interrupted before {place} was copied to the daemon; nothing was changed"]) from error
    if missing:
        raise Refused(line for refused in missing for line in refused.lines)
    return {
        "definition": given.text,
        "file": given.absolute_file,
        "content": content,
        "set": values,
        "remove": given.remove,
    }


def _read(file: str) -> str:
    is_ours = file in _STANDARD_INPUT  # which may be a socket, and those have no path
    try:
        return text_of(read_source(0 if is_ours else Path(file)))
    except OSError as error:
        raise Refused([f"{file}: {error.strerror}"]) from error
    except NotUtf8Error as error:
        raise Refused([f"{file}:{error.line}: {error}"]) from error


def _local_paths(fields: Mapping[str, object], names: Iterable[str]) -> Iterator[tuple[str, str]]:
    for name in names:
        value = value_at(fields, split(name))
        if isinstance(value, str) and value and "://" not in value and not value.startswith("azureml:"):
            yield name, value


def _misplaced(given: Given, path: KeyPath, message: str) -> Refused:
    """A problem of a field, with its line if it is the file that has it."""
    is_set = any(split(name) == path[: len(split(name))] for name in given.set)
    definition = Definition(fields={}) if is_set else given.definition
    return Refused([str(definition.problem(path, message))])

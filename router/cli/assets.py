"""`teal model` and `teal environment`: what deployments name by name and version."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from router.cli.client import find_daemon, target
from router.cli.definitions import change, given
from router.cli.errors import Refused, WrongUsage
from router.cli.notes import Notes

if TYPE_CHECKING:
    from knack.commands import CLICommand

Json = dict[str, Any]

_PATH_FIELDS = {"models": ("path",), "environments": ("conda_file", "requirements")}


def create_model(
    *,
    cmd: "CLICommand",
    name: str | None = None,
    version: str | None = None,
    file: str | None = None,
    path: str | None = None,
    type_: str | None = None,
    description: str | None = None,
    tags: Mapping[str, str] | None = None,
    values: Mapping[str, object] | None = None,
    state_dir: str | None = None,
) -> Json:
    """`teal model create`."""
    options = {"name": name, "version": version, "path": path, "type": type_, "description": description}
    return _create(cmd, "models", file, {**(values or {}), **_given(options), **_given({"tags": tags})}, state_dir)


def create_environment(
    *,
    cmd: "CLICommand",
    name: str | None = None,
    version: str | None = None,
    file: str | None = None,
    conda_file: str | None = None,
    image: str | None = None,
    description: str | None = None,
    tags: Mapping[str, str] | None = None,
    values: Mapping[str, object] | None = None,
    state_dir: str | None = None,
) -> Json:
    """`teal environment create`."""
    options = {"name": name, "version": version, "conda_file": conda_file, "image": image, "description": description}
    values = {**(values or {}), **_given(options), **_given({"tags": tags})}
    return _create(cmd, "environments", file, values, state_dir)


def _listing(kind: str) -> Callable[..., list[Json]]:
    """The command that lists assets of a kind."""

    def run(
        name: str | None = None,
        archived_only: bool = False,
        include_archived: bool = False,
        state_dir: str | None = None,
    ) -> list[Json]:
        if archived_only and include_archived:
            raise WrongUsage(["give --archived-only or --include-archived, not both"])
        archived = "only" if archived_only else "all" if include_archived else None
        assets: list[Json] = find_daemon(state_dir).ask("GET", target(kind, name=name, archived=archived))
        return assets

    return run


def _showing(kind: str) -> Callable[..., Json]:
    """The command that shows a version."""

    def run(name: str, version: str | None = None, label: str | None = None, state_dir: str | None = None) -> Json:
        at = target(kind, name, "versions", _version(version, label))
        asset: Json = find_daemon(state_dir).ask("GET", at)
        return asset

    return run


def _filing(kind: str, verb: str) -> Callable[..., None]:
    """The command that archives or restores a version; it prints nothing, as with `az`."""

    def run(name: str, version: str | None = None, label: str | None = None, state_dir: str | None = None) -> None:
        at = target(kind, name, "versions", _version(version, label), verb)
        find_daemon(state_dir).ask("POST", at, {})

    return run


def _deleting(kind: str) -> Callable[..., None]:
    """The command that deletes a version."""

    def run(name: str, version: str, state_dir: str | None = None) -> None:
        find_daemon(state_dir).ask("DELETE", target(kind, name, "versions", version))

    return run


list_models, list_environments = _listing("models"), _listing("environments")
show_model, show_environment = _showing("models"), _showing("environments")
archive_model, archive_environment = _filing("models", "archive"), _filing("environments", "archive")
restore_model, restore_environment = _filing("models", "restore"), _filing("environments", "restore")
delete_model, delete_environment = _deleting("models"), _deleting("environments")


def _create(
    cmd: "CLICommand", kind: str, file: str | None, values: Mapping[str, object], state_dir: str | None
) -> Json:
    wanted = given(file, values)
    wanted.text_of("name", None)
    daemon = find_daemon(state_dir)
    body = change(daemon, Notes(cmd), wanted, _PATH_FIELDS[kind])
    try:
        asset: Json = daemon.ask("POST", target(kind), body)
    except Refused as error:
        raise type(error)(map(wanted.as_typed, error.lines)) from error
    return asset


def _given(options: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in options.items() if value is not None}


def _version(version: str | None, label: str | None) -> str:
    if (version is None) == (label is None):
        raise WrongUsage(["give --version, or --label latest for the newest that is not archived"])
    return version or label or ""

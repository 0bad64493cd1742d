"""`teal config`: the versions of the config file, what differs, and the way back."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from router.cli.client import NoDaemon, find_daemon, state_places, target
from router.cli.commands import DEFAULT_CONFIG
from router.cli.errors import Refused
from router.cli.notes import Notes
from router.cli.operations import Operation, submit
from router.cli.stored_config import stored_history
from router.control.config.source import read_source
from router.control.history import unified_diff
from router.control.refusal import Refusal

if TYPE_CHECKING:
    from knack.commands import CLICommand

Version = dict[str, Any]


def history(state_dir: str | None = None) -> list[Version]:
    """`teal config history`."""
    versions: list[Version] = find_daemon(state_dir).ask("GET", target("config", "history"))
    return versions


def diff(cmd: "CLICommand", number: int | None = None, config: str | None = None, state_dir: str | None = None) -> None:
    """`teal config diff`: what leads from a version to the file, as a unified diff.

    Args:
        number: Of the version; None for the last that is not what the file has.
        config: A file to take for the daemon's; None for `number` means what is in force then.

    Raises:
        Refused: there is nothing to compare with.
    """
    try:
        sys.stdout.write(_diff_by_daemon(number, config, state_dir))
    except NoDaemon as error:
        sys.stdout.write(_diff_without_daemon(Notes(cmd), error, number, config, state_dir))


def undo(
    cmd: "CLICommand", number: int | None = None, no_wait: bool = False, state_dir: str | None = None
) -> Operation:
    """`teal config undo`."""
    body = {} if number is None else {"number": number}
    return submit(find_daemon(state_dir), Notes(cmd), "POST", target("config", "undo"), body, no_wait=no_wait)


def _diff_by_daemon(number: int | None, config: str | None, state_dir: str | None) -> str:
    daemon = find_daemon(state_dir)
    if config is None:
        return daemon.get(target("config", "diff", number=number)).decode()
    after = _read(config)
    if number is None:
        versions = daemon.ask("GET", target("config", "history"))
        number = max((version["number"] for version in versions if version["is_applied"]), default=None)
    if number is None:
        raise Refused(["no config has been in force yet"])
    before = daemon.get(target("config", "versions", str(number))).decode()
    return unified_diff(before, after, f"version {number}", config)


def _diff_without_daemon(
    notes: Notes, no_daemon: NoDaemon, number: int | None, config: str | None, state_dir: str | None
) -> str:
    """The same from the database that the daemon has left, if there is one that we may read."""
    place = next((place for place in state_places(state_dir) if _is_there(place / "state.db")), None)
    if place is None:
        raise Refused([*no_daemon.lines, "there is no state.db in those places to compare with"])
    if config is None and not Path(DEFAULT_CONFIG).exists():
        raise Refused([*no_daemon.lines, f"there is no {DEFAULT_CONFIG} here; say which file to compare with --config"])
    after = _read(config or DEFAULT_CONFIG)
    versions = stored_history(place)
    notes.tell(f"no daemon is running; {config or DEFAULT_CONFIG} is compared with what it left in {place}/state.db")
    if config is not None and number is None:
        number = max((version.number for version in versions.versions() if version.was_applied), default=None)
    try:
        return versions.diff(number, after)
    except Refusal as error:
        raise Refused([error.message]) from error


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:
        return True  # and reading it will say so


def _read(file: str) -> str:
    try:
        return read_source(Path(file)).decode("utf-8-sig", errors="replace")
    except OSError as error:
        raise Refused([f"{file}: {error.strerror}"]) from error

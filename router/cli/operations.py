"""What takes its time: having it done and watching it; `teal operation`."""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from router.cli.client import Daemon, find_daemon, target
from router.cli.errors import DaemonGone, Interrupted, Refused
from router.cli.notes import Notes

if TYPE_CHECKING:
    from knack.commands import CLICommand

#: As the daemon's JSON has it; its fields are those of `router.control.api.messages.Operation`.
Operation = dict[str, Any]

#: How long the daemon keeps a question open while nothing happens.
_WAIT_S = 10


def list_all(state_dir: str | None = None) -> list[Operation]:
    """`teal operation list`."""
    operations: list[Operation] = find_daemon(state_dir).ask("GET", target("operations"))
    return operations


def show(operation: str, state_dir: str | None = None) -> Operation:
    """`teal operation show`."""
    return _get(find_daemon(state_dir), operation)


def wait(cmd: "CLICommand", operation: str, state_dir: str | None = None) -> Operation:
    """`teal operation wait`: the operation, once it has succeeded.

    Raises:
        Refused: it has failed, or was cancelled.
    """
    daemon = find_daemon(state_dir)
    return follow(daemon, Notes(cmd), _get(daemon, operation))


def submit(
    daemon: Daemon,
    notes: Notes,
    method: str,
    at: str,
    body: Mapping[str, object] | None = None,
    *,
    no_wait: bool,
    as_typed: Callable[[str], str] = str,
) -> Operation:
    """Have something done; the operation, once it has succeeded, or as it begins if `no_wait`.

    Args:
        at: Target in the admin API.
        as_typed: Puts a line of the daemon into the user's words.

    Raises:
        Refused: it was refused, or it failed.
    """
    try:
        operation: Operation = daemon.ask(method, at, body)
    except Refused as error:
        raise type(error)(map(as_typed, error.lines)) from error
    for warning in operation["warnings"]:
        notes.warn(as_typed(warning))
    return operation if no_wait else follow(daemon, notes, operation)


def follow(daemon: Daemon, notes: Notes, operation: Operation) -> Operation:
    """Tell what an operation does, until it has succeeded.

    Raises:
        Refused: it has failed, or was cancelled; with the reason and the log's tail.
        DaemonGone: nobody knows for now what becomes of it.
        Interrupted: the user does not want to wait.
    """
    name = operation["id"]
    later = f"teal operation wait {name}{daemon.option}"
    try:
        for state in _states(daemon, operation, notes):
            operation = state
    except DaemonGone as error:
        raise DaemonGone([*error.lines, f"once it runs again, see what became of this with: {later}"]) from error
    except KeyboardInterrupt as error:
        look = f"teal operation show {name}{daemon.option}"
        raise Interrupted([f"operation {name} goes on; look at it with: {look}, or wait with: {later}"]) from error
    if operation["status"] != "Succeeded":
        raise Refused(_failure(operation, daemon))
    return operation


def _get(daemon: Daemon, name: str) -> Operation:
    operation: Operation = daemon.ask("GET", target("operations", name))
    return operation


def _states(daemon: Daemon, operation: Operation, notes: Notes) -> Iterator[Operation]:
    """What the operation is by and by; its progress is told."""
    told = 0
    while True:
        for line in operation["progress"][told:]:
            notes.tell(line["text"])
        told = len(operation["progress"])
        yield operation
        if operation["status"] != "InProgress":
            return
        question = target("operations", operation["id"], wait_s=_WAIT_S, progress=told)
        operation = daemon.ask("GET", question, wait_s=_WAIT_S)


def _failure(operation: Operation, daemon: Daemon) -> Iterator[str]:
    what = " ".join([operation["command"], "/".join(filter(None, (operation["endpoint"], operation["deployment"])))])
    ended = "was cancelled" if operation["status"] == "Canceled" else "failed"
    yield f"{what.strip()} {ended}: {operation['reason']}"
    if operation["log_tail"]:
        yield from (f"  {line}" for line in operation["log_tail"])
    if operation["log_tail"] and operation["deployment"]:
        names = f"--name {operation['deployment']} --endpoint-name {operation['endpoint']}"
        yield f"the whole log: teal online-deployment get-logs {names}{daemon.option}"

"""`teal online-deployment`."""

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from router.cli.client import find_daemon, target
from router.cli.definitions import Given, change, given
from router.cli.errors import WrongUsage
from router.cli.notes import Notes
from router.cli.operations import submit
from router.control.commands.definitions import PATH_FIELDS

if TYPE_CHECKING:
    from knack.commands import CLICommand

Json = dict[str, Any]

#: As `az ml online-deployment get-logs` has it.
_LOG_LINES = 5000


def _changing(method: Literal["PUT", "PATCH"]) -> Callable[..., Json]:
    """The command that creates a deployment (PUT), or changes one that is there (PATCH)."""

    def run(
        *,
        cmd: "CLICommand",
        name: str | None = None,
        endpoint_name: str | None = None,
        file: str | None = None,
        all_traffic: bool = False,
        instance_count: int | None = None,
        values: Mapping[str, object] | None = None,
        remove: tuple[str, ...] | None = None,
        no_wait: bool = False,
        state_dir: str | None = None,
    ) -> Json:
        wanted = given(file, values, remove, instance_count=instance_count)
        at = _target(wanted.text_of("endpoint_name", endpoint_name), wanted.text_of("name", name))
        if method == "PATCH" and not all_traffic:
            _check_for_change(wanted)
        daemon, notes = find_daemon(state_dir), Notes(cmd)
        body = change(daemon, notes, wanted, PATH_FIELDS, names=["name", "endpoint_name"])
        body["all_traffic"] = all_traffic
        operation = submit(daemon, notes, method, at, body, no_wait=no_wait, as_typed=wanted.as_typed)
        deployment: Json = operation if no_wait else daemon.ask("GET", at)
        return deployment

    return run


create = _changing("PUT")
update = _changing("PATCH")


def show(name: str, endpoint_name: str, state_dir: str | None = None) -> Json:
    """`teal online-deployment show`."""
    deployment: Json = find_daemon(state_dir).ask("GET", _target(endpoint_name, name))
    return deployment


def list_all(endpoint_name: str, state_dir: str | None = None) -> list[Json]:
    """`teal online-deployment list`."""
    deployments: list[Json] = find_daemon(state_dir).ask("GET", target("endpoints", endpoint_name, "deployments"))
    return deployments


def delete(
    cmd: "CLICommand", name: str, endpoint_name: str, no_wait: bool = False, state_dir: str | None = None
) -> Json | None:
    """`teal online-deployment delete`."""
    at = _target(endpoint_name, name)
    operation = submit(find_daemon(state_dir), Notes(cmd), "DELETE", at, no_wait=no_wait)
    return operation if no_wait else None


def get_logs(
    *,
    cmd: "CLICommand",
    name: str,
    endpoint_name: str,
    lines: int = _LOG_LINES,
    follow: bool = False,
    instance: str | None = None,
    container: str | None = None,
    state_dir: str | None = None,
) -> None:
    """`teal online-deployment get-logs`: the lines as they are; `follow` ends with Ctrl-C, and that is no error."""
    if container == "storage-initializer":
        Notes(cmd).warn("there is no storage initializer here: the daemon copies models itself; see teal events")
        return
    query = {"lines": lines, "instance": instance, "follow": "true" if follow else None}
    at = target("endpoints", endpoint_name, "deployments", name, "logs", **query)
    try:
        for block in find_daemon(state_dir).stream(at):
            sys.stdout.buffer.write(block)
            sys.stdout.buffer.flush()
    except KeyboardInterrupt:
        return


def _target(endpoint_name: str, name: str) -> str:
    return target("endpoints", endpoint_name, "deployments", name)


def _check_for_change(wanted: Given) -> None:
    if wanted.is_empty:
        raise WrongUsage(["nothing to change: give --set, --remove, --instance-count, --all-traffic or --file"])

"""`teal online-endpoint`; its `invoke` is in a module of its own."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from router.cli.client import find_daemon, target
from router.cli.definitions import Given, change, given
from router.cli.errors import WrongUsage
from router.cli.notes import Notes
from router.cli.operations import submit

if TYPE_CHECKING:
    from knack.commands import CLICommand

Json = dict[str, Any]


def _changing(method: Literal["PUT", "PATCH"]) -> Callable[..., Json]:
    """The command that creates an endpoint (PUT), or changes one that is there (PATCH)."""

    def run(
        *,
        cmd: "CLICommand",
        name: str | None = None,
        file: str | None = None,
        auth_mode: str | None = None,
        traffic: Mapping[str, float] | None = None,
        mirror_traffic: Mapping[str, float] | None = None,
        values: Mapping[str, object] | None = None,
        remove: tuple[str, ...] | None = None,
        no_wait: bool = False,
        state_dir: str | None = None,
    ) -> Json:
        wanted = given(file, values, remove, auth_mode=auth_mode)
        at = target("endpoints", wanted.text_of("name", name))
        weights = {"traffic": traffic, "mirror_traffic": mirror_traffic}
        if method == "PATCH":
            _check_for_change(wanted, weights)
        daemon, notes = find_daemon(state_dir), Notes(cmd)
        body = change(daemon, notes, wanted, names=["name"]) | weights
        operation = submit(daemon, notes, method, at, body, no_wait=no_wait, as_typed=wanted.as_typed)
        endpoint: Json = operation if no_wait else daemon.ask("GET", at)
        return endpoint

    return run


create = _changing("PUT")
update = _changing("PATCH")


def show(name: str, state_dir: str | None = None) -> Json:
    """`teal online-endpoint show`."""
    endpoint: Json = find_daemon(state_dir).ask("GET", target("endpoints", name))
    return endpoint


def list_all(state_dir: str | None = None) -> list[Json]:
    """`teal online-endpoint list`."""
    endpoints: list[Json] = find_daemon(state_dir).ask("GET", target("endpoints"))
    return endpoints


def delete(cmd: "CLICommand", name: str, no_wait: bool = False, state_dir: str | None = None) -> Json | None:
    """`teal online-endpoint delete`."""
    operation = submit(find_daemon(state_dir), Notes(cmd), "DELETE", target("endpoints", name), no_wait=no_wait)
    return operation if no_wait else None


def get_credentials(name: str, state_dir: str | None = None) -> Json:
    """`teal online-endpoint get-credentials`."""
    credentials: Json = find_daemon(state_dir).ask("GET", target("endpoints", name, "credentials"))
    return credentials


def regenerate_keys(name: str, key_type: str = "primary", no_wait: bool = False, state_dir: str | None = None) -> None:
    """`teal online-endpoint regenerate-keys`; there is nothing to wait for: the answer means that it is done."""
    find_daemon(state_dir).ask("POST", target("endpoints", name, "keys"), {"key_type": key_type})


def _check_for_change(wanted: Given, weights: Mapping[str, object]) -> None:
    if wanted.is_empty and all(value is None for value in weights.values()):
        raise WrongUsage(["nothing to change: give --traffic, --mirror-traffic, --set, --remove or --file"])

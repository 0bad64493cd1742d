"""What Tab offers in the place of a name: what the daemon has."""

import argparse
from collections.abc import Callable

Completer = Callable[..., list[str]]


def complete_names(*kind: str) -> Completer:
    """Offers the names of everything of a kind, as the admin API calls it."""

    def complete(prefix: str, parsed_args: argparse.Namespace, **_: object) -> list[str]:
        return _names(parsed_args, *kind)

    return complete


def complete_deployments(prefix: str, parsed_args: argparse.Namespace, **_: object) -> list[str]:
    """Offers the deployments of the endpoint that stands in the command already."""
    endpoint = getattr(parsed_args, "endpoint_name", None) or getattr(parsed_args, "name", None)
    return _names(parsed_args, "endpoints", endpoint, "deployments") if endpoint else []


complete_endpoints = complete_names("endpoints")


def _names(parsed_args: argparse.Namespace, *path: str) -> list[str]:
    # Only when somebody presses Tab: every command reads this module, and few of them talk to the daemon.
    from router.cli.client import find_daemon, target  # noqa: PLC0415
    from router.cli.errors import Refused  # noqa: PLC0415

    try:
        found = find_daemon(getattr(parsed_args, "state_dir", None)).ask("GET", target(*path))
    except Refused:
        return []
    return sorted({each["name"] for each in found})

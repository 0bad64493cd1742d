"""`teal status`."""

import json
import sys
from typing import TYPE_CHECKING

from router.cli.client import find_daemon
from router.cli.errors import Refused

if TYPE_CHECKING:
    from knack.commands import CLICommand


def status(
    cmd: "CLICommand", state_dir: str | None = None, watch: bool = False, once: bool = False
) -> dict[str, object] | None:
    """Show the daemon: on a terminal a picture that stays fresh, else one picture; with `-o` its data.

    Raises:
        Refused: there is no daemon, or `watch` is asked for without a terminal.
    """
    if watch and not sys.stdout.isatty():
        raise Refused(["--watch needs a terminal; use --once, or -o json in a loop"])
    daemon = find_daemon(state_dir)
    if cmd.cli_ctx.invocation.data["output"] is not None:
        data: dict[str, object] = json.loads(daemon.get("/status"))
        return data
    # rich doubles the time that a script waits for its JSON.
    from router.cli.status_live import show_once, watch_daemon  # noqa: PLC0415

    if once or not sys.stdout.isatty():
        show_once(daemon)
    else:
        watch_daemon(daemon)
    return None

"""`teal status` for people: one picture, or one every second until Ctrl-C."""

import sys
import time

import msgspec
from rich.console import Console
from rich.live import Live

from router.cli.client import Daemon
from router.cli.errors import Refused
from router.cli.recent import History
from router.cli.status_view import picture
from router.control.status import RouterStatus

_PERIOD_S = 1.0
# Without a terminal there is no width to keep to; a table that wraps cannot be read or searched.
_FREE_WIDTH = 200

_decoder = msgspec.json.Decoder(RouterStatus)


def show_once(daemon: Daemon) -> None:
    """Print the daemon's status; rates are not known from one look."""
    history = History()
    history.add(time.monotonic(), _ask(daemon))
    Console(width=None if sys.stdout.isatty() else _FREE_WIDTH).print(picture(history, now=time.time()))


def watch_daemon(daemon: Daemon) -> None:
    """Show the daemon's status until Ctrl-C.

    Raises:
        Refused: the daemon has gone.
    """
    history = History()
    try:
        with Live(screen=True, auto_refresh=False) as live:
            while True:
                history.add(time.monotonic(), _ask(daemon))
                live.update(picture(history, now=time.time()), refresh=True)
                time.sleep(_PERIOD_S)
    except KeyboardInterrupt:
        return


def _ask(daemon: Daemon) -> RouterStatus:
    try:
        return _decoder.decode(daemon.get("/status"))
    except msgspec.ValidationError as error:
        raise Refused([f"the daemon is of another version of teal; use its own command ({error})"]) from error

"""`teal events`: what the daemon logged, and what it goes on to log."""

import json
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from router.cli.client import find_daemon, target
from router.cli.errors import WrongUsage

if TYPE_CHECKING:
    from knack.commands import CLICommand

Event = dict[str, Any]

_SAID = ("timestamp", "level", "event")
#: All that is kept comes from the control process.
_UNSAID = frozenset({*_SAID, "process"})
_DEFAULT_LINES = 50


def events(
    cmd: "CLICommand", lines: int = _DEFAULT_LINES, follow: bool = False, state_dir: str | None = None
) -> list[Event] | None:
    """The events, for `-o` and programs; a line each on a terminal, and while they are followed.

    Raises:
        WrongUsage: `follow` together with what needs all events first.
    """
    told = cmd.cli_ctx.invocation.data
    if follow and (told["query_active"] or told["output"] not in {None, "json"}):
        raise WrongUsage(["--follow prints each event as it comes; leave out --query and -o, or take -o json"])
    is_for_people = sys.stdout.isatty() and told["output"] is None and not told["query_active"]
    daemon = find_daemon(state_dir)
    found = _lines(daemon.stream(target("events", lines=lines, follow="true" if follow else None)))
    if not follow and not is_for_people:
        return [json.loads(line) for line in found]
    try:
        for line in found:
            print(_readable(json.loads(line)) if is_for_people else line, flush=True)
    except KeyboardInterrupt:  # ends it, and is no error
        return None
    return None


def _lines(blocks: Iterable[bytes]) -> Iterator[str]:
    rest = b""
    for block in blocks:
        *whole, rest = (rest + block).split(b"\n")
        yield from (line.decode("utf-8", "replace") for line in whole if line)


def _readable(event: Event) -> str:
    fields = (f"{name}={_shown(value)}" for name, value in event.items() if name not in _UNSAID and value is not None)
    return " ".join([*(str(event.get(name, "-")) for name in _SAID), *fields])


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

"""Why a command was not done, as the command line says it."""

from collections.abc import Iterable

from knack.util import CLIError


class Refused(CLIError):  # type: ignore[misc]  # knack has no types
    """What was asked for was not done; each line goes to standard error as it is."""

    exit_code = 1

    def __init__(self, lines: Iterable[str]) -> None:
        self.lines = tuple(lines)
        super().__init__("\n".join(self.lines))


class WrongUsage(Refused):
    """The command line contradicts itself, or does not say enough."""

    exit_code = 2


class Interrupted(Refused):
    """Ctrl-C ended the command; the lines say what has been done, and what goes on."""

    exit_code = 130  # as shells have it: 128 + SIGINT


class DaemonGone(Refused):
    """The daemon does not answer any more."""

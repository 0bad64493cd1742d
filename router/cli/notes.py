"""What a command tells a person beside its result: lines on standard error."""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from knack.commands import CLICommand

_MEGABYTE = 1_000_000


class Notes:
    """Warnings and progress of one command; `--only-show-errors` keeps them back."""

    def __init__(self, cmd: "CLICommand") -> None:
        self._is_silent = bool(cmd.cli_ctx.only_show_errors)

    def tell(self, line: str) -> None:
        """Something that is being done."""
        if not self._is_silent:
            print(line, file=sys.stderr, flush=True)

    def rewrite(self, text: str) -> None:
        """Put a text in the place of the line that the terminal is at."""
        if not self._is_silent:
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

    def warn(self, line: str) -> None:
        """Something that is not as the user may think."""
        self.tell(f"{line} (warning)")


class Transfer:
    """How far something large has been sent: one line that grows on a terminal, two lines elsewhere.

    Args:
        total: Bytes.
    """

    #: Less than this is there before anybody asks.
    WORTH_TELLING_BYTES = 20 * _MEGABYTE

    def __init__(self, notes: Notes, name: str, total: int) -> None:
        self._notes = notes
        self._text = f"uploading {name}"
        self._total = total
        self._sent = 0
        self._is_told = total >= self.WORTH_TELLING_BYTES
        self._shown_percent = -1
        self._is_live = self._is_told and sys.stderr.isatty()
        if self._is_told and not self._is_live:
            notes.tell(f"{self._text}: {total // _MEGABYTE} MB")

    def add(self, number: int) -> None:
        """So many more bytes."""
        self._sent += number
        percent = min(100, 100 * self._sent // max(1, self._total))
        if self._is_live and percent != self._shown_percent:
            self._shown_percent = percent
            self._notes.rewrite(f"{self._text}: {percent} % of {self._total // _MEGABYTE} MB")

    def break_off(self) -> None:
        """The rest does not come; what is said next has a line of its own."""
        if self._is_live and self._shown_percent >= 0:
            self._notes.rewrite(f"{self._text}: broken off at {self._shown_percent} %\n")

    def end(self) -> None:
        """All of it is there."""
        if self._is_live:
            self._notes.rewrite(f"{self._text}: done\n")
        elif self._is_told:
            self._notes.tell(f"{self._text}: done")

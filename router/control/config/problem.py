"""One thing to put right in what a person wrote."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from router.control.config.document import KeyPath

#: Reasons that are told at once: a file of another kind may have one in every line.
MOST_PROBLEMS: Final = 100
#: Characters of what somebody wrote, and of what is said about it, that are shown.
_MAX_FIELD: Final = 200
_MAX_MESSAGE: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing to put right.

    `field` is empty when the file as a whole is meant, and `line` is None when it could not be read. What is in no
    file, such as an option of a command, has no `path`. `key` leads to the field in the config's data.
    """

    path: Path | None
    line: int | None
    field: str
    message: str
    key: KeyPath = ()

    def __str__(self) -> str:
        """The problem as compilers print theirs, so that editors find the place."""
        place = str(self.path or "")
        if self.line is not None:
            place = f"{place}:{self.line}" if place else f"line {self.line}"
        shown = (place, _shortened(self.field, _MAX_FIELD), _shortened(self.message, _MAX_MESSAGE))
        return ": ".join(part for part in shown if part)


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}..."

"""One thing to put right in what a person wrote."""

from dataclasses import dataclass
from pathlib import Path

from router.control.config.document import KeyPath


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
        return ": ".join(part for part in (place, self.field, self.message) if part)

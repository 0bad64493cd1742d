"""What `teal serve` is told on its command line."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """Options of the daemon.

    Attributes:
        state_dir: Takes the place of the config's `state_dir`.
        try_file: A request body; once the router serves, it prints the command that scores it.
    """

    config: Path
    state_dir: Path | None = None
    try_file: Path | None = None

"""`teal serve`."""

from pathlib import Path

from router.cli.commands import DEFAULT_CONFIG
from router.control import daemon
from router.control.options import ServeOptions


def serve(config: str = DEFAULT_CONFIG, state_dir: str | None = None, try_file: str | None = None) -> None:
    """Run the daemon until it is told to stop; its exit code is ours."""
    options = ServeOptions(
        config=Path(config),
        state_dir=Path(state_dir) if state_dir else None,
        try_file=Path(try_file) if try_file else None,
    )
    raise SystemExit(daemon.serve(options))

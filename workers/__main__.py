"""`python -m workers`: see options.py for the arguments and the exit status."""

from __future__ import annotations

import sys
from importlib import metadata
from typing import Optional, Sequence

from workers.messages import say
from workers.options import parse

CHECKED = 0
SCRIPT_FAILED = 3
PACKAGE_MISSING = 4
OLDEST_AIOHTTP = (3, 9)


def main(arguments: Sequence[str]) -> int:
    """Check or serve a script; return the exit status."""
    options = parse(arguments)
    missing = _missing_package()
    if missing:
        say(f"{sys.executable} has {missing}; pip install aiohttp")
        return PACKAGE_MISSING
    # Only now: these need the packages.
    from workers import process, script  # noqa: PLC0415

    if options.check is None:
        return process.serve(options)
    try:
        script.check_syntax(options.check)
    except script.ScriptError as error:
        say(str(error))
        return SCRIPT_FAILED
    return CHECKED


def _missing_package() -> Optional[str]:
    try:
        version = metadata.version("aiohttp")
    except metadata.PackageNotFoundError:
        return "no aiohttp"
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_AIOHTTP:
        return f"aiohttp {version}, older than 3.9"
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

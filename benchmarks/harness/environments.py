"""Installs what teal is compared with into environments of their own, outside the repository."""

import os
import subprocess
import sys
from pathlib import Path

TIMEOUT_S = 600.0


class InstallError(Exception):
    """A package could not be installed; the text says what the installer said."""


def install(requirement: str) -> Path:
    """The `bin` folder of an environment with `requirement` (NAME==VERSION), made on the first call and found later.

    Raises:
        InstallError: no network, or no package for this Python.
    """
    environment = _cache_folder() / requirement.replace("==", "-")
    stamp = environment / "installed"  # written last: an interrupted installation is begun again
    if not stamp.exists():
        _uv("venv", "--clear", "--python", sys.executable, str(environment))
        _uv("pip", "install", "--python", str(environment / "bin" / "python"), requirement)
        stamp.touch()
    return environment / "bin"


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "teal-benchmarks"


def _uv(*arguments: str) -> None:
    call = [sys.executable, "-m", "uv", *arguments]
    try:
        subprocess.run(call, capture_output=True, text=True, check=True, timeout=TIMEOUT_S)
    except subprocess.CalledProcessError as error:
        raise InstallError(error.stderr.strip()) from error
    except subprocess.TimeoutExpired as error:
        raise InstallError(f"not installed within {TIMEOUT_S:.0f} s") from error

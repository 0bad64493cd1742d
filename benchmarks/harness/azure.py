"""Installs Azure's inference server into an environment of its own, outside the repository."""

import os
import subprocess
import sys
from pathlib import Path

VERSION = "1.5.1"


class InstallError(Exception):
    """The server could not be installed; the text says what the installer said."""


def install() -> Path:
    """The path of `azmlinfsrv`, installed on the first call and found on later ones.

    Raises:
        InstallError: no network, or no package for this Python.
    """
    environment = _cache_folder() / f"azmlinfsrv-{VERSION}"
    azmlinfsrv = environment / "bin" / "azmlinfsrv"
    if not azmlinfsrv.exists():
        _uv("venv", "--clear", "--python", sys.executable, str(environment))
        python = str(environment / "bin" / "python")
        _uv("pip", "install", "--python", python, f"azureml-inference-server-http=={VERSION}")
    return azmlinfsrv


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "teal-benchmarks"


def _uv(*arguments: str) -> None:
    try:
        subprocess.run([sys.executable, "-m", "uv", *arguments], capture_output=True, text=True, check=True)
    except subprocess.CalledProcessError as error:
        raise InstallError(error.stderr.strip()) from error

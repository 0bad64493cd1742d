"""What a scoring script finds around it: standard streams, variables, working directory and import path."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper
from typing import MutableMapping

from workers.options import Options


def prepare(options: Options, environ: MutableMapping[str, str]) -> None:
    """Make this process the script's surroundings; what the supervisor set in `environ` stays.

    Raises:
        OSError: the code folder cannot be entered.
    """
    _print_promptly()
    environ.setdefault("AML_APP_ROOT", str(options.code_dir))
    environ.setdefault("AZUREML_ENTRY_SCRIPT", options.script_name)
    if options.model_dir:
        environ.setdefault("AZUREML_MODEL_DIR", str(options.model_dir))
    os.chdir(options.code_dir)
    code_dir = str(options.code_dir)
    sys.path[:] = [code_dir, *(place for place in sys.path if place not in ("", code_dir))]


def _print_promptly() -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A line is in the log when it is printed; a character that the log's encoding lacks fails no request.
            stream.reconfigure(line_buffering=True, errors="backslashreplace")

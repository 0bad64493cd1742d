"""Where the logging of a scoring script goes, unless the script itself says so."""

from __future__ import annotations

import json
import logging
import logging.config
from pathlib import Path


def prepare(code_dir: Path) -> None:
    """Log as `logging.json` in the code folder says (Azure's server does too); else from INFO on, to stderr.

    Raises:
        OSError, ValueError: `logging.json` cannot be read, or is no configuration of `logging`.
    """
    file = code_dir / "logging.json"
    if file.is_file():
        logging.config.dictConfig(json.loads(file.read_text(encoding="utf-8")))
        return
    # The handler for what has no other: a script that calls logging.basicConfig() gets what it asks for, where a
    # handler at the root would have made that call do nothing.
    last = logging.StreamHandler()
    last.setFormatter(logging.Formatter(logging.BASIC_FORMAT))
    logging.lastResort = last
    logging.getLogger().setLevel(logging.INFO)

"""`teal check` and `teal schema`."""

import sys
import time
from collections.abc import Iterable
from pathlib import Path

from router.cli.commands import DEFAULT_CONFIG
from router.cli.errors import Refused
from router.control.config.check import located_asset_problems, located_expiry
from router.control.config.load import ConfigError, Loaded, load_config
from router.control.config.problem import Problem
from router.control.config.schema import json_schema


def check(file: str = DEFAULT_CONFIG) -> None:
    """Read a config file as the daemon would, and look for the files that it names.

    Raises:
        Refused: it has problems.
    """
    try:
        loaded = load_config(Path(file))
    except ConfigError as error:
        raise _refusal(error.problems, error.count) from error
    for warning in (*loaded.warnings, *located_expiry(loaded, time.time())):
        print(f"{warning} (warning)", file=sys.stderr)
    problems = located_asset_problems(loaded)
    if problems:
        raise _refusal(problems, len(problems))
    print(f"{file}: valid; {_summary(loaded)}")


def schema() -> dict[str, object]:
    """The JSON Schema of the config file."""
    return dict(json_schema())


def _refusal(problems: Iterable[Problem], count: int) -> Refused:
    return Refused([*map(str, problems), f"{_counted(count, 'problem')}; nothing was applied"])


def _summary(loaded: Loaded) -> str:
    endpoints = loaded.config.endpoints
    deployments = sum(len(endpoint.deployments) for endpoint in endpoints.values())
    return f"{_counted(len(endpoints), 'endpoint')}, {_counted(deployments, 'deployment')}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

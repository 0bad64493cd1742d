"""Which texts no option has: empty ones, as of a shell variable that is not set, and bytes that are no text."""

import argparse

from router.cli.errors import WrongUsage
from router.cli.values import is_utf8

#: Options whose empty text would mean something else than was meant, by the name of their value.
_NEVER_EMPTY = {
    "name": "--name",
    "endpoint_name": "--endpoint-name",
    "deployment_name": "--deployment-name",
    "version": "--version",
    "label": "--label",
    "instance": "--instance",
    "file": "--file",
    "request_file": "--request-file",
    "path": "--path",
    "conda_file": "--conda-file",
    "operation": "the operation's id",
}
#: File names may have any bytes.
_PATHS = frozenset({"file", "request_file", "path", "conda_file", "state_dir", "config", "try_file"})


def check_texts(args: argparse.Namespace) -> None:
    """Look at the values of a command's options, once they are parsed.

    Raises:
        WrongUsage: one of them is empty, or no text.
    """
    given = {name: value for name, value in vars(args).items() if isinstance(value, str)}
    problems = [f"{option} is empty" for name, option in _NEVER_EMPTY.items() if given.get(name) == ""]
    for name, value in given.items():
        if not name.startswith("_") and name not in _PATHS and not is_utf8(value):
            problems.append(f"--{name.replace('_', '-')}: {value!r} is not UTF-8 text")
    if problems:
        raise WrongUsage(problems)

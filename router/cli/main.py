"""The `teal` command."""

import io
import os
import sys

from router.cli.errors import Interrupted
from router.cli.framework import TealCLI


def main() -> int:
    """Run the command line of this process; the answer is its exit code.

    0 done, 1 refused, 2 wrong usage, 130 ended by Ctrl-C.
    """
    _open_standard_streams()
    try:
        code = _run(_without_ml(sys.argv[1:]))
        sys.stdout.flush()
    except KeyboardInterrupt:
        return Interrupted.exit_code
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        _drop_output()
        return 0
    except OSError as error:
        _drop_output()
        print(f"standard output cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    return code


def _run(arguments: list[str]) -> int:
    try:
        return TealCLI().invoke(arguments)
    except SystemExit as ended:
        if not isinstance(ended.code, int | None):
            raise
        return ended.code or 0


def _without_ml(arguments: list[str]) -> list[str]:
    """The arguments less the `ml` that a script for `az ml` begins with: `alias az=teal` is all that it takes."""
    return arguments[1:] if arguments[:1] == ["ml"] else arguments


def _open_standard_streams() -> None:
    """Fill the places of closed standard streams, or the next file that is opened would be taken for one of them.

    What is written to them is lost, as the caller wants it. Names of files are written as the bytes that they are.
    """
    for fd, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115  # for as long as we run
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")


def _drop_output() -> None:
    """Let what is still to be written go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())

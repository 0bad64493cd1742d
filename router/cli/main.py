"""The `teal` command."""

import os
import sys

from router.cli.framework import TealCLI


def main() -> int:
    """Run the command line of this process; the answer is its exit code: 0 done, 1 refused, 2 wrong usage."""
    _open_standard_streams()
    try:
        code = int(TealCLI().invoke(_without_ml(sys.argv[1:])))
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def _without_ml(arguments: list[str]) -> list[str]:
    """The arguments less the `ml` that a script for `az ml` begins with: `alias az=teal` is all that it takes."""
    return arguments[1:] if arguments[:1] == ["ml"] else arguments


def _open_standard_streams() -> None:
    """Fill the places of closed standard streams, or the next file that is opened would be taken for one of them."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


if __name__ == "__main__":
    sys.exit(main())

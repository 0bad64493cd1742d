"""`teal completion`: the shell code that makes Tab work."""

import sys

from argcomplete.shell_integration import shellcode


def completion(shell: str) -> None:
    """Print what the shell has to evaluate."""
    sys.stdout.write(shellcode(["teal"], shell=shell))

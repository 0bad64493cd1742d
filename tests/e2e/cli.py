"""The `teal` command as a person runs it, beside a daemon."""

import asyncio
import json
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Said:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """Standard output, which is JSON."""
        return json.loads(self.out)


class Cli:
    """Runs `teal` in `folder`, without a terminal, for the daemon with `state_dir`."""

    def __init__(self, state_dir: Path, folder: Path) -> None:
        self._environment = {
            **os.environ,
            "TEAL_STATE_DIR": str(state_dir),
            "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
        }
        self._folder = folder

    async def __call__(self, *arguments: str) -> Said:
        """Run one command to its end."""
        process = await self.start(*arguments)
        out, err = await process.communicate()
        assert process.returncode is not None
        return Said(process.returncode, out.decode(), err.decode())

    async def done(self, command: str) -> Said:
        """Run a command line that is expected to succeed; quotes as in a shell."""
        said = await self.run(command)
        assert said.code == 0, f"teal {command}: {said}"
        return said

    async def run(self, command: str) -> Said:
        """Run a command line; quotes as in a shell."""
        return await self(*shlex.split(command))

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        """Begin a command."""
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "router.cli.main", *arguments, cwd=self._folder, env=self._environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

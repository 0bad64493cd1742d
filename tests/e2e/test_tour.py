"""The tour in the README, played as it stands there."""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: What a shell in a clone has and a test has not.
NOT_PLAYED = {". .venv/bin/activate", "git checkout config/teal.yaml"}


class Step(NamedTuple):
    """A command of the tour and what it is said to print."""

    command: str
    output: str


def steps() -> list[Step]:
    """Every command between the marks in the README."""
    text = (ROOT / "README.md").read_text()
    tour = text.partition("<!-- tour -->")[2].partition("<!-- end of tour -->")[0]
    blocks = re.findall(r"```console\n(.*?)```", tour, re.DOTALL)
    return [
        Step(*found) for block in blocks for found in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)
    ]


@pytest.fixture
def shell(tmp_path: Path) -> dict[str, str]:
    """The environment of a shell that has `teal`, in a folder with a copy of `config`."""
    command = tmp_path / "bin" / "teal"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m router.cli.main "$@"\n')
    command.chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{command.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "TEAL_STATE_DIR": str(tmp_path / "state"),
        "ENDPOINT_NAME": "diabetes",
    }


async def test_the_tour_of_the_readme_works(serve, example: Path, shell: dict[str, str]) -> None:
    """Each command succeeds, and answers of models are those that the README shows."""
    await serve(example)
    played = [step for step in steps() if step.command not in NOT_PLAYED]
    assert len(played) > 15
    for step in played:
        ended = await asyncio.to_thread(
            subprocess.run,
            ["bash", "-c", step.command],
            cwd=example.parent.parent,
            env=shell,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, f"{step.command}: {ended}"
        if "predictions" in step.output:
            assert ended.stdout == step.output

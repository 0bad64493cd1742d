"""Tab, in a real bash."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Teal
from tests.cli.fake_daemon import FakeDaemon

SCRIPT = """
eval "$(teal completion bash)"
COMP_LINE="$1" COMP_POINT=${#1} COMP_TYPE=9
_python_argcomplete teal
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def path(environment: dict[str, str], tmp_path: Path) -> None:
    """`teal` is a command that bash finds."""
    command = tmp_path / "bin" / "teal"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m router.cli.main "$@"\n')
    command.chmod(0o755)
    environment["PATH"] = f"{command.parent}{os.pathsep}{environment['PATH']}"


async def offered(environment: dict[str, str], line: str) -> list[str]:
    """What bash offers for the last word of a line."""
    outcome = await asyncio.to_thread(
        subprocess.run,
        ["bash", "--norc", "-c", SCRIPT, "bash", line],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert outcome.stderr == ""
    return [word.strip() for word in outcome.stdout.splitlines()]


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("teal online-d", ["online-deployment"]),
        ("teal online-endpoint u", ["update"]),
        ("teal online-endpoint update --tr", ["--traffic"]),
        ("teal online-endpoint regenerate-keys --key-type ", ["primary", "secondary"]),
        ("teal operation ", ["-h", "--help", "list", "show", "wait"]),
    ],
)
async def test_commands_and_options_are_offered(environment: dict[str, str], line: str, words: list[str]) -> None:
    """Without a daemon."""
    assert [word for word in await offered(environment, line) if word in words] == words


@pytest.mark.usefixtures("path")
async def test_names_are_offered(environment: dict[str, str], daemon: FakeDaemon) -> None:
    """Those that the daemon has."""
    daemon.answer("GET", "/v1/endpoints", [{"name": "churn"}, {"name": "fraud"}])
    daemon.answer("GET", "/v1/endpoints/churn/deployments", [{"name": "green"}, {"name": "blue"}])
    daemon.answer("GET", "/v1/models", [{"name": "m", "version": "1"}, {"name": "m", "version": "2"}])
    assert await offered(environment, "teal online-endpoint show --name ") == ["churn", "fraud"]
    assert await offered(environment, "teal online-deployment show -e churn --name ") == ["blue", "green"]
    assert await offered(environment, "teal model show --name ") == ["m"]


@pytest.mark.usefixtures("path")
async def test_without_a_daemon_no_name_is_offered(environment: dict[str, str]) -> None:
    """And nothing is printed into the line."""
    assert await offered(environment, "teal online-endpoint show --name ") == [""]


@pytest.mark.parametrize(
    ("shell", "word"), [("bash", "complete "), ("zsh", "compdef "), ("fish", "complete --command teal")]
)
async def test_each_shell_has_its_code(teal: Teal, shell: str, word: str) -> None:
    """It registers teal."""
    outcome = await teal("completion", shell)
    assert (outcome.returncode, word in outcome.stdout) == (0, True)


async def test_other_shell_is_wrong_usage(teal: Teal) -> None:
    """The message says which there are."""
    outcome = await teal("completion", "tcsh")
    assert outcome.returncode == 2
    assert "bash, zsh, fish" in outcome.stderr

"""The command line as a whole: exit codes, help, and what it leaves behind."""

import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

Teal = Callable[..., Awaitable[subprocess.CompletedProcess[str]]]


async def test_version_is_one_line(teal: Teal) -> None:
    """Name and version, nothing of Python."""
    outcome = await teal("--version")
    assert (outcome.returncode, outcome.stdout) == (0, "teal 0.1.0\n")


async def test_without_a_command_it_lists_them(teal: Teal) -> None:
    """A newcomer sees what there is."""
    outcome = await teal()
    assert outcome.returncode == 0
    assert "status            : Show what the daemon does." in outcome.stdout


async def test_unknown_command_is_wrong_usage(teal: Teal) -> None:
    """Exit code 2, and a hint at the right spelling."""
    outcome = await teal("statsu")
    assert outcome.returncode == 2
    assert "\tstatus" in outcome.stderr


async def test_unknown_option_is_wrong_usage(teal: Teal) -> None:
    """Exit code 2, on standard error."""
    outcome = await teal("status", "--nope")
    assert (outcome.returncode, outcome.stdout) == (2, "")
    assert "unrecognized arguments: --nope" in outcome.stderr


@pytest.mark.parametrize("arguments", [[], ["--version"], ["status"]])
def test_it_leaves_nothing_in_the_home(environment: dict[str, str], tmp_path: Path, arguments: list[str]) -> None:
    """A service's tool makes no settings folder."""
    command = [sys.executable, "-m", "router.cli.main", *arguments]
    subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False, timeout=60)
    assert list(tmp_path.iterdir()) == []


def test_closed_standard_streams_are_filled(environment: dict[str, str], tmp_path: Path) -> None:
    """With its streams closed, no file that it opens is mistaken for one of them."""
    code = (
        "import os; from router.cli.main import _open_standard_streams as fill; [os.close(fd) for fd in (0, 1, 2)]; "
        "fill(); fd = os.open('log', os.O_WRONLY | os.O_CREAT); os.write(fd, b'%d' % (fd > 2))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True, timeout=60)
    assert (tmp_path / "log").read_text() == "1"


def test_reader_that_stops_reading_is_no_error(environment: dict[str, str], tmp_path: Path) -> None:
    """`teal schema | head -1` ends quietly."""
    command = f"{sys.executable} -m router.cli.main schema | head -1"
    outcome = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (0, "{\n", "")

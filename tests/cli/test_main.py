"""The command line as a whole: exit codes, help, and what it leaves behind."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Teal
from tests.cli.fake_daemon import FakeDaemon


def shell(environment: dict[str, str], folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which `{teal}` is our command."""
    return subprocess.run(
        ["bash", "-c", command.format(teal=f"{sys.executable} -m router.cli.main")],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


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
    outcome = shell(environment, tmp_path, "set -o pipefail; {teal} schema | head -1")
    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (0, "{\n", "")


def test_help_that_is_not_read_to_its_end_is_no_error(environment: dict[str, str], tmp_path: Path) -> None:
    """`teal events -h | head -1`, too."""
    outcome = shell(environment, tmp_path, "set -o pipefail; {teal} events -h | head -1")
    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (0, "\n", "")


@pytest.mark.parametrize("command", ["schema", "--version", "events -h", "check good.yaml"])
def test_full_disk_is_one_sentence(environment: dict[str, str], tmp_path: Path, command: str) -> None:
    """Exit code 1: what was asked for is nowhere."""
    (tmp_path / "good.yaml").write_text("listen: 127.0.0.1:0\n")
    outcome = shell(environment, tmp_path, f"{{teal}} {command} > /dev/full")
    expected = "standard output cannot be written: No space left on device\n"
    assert (outcome.returncode, outcome.stderr) == (1, expected)


@pytest.mark.parametrize("closed", [">&-", "<&-", "2>&-", "<&- >&- 2>&-"])
async def test_closed_streams_are_no_error(
    daemon: FakeDaemon, environment: dict[str, str], tmp_path: Path, closed: str
) -> None:
    """What would be written there is not wanted."""
    daemon.answer("GET", "/v1/endpoints", [])
    outcome = await asyncio.to_thread(shell, environment, tmp_path, f"{{teal}} online-endpoint list {closed}")
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert [asked.target for asked in daemon.asked] == ["/v1/endpoints"]


async def test_error_does_not_go_to_standard_output(environment: dict[str, str], tmp_path: Path) -> None:
    """Where standard error is closed, it goes nowhere."""
    outcome = await asyncio.to_thread(shell, environment, tmp_path, "{teal} online-endpoint list 2>&-")
    assert (outcome.returncode, outcome.stdout) == (1, "")


def test_name_of_a_file_is_printed_as_it_is(environment: dict[str, str], tmp_path: Path) -> None:
    """Its bytes need not be text."""
    path = tmp_path / "\udcff.yaml"
    path.write_text("listen: 127.0.0.1:0\n")
    outcome = subprocess.run(
        [sys.executable, "-m", "router.cli.main", "check", path],
        env=environment,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (outcome.returncode, outcome.stdout) == (0, os.fsencode(path) + b": valid; 0 endpoints, 0 deployments\n")


async def test_interrupt_is_said(daemon: FakeDaemon, environment: dict[str, str]) -> None:
    """Ctrl-C ends a command with 130, as shells have it."""
    daemon.keep_waiting("/v1/endpoints")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "router.cli.main", "online-endpoint", "list"),
        env=environment,
        stderr=asyncio.subprocess.PIPE,
    )
    await daemon.is_kept_waiting.wait()
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    assert (process.returncode, err) == (130, b"interrupted\n")

"""`teal status`: finding the daemon, and its data for programs and people."""

import asyncio
import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from router.control.admin_socket import socket_path

Teal = Callable[..., Awaitable[subprocess.CompletedProcess[str]]]


async def test_json_is_all_there_is(teal: Teal, state_dir: Path) -> None:
    """`-o json` prints what the daemon says."""
    outcome = await teal("status", "--state-dir", str(state_dir), "-o", "json")
    assert outcome.returncode == 0
    assert json.loads(outcome.stdout)["endpoints"][0]["deployments"][0]["live"] == {"200": 95, "424": 5}


async def test_query_narrows(teal: Teal, state_dir: Path) -> None:
    """JMESPath, as with `az`."""
    query = "endpoints[0].deployments[?weight > `50`].name"
    outcome = await teal("status", "--state-dir", str(state_dir), "-o", "tsv", "--query", query)
    assert outcome.stdout == "blue\n"


async def test_table_has_a_line_per_deployment(teal: Teal, state_dir: Path) -> None:
    """`-o table` is knack's table."""
    outcome = await teal("status", "--state-dir", str(state_dir), "-o", "table")
    assert [line.split()[:4] for line in outcome.stdout.splitlines()[2:]] == [
        ["churn", "blue", "Succeeded", "90.0"],
        ["churn", "green", "Failed", "10.0"],
    ]


async def test_without_a_terminal_one_picture_is_printed(teal: Teal, state_dir: Path) -> None:
    """A pipe gets the picture once, in full width and without colours."""
    outcome = await teal("status", "--state-dir", str(state_dir))
    assert outcome.returncode == 0
    assert "\x1b" not in outcome.stdout
    assert "green: init() raised (log: /var/lib/teal/logs/churn/green)\n" in outcome.stdout


async def test_watching_needs_a_terminal(teal: Teal, state_dir: Path) -> None:
    """A picture that refreshes itself is of no use in a pipe."""
    outcome = await teal("status", "--state-dir", str(state_dir), "--watch")
    assert (outcome.returncode, outcome.stdout) == (1, "")
    assert outcome.stderr == "--watch needs a terminal; use --once, or -o json in a loop\n"


async def test_environment_names_the_daemon(teal: Teal, state_dir: Path) -> None:
    """`$TEAL_STATE_DIR` takes the place of the option."""
    outcome = await teal("status", "-o", "tsv", "--query", "pid", TEAL_STATE_DIR=str(state_dir))
    assert outcome.stdout == "4711\n"


@pytest.mark.parametrize("place", ["config/.teal", ".teal"])
async def test_daemon_is_found_in_a_default_place(teal: Teal, state_dir: Path, tmp_path: Path, place: str) -> None:
    """In the folder where the daemon was started no option is needed."""
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).symlink_to(state_dir)
    outcome = await teal("status", "-o", "tsv", "--query", "pid")
    assert outcome.stdout == "4711\n"


async def test_daemon_deep_in_the_file_system_is_found(teal: Teal, state_dir: Path, tmp_path: Path) -> None:
    """A path too long for the address of a socket is no obstacle."""
    deep = tmp_path / ("x" * 120)
    deep.symlink_to(state_dir)
    outcome = await teal("status", "--state-dir", str(deep), "-o", "tsv", "--query", "pid")
    assert outcome.stdout == "4711\n"


async def test_no_daemon_is_one_sentence(teal: Teal) -> None:
    """Where it was looked for, and how to start one."""
    outcome = await teal("status")
    assert (outcome.returncode, outcome.stdout) == (1, "")
    assert outcome.stderr == (
        "no teal daemon is running (looked in config/.teal, .teal, /var/lib/teal); start one with: teal serve\n"
    )


async def test_dead_daemon_is_no_daemon(teal: Teal, state_dir: Path, tmp_path: Path) -> None:
    """A socket file that a crash left behind does not count."""
    dead = tmp_path / "dead"
    socket_path(dead).parent.mkdir(parents=True)
    (await asyncio.start_unix_server(lambda *_: None, socket_path(dead))).close()
    outcome = await teal("status", "--state-dir", str(dead))
    assert outcome.returncode == 1
    assert outcome.stderr.endswith(f"start one with: teal serve --state-dir {dead}\n")


async def test_daemon_that_talks_nonsense_is_named(teal: Teal, tmp_path: Path) -> None:
    """Something else on the socket is an error with its place, not a traceback."""

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"nonsense\r\n\r\n")
        writer.close()

    path = socket_path(tmp_path / "odd")
    path.parent.mkdir(parents=True)
    server = await asyncio.start_unix_server(answer, path)
    outcome = await teal("status", "--state-dir", str(tmp_path / "odd"))
    server.close()
    assert outcome.returncode == 1
    assert outcome.stderr.startswith(f"the teal daemon at {path} does not answer: ")


async def test_status_needs_no_config_library(state_dir: Path, environment: dict[str, str]) -> None:
    """What a script calls in a loop does not load pydantic, aiohttp or the picture's library."""
    code = (
        "import sys; from router.cli.framework import TealCLI; TealCLI().invoke(sys.argv[1:]); "
        "print(sorted({'pydantic', 'aiohttp', 'rich', 'msgspec'} & set(sys.modules)), file=sys.stderr)"
    )
    outcome = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", code, "status", "--state-dir", str(state_dir), "-o", "json"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert outcome.stderr == "[]\n"


def _read_until(fd: int, pattern: bytes) -> bytes:
    shown = b""
    while re.search(pattern, shown) is None:
        shown += os.read(fd, 65536)
    return shown


async def test_on_a_terminal_it_stays_until_interrupted(state_dir: Path, environment: dict[str, str]) -> None:
    """The picture comes back with rates, Ctrl-C ends it, and that is no error."""
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "router.cli.main", "status", "--state-dir", str(state_dir)),
        env=environment | {"TERM": "xterm", "COLUMNS": "180", "LINES": "40"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    await asyncio.to_thread(_read_until, ours, rb"90 % +- +- +0\.0 ")  # the rate is known from the second look on
    process.send_signal(signal.SIGINT)
    await asyncio.to_thread(_read_until, ours, rb"\x1b\[\?1049l")  # the terminal is given back
    assert await process.wait() == 0
    os.close(ours)


async def test_once_prints_one_picture_on_a_terminal(state_dir: Path, environment: dict[str, str]) -> None:
    """`--once` leaves the picture on the terminal and ends."""
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "router.cli.main", "status", "--once", "--state-dir", str(state_dir)),
        env=environment | {"TERM": "xterm", "COLUMNS": "180"},
        stdin=theirs,
        stdout=theirs,
    )
    shown = await asyncio.to_thread(_read_until, ours, rb"ValueError: \[no\] model")
    assert await process.wait() == 0
    assert b"\x1b[?1049h" not in shown  # the alternate screen, whose content is gone afterwards
    os.close(theirs)
    os.close(ours)

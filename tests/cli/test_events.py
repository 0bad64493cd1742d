"""`teal events`."""

import asyncio
import json
import os
import pty
import signal
import sys

import pytest

from tests.cli.conftest import Teal
from tests.cli.fake_daemon import Asked, FakeDaemon

EVENTS = [
    {"timestamp": "10:00", "level": "info", "event": "table.applied", "generation": 7, "note": None},
    {"timestamp": "10:01", "level": "error", "event": "worker.exited", "hint": "out of memory"},
]
LINES = "".join(f"{json.dumps(event)}\n" for event in EVENTS)


@pytest.fixture(autouse=True)
def knows_events(daemon: FakeDaemon) -> None:
    """The daemon has logged two events."""
    daemon.answer("GET", "/v1/events", LINES)


async def test_events_are_a_list_for_programs(teal: Teal, daemon: FakeDaemon) -> None:
    """With all their fields."""
    outcome = await teal("events", "--lines", "2")
    assert json.loads(outcome.stdout) == EVENTS
    assert daemon.asked == [Asked("GET", "/v1/events?lines=2")]


async def test_query_picks_events(teal: Teal) -> None:
    """As for every list."""
    outcome = await teal("events", "-o", "tsv", "--query", "[?level=='error'].event")
    assert outcome.stdout == "worker.exited\n"


async def test_table_of_events(teal: Teal) -> None:
    """The further fields are in one column."""
    outcome = await teal("events", "-o", "table")
    assert outcome.stdout.splitlines()[2].split() == ["10:00", "info", "table.applied", "generation=7"]


async def test_followed_events_are_a_line_each(teal: Teal, daemon: FakeDaemon) -> None:
    """As they come, so that a pipe can read them."""
    outcome = await teal("events", "--follow")
    assert (outcome.returncode, outcome.stdout) == (0, LINES)
    assert daemon.asked == [Asked("GET", "/v1/events?lines=50&follow=true")]


@pytest.mark.parametrize("options", [["--query", "[0]"], ["-o", "table"]])
async def test_what_needs_the_end_cannot_be_followed(teal: Teal, options: list[str]) -> None:
    """There is none."""
    outcome = await teal("events", "--follow", *options)
    assert outcome.returncode == 2
    assert outcome.stderr.startswith("--follow prints each event as it comes; ")


async def test_people_get_lines(environment: dict[str, str]) -> None:
    """On a terminal: time, level, event, then what it says."""
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "router.cli.main", "events"), env=environment, stdout=theirs
    )
    assert await process.wait() == 0
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert shown.splitlines() == [
        "10:00 info table.applied generation=7",
        "10:01 error worker.exited hint=out of memory",
    ]


@pytest.mark.parametrize("command", ["events --follow", "online-deployment get-logs -n blue -e churn --follow"])
async def test_interrupt_ends_following(daemon: FakeDaemon, environment: dict[str, str], command: str) -> None:
    """Ctrl-C is how one stops, and no error."""
    daemon.keep_waiting("/v1/events")
    daemon.keep_waiting("/v1/endpoints/churn/deployments/blue/logs")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "router.cli.main", *command.split()),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    await daemon.is_kept_waiting.wait()
    process.send_signal(signal.SIGINT)
    out, err = await process.communicate()
    assert (process.returncode, out, err) == (0, b"", b"")


async def test_reader_that_stops_reading_is_no_error(daemon: FakeDaemon, environment: dict[str, str]) -> None:
    """`teal events --follow | head -1` ends quietly."""
    daemon.answer("GET", "/v1/endpoints/churn/deployments/blue/logs", "one line\n" * 100_000)
    command = f"{sys.executable} -m router.cli.main online-deployment get-logs -n blue -e churn | head -1"
    process = await asyncio.create_subprocess_exec(
        *("bash", "-o", "pipefail", "-c", command),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert await process.communicate() == (b"one line\n", b"")
    assert process.returncode == 0

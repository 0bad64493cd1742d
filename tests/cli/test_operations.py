"""What takes its time: having it done and watching it."""

import asyncio
import json
import signal
import sys

import pytest

from tests.cli.conftest import Teal
from tests.cli.fake_daemon import Asked, FakeDaemon, operation, progress

BLUE = "/v1/endpoints/churn/deployments/blue"
ONE = "/v1/operations/5f0c2d9a81e4"
CREATE = "online-deployment create --name blue --endpoint-name churn --set instance_count=2"


async def test_progress_is_told_once(teal: Teal, daemon: FakeDaemon) -> None:
    """Each line as it comes, on standard error; the daemon is asked for what is new only."""
    daemon.obey("PUT", BLUE, status="InProgress", progress=progress("starting"))
    daemon.answer("GET", ONE, operation(status="InProgress", progress=progress("starting", "building")))
    daemon.answer("GET", ONE, operation(progress=progress("starting", "building", "ready")))
    daemon.answer("GET", BLUE, {"name": "blue"})
    outcome = await teal(*CREATE.split())
    assert outcome.stderr == "starting\nbuilding\nready\n"
    assert json.loads(outcome.stdout) == {"name": "blue"}
    assert daemon.asked[1:] == [
        Asked("GET", f"{ONE}?wait_s=10&progress=1"),
        Asked("GET", f"{ONE}?wait_s=10&progress=2"),
        Asked("GET", BLUE),
    ]


async def test_no_wait_prints_the_operation_as_it_begins(teal: Teal, daemon: FakeDaemon) -> None:
    """And asks nothing further."""
    begun = operation(status="InProgress")
    daemon.obey("PUT", BLUE, status="InProgress")
    outcome = await teal(*CREATE.split(), "--no-wait")
    assert (outcome.returncode, json.loads(outcome.stdout), len(daemon.asked)) == (0, begun, 1)


async def test_failure_has_its_reason_and_the_log(teal: Teal, daemon: FakeDaemon) -> None:
    """Exit code 1, the log's tail, and where the rest of it is."""
    tail = ["Traceback (most recent call last):", "ValueError: no model"]
    daemon.obey("PUT", BLUE, status="Failed", reason="init() raised ValueError: no model", log_tail=tail)
    outcome = await teal(*CREATE.split())
    assert (outcome.returncode, outcome.stdout) == (1, "")
    assert outcome.stderr == (
        "online-deployment create churn/blue failed: init() raised ValueError: no model\n"
        "  Traceback (most recent call last):\n"
        "  ValueError: no model\n"
        "the whole log: teal online-deployment get-logs --name blue --endpoint-name churn\n"
    )


async def test_cancelled_operation_has_not_been_done(teal: Teal, daemon: FakeDaemon) -> None:
    """Somebody else's command took its place."""
    daemon.obey("PUT", BLUE, status="Canceled", reason="operation 77 took its place")
    outcome = await teal(*CREATE.split())
    assert outcome.returncode == 1
    assert outcome.stderr == "online-deployment create churn/blue was cancelled: operation 77 took its place\n"


async def test_daemon_that_dies_leaves_a_way_to_go_on(teal: Teal, daemon: FakeDaemon) -> None:
    """The operation is known again once the daemon is."""
    daemon.obey("PUT", BLUE, status="InProgress")
    daemon.vanish_when_asked(ONE)
    outcome = await teal(*CREATE.split(), "--state-dir", str(daemon.state_dir))
    assert outcome.returncode == 1
    gone, hint = outcome.stderr.splitlines()
    assert gone.startswith("the teal daemon at ")
    option = f"--state-dir {daemon.state_dir}"
    assert hint == f"once it runs again, see what became of this with: teal operation wait 5f0c2d9a81e4 {option}"


async def test_interrupt_ends_the_waiting_only(daemon: FakeDaemon, environment: dict[str, str]) -> None:
    """Ctrl-C: the user learns that it goes on, and how to look at it; exit code 130."""
    daemon.obey("PUT", BLUE, status="InProgress", progress=progress("starting"))
    daemon.keep_waiting(ONE)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "router.cli.main", *CREATE.split()),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    await daemon.is_kept_waiting.wait()
    process.send_signal(signal.SIGINT)
    out, err = await process.communicate()
    assert (process.returncode, out) == (130, b"")
    assert err.decode() == (
        "starting\noperation 5f0c2d9a81e4 goes on; look at it with: teal operation show 5f0c2d9a81e4, or wait with: "
        "teal operation wait 5f0c2d9a81e4\n"
    )


async def test_list_and_show_print_what_there_is(teal: Teal, daemon: FakeDaemon) -> None:
    """The newest last, as the daemon has them."""
    daemon.answer("GET", "/v1/operations", [operation(), operation(id="77")])
    daemon.answer("GET", ONE, operation())
    assert (await teal("operation", "list", "-o", "tsv", "--query", "[].id")).stdout == "5f0c2d9a81e4\n77\n"
    assert json.loads((await teal("operation", "show", "5f0c2d9a81e4")).stdout) == operation()


async def test_table_of_operations(teal: Teal, daemon: FakeDaemon) -> None:
    """What began when, and what became of it."""
    daemon.answer("GET", "/v1/operations", [operation(status="Failed", reason="no")])
    outcome = await teal("operation", "list", "-o", "table")
    row = outcome.stdout.splitlines()[2].split()
    assert row[:3] == ["5f0c2d9a81e4", "2026-03-01", "10:00:00"]
    assert row[3:] == ["online-deployment", "create", "churn", "blue", "Failed", "no"]


@pytest.mark.parametrize(("status", "code"), [("Succeeded", 0), ("Failed", 1), ("Canceled", 1)])
async def test_wait_ends_as_the_operation_does(teal: Teal, daemon: FakeDaemon, status: str, code: int) -> None:
    """A script can go by the exit code."""
    daemon.answer("GET", ONE, operation(status="InProgress"))
    daemon.answer("GET", ONE, operation(status=status, reason="so"))
    assert (await teal("operation", "wait", "5f0c2d9a81e4")).returncode == code

"""Talking to the daemon: what it refuses, what it cannot say, and what is suggested then."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from router.cli import client
from router.cli.client import Daemon, NoDaemon, find_daemon, target
from router.cli.errors import DaemonGone, Refused
from router.control.admin_socket import connect_to, listen_at, socket_path
from tests.cli.conftest import Teal
from tests.cli.fake_daemon import FakeDaemon


def test_target_keeps_names_apart_from_its_own_slashes() -> None:
    """Whatever a name holds, it stays one part of the path; what is not given is not asked."""
    assert target("models", "a/b?", "versions", "1") == "/v1/models/a%2Fb%3F/versions/1"
    assert target("events", lines=5, follow=None) == "/v1/events?lines=5"


async def test_each_problem_has_its_line(teal: Teal, daemon: FakeDaemon) -> None:
    """A refusal with problems is these problems, as compilers print theirs."""
    daemon.refuse("GET", "/v1/endpoints", 422, "", "teal.yaml:3: a: wrong", "teal.yaml:4: b: wrong")
    outcome = await teal("online-endpoint", "list")
    assert (outcome.returncode, outcome.stdout) == (1, "")
    assert outcome.stderr == "teal.yaml:3: a: wrong\nteal.yaml:4: b: wrong\n"


async def test_message_that_says_more_comes_after_the_problems(teal: Teal, daemon: FakeDaemon) -> None:
    """As with `teal check`: what is wrong, then what that means."""
    daemon.refuse("DELETE", "/v1/endpoints/churn", 409, "the file is not valid; repair it", "teal.yaml:3: a: wrong")
    outcome = await teal("online-endpoint", "delete", "-n", "churn", "--yes")
    assert (outcome.returncode, outcome.stderr) == (1, "teal.yaml:3: a: wrong\nthe file is not valid; repair it\n")


async def test_refusal_without_problems_is_its_message(teal: Teal, daemon: FakeDaemon) -> None:
    """One sentence on standard error, exit code 1."""
    daemon.refuse("GET", "/v1/endpoints/nope", 404, "there is no endpoint nope; there is churn")
    outcome = await teal("online-endpoint", "show", "-n", "nope")
    assert (outcome.returncode, outcome.stdout) == (1, "")
    assert outcome.stderr == "there is no endpoint nope; there is churn\n"


async def test_daemon_without_an_api_is_named(teal: Teal, daemon: FakeDaemon) -> None:
    """An answer that is no refusal of teal's is reported with its status."""
    outcome = await teal("model", "list")
    socket = socket_path(daemon.state_dir)
    assert outcome.stderr == (
        f"the teal daemon at {socket} answers 404 to GET /v1/models: 404: Not Found\n"
        "the daemon may be of another version of teal: `teal status` says which, `teal --version` is this one\n"
    )


async def test_a_refusal_in_plain_text_is_told_with_its_reason(teal: Teal, daemon: FakeDaemon) -> None:
    """And with what to do, as those of the daemon's door are."""
    busy = "The admin site is busy with others; try again later.\n"
    daemon.answer("GET", "/v1/models", busy, 503, reason="too_many_connections")
    outcome = await teal("model", "list")
    socket = socket_path(daemon.state_dir)
    assert (outcome.returncode, outcome.stdout) == (1, "")
    assert outcome.stderr == (
        f"the teal daemon at {socket} answers 503 (too_many_connections) to GET /v1/models: "
        "The admin site is busy with others; try again later.\n"
        "`ss -xp` shows who calls; `admin.max_connections` in the config is how many may\n"
    )


async def test_a_fault_of_the_daemon_is_told_with_the_command_that_shows_it(teal: Teal, daemon: FakeDaemon) -> None:
    """Its own words name a log and not the way there."""
    error = {
        "code": "internal_error",
        "message": "the daemon failed to do this; its log has the reason",
        "problems": [],
    }
    daemon.answer("GET", "/v1/models", {"error": error}, 500, reason="internal_error")
    assert (await teal("model", "list")).stderr == (
        "the daemon failed to do this; its log has the reason\n"
        "`teal events` shows its log; please report what is there\n"
    )


async def test_an_answer_that_leads_elsewhere_is_a_refusal(teal: Teal, daemon: FakeDaemon) -> None:
    """Nothing but a 2xx is what was asked for."""
    daemon.answer("GET", "/v1/models", "Over there", 302)
    outcome = await teal("model", "list")
    socket = socket_path(daemon.state_dir)
    assert outcome.stderr == f"the teal daemon at {socket} answers 302 to GET /v1/models: Over there\n"


async def test_answer_that_is_no_json_is_named(teal: Teal, daemon: FakeDaemon) -> None:
    """Something else on the socket is no traceback."""
    daemon.answer("GET", "/v1/models", "hello")
    outcome = await teal("model", "list")
    socket = socket_path(daemon.state_dir)
    assert outcome.stderr == f"the teal daemon at {socket} answers /v1/models with something else\n"


@pytest.mark.parametrize(
    "command",
    [
        "online-endpoint list",
        "online-deployment create -n blue -e churn",
        "model list",
        "config history",
        "config undo --yes",
        "operation list",
        "events",
    ],
)
async def test_without_a_daemon_it_says_how_to_start_one(teal: Teal, command: str) -> None:
    """Every command that needs it."""
    outcome = await teal(*command.split())
    assert (outcome.returncode, outcome.stdout) == (1, "")
    assert outcome.stderr == (
        "no teal daemon is running (looked in config/.teal, .teal, /var/lib/teal); start one with: teal serve\n"
    )


async def test_refused_upload_is_told_though_it_was_not_taken(daemon: FakeDaemon) -> None:
    """A daemon that has no room says so, however much is still to come."""
    daemon.refuse("PUT", "/v1/content/abc", 507, "the disk is full")
    found = find_daemon(str(daemon.state_dir))
    with pytest.raises(Refused, match="the disk is full"):
        await asyncio.to_thread(found.put_content, "abc", (b"x" * 2**20 for _ in range(8)))


async def test_daemon_that_goes_before_its_answer_is_gone(daemon: FakeDaemon) -> None:
    """That is another thing than a refusal: nobody knows what was done."""
    gone = Daemon(daemon.state_dir / "gone.sock")
    with pytest.raises(DaemonGone, match="does not answer"):
        await asyncio.to_thread(gone.ask, "GET", "/v1/endpoints")


@pytest.fixture
def busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """State directory of a daemon that listens and takes no connection, its queue being full."""
    monkeypatch.setattr(client, "_TIMEOUT_S", 0.2)
    path = socket_path(tmp_path)
    with ExitStack() as stack:
        stack.enter_context(listen_at(path))
        with suppress(BlockingIOError):
            while True:
                stack.enter_context(connect_to(path, timeout_s=0))
        yield tmp_path


def test_daemon_that_is_busy_is_not_taken_for_none(busy: Path) -> None:
    """Who started another one would only learn that it runs."""
    with pytest.raises(DaemonGone) as raised:
        find_daemon(str(busy))
    assert raised.value.lines == (
        f"the teal daemon at {busy}/run/admin.sock does not answer: it is busy, and takes no connection",
    )


async def test_daemon_that_is_busy_for_a_moment_is_waited_for(tmp_path: Path) -> None:
    """Many commands at once find room in its queue one after the other."""
    path = socket_path(tmp_path)
    with listen_at(path) as listener, ExitStack() as stack:
        with suppress(BlockingIOError):
            while True:
                stack.enter_context(connect_to(path, timeout_s=0))
        found = asyncio.create_task(asyncio.to_thread(find_daemon, str(tmp_path)))
        taken, _ = await asyncio.get_running_loop().sock_accept(listener)
        taken.close()
        assert (await found).option == f" --state-dir {tmp_path}"


@pytest.mark.parametrize("place", ["nothing", "file/below", "stale"])
def test_what_nobody_listens_at_is_no_daemon(tmp_path: Path, place: str) -> None:
    """No folder, none that could be one, or the socket of a daemon that has died."""
    (tmp_path / "file").write_text("")
    listen_at(socket_path(tmp_path / "stale")).close()
    with pytest.raises(NoDaemon):
        find_daemon(str(tmp_path / place))


async def test_interrupted_change_may_have_been_made(daemon: FakeDaemon, environment: dict[str, str]) -> None:
    """Ctrl-C before its answer: the user is not told that nothing was done."""
    daemon.keep_waiting("/v1/endpoints/churn")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "router.cli.main", "online-endpoint", "delete", "-n", "churn", "--yes"),
        env=environment,
        stderr=asyncio.subprocess.PIPE,
    )
    await daemon.is_kept_waiting.wait()
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    expected = b"interrupted before the daemon answered; it may have done it, or go on\n"
    assert (process.returncode, err) == (130, expected)


async def test_start_up_is_light(daemon: FakeDaemon, environment: dict[str, str]) -> None:
    """A command of every day loads neither the config's library nor a server, nor what only help needs."""
    daemon.answer("GET", "/v1/endpoints", [])
    heavy = {"pydantic", "aiohttp", "rich", "msgspec", "ruamel", "structlog", "sqlite3", "router.cli.help"}
    code = (
        "import sys; from router.cli.framework import TealCLI; TealCLI().invoke(sys.argv[1:]); "
        f"print(sorted({heavy} & set(sys.modules)), file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, "online-endpoint", "list", "-o", "json"]
    outcome = await asyncio.to_thread(
        subprocess.run, command, env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert outcome.stderr == "[]\n"

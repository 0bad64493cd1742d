"""What dies, hangs or is told to stop takes nothing with it but what it had in hand."""

import asyncio
import contextlib
import json
import resource
import signal
import sqlite3
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import psutil
import pytest

from tests.e2e.conftest import Load, Teal, free_port
from tests.e2e.project import ANSWERS_ITS_NAME, Project, Reply, ask, until

TAKES_A_MOMENT = """
import time

def init():
    pass

def run(data):
    time.sleep(0.005)
    return {}
"""
MAY_BE_BROKEN = """
import os

def init():
    if "BROKEN" in os.environ:
        raise RuntimeError("no such layer")

def run(data):
    return {}
"""
WAITS_FOR_A_FILE = """
import os
import time

def init():
    pass

def run(data):
    open(os.environ["BEGUN"], "w").close()
    while not os.path.exists(os.environ["GATE"]):
        time.sleep(0.01)
        print("still waits", flush=True)
    return "waited"
"""
CLIENTS = 8


async def pids(teal: Teal) -> list[int]:
    """The processes of `blue`."""
    return [instance["pid"] for instance in (await teal.deployment("blue"))["instances"]]


@pytest.mark.parametrize(("is_idempotent", "may_fail"), [(True, 0), (False, 4)])
async def test_a_killed_worker_costs_at_most_what_it_worked_on(
    serve, project: Project, is_idempotent: bool, may_fail: int
) -> None:
    """With two instances: idempotent requests all succeed, of others those in its hands are answered 424."""
    settings = {"max_concurrent_requests_per_instance": 4}
    project.deployments["blue"] = project.worker("blue", TAKES_A_MOMENT, instance_count=2, request_settings=settings)
    project.endpoint["idempotent"] = is_idempotent
    teal = await serve(project.save())
    load = Load(await teal.url(), think_s=0.01)
    load.start(CLIENTS)
    await load.more(50)
    victim = psutil.Process((await pids(teal))[0])
    await teal.after(victim.kill, '"worker.ready"')
    await load.more(50)
    await load.stop()
    statuses = load.statuses()
    assert load.failures == []
    assert set(statuses) <= {200, 424}
    assert statuses[424] <= may_fail


async def test_a_killed_proxy_costs_at_most_what_it_had_in_hand(serve, project: Project) -> None:
    """Nobody is refused a connection: those that come to its socket wait for the next process."""
    project.data["proxy"] = {"processes": 2}
    teal = await serve(project.save())
    load = Load(await teal.url(), think_s=0.01)
    load.start(CLIENTS)
    await load.more(50)
    victim = psutil.Process((await teal.status())["proxies"][0]["pid"])
    await teal.after(victim.kill, '"proxy.started"')
    url = await teal.url()
    replies = await asyncio.gather(*(ask(url) for _ in range(20)))  # on connections that are new
    await teal.reads_ready()
    await load.more(50)
    await load.stop()
    assert {reply.status for reply in replies} == {200}
    assert set(load.statuses()) == {200}
    assert len(load.failures) <= CLIENTS
    assert not [failure for failure in load.failures if "Connect call failed" in failure]
    assert (await teal.metrics())['teal_requests_total{code="200",deployment="blue",endpoint="churn",route="live"}'] > 0


async def test_a_stopped_worker_is_replaced(serve, project: Project) -> None:
    """A process that does not run any more, and has not ended, leaves the choice, and another takes its place."""
    project.deployments["blue"] |= {
        "instance_count": 2,
        "liveness_probe": {"initial_delay": 0, "period": 1, "timeout": 1, "failure_threshold": 2},
        "request_settings": {"request_timeout_ms": 500},
    }
    teal = await serve(project.save())
    load = Load(await teal.url(), think_s=0.01)
    load.start(CLIENTS)
    await load.more(20)
    victim = psutil.Process((await pids(teal))[0])
    await teal.after(victim.suspend, '"worker.ready"')
    await load.more(20)
    await load.stop()
    assert teal.events("worker.exited")[0]["reason"] in {"stopped", "liveness"}
    assert load.failures == []
    assert set(load.statuses()) <= {200, 408, 424}  # while it stands still, and when it is killed for that
    assert load.statuses()[424] <= 1
    assert victim.pid not in await pids(teal)
    assert (await ask(await teal.url())).status == 200


async def test_a_run_that_hangs_is_replaced(serve, project: Project) -> None:
    """A run() that goes on for nobody holds its instance; liveness replaces it, and the other one serves."""
    hangs = ANSWERS_ITS_NAME.replace("def run(data):", "def run(data):\n    while data == 'hang':\n        pass")
    project.deployments["blue"] = project.worker(
        "blue",
        hangs,
        instance_count=2,
        liveness_probe={"initial_delay": 0, "period": 1, "timeout": 1, "failure_threshold": 2},
        request_settings={"request_timeout_ms": 500},
    )
    teal = await serve(project.save())
    url = await teal.url()
    async with aiohttp.ClientSession() as session, session.post(url, data="hang") as answer:
        assert answer.status == 408
    await teal.said('"worker.exited".*"liveness"')
    assert (await ask(url)).status == 200


async def test_nothing_outlives_a_killed_daemon(serve, project: Project) -> None:
    """Proxies and workers end with it, also a proxy that stands still and a worker that is still in init(); the next
    daemon takes over what is on disk.
    """
    project.deployments["slow"] = project.worker(
        "slow", "import time\ndef init(): time.sleep(600)\ndef run(data): ...\n"
    )
    project.deployments["blue"]["instance_count"] = 2
    project.endpoint["auth_mode"] = "key"
    teal = await serve(project.save())
    children = teal.children()
    assert len(children) == 4
    keys = await teal.get("/v1/endpoints/churn/credentials")
    psutil.Process((await teal.status())["proxies"][0]["pid"]).suspend()
    teal.signal(signal.SIGKILL)
    _, alive = await asyncio.to_thread(psutil.wait_procs, children, timeout=20)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []
    await teal.process.wait()
    teal = await serve(project.path)
    assert await teal.get("/v1/endpoints/churn/credentials") == keys
    assert (await ask(await teal.url(), key=keys["primaryKey"])).text == '"blue"'


@pytest.mark.parametrize("is_plain", [True, False], ids=["fast", "full"])
async def test_what_is_in_flight_is_finished_without_a_control_process(
    serve, project: Project, gate: Path, is_plain: bool
) -> None:
    """Killed by hand: the port is free at once, the log says why, and all processes end with the last answer."""
    teal = await serve(project.save())
    url = await teal.url()
    children = teal.children()
    begun = await begin(project, url if is_plain else url + "?q=1")
    teal.signal(signal.SIGKILL)
    await teal.said('"control.lost"')
    await until(partial(is_refused, url))
    open_gate(gate)
    reply = await begun
    assert (reply.status, reply.text) == (200, '"waited"')
    _, alive = await asyncio.to_thread(psutil.wait_procs, children, timeout=20)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []
    assert teal.events("proxy.draining")[0]["busy"] == 1
    assert not teal.events("drain.cut")


async def test_a_daemon_starts_beside_what_a_killed_one_finishes(serve, project: Project, gate: Path) -> None:
    """On the same port and state; the old request is answered by the old process, new ones by the new."""
    project.data["listen"] = f"127.0.0.1:{free_port()}"
    teal = await serve(project.save())
    url = await teal.url()
    begun = await begin(project, url)
    teal.signal(signal.SIGKILL)
    await until(partial(is_refused, url))
    project.deployments["blue"] = project.worker("blue")
    other = await serve(project.save())
    assert await other.url() == url
    assert (await ask(url)).text == '"blue"'
    open_gate(gate)
    assert (await begun).text == '"waited"'


async def test_a_version_that_fails_changes_nothing_for_clients(serve, project: Project) -> None:
    """The old instances serve on, all of them, and the status has the reason; the next good version takes over."""
    blue = project.deployments["blue"] = project.worker("blue", MAY_BE_BROKEN, instance_count=2)
    teal = await serve(project.save())
    load = Load(await teal.url(), think_s=0.01)
    load.start(CLIENTS)
    before = await pids(teal)
    blue["environment_variables"]["BROKEN"] = "yes"
    await teal.after(project.save, '"worker.exited"')
    await load.more(50)
    shown = await teal.deployment("blue")
    assert (shown["provisioning_state"], shown["reason"]) == ("Failed", "init() raised RuntimeError: no such layer")
    assert set(before) <= set(await pids(teal))
    del blue["environment_variables"]["BROKEN"]
    blue["environment_variables"]["VERSION"] = "3"
    project.save()

    async def is_rolled() -> bool:
        shown = await teal.deployment("blue")
        return shown["provisioning_state"] == "Succeeded" and not set(before) & set(await pids(teal))

    await until(is_rolled)
    await load.stop()
    assert load.failures == []
    assert set(load.statuses()) == {200}


async def test_a_full_disk_refuses_what_it_needs_and_nothing_else(serve, project: Project) -> None:
    """A save that has keys to store waits for room; requests and workers go on, and the database stays whole."""
    project.endpoint["idempotent"] = True
    project.deployments["blue"]["instance_count"] = 2
    teal = await serve(project.save())
    load = Load(await teal.url(), think_s=0.01)
    load.start(CLIENTS)
    process = teal.process.pid
    resource.prlimit(process, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))  # what is written to files fails
    project.data["endpoints"]["second"] = {**project.endpoint, "auth_mode": "key"}
    refused = await teal.after(project.save, '"config.refused"')
    assert "state.db" in refused["problems"][0]
    victim = psutil.Process((await pids(teal))[0])
    await teal.after(victim.kill, '"worker.ready"')
    await load.more(50)
    free = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    await teal.after(lambda: resource.prlimit(process, resource.RLIMIT_FSIZE, free), '"config.applied"')
    assert [endpoint["name"] for endpoint in (await teal.status())["endpoints"]] == ["churn", "second"]
    await load.stop()
    assert load.failures == []
    assert set(load.statuses()) == {200}
    with contextlib.closing(sqlite3.connect(teal.state_dir / "state.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


async def ask_until_closed(url: str, begun: asyncio.Semaphore) -> list[Reply]:
    """Ask on one connection until an answer says that it will be closed."""
    replies: list[Reply] = []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
        while not replies or replies[-1].headers.get("Connection") != "close":
            async with session.post(url, data=b"{}") as answer:
                replies.append(Reply(answer.status, answer.headers, await answer.text()))
            begun.release()
    return replies


async def test_a_stop_under_load_fails_no_request(serve, project: Project) -> None:
    """Every client is answered to the end and told to close; then the daemon ends, with exit code 0."""
    project.data["proxy"] = {"processes": 2}
    teal = await serve(project.save())
    url = await teal.url()
    begun = asyncio.Semaphore(0)
    clients = [asyncio.create_task(ask_until_closed(url, begun)) for _ in range(50)]
    for _ in range(200):
        await begun.acquire()
    teal.signal(signal.SIGTERM)
    replies = await asyncio.gather(*clients)
    assert {reply.status for of_client in replies for reply in of_client} == {200}
    assert await teal.process.wait() == 0


@pytest.fixture
def gate(project: Project) -> Path:
    """Lets requests to `blue` be answered, once it is there."""
    gate = project.folder / "gate"
    blue = project.deployments["blue"] = project.worker("blue", WAITS_FOR_A_FILE)
    blue["request_settings"] = {"request_timeout_ms": 100_000}
    blue["environment_variables"] = {"GATE": str(gate), "BEGUN": str(project.folder / "begun")}
    return gate


def open_gate(gate: Path) -> None:
    gate.touch()


async def begin(project: Project, url: str) -> asyncio.Task[Reply]:
    """A request that an instance works on."""
    asking = asyncio.create_task(ask(url))

    async def has_begun() -> bool:
        return (project.folder / "begun").exists()

    await until(has_begun)
    return asking


async def is_refused(url: str) -> bool:
    """Whether nobody accepts connections there any more."""
    parts = urlsplit(url)
    try:
        _, writer = await asyncio.open_connection(parts.hostname, parts.port)
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:  # it waited to be accepted when the port was closed
        return False
    writer.close()
    return False


async def test_a_stop_waits_for_a_slow_request(serve, project: Project, gate: Path) -> None:
    """It is answered, and told that the connection ends."""
    teal = await serve(project.save())
    asking = await begin(project, await teal.url())
    url = await teal.url()
    await teal.after(lambda: teal.signal(signal.SIGTERM), '"daemon.draining"')
    await until(partial(is_refused, url))  # so the proxy has heard of it too
    open_gate(gate)
    reply = await asking
    assert (reply.status, reply.text, reply.headers["Connection"]) == (200, '"waited"', "close")
    assert await teal.process.wait() == 0
    assert json.loads(teal.lines[-1])["event"] == "daemon.stopped"


async def test_a_second_signal_hurries(serve, project: Project, gate: Path) -> None:
    """The slow request is cut, and the exit code is 0 all the same."""
    project.data["limits"]["drain_timeout_s"] = 1000
    teal = await serve(project.save())
    asking = await begin(project, await teal.url())
    await teal.after(lambda: teal.signal(signal.SIGTERM), '"daemon.draining"')
    children = teal.children()
    teal.signal(signal.SIGTERM)
    with pytest.raises(aiohttp.ClientError):
        await asking
    assert await teal.process.wait() == 0
    assert not [child for child in children if child.is_running()]

"""The real proxy process, started and spoken to as the control process does."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

from router.core.stats import InstanceStats
from tests.proxy.conftest import KEY, RawClient, deployment, endpoint, post
from tests.proxy.control import Control, told
from tests.proxy.peers import Peer, answer_ok
from tests.proxy.waiting import answer_in_turn, answer_when

StartPeer = Callable[..., Awaitable[Peer]]


@pytest.fixture
async def control(request: pytest.FixtureRequest, lane: str) -> AsyncIterator[Control]:
    """Two slots, filled."""
    async with Control.running(getattr(request, "param", 2), lane) as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    """A client that makes a connection for each request, so that both slots get some."""
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}, connector=connector) as session:
        yield session


async def score(client: aiohttp.ClientSession, control: Control, times: int) -> list[int]:
    async def one() -> int:
        async with client.post(control.url, data=b"{}") as answer:
            await answer.read()
            return answer.status

    return [await one() for _ in range(times)]


async def test_a_pushed_table_is_applied_by_every_slot(
    control: Control, peer: StartPeer, client: aiohttp.ClientSession
) -> None:
    """`applied` returns once both processes route by it; their counters add up."""
    one = await peer(answer_ok)
    await control.apply(endpoint(deployment("blue", one)))
    assert control.proxies.have_applied
    assert [status.generation for status in control.proxies.statuses()] == [1, 1]
    assert await score(client, control, 60) == [200] * 60
    await told(lambda: control.stats().live == {200: 60})
    shares = [slot.stats.connections_opened for slot in control.proxies.statuses()]
    assert sum(shares) == 60
    assert min(shares) > 0
    await control.apply(endpoint(deployment("green", one)))
    assert await score(client, control, 10) == [200] * 10
    await told(lambda: control.stats("green").live == {200: 10})


async def test_a_killed_proxy_is_replaced_and_nobody_is_refused(
    control: Control, peer: StartPeer, client: aiohttp.ClientSession
) -> None:
    """Every new connection after a kill -9 is served, by the other slot or by the one that takes its place."""
    await control.apply(endpoint(deployment("blue", await peer(answer_ok), max_concurrent=1000)))
    assert await score(client, control, 20) == [200] * 20
    await told(lambda: control.stats().live == {200: 20})
    killed = control.pids[0]
    os.kill(killed, signal.SIGKILL)
    await told(lambda: killed not in control.pids)
    assert await asyncio.gather(*(score(client, control, 2) for _ in range(50))) == [[200, 200]] * 50
    await control.proxies.applied(1)
    assert killed not in control.pids
    assert sum(status.restarts for status in control.proxies.statuses()) == 1
    await told(lambda: control.stats().live == {200: 120})


async def test_counters_never_go_backwards(control: Control, peer: StartPeer, client: aiohttp.ClientSession) -> None:
    """What a killed process had reported stays counted, and what it had in hand does not."""
    gate = asyncio.Event()
    one = await peer(answer_ok)
    stuck = await peer(answer_when(gate))
    await control.apply(endpoint(deployment("blue", one), deployment("green", stuck)))
    await score(client, control, 30)
    await told(lambda: control.stats().live == {200: 30})
    hanging = await control.client()
    await hanging.send(post(b"{}", "azureml-model-deployment: green"))
    await told(lambda: control.stats("green").in_flight == 1)
    for pid in control.pids:
        os.kill(pid, signal.SIGKILL)
        await told(lambda pid=pid: pid not in control.pids)  # type: ignore[misc]
        assert control.stats().live == {200: 30}
        assert sum(control.stats().duration.counts) == 30
    assert control.stats("green").in_flight == 0
    assert await hanging.rest() == b""
    await control.proxies.applied(1)
    await score(client, control, 10)
    await told(lambda: control.stats().live == {200: 40})
    gate.set()
    await hanging.close()


async def test_connections_are_counted_per_instance(
    control: Control, peer: StartPeer, client: aiohttp.ClientSession
) -> None:
    """Summed over both slots, past a kill; an instance that the table lists no more is not counted any more."""
    gate = asyncio.Event()
    one, other = await peer(answer_ok), await peer(answer_when(gate))
    await control.apply(endpoint(deployment("blue", one), deployment("green", other)))
    assert await score(client, control, 30) == [200] * 30
    hanging = await control.client()
    await hanging.send(post(b"{}", "azureml-model-deployment: green"))
    await told(lambda: control.stats("green").instances[other.address] == InstanceStats(1, 0, 1))
    opened = one.connections
    await told(lambda: control.stats().instances[one.address] == InstanceStats(opened, opened, 0))
    os.kill(control.pids[0], signal.SIGKILL)
    await told(lambda: sum(status.restarts for status in control.proxies.statuses()))
    assert control.stats().instances[one.address].connections_opened == opened
    await control.apply(endpoint(deployment("blue", other)))
    assert control.stats().instances.keys() <= {other.address}
    assert control.stats("green").instances == {}
    gate.set()


async def test_drained_waits_for_the_last_request(control: Control, peer: StartPeer) -> None:
    """`drained(address)` returns when no proxy has a request for it left, and not before."""
    gate = asyncio.Event()
    old, new = await peer(answer_when(gate)), await peer(answer_ok)
    await control.apply(endpoint(deployment("blue", old, max_concurrent=1)))
    clients = [await control.client() for _ in range(6)]
    for each in clients:
        await each.send(post())
    await told(lambda: control.stats().in_flight == 6)
    await control.apply(endpoint(deployment("blue", new)))
    draining = asyncio.create_task(control.proxies.drained(old.address), name="drained")
    await told(lambda: control.proxies.busy(old.address))
    assert not draining.done()
    gate.set()
    assert [(await each.answer())[0] for each in clients] == [200] * 6
    await draining
    assert control.proxies.busy(old.address) == 0
    for each in clients:
        await each.close()


async def test_an_unused_address_is_drained_at_once(control: Control, peer: StartPeer) -> None:
    """Nothing is waited for but the word of both proxies that they run the newest table."""
    old, new = await peer(answer_ok), await peer(answer_ok)
    await control.apply(endpoint(deployment("blue", old)))
    control.push(endpoint(deployment("blue", new)))
    await control.proxies.drained(old.address)
    assert control.proxies.have_applied


async def keep_scoring(client: RawClient, answers: list[tuple[int, bool]]) -> None:
    """One request after the other on one connection until the proxy says that it closes."""
    says_close = False
    while not says_close:
        await client.send(post())
        status, head, _ = await client.answer()
        says_close = b"connection: close" in head.lower()
        answers.append((status, says_close))
    assert await client.rest() == b""


async def test_a_drain_fails_no_request(control: Control, peer: StartPeer) -> None:
    """50 keep-alive clients under load: each gets an answer to all it sends, the last one with `Connection: close`."""
    await control.apply(endpoint(deployment("blue", await peer(answer_ok), max_concurrent=100)))
    clients = [await control.client() for _ in range(50)]
    answers: list[list[tuple[int, bool]]] = [[] for _ in clients]
    load = asyncio.gather(*(keep_scoring(*pair) for pair in zip(clients, answers, strict=True)))
    await told(lambda: min(map(len, answers)) >= 3)
    await control.stop()
    await load
    assert {status for each in answers for status, _ in each} == {200}
    assert [each[-1] for each in answers] == [(200, True)] * 50
    assert sum(says_close for each in answers for _, says_close in each) == 50
    assert control.stats().live == {200: sum(map(len, answers))}
    assert control.pids == []
    for each in clients:
        await each.close()


async def test_a_drain_finishes_what_is_in_flight_and_queued(control: Control, peer: StartPeer) -> None:
    """Requests that the instance has, and those that wait for it, are answered with `Connection: close`."""
    turns: asyncio.Queue[bytes] = asyncio.Queue()
    one = await peer(answer_in_turn(turns))
    await control.apply(endpoint(deployment("blue", one, max_concurrent=1)))
    clients = [await control.client() for _ in range(6)]
    for each in clients:
        await each.send(post())
    await told(lambda: control.stats().in_flight == 6)
    stopping = asyncio.create_task(control.stop(), name="stop")
    for _ in clients:
        turns.put_nowait(b"late")
    answers = [await each.answer() for each in clients]
    assert [(status, body) for status, _, body in answers] == [(200, b"late")] * 6
    await stopping
    assert control.stats().live == {200: 6}
    for each in clients:
        await each.close()


async def test_idle_connections_do_not_delay_the_exit(control: Control, peer: StartPeer) -> None:
    """Neither one that waits between requests nor one that never said a word: both exit well before the deadline."""
    await control.apply(endpoint(deployment("blue", await peer(answer_ok))), drain_timeout_s=600, head_timeout_s=600)
    idle, silent = await control.client(), await control.client()
    await idle.send(post())
    await idle.answer()
    await told(lambda: sum(status.stats.connections for status in control.proxies.statuses()) == 2)
    await control.stop()
    assert control.pids == []
    assert await idle.rest() == b""
    assert await silent.rest() == b""
    await idle.close()
    await silent.close()


async def test_an_idle_client_may_send_one_more_request_during_the_drain(control: Control, peer: StartPeer) -> None:
    """A client that was idle when the drain began is answered, and told to close."""
    gate = asyncio.Event()
    stuck = await peer(answer_when(gate))
    blue, green = deployment("blue", await peer(answer_ok)), deployment("green", stuck)
    await control.apply(endpoint(blue, green))
    idle = await control.client()
    await idle.send(post())
    await idle.answer()
    stopping = asyncio.create_task(control.stop(), name="stop")
    says_close = False
    while not says_close:
        await idle.send(post())
        status, head, _ = await idle.answer()
        assert status == 200
        says_close = b"connection: close" in head
    await stopping
    gate.set()
    await idle.close()


async def test_a_proxy_without_a_table_drains_at_once(lane: str) -> None:
    """Stopping before there is a table waits for nothing."""
    control = Control(1, lane)
    control.proxies.start()
    await told(lambda: control.pids)
    await control.stop()
    assert control.pids == []


async def test_a_request_without_end_is_cut_at_the_drain_deadline(control: Control, peer: StartPeer) -> None:
    """`drain_timeout_s` bounds the drain; the process still ends by itself and reports what it counted."""
    gate = asyncio.Event()
    one = await peer(answer_when(gate))
    await control.apply(endpoint(deployment("blue", one, request_timeout_s=600)), drain_timeout_s=0.1)
    client = await control.client()
    await client.send(post())
    await one.requests(1)
    await control.stop()
    assert await client.rest() == b""
    assert control.stats().live == {499: 1}
    gate.set()
    await client.close()


_DAEMON = """
import asyncio, sys
from router.control.listeners import bind
from router.control.proxies import Proxies
async def main():
    sockets = bind([("127.0.0.1", 0)], 2)
    proxies = Proxies(sockets, [], lambda: None)
    proxies.start()
    while not all(status.pid for status in proxies.statuses()):
        await asyncio.sleep(0.01)
    print(*(status.pid for status in proxies.statuses()), file=sys.stderr)
    await asyncio.Event().wait()
asyncio.run(main())
"""


async def test_proxies_end_with_the_control_process() -> None:
    """A control process that is killed leaves no proxy behind."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    daemon = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _DAEMON,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )
    assert daemon.stderr is not None
    try:
        pids = [int(pid) for pid in (await daemon.stderr.readline()).split()]
    finally:
        daemon.kill()
        await daemon.wait()
    assert len(pids) == 2
    await told(lambda: not any(map(is_alive, pids)))


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_a_second_owner_of_the_port_is_refused(control: Control) -> None:
    """The sockets of the slots share the port with each other and nobody else."""
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", control.port))


async def test_lines_that_are_dropped_at_the_end_are_counted(
    lane: str, peer: StartPeer, client: aiohttp.ClientSession
) -> None:
    """A proxy whose log nobody reads tells of all of its lines, of the last ones with its last figures."""
    reader, full = os.pipe()
    os.set_blocking(full, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(full, bytes(4096))
    output = os.dup(1)
    os.dup2(full, 1)  # the process inherits it
    try:
        async with Control.running(1, lane) as control:
            await control.apply(endpoint(deployment("blue", await peer(answer_ok))), access_log=True)
            os.dup2(output, 1)
            assert await score(client, control, 5) == [200] * 5
    finally:
        os.dup2(output, 1)
        for fd in (output, reader, full):
            os.close(fd)
    assert control.proxies.totals().process.access_log_dropped == 5

"""A real proxy process that may not open any more files."""

import asyncio
import contextlib
import itertools
import resource
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.proxy.conftest import deployment, endpoint, post
from tests.proxy.control import Control, told
from tests.proxy.peers import Peer, answer_ok

StartPeer = Callable[..., Awaitable[Peer]]


@pytest.fixture
async def control(lane: str) -> AsyncIterator[Control]:
    """One slot, filled."""
    async with Control.running(1, lane) as running:
        yield running


class Descriptors:
    """What a process may open."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._before = resource.prlimit(pid, resource.RLIMIT_NOFILE)

    def allow(self, more: int) -> None:
        """Let it open so many more than it has open now."""
        used = {int(entry.name) for entry in Path(f"/proc/{self._pid}/fd").iterdir()}
        free = (number for number in itertools.count() if number not in used)
        resource.prlimit(self._pid, resource.RLIMIT_NOFILE, (next(itertools.islice(free, more, None)), self._before[1]))

    def allow_all(self) -> None:
        resource.prlimit(self._pid, resource.RLIMIT_NOFILE, self._before)


async def outcome(control: Control) -> int:
    """Status of one request on a new connection, which stays open; 0 if it was closed without an answer."""
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        client = await control.client()
        await client.send(post())
        return (await client.answer())[0]
    return 0


async def test_without_descriptors_clients_are_refused_and_nothing_else_happens(
    control: Control, peer: StartPeer
) -> None:
    """Those that are in are served; new ones are refused and counted; once there are descriptors all is as before."""
    await control.apply(endpoint(deployment("blue", await peer(answer_ok))))
    kept = await control.client()
    await kept.send(post())
    assert (await kept.answer())[0] == 200
    limit = Descriptors(control.pids[0])
    limit.allow(10)
    outcomes = [await outcome(control) for _ in range(60)]
    assert set(outcomes[:5]) == {200}
    assert set(outcomes[-20:]) <= {0, 503}
    await kept.send(post())
    assert (await kept.answer())[0] == 200
    await told(lambda: control.refused.get("no_descriptors", 0) >= 20)
    assert control.proxies.ejected() == frozenset()
    limit.allow_all()
    assert [await outcome(control) for _ in range(20)] == [200] * 20
    assert sum(status.restarts for status in control.proxies.statuses()) == 0


async def test_descriptors_that_clients_give_back_are_used_again(control: Control, peer: StartPeer) -> None:
    """The limit stays; when the flood ends, new clients are served at once."""
    await control.apply(endpoint(deployment("blue", await peer(answer_ok))))
    Descriptors(control.pids[0]).allow(10)
    silent = [await control.client() for _ in range(40)]
    await told(lambda: control.refused.get("no_descriptors", 0) >= 20)
    for client in silent:
        await client.close()
    await told(lambda: control.connections == 0)
    assert [await outcome(control) for _ in range(3)] == [200] * 3


async def test_an_instance_is_not_blamed_for_a_lack_of_descriptors(control: Control, peer: StartPeer) -> None:
    """The client gets 503, the reason is counted, and nothing is ejected."""
    one = await peer(answer_ok)
    await control.apply(endpoint(deployment("blue", one)))
    clients = [await control.client() for _ in range(3)]
    await told(lambda: control.connections == 3)
    limit = Descriptors(control.pids[0])
    limit.allow(0)
    await clients[0].send(post())
    status, head, _ = await clients[0].answer()
    assert status == 503
    assert b"x-teal-reason: no_descriptors" in head
    await told(lambda: control.stats().failures == {"no_descriptors": 1})
    assert control.proxies.ejected() == frozenset()
    limit.allow_all()
    await clients[1].send(post())
    assert (await clients[1].answer())[0] == 200


async def test_an_idle_connection_is_given_up_for_one_that_is_needed(control: Control, peer: StartPeer) -> None:
    """Descriptors of idle connections to one instance serve another one."""
    blue, green = await peer(answer_ok), await peer(answer_ok)
    await control.apply(endpoint(deployment("blue", blue), deployment("green", green)))
    client = await control.client()
    await client.send(post())
    assert (await client.answer())[0] == 200
    Descriptors(control.pids[0]).allow(0)
    await client.send(post(b"{}", "azureml-model-deployment: green"))
    assert (await client.answer())[0] == 200
    assert len(green.seen) == 1

"""Two real proxies, each on a port of its own: limits, queue, copies and weights hold for the sum of both."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pytest

from router.core.table import EndpointSpec, MirrorSpec
from tests.proxy.conftest import RawClient, deployment, endpoint, post
from tests.proxy.control import Control, told
from tests.proxy.peers import Conversation, Peer, answer_ok
from tests.proxy.waiting import answer_in_turn, answer_when, until, until_still

StartPeer = Callable[..., Awaitable[Peer]]


@pytest.fixture
async def control(lane: str) -> AsyncIterator[Control]:
    """Two slots with a port each, so that a test says which proxy a client gets."""
    async with Control.running(2, lane, has_own_ports=True) as running:
        yield running


class Crowd:
    """New clients, each with one request on its way."""

    def __init__(self, control: Control) -> None:
        self._control = control

    async def send(self, slot: int, body: bytes = b"{}") -> RawClient:
        """One, of that proxy."""
        client = await self._control.client(slot)
        await client.send(post(body))
        return client

    async def send_each(self, slots: Sequence[int]) -> list[RawClient]:
        """One for each number of a proxy."""
        return [await self.send(slot) for slot in slots]


@pytest.fixture
def crowd(control: Control) -> Crowd:
    return Crowd(control)


class Busy:
    """A script that counts how many requests the instance works on, and how many that were at most."""

    def __init__(self) -> None:
        self.now = self.most = 0

    async def __call__(self, conversation: Conversation) -> None:
        while True:
            await conversation.request()
            self.now += 1
            self.most = max(self.most, self.now)
            await asyncio.sleep(0.001)  # the work
            self.now -= 1
            await conversation.answer()


async def statuses(clients: Sequence[RawClient]) -> list[int]:
    return [(await client.answer())[0] for client in clients]


async def score(control: Control, slot: int, times: int) -> set[int]:
    """One client of that proxy, one request after the other."""
    client = await control.client(slot)
    seen = set()
    for _ in range(times):
        await client.send(post())
        seen.add((await client.answer())[0])
    return seen


# Concurrency


@pytest.mark.parametrize("limit", [1, 3])
async def test_a_flood_over_both_proxies_never_passes_the_limit(control: Control, peer: StartPeer, limit: int) -> None:
    """The instance works on as much as its limit, and never on more."""
    busy = Busy()
    await control.apply(endpoint(deployment("blue", await peer(busy), max_concurrent=limit)))
    seen = await asyncio.gather(*(score(control, slot, 15) for slot in [0, 1] * 15))
    assert set().union(*seen) == {200}
    assert busy.most == limit
    await told(lambda: control.stats().live == {200: 450})


async def test_both_proxies_keep_all_instances_busy(control: Control, peer: StartPeer, crowd: Crowd) -> None:
    """Clients of one proxy alone get every place on every instance."""
    gate = asyncio.Event()
    peers = [await peer(answer_when(gate)) for _ in range(3)]
    await control.apply(endpoint(deployment("blue", *peers, max_concurrent=2)))
    clients = await crowd.send_each([1] * 5)
    await until(lambda: sum(len(one.seen) for one in peers) == 5)
    clients += await crowd.send_each([0])
    await until(lambda: [len(one.seen) for one in peers] == [2, 2, 2])
    gate.set()
    assert await statuses(clients) == [200] * 6


async def test_the_longest_wait_is_served_first(control: Control, peer: StartPeer, crowd: Crowd) -> None:
    """Whichever proxy it waits in."""
    turns: asyncio.Queue[bytes] = asyncio.Queue()
    one = await peer(answer_in_turn(turns))
    await control.apply(endpoint(deployment("blue", one, max_concurrent=1)))
    clients = []
    for number, slot in enumerate([0, 1, 0, 0, 1, 1]):
        clients.append(await crowd.send(slot, b"%d" % number))
        await told(lambda number=number: control.stats().in_flight == number + 1)  # type: ignore[misc]
    for _ in clients:
        turns.put_nowait(b"{}")
    assert await statuses(clients) == [200] * 6
    assert [seen.body for seen in one.seen] == [b"0", b"1", b"2", b"3", b"4", b"5"]


async def test_the_queue_is_bounded_for_both_together(control: Control, peer: StartPeer, crowd: Crowd) -> None:
    """Past it every client gets 429, of whichever proxy, and those in the queue are answered."""
    gate = asyncio.Event()
    one = await peer(answer_when(gate))
    await control.apply(endpoint(deployment("blue", one, max_concurrent=2, max_queue=3)))
    let_in = await crowd.send_each([0, 0])
    await one.requests(2)
    let_in += await crowd.send_each([1, 1, 1])
    await told(lambda: control.stats().queued == 3)
    for slot in (0, 1):
        status, head, _ = await (await crowd.send(slot)).answer()
        assert status == 429
        assert b"azureml-model-error-reason: too_many_pending_request" in head
        assert b"retry-after: " in head.lower()
    gate.set()
    assert await statuses(let_in) == [200] * 5


async def test_a_burst_fills_the_queue_exactly(control: Control, peer: StartPeer, crowd: Crowd) -> None:
    """However the requests of both proxies fall together, no more are let in than fit."""
    gate = asyncio.Event()
    one = await peer(answer_when(gate))
    await control.apply(endpoint(deployment("blue", one, max_concurrent=2, max_queue=8)))
    clients = await crowd.send_each([0, 1] * 15)
    await told(lambda: control.stats().live.get(429) == 20)
    gate.set()
    assert sorted(await statuses(clients)) == [200] * 10 + [429] * 20


async def test_a_limit_follows_the_table(control: Control, peer: StartPeer, crowd: Crowd) -> None:
    """A larger one lets requests of both queues through; a smaller one holds them back."""
    turns: asyncio.Queue[bytes] = asyncio.Queue()
    one = await peer(answer_in_turn(turns))
    await control.apply(endpoint(deployment("blue", one, max_concurrent=1)))
    clients = await crowd.send_each([0, 1] * 4)
    await told(lambda: control.stats().in_flight == 8)
    assert len(one.seen) == 1
    await control.apply(endpoint(deployment("blue", one, max_concurrent=3)))
    await one.requests(3)
    await control.apply(endpoint(deployment("blue", one, max_concurrent=1)))
    turns.put_nowait(b"{}")
    turns.put_nowait(b"{}")
    await told(lambda: control.stats().live == {200: 2})
    assert len(one.seen) == 3
    for _ in range(6):
        turns.put_nowait(b"{}")
    assert await statuses(clients) == [200] * 8


async def test_a_new_instance_has_its_own_count(control: Control, peer: StartPeer, crowd: Crowd) -> None:
    """As has one that comes back: a rolling change leaves nothing behind that would count."""
    gate = asyncio.Event()
    old, new = await peer(answer_when(gate)), await peer(answer_ok)
    await control.apply(endpoint(deployment("blue", old, max_concurrent=1)))
    held = await crowd.send(0)
    await old.requests(1)
    for _ in range(3):
        await control.apply(endpoint(deployment("blue", new, max_concurrent=1)))
        assert await score(control, 1, 3) == {200}
        await control.apply(endpoint(deployment("green", new, max_concurrent=1)))
        assert await score(control, 0, 3) == {200}
    gate.set()
    assert await statuses([held]) == [200]
    await control.apply(endpoint(deployment("blue", old, max_concurrent=1)))
    assert await score(control, 1, 3) == {200}


# A proxy that is gone, or as good as gone


async def test_what_a_killed_proxy_held_is_free(control: Control, peer: StartPeer, crowd: Crowd) -> None:
    """All places, and all of the queue, for the clients of the one that is left."""
    gate = asyncio.Event()
    one = await peer(answer_when(gate))
    await control.apply(endpoint(deployment("blue", one, max_concurrent=3, max_queue=2)))
    await crowd.send_each([0] * 5)
    await told(lambda: control.stats().queued == 2)
    os.kill(control.pids[0], signal.SIGKILL)
    await told(lambda: control.proxies.statuses()[0].restarts == 1)
    clients = await crowd.send_each([1] * 5)
    await one.requests(6)
    gate.set()
    assert await statuses(clients) == [200] * 5
    await control.proxies.applied(1)
    assert await score(control, 0, 5) == {200}


async def test_one_client_has_its_connections_at_all_proxies_together(control: Control, crowd: Crowd) -> None:
    """Whichever it comes to; what a killed proxy had of it is free for the other one."""
    await control.apply(max_connections_per_address=3)
    for slot in (0, 0, 1):
        await control.client(slot)
    await told(lambda: control.connections == 3)
    assert await statuses(await crowd.send_each([0, 1])) == [503, 503]
    await told(lambda: control.refused == {"too_many_connections_of_address": 2})
    os.kill(control.pids[0], signal.SIGKILL)
    await told(lambda: control.proxies.statuses()[0].restarts == 1)
    for _ in range(2):
        await control.client(1)
    await told(lambda: control.connections == 3)
    assert await statuses([await crowd.send(1)]) == [503]


async def test_who_waits_gets_the_place_of_a_killed_proxy(control: Control, peer: StartPeer, crowd: Crowd) -> None:
    """At once, not when the next process is up."""
    gate = asyncio.Event()
    one = await peer(answer_when(gate))
    await control.apply(endpoint(deployment("blue", one, max_concurrent=1)))
    await crowd.send(0)
    await one.requests(1)
    waiting = await crowd.send(1)
    await told(lambda: control.stats().queued == 1)
    os.kill(control.pids[0], signal.SIGKILL)
    await one.requests(2)
    gate.set()
    assert await statuses([waiting]) == [200]


async def test_a_proxy_that_stands_still_does_not_hold_up_the_other(
    control: Control, peer: StartPeer, crowd: Crowd
) -> None:
    """Its requests wait longest; the clients of the other one are served all the same."""
    turns: asyncio.Queue[bytes] = asyncio.Queue()
    one = await peer(answer_in_turn(turns))
    await control.apply(endpoint(deployment("blue", one, max_concurrent=1)))
    held = await crowd.send(1)
    await one.requests(1)
    stuck = await crowd.send(0)
    await told(lambda: control.stats().queued == 1)
    os.kill(control.pids[0], signal.SIGSTOP)
    try:
        turns.put_nowait(b"{}")
        others = [held, *await crowd.send_each([1, 1])]
        turns.put_nowait(b"{}")
        turns.put_nowait(b"{}")
        assert await statuses(others) == [200] * 3
    finally:
        os.kill(control.pids[0], signal.SIGCONT)
    turns.put_nowait(b"{}")
    assert await statuses([stuck]) == [200]


# Copies


def mirrored(live: Peer, shadow: Peer, **mirror: Any) -> EndpointSpec:
    """All live weight on blue, a copy of each request to green."""
    return endpoint(
        deployment("blue", live),
        deployment("green", shadow),
        mirror_traffic=(("green", 100.0),),
        mirror=MirrorSpec(**mirror),
    )


def outcomes(control: Control) -> dict[str, int]:
    return control.proxies.totals().endpoint("churn").mirror


async def test_copies_in_flight_are_bounded_for_both_together(control: Control, peer: StartPeer) -> None:
    """`max_in_flight` of them reach the target, of whichever proxy; a slot that is free again is everybody's."""
    gate = asyncio.Event()
    shadow = await peer(answer_when(gate))
    await control.apply(mirrored(await peer(answer_ok), shadow, max_in_flight=3))
    assert await score(control, 0, 2) == {200}
    assert await score(control, 1, 10) == {200}
    assert await score(control, 0, 5) == {200}
    await shadow.requests(3)
    await told(lambda: outcomes(control) == {"no_slot": 14})
    gate.set()
    await told(lambda: outcomes(control) == {"no_slot": 14, "sent": 3})
    assert await score(control, 1, 1) == {200}
    await told(lambda: outcomes(control) == {"no_slot": 14, "sent": 4})
    assert len(shadow.seen) == 4


async def test_a_flood_of_copies_never_passes_the_limit(control: Control, peer: StartPeer) -> None:
    """Under load, too."""
    busy = Busy()
    await control.apply(mirrored(await peer(answer_ok), await peer(busy), max_in_flight=2))
    seen = await asyncio.gather(*(score(control, slot, 20) for slot in [0, 1] * 10))
    assert set().union(*seen) == {200}
    await told(lambda: sum(outcomes(control).values()) == 400)
    assert busy.most <= 2
    assert outcomes(control).keys() == {"sent", "no_slot"}


async def test_the_bucket_of_copies_is_there_once(control: Control, peer: StartPeer) -> None:
    """One proxy may use up all of it, and what it took is missing for the other."""
    one = await peer(answer_ok)
    await control.apply(mirrored(one, one, rate_bytes_per_s=0.001, burst_bytes=8))
    assert await score(control, 0, 1) == {200}
    await told(lambda: outcomes(control) == {"sent": 1})
    assert await score(control, 1, 1) == {200}
    await told(lambda: outcomes(control) == {"sent": 2})
    await told(lambda: control.proxies.totals().endpoint("churn").mirror_bucket_bytes == pytest.approx(4, abs=0.1))
    assert await score(control, 0, 4) == {200}
    await told(lambda: outcomes(control) == {"sent": 4, "no_budget": 2})


# Weights


async def test_weights_hold_for_the_sum(control: Control, peer: StartPeer) -> None:
    """Of 4000 requests over both proxies, 1000 are expected at a weight of 25; 7 standard deviations are 192."""
    one = await peer(answer_ok)
    spec = endpoint(deployment("blue", one), deployment("green", one), traffic=(("blue", 75.0), ("green", 25.0)))
    await control.apply(spec)
    await asyncio.gather(*(score(control, slot, 500) for slot in [0, 1] * 4))
    await told(lambda: sum(control.stats(name).live.get(200, 0) for name in ("blue", "green")) == 4000)
    assert abs(control.stats("green").live[200] - 1000) < 192


async def test_a_limit_that_nobody_reaches_costs_no_request(control: Control, peer: StartPeer) -> None:
    """Nothing is queued while places are free."""
    one = await peer(answer_ok)
    await control.apply(endpoint(deployment("blue", one, max_concurrent=20, max_queue=0)))
    seen = await asyncio.gather(*(score(control, slot, 30) for slot in [0, 1] * 10))
    assert set().union(*seen) == {200}
    assert await until_still(lambda: len(one.seen)) == 600

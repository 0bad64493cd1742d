"""Within `max_concurrent` requests run, past it they queue in order, past the queue they are refused."""

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp

from router.core.table import InstanceSpec
from tests.proxy.conftest import Proxy, RawClient, deployment, endpoint, post
from tests.proxy.peers import Peer, answer_ok
from tests.proxy.waiting import answer_in_turn, answer_when, until

StartPeer = Callable[..., Awaitable[Peer]]
OpenRaw = Callable[[], Awaitable[RawClient]]


async def queue_up(proxy: Proxy, raw: OpenRaw, bodies: list[bytes]) -> list[RawClient]:
    """Clients that queue behind each other, in this order."""
    clients = []
    for body in bodies:
        clients.append(await raw())
        before = proxy.stats().queued
        await clients[-1].send(post(body))
        await until(lambda before=before: proxy.stats().queued == before + 1)  # type: ignore[misc]
    return clients


async def start_one(peer: Peer, raw: OpenRaw, body: bytes = b"first") -> RawClient:
    """A client whose request is at the instance."""
    client = await raw()
    await client.send(post(body))
    await peer.requests(len(peer.seen) + 1)
    return client


async def test_requests_are_served_first_come_first_served(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """One instance, one place: the instance sees one request at a time, in the order in which they came."""
    turns: asyncio.Queue[bytes] = asyncio.Queue()
    one = await peer(answer_in_turn(turns))
    proxy.apply(endpoint(deployment("blue", one, max_concurrent=1)))
    first = await start_one(one, raw)
    others = await queue_up(proxy, raw, [b"2", b"3", b"4"])
    assert proxy.stats().in_flight == 4
    answers = []
    for client in (first, *others):
        turns.put_nowait(b"done")
        answers.append((await client.answer())[0])
    assert answers == [200] * 4
    assert [seen.body for seen in one.seen] == [b"first", b"2", b"3", b"4"]
    assert one.connections == 1


async def test_an_instance_has_at_most_max_concurrent_requests(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """Two instances of two places: four run, two each, the fifth waits."""
    gate = asyncio.Event()
    peers = [await peer(answer_when(gate)) for _ in range(2)]
    proxy.apply(endpoint(deployment("blue", *peers, max_concurrent=2)))
    clients = [await raw() for _ in range(4)]
    for client in clients:
        await client.send(post())
    for each in peers:
        await each.requests(2)
    clients += await queue_up(proxy, raw, [b"5"])
    assert [len(each.seen) for each in peers] == [2, 2]
    gate.set()
    assert [(await client.answer())[0] for client in clients] == [200] * 5


async def test_a_full_queue_refuses_with_429(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """Past `max_queue`: 429 with an empty text body, the reason, and when to try again; the connection lives on."""
    gate = asyncio.Event()
    one = await peer(answer_when(gate))
    proxy.apply(endpoint(deployment("blue", one, max_concurrent=1, max_queue=2)))
    first = await start_one(one, raw)
    queued = await queue_up(proxy, raw, [b"2", b"3"])
    refused = await raw()
    await refused.send(post(b"4"))
    status, head, body = await refused.answer()
    assert (status, body) == (429, b"")
    lines = head.lower().split(b"\r\n")
    assert b"content-type: text/plain" in lines
    assert b"ms-azureml-model-error-reason: too_many_pending_request" in lines
    assert b"retry-after: 1" in lines
    assert b"connection: close" not in lines
    gate.set()
    assert [(await client.answer())[0] for client in (first, *queued)] == [200] * 3
    await refused.send(post(b"5"))
    assert (await refused.answer())[0] == 200
    assert proxy.stats().live[429] == 1


async def test_the_queue_grows_with_the_instances(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """`max_queue` counts per instance."""
    gate = asyncio.Event()
    peers = [await peer(answer_when(gate)) for _ in range(2)]
    proxy.apply(endpoint(deployment("blue", *peers, max_concurrent=1, max_queue=1)))
    for _ in range(2):
        await (await raw()).send(post())
    for each in peers:
        await each.requests(1)
    await queue_up(proxy, raw, [b"3", b"4"])
    refused = await raw()
    await refused.send(post())
    assert (await refused.answer())[0] == 429


async def test_the_time_in_the_queue_counts_towards_the_timeout(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """A request that waited too long gets 408 and never reaches the instance."""
    gate = asyncio.Event()
    one = await peer(answer_when(gate))
    proxy.apply(endpoint(deployment("blue", one, max_concurrent=1, request_timeout_s=60)))
    first = await start_one(one, raw)
    proxy.apply(endpoint(deployment("blue", one, max_concurrent=1, request_timeout_s=0.05)))
    (late,) = await queue_up(proxy, raw, [b"late"])
    status, head, body = await late.answer()
    assert (status, body) == (408, b"upstream request timeout")
    assert b"x-teal-reason: upstream_timeout" in head
    assert proxy.stats().queued == 0
    gate.set()
    assert (await first.answer())[0] == 200
    assert [seen.body for seen in one.seen] == [b"first"]


async def test_a_slow_upload_holds_no_instance(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw, client: aiohttp.ClientSession
) -> None:
    """200 clients in the middle of their bodies leave the only place to one that is ready."""
    one = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", one, max_concurrent=1, max_queue=1)))
    slow = [await raw() for _ in range(200)]
    for each in slow:
        await each.send(post(b"half", "Content-Length: 8"))
    await until(lambda: proxy.stats().in_flight == 200)
    async with client.post(proxy.url, data=b"whole") as answer:
        assert answer.status == 200
    assert [seen.body for seen in one.seen] == [b"whole"]
    await slow[0].send(b"half")
    assert (await slow[0].answer())[0] == 200


async def test_the_queue_is_served_by_an_instance_that_becomes_ready(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw
) -> None:
    """A new table with one more ready instance lets the request that waits go there at once."""
    gate = asyncio.Event()
    busy, fresh = await peer(answer_when(gate)), await peer(answer_ok)

    def table(*, is_ready: bool) -> None:
        instances = (InstanceSpec(address=busy.address), InstanceSpec(address=fresh.address, is_ready=is_ready))
        proxy.apply(endpoint(deployment("blue", instances=instances, max_concurrent=1)))

    table(is_ready=False)
    first = await start_one(busy, raw)
    (waiting,) = await queue_up(proxy, raw, [b"2"])
    table(is_ready=True)
    assert (await waiting.answer())[0] == 200
    assert [seen.body for seen in fresh.seen] == [b"2"]
    gate.set()
    assert (await first.answer())[0] == 200


async def test_the_queue_is_served_when_max_concurrent_grows(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """A new table with more places per instance is felt by those who wait."""
    gate = asyncio.Event()
    one = await peer(answer_when(gate))
    proxy.apply(endpoint(deployment("blue", one, max_concurrent=1)))
    await start_one(one, raw)
    await queue_up(proxy, raw, [b"2"])
    proxy.apply(endpoint(deployment("blue", one, max_concurrent=2)))
    assert len(await one.requests(2)) == 2
    assert proxy.stats().queued == 0

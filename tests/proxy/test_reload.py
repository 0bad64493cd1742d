"""A new table holds from the next request on; what has begun finishes on the one that it began with."""

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from tests.proxy.conftest import Proxy, RawClient, deployment, endpoint, post
from tests.proxy.peers import Conversation, Peer, answer_ok
from tests.proxy.waiting import answer_when, until

StartPeer = Callable[..., Awaitable[Peer]]
OpenRaw = Callable[[], Awaitable[RawClient]]


def fields(head: bytes) -> dict[bytes, bytes]:
    return dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:-2])


async def test_a_kept_connection_follows_the_new_table(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """One client connection: blue, then after the swap green, and it is not closed."""
    blue, green = deployment("blue", await peer(answer_ok)), deployment("green", await peer(answer_ok))
    client = await raw()
    answered_by = []
    for first in (blue, green, blue):
        proxy.apply(endpoint(first))
        await client.send(post())
        found = fields((await client.answer())[1])
        answered_by.append((found[b"azureml-model-deployment"], found[b"x-teal-generation"]))
    assert answered_by == [(b"blue", b"1"), (b"green", b"2"), (b"blue", b"3")]


async def test_a_request_in_flight_finishes_on_its_own_generation(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """Its instance is not in the table any more, it answers all the same, and the answer names its generation."""
    gate = asyncio.Event()
    old, new = await peer(answer_when(gate)), await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", old)))
    client = await raw()
    await client.send(post())
    await old.requests(1)
    proxy.apply(endpoint(deployment("green", new)))
    proxy.runtime.sweep()
    assert proxy.runtime.stats().busy == {old.address: 1, new.address: 0}
    gate.set()
    status, head, _ = await client.answer()
    found = fields(head)
    assert (status, found[b"azureml-model-deployment"], found[b"x-teal-generation"]) == (200, b"blue", b"1")
    await proxy.settled()
    assert proxy.runtime.stats().busy == {new.address: 0}


async def test_a_retired_deployment_finishes_its_queue(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """Requests that queued for a deployment are served by it after it left the table."""
    gate = asyncio.Event()
    old = await peer(answer_when(gate))
    proxy.apply(endpoint(deployment("blue", old, max_concurrent=1)))
    clients = [await raw() for _ in range(3)]
    for client in clients:
        await client.send(post())
    await until(lambda: proxy.stats().queued == 2)
    proxy.apply()
    proxy.runtime.sweep()
    assert proxy.runtime.stats().busy[old.address] == 3
    gate.set()
    assert [(await client.answer())[0] for client in clients] == [200] * 3
    await proxy.settled()
    proxy.runtime.sweep()
    assert proxy.runtime.stats().busy == {}
    assert "churn" not in proxy.runtime.totals.endpoints


async def test_a_request_whose_body_is_still_coming_keeps_its_deployment(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw
) -> None:
    """It has chosen before the swap: its instance is needed until it has been answered."""
    old, new = await peer(answer_ok), await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", old)))
    client = await raw()
    await client.send(post(b"half", "Content-Length: 8"))
    await until(lambda: proxy.stats().in_flight == 1)
    proxy.apply(endpoint(deployment("green", new)))
    proxy.runtime.sweep()
    assert proxy.runtime.stats().busy[old.address] == 1
    await client.send(b"half")
    status, head, _ = await client.answer()
    assert (status, fields(head)[b"azureml-model-deployment"]) == (200, b"blue")
    await proxy.settled()
    assert old.address not in proxy.runtime.stats().busy


async def test_a_replaced_instance_drains(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """Of a deployment that gets a new instance, the old one keeps what it has and gets nothing more."""
    gate = asyncio.Event()
    old, new = await peer(answer_when(gate)), await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", old)))
    first, second = await raw(), await raw()
    await first.send(post())
    await old.requests(1)
    proxy.apply(endpoint(deployment("blue", new)))
    for _ in range(5):
        await second.send(post())
        assert (await second.answer())[0] == 200
    assert (len(old.seen), len(new.seen)) == (1, 5)
    gate.set()
    assert (await first.answer())[0] == 200
    await proxy.settled()
    assert proxy.runtime.stats().busy == {new.address: 0}


async def test_swapping_tables_under_load_fails_no_request(
    proxy: Proxy, peer: StartPeer, client: aiohttp.ClientSession
) -> None:
    """400 requests of 8 clients while the table changes all the time."""

    async def answer_slowly(conversation: Conversation) -> None:
        while True:
            await conversation.request()
            await asyncio.sleep(0.002)
            await conversation.answer()

    blue, green, other = [await peer(answer_slowly) for _ in range(3)]
    tables = [
        endpoint(deployment("blue", blue, max_concurrent=2)),
        endpoint(deployment("green", green, max_concurrent=2), deployment("blue", blue, max_concurrent=1)),
        endpoint(deployment("blue", blue, other, max_concurrent=1)),
        endpoint(deployment("green", other, max_concurrent=2)),
    ]
    proxy.apply(tables[0])
    statuses: list[int] = []

    async def one_client() -> None:
        for _ in range(50):
            async with client.post(proxy.url, data=b"{}") as answer:
                statuses.append(answer.status)

    load = asyncio.gather(*(one_client() for _ in range(8)))
    swaps = 0
    while not load.done():
        swaps += 1
        proxy.apply(tables[swaps % 4])
        proxy.runtime.sweep()
        await asyncio.sleep(0.003)
    await load
    assert statuses == [200] * 400
    assert sum(len(each.seen) for each in (blue, green, other)) == 400


async def test_an_endpoint_that_went_away_is_not_found(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """The next request on a kept connection gets 404."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))))
    client = await raw()
    await client.send(post())
    assert (await client.answer())[0] == 200
    proxy.apply()
    await client.send(post())
    assert (await client.answer())[0] == 404


async def test_a_table_that_makes_no_sense_changes_nothing(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """A table with weight on a deployment that it lacks is refused whole."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))))
    with pytest.raises(KeyError):
        proxy.apply(endpoint(traffic=(("missing", 100.0),)))
    client = await raw()
    await client.send(post())
    status, head, _ = await client.answer()
    assert (status, fields(head)[b"x-teal-generation"]) == (200, b"1")

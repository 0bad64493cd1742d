"""A client that goes away takes its work along, and nothing else."""

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp

from tests.proxy.conftest import Proxy, RawClient, deployment, endpoint, post
from tests.proxy.peers import Conversation, Peer, answer_ok
from tests.proxy.waiting import answer_in_turn, answer_when, until, watch_end

StartPeer = Callable[..., Awaitable[Peer]]
OpenRaw = Callable[[], Awaitable[RawClient]]


def abort(client: RawClient) -> None:
    client.writer.transport.abort()


async def test_a_client_gone_before_the_answer_closes_the_instance_connection(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw
) -> None:
    """The instance sees the end of the connection while it still works."""
    ended = asyncio.Event()
    one = await peer(watch_end(ended))
    proxy.apply(endpoint(deployment("blue", one)))
    client = await raw()
    await client.send(post())
    await one.requests(1)
    assert proxy.stats().in_flight == 1
    abort(client)
    await ended.wait()
    await proxy.settled()
    assert proxy.stats().in_flight == 0
    assert proxy.stats().failures == {}
    (line,) = proxy.access_log()
    assert (line["response_code"], line["response_code_reason"]) == (499, "client_gone")


async def test_a_client_gone_in_the_middle_of_a_large_upload_closes_the_instance_connection(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw
) -> None:
    """An upload that will never end is not left hanging at the instance."""
    began, ended = asyncio.Event(), asyncio.Event()

    async def read_upload(conversation: Conversation) -> None:
        try:
            await conversation.head()
            began.set()
            await conversation.closed()
        finally:
            ended.set()

    proxy.apply(endpoint(deployment("blue", await peer(read_upload))))
    client = await raw()
    await client.send(post(b"x" * 500_000, "Content-Length: 1000000"))
    await began.wait()
    abort(client)
    await ended.wait()
    await proxy.settled()
    assert proxy.stats().in_flight == 0


async def test_a_client_gone_in_the_middle_of_a_small_upload_never_reaches_an_instance(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw
) -> None:
    """A body that did not come to its end is not sent at all; the log has the request, the same on both lanes."""
    one = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", one)))
    client = await raw()
    await client.send(post(b"half", "Content-Length: 8"))
    await until(lambda: proxy.stats().in_flight == 1)
    abort(client)
    await until(lambda: proxy.stats().in_flight == 0)
    assert one.connections == 0
    (line,) = proxy.access_log()
    assert (line["response_code"], line["response_code_reason"]) == (499, "client_gone")
    assert (line["deployment_name"], line["request_payload_size"], line["response_payload_size"]) == ("blue", 0, 0)
    assert proxy.stats().live == {499: 1}


async def test_a_client_gone_in_the_middle_of_the_answer_closes_the_instance_connection(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw
) -> None:
    """The rest of the answer is not read, and its connection is not used again."""
    ended = asyncio.Event()
    one = await peer(watch_end(ended, answers=b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome"))
    proxy.apply(endpoint(deployment("blue", one)))
    client = await raw()
    await client.send(post())
    await client.head()
    assert await client.reader.readexactly(4) == b"some"
    abort(client)
    await ended.wait()
    await proxy.settled()
    assert proxy.stats().in_flight == 0
    assert proxy.stats().live == {200: 1}
    assert repr(proxy.runtime.pool) == "Pool({})"


async def test_a_client_gone_while_queued_gives_its_place_back(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """Those behind it move up; it never reaches the instance."""
    turns: asyncio.Queue[bytes] = asyncio.Queue()
    one = await peer(answer_in_turn(turns))
    proxy.apply(endpoint(deployment("blue", one, max_concurrent=1, max_queue=2)))
    first, gone, last = [await raw() for _ in range(3)]
    await first.send(post(b"first"))
    await one.requests(1)
    await gone.send(post(b"gone"))
    await until(lambda: proxy.stats().queued == 1)
    await last.send(post(b"last"))
    await until(lambda: proxy.stats().queued == 2)
    abort(gone)
    await until(lambda: proxy.stats().queued == 1)
    turns.put_nowait(b"1")
    turns.put_nowait(b"2")
    assert (await first.answer())[2] == b"1"
    assert (await last.answer())[2] == b"2"
    assert [seen.body for seen in one.seen] == [b"first", b"last"]
    await proxy.settled()
    assert proxy.stats().in_flight == 0


async def test_a_place_granted_to_a_client_that_just_left_is_not_lost(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw
) -> None:
    """Abort and grant in the same turn of the loop: the only place is free for the next request."""
    gate = asyncio.Event()
    one = await peer(answer_when(gate))
    proxy.apply(endpoint(deployment("blue", one, max_concurrent=1)))
    first, gone, last = [await raw() for _ in range(3)]
    await first.send(post(b"first"))
    await one.requests(1)
    await gone.send(post(b"gone"))
    await until(lambda: proxy.stats().queued == 1)
    gate.set()
    abort(gone)
    await first.answer()
    await last.send(post(b"last"))
    assert (await last.answer())[0] == 200
    await proxy.settled()
    assert proxy.stats().in_flight == 0


async def test_good_requests_work_after_a_thousand_aborts(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw, client: aiohttp.ClientSession
) -> None:
    """1,000 clients leave before their answers; 100 requests after them all succeed, on clean connections."""
    gate = asyncio.Event()
    one = await peer(answer_when(gate))
    proxy.apply(endpoint(deployment("blue", one, max_concurrent=50, max_queue=1000)))
    for _ in range(10):
        clients = [await RawClient.open(proxy) for _ in range(100)]
        for each in clients:
            await each.send(post(b"abort"))
        await until(lambda: proxy.stats().in_flight == 100)
        for each in clients:
            abort(each)
        await until(lambda: proxy.stats().in_flight == 0)
    gate.set()
    statuses = []
    for _ in range(100):
        async with client.post(proxy.url, data=b"good") as answer:
            statuses.append((answer.status, await answer.read()))
    assert statuses == [(200, b'{"y": 1}')] * 100
    assert proxy.stats().live == {499: 1000, 200: 100}
    assert proxy.stats().queued == 0

"""A kept connection that turns out dead is replaced, and no request runs twice."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from router.core.errors import UpstreamReset
from router.core.table import InstanceSpec
from router.proxy.forward import Exchange, Outgoing
from tests.proxy.conftest import Proxy, RawClient, deployment, endpoint, post
from tests.proxy.peers import answer_ok
from tests.proxy.sockets import ANSWER, SocketConversation, SocketPeer, SocketScript, listening
from tests.proxy.waiting import until

StartPeer = Callable[[SocketScript], Awaitable[SocketPeer]]


@pytest.fixture(params=["tcp", "unix"])
async def start(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[StartPeer]:
    """Start a socket peer, on TCP and on a Unix socket."""
    async with AsyncExitStack() as stack:
        started = iter(range(100))

        async def start_one(script: SocketScript) -> SocketPeer:
            unix = tmp_path / f"{next(started)}.sock" if request.param == "unix" else None
            return await stack.enter_async_context(listening(script, unix))

        yield start_one


async def answer_all(conversation: SocketConversation) -> None:
    while True:
        await conversation.request()
        await conversation.send(ANSWER)


async def answer_one(conversation: SocketConversation) -> None:
    """Answer once; then nothing reads, and closing takes effect at once."""
    await conversation.request()
    await conversation.send(ANSWER)


async def close_at_the_first_byte_of_the_next(conversation: SocketConversation) -> None:
    await conversation.request()
    await conversation.send(ANSWER)
    await conversation.read(1)
    conversation.close()


async def reset_at_the_first_byte_of_the_next(conversation: SocketConversation) -> None:
    await conversation.request()
    await conversation.send(ANSWER)
    await conversation.read(1)
    conversation.reset()


async def close_after_the_answer(conversation: SocketConversation) -> None:
    await conversation.request()
    await conversation.send(ANSWER)
    conversation.close()


async def close_after_the_next_request(conversation: SocketConversation) -> None:
    await conversation.request()
    await conversation.send(ANSWER)
    await conversation.request()
    conversation.close()


async def read_and_close(conversation: SocketConversation) -> None:
    await conversation.request()
    conversation.close()


async def close_at_once(conversation: SocketConversation) -> None:
    conversation.close()


@pytest.mark.parametrize(
    "script", [close_at_the_first_byte_of_the_next, reset_at_the_first_byte_of_the_next, close_after_the_answer]
)
async def test_posts_on_dead_connections_run_exactly_once(
    proxy: Proxy, start: StartPeer, client: aiohttp.ClientSession, script: SocketScript
) -> None:
    """200 POSTs to a peer that drops each kept connection: no error, and each ran once."""
    peer = await start(script)
    proxy.apply(endpoint(deployment("blue", peer)))
    bodies = [b"%d" % number for number in range(200)]
    statuses = []
    for body in bodies:
        async with client.post(proxy.url, data=body) as answer:
            statuses.append(answer.status)
    assert statuses == [200] * 200
    assert peer.bodies == bodies


async def test_a_large_post_never_goes_out_on_a_kept_connection(
    proxy: Proxy, start: StartPeer, client: aiohttp.ClientSession
) -> None:
    """A body that is streamed cannot be sent again, so it gets a connection that cannot be stale."""
    peer = await start(close_at_the_first_byte_of_the_next)
    proxy.apply(endpoint(deployment("blue", peer)))
    large = b"x" * 1_000_000
    for body in (b"small", large, large):
        async with client.post(proxy.url, data=body) as answer:
            assert answer.status == 200
    assert peer.bodies == [b"small", large, large]


async def _exchange(proxy: Proxy, body: bytes) -> Exchange:
    """An exchange that has been sent without one turn of the loop since this was called."""
    found = proxy.runtime.table.endpoint("churn").spec.deployments[0]
    outgoing = Outgoing(
        method=b"POST", target=b"/score", lines=[], body=body, framing=b"Content-Length: %d" % len(body)
    )
    exchange = Exchange(proxy.runtime, proxy.runtime.pool, proxy.runtime.deployment("churn", found), outgoing)
    await exchange.acquire()
    await exchange.send(lambda: None)
    return exchange


@pytest.mark.parametrize("body", [b"small", b"x" * 3_000_000], ids=["small", "large"])
@pytest.mark.parametrize("end", [SocketConversation.close, SocketConversation.reset])
async def test_a_connection_that_died_unnoticed_is_replaced(
    proxy: Proxy, start: StartPeer, end: Callable[[SocketConversation], None], body: bytes
) -> None:
    """The peer closes while the loop looks away; what is then written on it goes out on a new connection."""
    peer = await start(answer_one)
    proxy.apply(endpoint(deployment("blue", peer)))
    first = await _exchange(proxy, b"first")
    await first.head(lambda: None)
    assert first.answer is not None
    assert await first.answer.read() == b'{"y": 1}'
    first.finish()
    first.close()
    end(peer.conversations[0])
    second = await _exchange(proxy, body)
    assert (await second.head(lambda: None)).status == 200
    second.close()
    assert peer.bodies == [b"first", body]


async def test_a_request_that_was_read_is_not_sent_again(
    proxy: Proxy, start: StartPeer, client: aiohttp.ClientSession
) -> None:
    """A kept connection that ends after its peer read all of a POST: 424, and it ran once."""
    peer = await start(close_after_the_next_request)
    proxy.apply(endpoint(deployment("blue", peer)))
    statuses = []
    for body in (b"1", b"2"):
        async with client.post(proxy.url, data=body) as answer:
            statuses.append(answer.status)
    assert statuses == [200, 424]
    assert answer.headers["x-teal-reason"] == "upstream_reset"
    assert answer.headers["ms-azureml-model-error-reason"] == "upstream_reset"
    assert peer.bodies == [b"1", b"2"]


async def test_a_kept_connection_whose_peer_ends_its_side_is_dropped(
    proxy: Proxy, start: StartPeer, client: aiohttp.ClientSession
) -> None:
    """Though the peer reads on: the router closes it at once, and the next request goes out on a new one."""
    dropped: list[SocketConversation] = []

    async def end_and_read_on(conversation: SocketConversation) -> None:
        await conversation.request()
        await conversation.send(ANSWER)
        conversation.connection.shutdown(socket.SHUT_WR)
        assert await conversation.read(1) == b""
        dropped.append(conversation)

    peer = await start(end_and_read_on)
    proxy.apply(endpoint(deployment("blue", peer)))
    for number in range(1, 6):
        assert await _status(client, proxy) == 200
        await until(lambda number=number: len(dropped) == number)  # type: ignore[misc]
    assert peer.connections == 5


@pytest.mark.parametrize(("is_idempotent", "expected"), [(False, 424), (True, 200)])
async def test_an_instance_that_ends_kept_connections_stays_in_the_choice(
    proxy: Proxy, start: StartPeer, client: aiohttp.ClientSession, is_idempotent: bool, expected: int
) -> None:
    """Requests that met the end may have run, and are lost unless they may run twice; those after them are not."""
    have_all_come = asyncio.Event()

    async def end_in_the_second(conversation: SocketConversation) -> None:
        await conversation.request()
        if len(peer.bodies) >= 8:
            have_all_come.set()
        await have_all_come.wait()
        await conversation.send(ANSWER)
        await conversation.request()
        conversation.connection.shutdown(socket.SHUT_WR)
        await conversation.read(1)

    peer = await start(end_in_the_second)
    proxy.apply(endpoint(deployment("blue", peer), is_idempotent=is_idempotent))
    assert await asyncio.gather(*(_status(client, proxy) for _ in range(8))) == [200] * 8
    assert await asyncio.gather(*(_status(client, proxy) for _ in range(8))) == [expected] * 8
    assert proxy.runtime.stats().ejected == ()
    assert proxy.stats().failures == {"reset": 8}
    assert len(peer.bodies) == (24 if is_idempotent else 16)


async def test_an_idempotent_request_goes_to_another_instance(
    proxy: Proxy, start: StartPeer, client: aiohttp.ClientSession
) -> None:
    """With `idempotent` a request whose instance died runs once more, elsewhere."""
    dying, good = await start(read_and_close), await start(answer_all)
    proxy.apply(endpoint(deployment("blue", dying, good), is_idempotent=True))
    async with client.post(proxy.url, data=b"1") as answer:
        assert answer.status == 200
    assert (dying.bodies, good.bodies) == ([b"1"], [b"1"])


async def test_an_idempotent_request_is_sent_again_only_once(
    proxy: Proxy, start: StartPeer, client: aiohttp.ClientSession
) -> None:
    """Of three instances that die of it, an idempotent request kills two."""
    peers = [await start(read_and_close) for _ in range(3)]
    proxy.apply(endpoint(deployment("blue", *peers), is_idempotent=True))
    async with client.post(proxy.url, data=b"1") as answer:
        assert answer.status == 424
    assert sum(len(peer.bodies) for peer in peers) == 2


async def test_an_idempotent_request_does_not_return_to_the_instance_that_failed_it(
    proxy: Proxy, start: StartPeer, raw: Callable[[], Awaitable[RawClient]]
) -> None:
    """It waits for the other instance while that is busy, though the one that failed has a free place."""
    may_answer = asyncio.Event()

    async def answer_late(conversation: SocketConversation) -> None:
        while True:
            await conversation.request()
            await may_answer.wait()
            await conversation.send(ANSWER)

    busy, dying = await start(answer_late), await start(read_and_close)
    proxy.apply(endpoint(deployment("blue", busy, dying, max_concurrent=1), is_idempotent=True))
    first, second, third = [await raw() for _ in range(3)]
    await first.send(post(b"1"))
    await until(lambda: busy.bodies)
    await second.send(post(b"2"))
    await until(lambda: proxy.stats().queued == 1)
    await third.send(post(b"3"))
    await until(lambda: proxy.stats().queued == 2)
    may_answer.set()
    assert [(await one.answer())[0] for one in (first, second, third)] == [200, 200, 200]
    assert dying.bodies == [b"2", b"3"]
    assert busy.bodies == [b"1", b"2", b"3"]


async def test_an_instance_that_refuses_connections_costs_no_request(
    proxy: Proxy, start: StartPeer, refusing: Callable[[], str], client: aiohttp.ClientSession
) -> None:
    """Of four instances three refuse: every request is answered by the fourth."""
    good = await start(answer_all)
    spec = deployment(
        "blue",
        instances=(*(InstanceSpec(address=refusing()) for _ in range(3)), InstanceSpec(address=good.address)),
    )
    proxy.apply(endpoint(spec))
    statuses = []
    for _ in range(20):
        async with client.post(proxy.url, data=b"1") as answer:
            statuses.append(answer.status)
    assert statuses == [200] * 20
    assert proxy.stats().failures == {"connect": 3}


async def test_an_instance_that_refuses_is_not_the_least_busy_one_for_long(
    proxy: Proxy, peer, refusing: Callable[[], str], client: aiohttp.ClientSession
) -> None:
    """An instance that fails faster than the other answers draws one request, not all: it is out of the choice."""
    good = await peer(answer_ok)
    address = refusing()
    proxy.apply(
        endpoint(deployment("blue", instances=(InstanceSpec(address=address), InstanceSpec(address=good.address))))
    )
    async with asyncio.TaskGroup() as group:
        posts = [group.create_task(_status(client, proxy)) for _ in range(50)]
    assert [one.result() for one in posts] == [200] * 50
    assert proxy.runtime.stats().ejected == (address,)


async def _status(client: aiohttp.ClientSession, proxy: Proxy) -> int:
    async with client.post(proxy.url, data=b"1") as answer:
        return answer.status


async def test_an_instance_that_hangs_up_on_everybody_is_ejected(
    proxy: Proxy, start: StartPeer, client: aiohttp.ClientSession
) -> None:
    """One that accepts and closes at once takes five requests with it and is out of the choice then."""
    broken, good = await start(close_at_once), await start(answer_all)
    proxy.apply(endpoint(deployment("blue", broken, good)))
    statuses = [await _status(client, proxy) for _ in range(20)]
    assert statuses.count(424) == 5
    assert statuses.count(200) == 15
    assert proxy.runtime.stats().ejected == (broken.address,)


async def test_no_instance_can_be_reached(
    proxy: Proxy, refusing: Callable[[], str], client: aiohttp.ClientSession
) -> None:
    """Where every instance refuses, the request that finds out gets `upstream_reset`, the next `model_not_ready`."""
    instances = tuple(InstanceSpec(address=refusing()) for _ in range(2))
    proxy.apply(endpoint(deployment("blue", instances=instances)))
    reasons = []
    for _ in range(2):
        async with client.post(proxy.url, data=b"1") as answer:
            reasons.append((answer.status, answer.headers["x-teal-reason"]))
    assert reasons == [(424, UpstreamReset.code), (424, "model_not_ready")]

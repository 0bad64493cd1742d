"""Few upstream connections, the freshest first, and no limit that nobody asked for."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest

from router.proxy.answer import Answer
from router.proxy.pool import IDLE_S, Pool
from router.proxy.upstream import UpstreamConnection, UpstreamLost
from tests.proxy.conftest import KEY, Proxy, deployment, endpoint
from tests.proxy.peers import Conversation, Peer, Script, answer_ok
from tests.proxy.waiting import until

StartPeer = Callable[..., Awaitable[Peer]]


@pytest.fixture
async def many() -> AsyncIterator[aiohttp.ClientSession]:
    """A client without a limit of connections."""
    async with aiohttp.ClientSession(
        headers={"Authorization": f"Bearer {KEY}"}, connector=aiohttp.TCPConnector(limit=0)
    ) as session:
        yield session


def answer_when_all_came(number: int) -> Script:
    """Instances that answer their first request when `number` of them have come, later ones at once."""
    barrier = asyncio.Barrier(number)

    async def script(conversation: Conversation) -> None:
        await conversation.request()
        await barrier.wait()
        await conversation.answer()
        await answer_ok(conversation)

    return script


async def _post(client: aiohttp.ClientSession, proxy: Proxy) -> int:
    async with client.post(proxy.url, data=b"{}") as answer:
        await answer.read()
        return answer.status


async def _post_all(client: aiohttp.ClientSession, proxy: Proxy, number: int) -> list[int]:
    return list(await asyncio.gather(*(_post(client, proxy) for _ in range(number))))


async def _used(pool: Pool, address: str) -> UpstreamConnection:
    """A connection that has served one exchange and is not back in the pool."""
    connection = await pool.open(address)
    answer = Answer(connection)
    connection.send(b"POST /score HTTP/1.1\r\nHost: a\r\n\r\n", b"", answer)
    await answer.wait_head()
    while await answer.read():
        pass
    return connection


async def test_no_hidden_limit_holds_requests_back(proxy: Proxy, peer: StartPeer, many: aiohttp.ClientSession) -> None:
    """500 concurrent requests are at the instance at the same time when it may have 500."""
    one = await peer(answer_when_all_came(500))
    proxy.apply(endpoint(deployment("blue", one, max_concurrent=500, request_timeout_s=60.0)))
    assert await _post_all(many, proxy, 500) == [200] * 500


async def test_after_a_burst_one_connection_does_the_work(
    proxy: Proxy, peer: StartPeer, many: aiohttp.ClientSession
) -> None:
    """After 100 connections at once, requests one by one all use the same connection."""
    used: list[Conversation] = []
    answer_first = answer_when_all_came(100)

    async def script(conversation: Conversation) -> None:
        await answer_first(_Noting(conversation, used))

    one = await peer(script)
    proxy.apply(endpoint(deployment("blue", one)))
    assert await _post_all(many, proxy, 100) == [200] * 100
    used.clear()
    assert [await _post(many, proxy) for _ in range(20)] == [200] * 20
    assert len(used) == 20
    assert len(set(map(id, used))) == 1
    assert one.connections == 100
    counted = proxy.stats().instances[one.address]
    assert (counted.connections_opened, counted.connections_idle, counted.in_flight) == (100, 100, 0)


class _Noting(Conversation):
    """Notes which conversation got each request."""

    def __init__(self, inner: Conversation, used: list[Conversation]) -> None:
        super().__init__(inner.peer, inner.reader, inner.writer)
        self._used = used

    async def head(self):  # type: ignore[no-untyped-def]
        head = await super().head()
        self._used.append(self)
        return head


async def test_the_connection_given_back_last_is_reused_first(peer: StartPeer) -> None:
    """The pool is a stack."""
    one = await peer(answer_ok)
    pool = Pool(lambda: 0.0)
    first, second = await _used(pool, one.address), await _used(pool, one.address)
    pool.give_back(first)
    pool.give_back(second)
    assert pool.reuse(one.address) is second
    assert pool.reuse(one.address) is first
    assert pool.reuse(one.address) is None
    first.close()
    second.close()


async def test_idle_connections_are_closed_in_time(peer: StartPeer) -> None:
    """A sweep closes what has been idle for `IDLE_S`, before common servers would, and keeps the rest."""
    now = 100.0
    pool = Pool(lambda: now)
    one = await peer(answer_ok)
    old, fresh = await _used(pool, one.address), await _used(pool, one.address)
    pool.give_back(old)
    now += 1.0
    pool.give_back(fresh)
    now = 100.0 + IDLE_S
    pool.sweep()
    assert old.is_closed
    assert not fresh.is_closed
    now = 101.0 + IDLE_S
    pool.sweep()
    assert fresh.is_closed
    assert repr(pool) == "Pool({})"
    await until(lambda: one.open_now == 0)


async def test_a_connection_that_the_instance_closed_is_not_reused(
    proxy: Proxy, peer: StartPeer, client: aiohttp.ClientSession
) -> None:
    """`Connection: close` from the instance is honoured."""

    async def answer_and_close(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.answer(extra=b"Connection: close\r\n")
        await conversation.closed()

    one = await peer(answer_and_close)
    proxy.apply(endpoint(deployment("blue", one)))
    assert [await _post(client, proxy) for _ in range(3)] == [200] * 3
    assert one.connections == 3


@pytest.mark.parametrize(
    "surplus", [b"HTTP/1.1 200 OK\r\nX-Odd: ", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nodd", b"garbage"]
)
async def test_surplus_bytes_never_reach_the_next_request(
    proxy: Proxy, peer: StartPeer, client: aiohttp.ClientSession, surplus: bytes
) -> None:
    """What an instance sends beyond its answer ends the connection; the next request has a new one."""

    async def answer_too_much(conversation: Conversation) -> None:
        while True:
            seen = await conversation.request()
            head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(seen.body)
            await conversation.send(head + seen.body + surplus)

    one = await peer(answer_too_much)
    proxy.apply(endpoint(deployment("blue", one)))
    for body in (b"first", b"second", b"third"):
        async with client.post(proxy.url, data=body) as answer:
            assert answer.status == 200
            assert await answer.read() == body
            assert "x-odd" not in answer.headers
    assert one.connections == 3


async def test_a_connection_that_speaks_unasked_is_closed(peer: StartPeer) -> None:
    """Bytes on an idle connection close it."""
    may_speak = asyncio.Event()

    async def speak_later(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.answer()
        await may_speak.wait()
        await conversation.send(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
        await conversation.closed()

    one = await peer(speak_later)
    pool = Pool(lambda: 0.0)
    pool.give_back(await _used(pool, one.address))
    may_speak.set()
    await until(lambda: one.open_now == 0)
    assert pool.reuse(one.address) is None


async def test_a_refused_connection_is_told_apart_from_a_reset(refusing: Callable[[], str]) -> None:
    """No connection: reason `connect`, and nothing was sent."""
    with pytest.raises(UpstreamLost) as caught:
        await Pool(lambda: 0.0).open(refusing())
    assert caught.value.reason == "connect"
    assert caught.value.is_unread

"""Limits of one connection: how many requests, how many fields, at which pace."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from router.core.wire import ProxyLimits
from tests.proxy.conftest import PATH, Proxy, RawClient, deployment, endpoint, post
from tests.proxy.peers import Conversation, Peer, answer_ok
from tests.proxy.waiting import until, until_still

StartPeer = Callable[..., Awaitable[Peer]]
OpenRaw = Callable[[], Awaitable[RawClient]]


@pytest.mark.parametrize(
    ("path", "key"), [(PATH, "the-primary-key"), (PATH + "?full", "the-primary-key"), (PATH, "wrong")]
)
async def test_a_connection_ends_with_its_last_request(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw, path: str, key: str
) -> None:
    """Only the last answer says that it closes; requests that are refused count as well."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))), limits=ProxyLimits(max_requests_per_connection=3))
    client = await raw()
    closes = []
    for _ in range(3):
        await client.send(post(path=path, key=key))
        status, head, _ = await client.answer()
        assert status in {200, 401}
        closes.append(b"connection: close" in head)
    assert closes == [False, False, True]
    assert await client.rest() == b""


async def test_requests_after_the_last_are_not_looked_at(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """However early they came; the client knows from the last answer which ones to send again."""
    one = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", one)), limits=ProxyLimits(max_requests_per_connection=2))
    client = await raw()
    await client.send(post(b"[1]") + post(b"[2]") + post(b"[3]"))
    first, second = await client.answer(), await client.answer()
    assert (first[0], second[0]) == (200, 200)
    assert await client.rest() == b""
    assert [seen.body for seen in one.seen] == [b"[1]", b"[2]"]


async def test_a_single_request_may_be_all(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """With a limit of 1 each request has a connection of its own."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))), limits=ProxyLimits(max_requests_per_connection=1))
    client = await raw()
    await client.send(post())
    status, head, _ = await client.answer()
    assert (status, b"connection: close" in head) == (200, True)
    assert await client.rest() == b""


@pytest.mark.parametrize(("more", "status"), [(17, 200), (18, 431), (300, 431)])
async def test_a_request_with_too_many_fields_is_a_431(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw, more: int, status: int
) -> None:
    """However short they are; the answer names the limit."""
    one = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", one)), limits=ProxyLimits(max_head_fields=20))
    client = await raw()
    await client.send(post(b"{}", *(f"X-{number}: 1" for number in range(more))))
    got, head, body = await client.answer()
    assert got == status
    assert len(one.seen) == (status == 200)
    if status == 431:
        assert b"x-teal-reason: head_too_large" in head
        assert body == b"The request has more than 20 header fields."


async def test_many_fields_are_accepted_where_the_limit_says_so(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """Also more than the fast lane reads."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))), limits=ProxyLimits(max_head_fields=1000))
    client = await raw()
    await client.send(post(b"{}", *(f"X-{number}: 1" for number in range(900))))
    assert (await client.answer())[0] == 200


async def _trickle(client: RawClient, *, pieces: int) -> int:
    """Status of the answer to a body of so many bytes, each 20 ms after the one before."""
    await client.send(post(b"", f"Content-Length: {pieces}"))
    answering = asyncio.create_task(client.answer(), name="answer")
    for _ in range(pieces):
        client.writer.write(b"x")
        await asyncio.wait((answering,), timeout=0.02)
    return (await answering)[0]


@pytest.mark.parametrize(("pace", "status"), [(0.0, 200), (1024.0, 408)])
async def test_the_slowest_pace_of_a_body_is_configured(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw, pace: float, status: int
) -> None:
    """A body that takes longer than `body_timeout_s`, never silent for that long, is borne if no pace is asked for."""
    limits = ProxyLimits(body_timeout_s=1.0, min_body_bytes_per_s=pace)
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))), limits=limits)
    assert await _trickle(await raw(), pieces=75) == status


async def test_an_answer_that_rests_too_long_is_cut(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """The client must not take it for a whole one, and the instance's place is free again."""

    async def answer_half(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        await conversation.closed()

    proxy.apply(endpoint(deployment("blue", await peer(answer_half))), limits=ProxyLimits(answer_timeout_s=0.1))
    client = await raw()
    await client.send(post())
    received = await client.rest()
    assert received.endswith(b"half")
    await proxy.settled()
    assert (proxy.stats().live, proxy.stats().failures) == ({200: 1}, {"timeout": 1})
    (line,) = proxy.access_log()
    assert (line["response_code"], line["response_code_reason"]) == (200, "answer_timeout")


async def test_a_client_that_does_not_read_its_answer_is_cut(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """It holds neither memory nor a place on an instance for longer than `answer_timeout_s`."""

    async def answer_much(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.answer(bytes(50_000_000))

    proxy.apply(endpoint(deployment("blue", await peer(answer_much))), limits=ProxyLimits(answer_timeout_s=0.2))
    client = await raw()
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await client.send(post())
    await until(lambda: proxy.stats().live == {200: 1})
    await until(lambda: proxy.clients.open_now == 0)
    client.writer.transport.abort()
    assert (proxy.stats().failures, proxy.stats().reasons) == ({}, {"client_stalled": 1})
    (line,) = proxy.access_log()
    assert line["response_code_reason"] == "client_stalled"


async def _answer_at_length(conversation: Conversation) -> None:
    while True:
        await conversation.request()
        await conversation.answer(bytes(20_000))


@pytest.mark.parametrize("path", [PATH, PATH + "?full"])
async def test_a_client_that_reads_no_answer_gets_no_further_one(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw, path: str
) -> None:
    """Requests that come all the same wait, and are answered in turn once it reads; memory is bounded."""
    one = await peer(_answer_at_length)
    proxy.apply(endpoint(deployment("blue", one)))
    client = await raw()
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    client.writer.write(post(path=path) * 2000)
    assert await until_still(lambda: len(one.seen)) < 1000  # what sockets hold
    client.writer.transport.resume_reading()  # type: ignore[attr-defined]
    answers = [await client.answer() for _ in range(2000)]
    assert {status for status, _, _ in answers} == {200}


@pytest.mark.parametrize("path", [PATH, PATH + "?full"])
async def test_a_client_that_reads_no_answer_is_cut_in_the_end(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw, path: str
) -> None:
    """After `answer_timeout_s`, or at the latest when it has been idle for as long as it may."""
    limits = ProxyLimits(answer_timeout_s=0.3, keepalive_timeout_s=0.3)
    proxy.apply(endpoint(deployment("blue", await peer(_answer_at_length))), limits=limits)
    client = await raw()
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    client.writer.write(post(path=path) * 2000)
    await until(lambda: proxy.clients.open_now == 0)
    client.writer.transport.abort()


async def test_a_client_that_does_not_read_its_last_answer_is_cut(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """A connection that closes does not wait for ever for its client to read what is left."""
    one = await peer(_answer_at_length)
    limits = ProxyLimits(answer_timeout_s=0.3, keepalive_timeout_s=0.3)
    proxy.apply(endpoint(deployment("blue", one)), limits=limits)
    client = await raw()
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    sent = 0
    while proxy.clients.open_now and len(one.seen) == sent and not _unsent(proxy):
        sent += 1
        await client.send(post(path=PATH + "?full"))
        await one.requests(sent)
        await proxy.settled()
    while proxy.clients.open_now:
        proxy.clients.sweep()
        await asyncio.sleep(0.02)
    assert proxy.runtime.totals.process.connections_cut == {"not_read": 1}
    client.writer.transport.abort()


def _unsent(proxy: Proxy) -> int:
    """Bytes of answers that the kernel does not take: few enough for the next request not to wait for them."""
    transports = [connection.transport for connection in proxy.clients._full.client_connections]
    return sum(transport.get_write_buffer_size() for transport in transports if transport is not None)

"""Clients that do not read: what they are sent is held by nobody for long, neither by the router nor by the kernel."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from router.core.wire import ProxyLimits
from tests.proxy.conftest import PATH, Proxy, RawClient, deployment, endpoint, post
from tests.proxy.peers import Conversation, Peer
from tests.proxy.waiting import until, until_still

StartPeer = Callable[..., Awaitable[Peer]]
OpenRaw = Callable[[], Awaitable[RawClient]]

UNSENT_BYTES = 128 * 1024
LISTENING = "0A"  # in /proc/net/tcp, as all states


def sockets(proxy: Proxy) -> Iterator[tuple[str, int]]:
    """(state, bytes that the kernel holds to be sent) of each socket on the proxy's side, even if nobody owns it."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, address, _, state, queues, *_ = line.split()
        if int(address.rpartition(":")[2], 16) == proxy.port and state != LISTENING:
            yield state, int(queues.partition(":")[0], 16)


async def _answer_much(conversation: Conversation) -> None:
    while True:
        await conversation.request()
        await conversation.answer(bytes(20_000_000))


async def _unread(raw: OpenRaw, path: str) -> RawClient:
    """A client that has asked for 20 MB and reads nothing."""
    client = await raw()
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await client.send(post(path=path))
    return client


@pytest.mark.parametrize("path", [PATH, PATH + "?full"])
async def test_the_kernel_takes_little_of_what_is_not_read(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw, path: str
) -> None:
    """So the router sees that its client does not read. Beside the limit there is what is under way to the client."""
    proxy.apply(endpoint(deployment("blue", await peer(_answer_much))))
    client = await _unread(raw, path)
    await until(lambda: any(held for _, held in sockets(proxy)))
    held = await until_still(lambda: sum(held for _, held in sockets(proxy)))
    assert held < 500_000  # 2.5 MB without the limit
    client.writer.transport.abort()


@pytest.mark.parametrize("path", [PATH, PATH + "?full"])
async def test_nothing_is_left_of_a_client_that_was_cut(proxy: Proxy, peer: StartPeer, raw: OpenRaw, path: str) -> None:
    """A reset ends it: no socket without an owner keeps offering it what it does not read."""
    proxy.apply(endpoint(deployment("blue", await peer(_answer_much))), limits=ProxyLimits(answer_timeout_s=0.1))
    client = await _unread(raw, path)
    await until(lambda: proxy.stats().live == {200: 1})
    await until(lambda: not proxy.clients.open_now)
    await asyncio.sleep(0)  # the transport closes its socket a turn later
    assert list(sockets(proxy)) == []
    client.writer.transport.abort()


async def _answer_at_length(conversation: Conversation) -> None:
    while True:
        await conversation.request()
        await conversation.answer(bytes(60_000))


@pytest.mark.parametrize("path", [PATH, PATH + "?full"])
async def test_a_request_that_waits_for_the_answer_before_it_to_be_read_waits_so_long(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw, path: str
) -> None:
    """`answer_timeout_s` later the client is cut and counted, and nothing is left of it."""
    instance = await peer(_answer_at_length)
    proxy.apply(endpoint(deployment("blue", instance)), limits=ProxyLimits(answer_timeout_s=0.2))
    client = await raw()
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    while proxy.clients.open_now:
        client.writer.write(post(path=path))
        await asyncio.sleep(0.01)
        proxy.clients.sweep()
    assert proxy.runtime.totals.process.connections_cut == {"not_read": 1}
    await asyncio.sleep(0)
    assert list(sockets(proxy)) == []
    client.writer.transport.abort()


@pytest.mark.parametrize("path", [PATH, PATH + "?full"])
async def test_a_drain_lets_a_slow_client_read_its_last_answer(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw, path: str
) -> None:
    """A connection that closes has time until `answer_timeout_s`, however often idle ones are closed."""
    instance = await peer(_answer_at_length)
    proxy.apply(endpoint(deployment("blue", instance)))
    client = await raw()
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    while sum(held for _, held in sockets(proxy)) < UNSENT_BYTES:
        number = len(instance.seen) + 1
        await client.send(post(path=path))
        await instance.requests(number)
        await proxy.settled()
    for _ in range(3):
        proxy.clients.close_idle(0.0)
        await asyncio.sleep(0.01)
    client.writer.transport.resume_reading()  # type: ignore[attr-defined]
    answers = [await client.answer() for _ in instance.seen]
    assert {status for status, _, _ in answers} == {200}
    assert await client.rest() == b""

"""Clients that send a few bytes at a time wake nobody before what is missing can be there."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest

from router.core.wire import ProxyLimits
from router.proxy.frugal import Frugal
from tests.proxy.conftest import PATH, Proxy, RawClient, deployment, endpoint, post
from tests.proxy.peers import Peer, answer_ok
from tests.proxy.waiting import until, until_left

StartPeer = Callable[..., Awaitable[Peer]]
OpenRaw = Callable[[], Awaitable[RawClient]]

SLOW_S = 0.12
HEAD = f"POST {PATH} HTTP/1.1\r\nHost: a\r\n".encode()


async def _drip(client: RawClient, raw: bytes) -> int:
    """Send it byte by byte, slowly; how many of them were not read."""
    left_bytes = 0
    for number, byte in enumerate(raw):
        if number == 1:
            await asyncio.sleep(SLOW_S)
        await client.send(bytes((byte,)))
        left_bytes = await until_left(client.writer)
    return left_bytes


async def test_a_dripping_body_is_left_to_the_kernel(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """Until it is whole, or 64 bytes have come; and the next request is answered at once."""
    one = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", one)))
    client = await raw()
    body = b"[%s]" % (b"1" * 98)
    await client.send(post(body)[: -len(body)])
    assert await _drip(client, body[:20]) == 18
    await client.send(body[20:70])
    assert await until_left(client.writer) == 0
    await client.send(body[70:80])
    assert await until_left(client.writer) == 10
    await client.send(body[80:])
    assert (await client.answer())[0] == 200
    await client.send(post(b"[2]"))
    assert (await client.answer())[0] == 200
    assert [seen.body for seen in one.seen] == [body, b"[2]"]


async def test_a_dripping_chunk_is_left_to_the_kernel(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """The end of the chunk and the last one have to come as well."""
    one = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", one)))
    client = await raw()
    body = b"[%s]" % (b"1" * 8)
    await client.send(post(b"a\r\n", "Transfer-Encoding: chunked"))
    assert await _drip(client, body) == 8
    await client.send(b"\r\n0\r\n")
    assert await until_left(client.writer) == 13
    await client.send(b"\r\n")
    assert (await client.answer())[0] == 200
    assert [seen.body for seen in one.seen] == [body]


async def test_a_dripping_head_is_left_to_the_kernel(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """As long as it cannot end; the next one, which comes in pieces but soon, is not."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))))
    client = await raw()
    whole = post(b"[]")
    assert await _drip(client, whole[:9]) > 0
    await client.send(whole[9:])
    assert (await client.answer())[0] == 200
    await client.send(whole[:10])
    await client.send(whole[10:20])
    assert await until_left(client.writer) == 0


async def test_a_late_head_of_which_bytes_were_left_is_a_408(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """And no reset takes that from its client."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))), limits=ProxyLimits(head_timeout_s=0.0))
    client = await raw()
    assert await _drip(client, HEAD[:9]) > 0
    proxy.clients.sweep()
    assert (await client.rest()).startswith(b"HTTP/1.1 408 ")


async def test_a_late_body_of_which_bytes_were_left_is_a_408(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """And no reset takes that from its client."""
    limits = ProxyLimits(body_timeout_s=0.3, min_body_bytes_per_s=1024.0)
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))), limits=limits)
    client = await raw()
    await client.send(post(b"", "Content-Length: 1000"))
    await _drip(client, b"12345")
    assert (await client.rest()).startswith(b"HTTP/1.1 408 ")


async def test_what_was_left_counts_from_when_it_came(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """A body that is silent for less than it may be is not late, though nobody has read of it for longer."""
    limits = ProxyLimits(body_timeout_s=1.0, min_body_bytes_per_s=0.0)
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))), limits=limits)
    client = await raw()
    await client.send(post(b"[1234]", "Content-Length: 16")[:-6])
    for _ in range(15):
        await client.send(b"1")
        await asyncio.sleep(0.1)
    await client.send(b"1")
    assert (await client.answer())[0] == 200


async def test_the_end_of_a_connection_is_noticed_at_once(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """Whatever is missing."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))))
    client = await raw()
    await client.send(post(b"", "Content-Length: 1000"))
    await _drip(client, b"12345")
    client.writer.close()
    await until(lambda: not (proxy.clients.open_now or proxy.clients.busy_now))


@pytest.mark.parametrize(("asked", "kernel"), [(5, 5), (1000, 64), (0, 1)])
def test_the_kernel_is_asked_for_no_more_than_it_should_keep(asked: int, kernel: int) -> None:
    """Each byte that comes alone takes it hundreds."""
    with socket.socket() as connection:
        Frugal(connection).wake_at(asked)
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT) == kernel


def test_a_closed_connection_is_no_error() -> None:
    """There is nothing to read from it."""
    with socket.socket() as connection:
        frugal = Frugal(connection)
        frugal.wake_at(5)
    frugal.wake_at(1)
    assert frugal.take() == (b"", 0.0)

"""An answer that breaks off is seen as broken by the client: cut short, never padded or ended as if whole."""

import socket
import struct
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from tests.proxy.conftest import Proxy, RawClient, deployment, endpoint, post
from tests.proxy.peers import Conversation, Peer, Script

StartPeer = Callable[..., Awaitable[Peer]]
OpenRaw = Callable[[], Awaitable[RawClient]]

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def break_off(head: bytes, part: bytes) -> Script:
    async def script(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(head + part)

    return script


async def test_an_answer_with_a_length_ends_short(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """100 bytes announced, 10 sent: the client has at most 10 when its connection is closed."""
    proxy.apply(endpoint(deployment("blue", await peer(break_off(LENGTH, b"0123456789")))))
    client = await raw()
    await client.send(post())
    assert b"content-length: 100" in (await client.head()).lower()
    assert b"0123456789".startswith(await client.rest())
    assert proxy.stats().failures == {"reset": 1}
    await proxy.settled()
    (line,) = proxy.access_log()
    assert (line["response_code"], line["response_code_reason"]) == (200, "upstream_reset")


@pytest.mark.parametrize(
    "part", [b"4\r\nsome\r\n", b"4\r\nso", b"4\r\nsome\r\nzz\r\n"], ids=["reset", "short", "garbage"]
)
async def test_a_chunked_answer_has_no_last_chunk(proxy: Proxy, peer: StartPeer, raw: OpenRaw, part: bytes) -> None:
    """Whether the instance died between chunks, within one, or sent nonsense: no terminator."""
    proxy.apply(endpoint(deployment("blue", await peer(break_off(CHUNKED, part)))))
    client = await raw()
    await client.send(post())
    received = await client.rest()
    assert received.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"0\r\n\r\n" not in received


async def test_a_client_library_notices(proxy: Proxy, peer: StartPeer, client: aiohttp.ClientSession) -> None:
    """What a real client makes of it is an error, not a short answer."""
    proxy.apply(endpoint(deployment("blue", await peer(break_off(CHUNKED, b"4\r\nsome\r\n")))))
    async with client.post(proxy.url, data=b"{}") as answer:
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


async def test_an_answer_until_close_that_is_reset_is_cut(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """Where the end of the connection is the end of the body, a reset is no end."""
    may_reset = []

    async def reset_later(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(b"HTTP/1.1 200 OK\r\n\r\nsome")
        may_reset.append(conversation)
        await conversation.closed()

    proxy.apply(endpoint(deployment("blue", await peer(reset_later))))
    client = await raw()
    await client.send(post())
    assert b"transfer-encoding: chunked" in (await client.head()).lower()
    assert await client.reader.readexactly(9) == b"4\r\nsome\r\n"
    _reset(may_reset[0])
    assert await client.rest() == b""


def _reset(conversation: Conversation) -> None:
    linger = struct.pack("ii", 1, 0)
    conversation.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    conversation.reset()


async def test_an_answer_until_close_is_whole(proxy: Proxy, peer: StartPeer, client: aiohttp.ClientSession) -> None:
    """The end of the connection ends such an answer, and the client's connection lives on."""
    proxy.apply(endpoint(deployment("blue", await peer(break_off(b"HTTP/1.1 200 OK\r\n\r\n", b"all of it")))))
    for _ in range(2):
        async with client.post(proxy.url, data=b"{}") as answer:
            assert await answer.read() == b"all of it"
            assert "connection" not in answer.headers


async def test_a_cut_answer_is_not_sent_again(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """After the first byte there is no second attempt, not even of an idempotent request."""
    dying = [await peer(break_off(LENGTH, b"0123456789")) for _ in range(2)]
    proxy.apply(endpoint(deployment("blue", *dying), is_idempotent=True))
    client = await raw()
    await client.send(post())
    await client.rest()
    assert sum(len(each.seen) for each in dying) == 1

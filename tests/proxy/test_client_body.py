"""Bodies that come in pieces: when they are looked at, when they are passed on, when they are refused."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from router.core.wire import ProxyLimits
from tests.proxy.conftest import PATH, Proxy, RawClient, deployment, endpoint, post
from tests.proxy.peers import Conversation, Peer, answer_ok
from tests.proxy.waiting import until, until_read

StartPeer = Callable[..., Awaitable[Peer]]
OpenRaw = Callable[[], Awaitable[RawClient]]

CHUNKED = "Transfer-Encoding: chunked"
#: More than is kept of a body before it is passed on.
LARGE = 300_000


async def test_a_body_in_more_chunks_than_are_held_unread_comes_whole(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw
) -> None:
    """aiohttp stops reading at 16,384 chunks, however small: it is relieved of them, and the rest comes."""
    one = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", one)))
    client = await raw()
    await client.send(post(b"", CHUNKED) + b"1\r\nx\r\n" * 20_000 + b"0\r\n\r\n")
    assert (await client.answer())[0] == 200
    assert one.seen[0].body == b"x" * 20_000


async def test_what_is_no_head_is_told_so_however_it_comes(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """Its line does not end, but the client does: it gets 400, as if the bytes had come at once."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))))
    client = await raw()
    for piece in (b"\r\nPOST / HTTP/1.1\r\nHo", b" ", b"st"):
        await client.send(piece)
        await asyncio.sleep(0)
    client.writer.write_eof()
    assert (await client.answer())[0] == 400


@pytest.mark.parametrize(
    ("framing", "body"), [(CHUNKED, b"6\r\nabcdef\r\n0\r\n\r\n"), ("Content-Length: 6", b"abcdef")]
)
async def test_a_request_that_comes_byte_by_byte_comes_whole(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw, framing: str, body: bytes
) -> None:
    """Each byte of head, body and framing in a read of its own; twice on one connection."""
    one = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", one)))
    client = await raw()
    for _ in range(2):
        for byte in post(b"", framing) + body:
            await client.send(bytes((byte,)))
            await asyncio.sleep(0)
        assert (await client.answer())[0] == 200
    assert [seen.body for seen in one.seen] == [b"abcdef", b"abcdef"]


async def test_a_large_body_is_passed_on_as_soon_as_it_is_large(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """One byte more than is kept of a body begins it, and every byte from then on is passed on as it comes."""
    got: asyncio.Queue[bytes] = asyncio.Queue()

    async def read(conversation: Conversation) -> None:
        head = await conversation.head()
        got.put_nowait(await conversation.reader.readexactly(256 * 1024 + 1))
        got.put_nowait(await conversation.reader.readexactly(1))
        assert head.values("content-length") == [b"300000"]
        await conversation.answer()

    proxy.apply(endpoint(deployment("blue", await peer(read))))
    client = await raw()
    await client.send(post(b"x" * (256 * 1024 + 1), "Content-Length: 300000"))
    assert await got.get() == b"x" * (256 * 1024 + 1)
    await client.send(b"y")
    assert await got.get() == b"y"


@pytest.mark.parametrize("drips", [[b"x"] * 15, [b"1\r\nx\r\n"] * 15], ids=["in one chunk", "in chunks"])
async def test_bytes_of_a_large_body_that_come_one_by_one_are_passed_on_together(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw, drips: list[bytes]
) -> None:
    """Each is on its way soon, though no more come; but they wake nobody one by one."""
    parts: list[bytes] = []

    async def read(conversation: Conversation) -> None:
        await conversation.head()
        while size := int(await conversation.reader.readuntil(b"\r\n"), 16):
            parts.append((await conversation.reader.readexactly(size + 2))[:-2])
        await conversation.answer()

    proxy.apply(endpoint(deployment("blue", await peer(read))))
    client = await raw()
    begun = b"%x\r\n" % LARGE + b"x" * LARGE + b"\r\n" + (b"f\r\n" if drips[0] == b"x" else b"")
    await client.send(post(begun, CHUNKED))
    await until(lambda: sum(map(len, parts)) == LARGE)
    begun_parts = len(parts)
    for drip in drips:
        await client.send(drip)
        await until_read(client.writer)
    await until(lambda: sum(map(len, parts)) == LARGE + 15)
    assert len(parts) - begun_parts < 15
    await client.send((b"\r\n" if drips[0] == b"x" else b"") + b"0\r\n\r\n")
    assert (await client.answer())[0] == 200


async def test_a_byte_too_many_is_refused_before_more_comes(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """A body of no announced length is not waited for once it is larger than it may be."""
    one = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", one), max_body_bytes=10))
    client = await raw()
    await client.send(post(b"", CHUNKED) + b"ff\r\nelevenbytes")
    assert (await client.answer())[0] == 413
    assert one.connections == 0


async def test_broken_chunks_are_refused_while_more_is_awaited(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """What cannot be the size of a chunk is answered at once, not when the time for the body is over."""
    one = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", one)), limits=ProxyLimits(body_timeout_s=60))
    client = await raw()
    await client.send(post(b"", CHUNKED) + b"3\r\nabc\r\n")
    await client.send(b"zz\r\n")
    assert (await client.answer())[0] == 400
    assert one.connections == 0


@pytest.mark.parametrize(
    ("framing", "begun", "missing_bytes", "rest"),
    [
        ("Content-Length: 2", b"", 2, b"{}"),
        ("Content-Length: 002", b"{", 1, b"}"),
        (CHUNKED, b"", 5, b"0\r\n\r\n"),
        (CHUNKED, b"2", 2 + 2 + 2 + 5, b"\r\n{}\r\n0\r\n\r\n"),
        (CHUNKED, b"2;a=b\r\n{", 1 + 2 + 5, b"}\r\n0\r\n\r\n"),
        (CHUNKED, b"2\r\n{}\r\n0\r\nX: 1\r\n", 2, b"\r\n"),
    ],
)
async def test_a_connection_knows_what_must_still_come_of_a_body(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw, framing: str, begun: bytes, missing_bytes: int, rest: bytes
) -> None:
    """At least, on the full lane, where bodies of any framing are."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok)), max_body_bytes=10))
    client = await raw()
    await client.send(post(b"", framing, path=PATH + "?a") + begun)
    await until(lambda: proxy.clients._full.client_connections)
    [connection] = proxy.clients._full.client_connections
    await until(lambda: connection.least_missing_bytes == missing_bytes)
    await client.send(rest)
    assert (await client.answer())[0] == 200
    assert connection.least_missing_bytes == 0

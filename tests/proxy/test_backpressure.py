"""Whoever is slow slows down the other side; nobody's bytes pile up in the proxy, and nothing is held back."""

import asyncio
import io
import socket
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from router.core.table import MirrorSpec
from tests.proxy.conftest import PATH, Proxy, RawClient, deployment, endpoint, post
from tests.proxy.peers import Conversation, Peer, answer_ok
from tests.proxy.waiting import answer_when, until, until_still

StartPeer = Callable[..., Awaitable[Peer]]
OpenRaw = Callable[[], Awaitable[RawClient]]

MB = 1_000_000
SIZE = 200 * MB
#: What the kernel's own buffers on the way may hold, with room to spare; far from `SIZE`.
KERNEL = 60 * MB


async def test_an_answer_that_the_client_does_not_read_is_not_read_from_the_instance(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw
) -> None:
    """The instance gets stuck with its 200 MB, and goes on when the client reads; every byte arrives."""
    sent = 0

    async def answer_much(conversation: Conversation) -> None:
        nonlocal sent
        await conversation.request()
        await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE)
        while sent < SIZE:
            await conversation.send(b"x" * MB)
            sent += MB

    proxy.apply(endpoint(deployment("blue", await peer(answer_much))))
    client = await raw()
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await client.send(post())
    await until(lambda: sent)
    assert await until_still(lambda: sent) < KERNEL
    client.writer.transport.resume_reading()  # type: ignore[attr-defined]
    await client.head()
    received = 0
    while received < SIZE:
        received += len(await client.reader.read(MB))
    assert (received, sent) == (SIZE, SIZE)


@pytest.mark.parametrize("size", [100_000, 200_000, 260_000, 400_000])
async def test_a_connection_whose_answer_a_client_does_not_read_serves_others(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw, size: int
) -> None:
    """An answer that has come whole is out of its instance's hands: the next one over that connection is read."""

    async def answer_much_and_little(conversation: Conversation) -> None:
        while True:
            seen = await conversation.request()
            await conversation.answer(b"x" * size if seen.body == b"much" else b"[1]")

    blue = deployment("blue", await peer(answer_much_and_little))
    proxy.apply(endpoint(blue))
    with socket.socket() as narrow:
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        narrow.connect(("127.0.0.1", proxy.port))
        narrow.sendall(post(b"much"))
        (instance,) = proxy.runtime.deployment("churn", blue).instances
        await until(lambda: instance.in_flight)
        await until_still(lambda: instance.in_flight)
        quick = await raw()
        await quick.send(post())
        assert (await quick.answer())[2] == b"[1]"


@pytest.mark.parametrize("has_mirror", [False, True])
async def test_an_upload_that_the_instance_does_not_read_is_not_read_from_the_client(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw, has_mirror: bool
) -> None:
    """The client gets stuck with its 200 MB, and goes on when the instance reads; every byte arrives."""
    gate = asyncio.Event()
    received = 0

    async def read_late(conversation: Conversation) -> None:
        nonlocal received
        await conversation.head()
        await gate.wait()
        while received < SIZE:
            received += len(await conversation.reader.read(MB))
        await conversation.answer()

    blue = deployment("blue", await peer(read_late), request_timeout_s=60)
    green = deployment("green", await peer(answer_ok))
    mirror = (("green", 100.0),) if has_mirror else ()
    proxy.apply(endpoint(blue, green, max_body_bytes=SIZE, mirror_traffic=mirror))
    client = await raw()
    sent = 0

    async def upload() -> None:
        nonlocal sent
        await client.send(post(b"", f"Content-Length: {SIZE}"))
        while sent < SIZE:
            await client.send(b"x" * MB)
            sent += MB

    uploading = asyncio.create_task(upload(), name="upload")
    await until(lambda: sent)
    assert await until_still(lambda: sent) < KERNEL
    assert proxy.mirror.held_bytes == 0
    gate.set()
    await uploading
    assert (await client.answer())[0] == 200
    assert received == SIZE


@pytest.mark.parametrize("framing", ["chunked", "until close"])
async def test_events_pass_through_one_by_one(proxy: Proxy, peer: StartPeer, raw: OpenRaw, framing: str) -> None:
    """The instance emits an event only when the client has the one before, over 20 swaps of the table."""
    has_received: asyncio.Queue[None] = asyncio.Queue()

    async def emit(conversation: Conversation) -> None:
        await conversation.request()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
        await conversation.send(head + (b"Transfer-Encoding: chunked\r\n\r\n" if framing == "chunked" else b"\r\n"))
        for number in range(20):
            await has_received.get()
            event = b"data: %02d\n\n" % number
            await conversation.send(b"a\r\n%b\r\n" % event if framing == "chunked" else event)
        if framing == "chunked":
            await conversation.send(b"0\r\n\r\n")

    one = await peer(emit)
    proxy.apply(endpoint(deployment("blue", one)))
    client = await raw()
    await client.send(post())
    head = (await client.head()).lower()
    assert b"content-type: text/event-stream" in head
    assert b"transfer-encoding: chunked" in head
    for number in range(20):
        proxy.apply(endpoint(deployment("green", one)) if number % 2 else endpoint(deployment("blue", one)))
        proxy.runtime.sweep()
        has_received.put_nowait(None)
        assert await client.reader.readexactly(15) == b"a\r\ndata: %02d\n\n\r\n" % number
    assert await client.reader.readexactly(5) == b"0\r\n\r\n"


async def test_the_head_of_a_stream_does_not_wait_for_its_first_event(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw
) -> None:
    """A client learns at once that its stream is accepted."""
    gate = asyncio.Event()

    async def accept(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        await gate.wait()
        await conversation.send(b"0\r\n\r\n")

    proxy.apply(endpoint(deployment("blue", await peer(accept))))
    client = await raw()
    await client.send(post())
    assert (await client.head()).startswith(b"HTTP/1.1 200 OK\r\n")
    gate.set()
    assert await client.reader.readexactly(5) == b"0\r\n\r\n"


async def answer_early(conversation: Conversation) -> None:
    """Refuse on sight of the head, and keep the connection open."""
    await conversation.head()
    await conversation.answer(b"too large", status="413 Content Too Large")
    await conversation.closed()


async def test_an_early_answer_reaches_a_client_that_still_uploads(
    proxy: Proxy, peer: StartPeer, client: aiohttp.ClientSession
) -> None:
    """The client gets the instance's 413 in the middle of its 50 MB, not a reset; the next request is unharmed."""
    one = await peer(answer_early)
    proxy.apply(endpoint(deployment("blue", one), model_errors="passthrough"))
    for _ in range(3):
        async with client.post(proxy.url, data=io.BytesIO(b"x" * 50 * MB)) as answer:
            assert answer.status == 413
            assert await answer.read() == b"too large"
            assert answer.headers["connection"] == "close"
    assert one.connections == 3


async def test_the_connection_of_an_early_answer_is_not_used_again(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw, client: aiohttp.ClientSession
) -> None:
    """The instance still waits for the rest of a body there: what came next would be taken for it."""
    seen: list[bytes] = []

    async def answer_at_the_head(conversation: Conversation) -> None:
        head = await conversation.head()
        seen.append(head.line)
        await conversation.answer()
        await conversation.body(head)
        seen.append((await conversation.head()).line)
        await conversation.answer()

    one = await peer(answer_at_the_head)
    proxy.apply(endpoint(deployment("blue", one)))
    uploading = await raw()
    await uploading.send(post(b"x" * 400_000, "Content-Length: 1000000"))
    status, head, _ = await uploading.answer()
    assert status == 200
    assert b"connection: close" in head
    async with client.post(proxy.url, data=b"{}") as answer:
        assert answer.status == 200
    assert seen == [b"POST /score HTTP/1.1"] * 2
    assert one.connections == 2


async def test_a_slow_mirror_target_does_not_slow_a_large_body(
    proxy: Proxy, peer: StartPeer, client: aiohttp.ClientSession
) -> None:
    """A copy that its target does not read is waited for by nobody."""
    gate = asyncio.Event()
    live, shadow = await peer(answer_ok), await peer(answer_when(gate))
    mirror = MirrorSpec(max_body_bytes=10 * MB, burst_bytes=100 * MB)
    specs = (deployment("blue", live), deployment("green", shadow))
    proxy.apply(endpoint(*specs, mirror_traffic=(("green", 100.0),), mirror=mirror))
    for _ in range(3):
        async with client.post(proxy.url, data=io.BytesIO(b"x" * 5 * MB)) as answer:
            assert answer.status == 200
    assert proxy.mirror.held_bytes == 15 * MB
    gate.set()
    await proxy.settled()
    assert proxy.mirror.held_bytes == 0


async def test_a_reader_of_one_stream_does_not_stop_the_others(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw, client: aiohttp.ClientSession
) -> None:
    """While one client does not read, another is served."""

    async def answer_much(conversation: Conversation) -> None:
        while True:
            seen = await conversation.request()
            await conversation.answer(b"x" * (50 * MB if seen.body == b"much" else 1))

    one = await peer(answer_much)
    proxy.apply(endpoint(deployment("blue", one)))
    stuck = await raw()
    stuck.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stuck.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await stuck.send(post(b"much"))
    await one.requests(1)
    for _ in range(10):
        async with client.post(proxy.url, data=b"{}") as answer:
            assert await answer.read() == b"x"


@pytest.mark.parametrize("request_bytes", [post(), post(path=PATH + "?full")], ids=["plain", "not plain"])
async def test_requests_that_come_without_end_are_not_read_without_end(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw, request_bytes: bytes
) -> None:
    """While the first waits for its answer, some of those behind it are read; all are answered in the end."""
    gate = asyncio.Event()
    instance = await peer(answer_when(gate))
    proxy.apply(endpoint(deployment("blue", instance)))
    client = await raw()
    number = 60 * MB // len(request_bytes)
    client.writer.write(request_bytes * number)
    unsent = client.writer.transport.get_write_buffer_size  # type: ignore[attr-defined]
    left_bytes = await until_still(unsent)
    assert left_bytes > 20 * MB  # the rest is in the kernel's buffers
    client.writer.transport.abort()
    gate.set()

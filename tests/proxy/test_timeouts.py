"""Every wait on a client or an instance ends."""

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from router.core.wire import ProxyLimits
from tests.proxy.conftest import Proxy, RawClient, deployment, endpoint, post
from tests.proxy.peers import Conversation, Peer, answer_ok
from tests.proxy.waiting import answer_when, until, watch_end

StartPeer = Callable[..., Awaitable[Peer]]
OpenRaw = Callable[[], Awaitable[RawClient]]


async def test_an_unfinished_head_is_a_408(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """Who does not get to the end of a head in time is told so, if it has begun one, and cut off in any case."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))), limits=ProxyLimits(head_timeout_s=0.0))
    silent, slow = await raw(), await raw()
    await slow.send(b"POST /sc")
    await until(lambda: proxy.clients.open_now == 2 and proxy.clients.busy_now == 1)
    proxy.clients.sweep()
    assert await silent.rest() == b""
    status, head, body = await slow.answer()
    assert (status, body) == (408, b"The request line and headers were not complete after 0 seconds.")
    assert b"x-teal-reason: head_timeout" in head
    assert b"connection: close" in head
    assert await slow.rest() == b""
    assert proxy.runtime.totals.process.connections_cut == {"head_timeout": 2}
    (line,) = proxy.access_log()
    assert (line["response_code"], line["response_code_reason"]) == (408, "head_timeout")
    assert proxy.runtime.totals.endpoint("").reasons == {"head_timeout": 1}


@pytest.mark.parametrize("begun", [b"HEAD /sc", b"HEAD / HTTP/1.1\r\nHost: a\r\nX-"])
async def test_an_unfinished_head_request_gets_no_body(proxy: Proxy, raw: OpenRaw, begun: bytes) -> None:
    """As any answer to a HEAD (RFC 9110, 9.3.2)."""
    proxy.apply(limits=ProxyLimits(head_timeout_s=0.0))
    client = await raw()
    await client.send(begun)
    await until(lambda: proxy.clients.busy_now == 1)
    proxy.clients.sweep()
    answer = await client.rest()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert answer.endswith(b"\r\n\r\n")
    (line,) = proxy.access_log()
    assert (line["method"], line["response_payload_size"]) == ("HEAD", 0)


async def test_an_unfinished_head_after_a_request_is_cut(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """Between two requests a connection may end without a word, and nothing is logged."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))), limits=ProxyLimits(head_timeout_s=0.0))
    client = await raw()
    await client.send(post())
    await client.answer()
    await until(lambda: proxy.clients.busy_now == 0)
    await client.send(b"POST /sc")
    await until(lambda: proxy.clients.busy_now == 1)
    proxy.clients.sweep()
    assert await client.rest() == b""
    assert [line["response_code"] for line in proxy.access_log()] == [200]


async def test_of_many_late_heads_a_few_are_ended_in_one_turn(proxy: Proxy, raw: OpenRaw) -> None:
    """Whoever else is served in that turn does not wait for all of them; each is ended and counted in the end."""
    proxy.apply(limits=ProxyLimits(head_timeout_s=0.0))
    late = [await raw() for _ in range(60)]
    await until(lambda: proxy.clients.open_now == 60)
    cut = proxy.runtime.totals.process.connections_cut
    proxy.clients.sweep()
    assert cut == {"head_timeout": 25}
    assert [await client.rest() for client in late] == [b""] * 60
    assert cut == {"head_timeout": 60}


@pytest.mark.parametrize("number", [2, 3])
async def test_an_unfinished_head_behind_several_requests_is_cut(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw, number: int
) -> None:
    """Also when all of that came in one read: it is due once the last of the requests was answered."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))), limits=ProxyLimits(head_timeout_s=0.0))
    client = await raw()
    await client.send(post() * number + b"POST /sc")
    for _ in range(number):
        assert (await client.answer())[0] == 200
    await until(lambda: proxy.stats().in_flight == 0)
    proxy.clients.sweep()
    assert await client.rest() == b""
    assert proxy.runtime.totals.process.connections_cut == {"head_timeout": 1}


@pytest.mark.parametrize("is_at_once", [True, False], ids=["in one read", "in two"])
async def test_an_unfinished_head_behind_a_request_is_cut(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw, is_at_once: bool
) -> None:
    """It is due once the request before it was answered, and not while that is at work."""
    gate = asyncio.Event()
    one = await peer(answer_when(gate))
    proxy.apply(endpoint(deployment("blue", one)), limits=ProxyLimits(head_timeout_s=0.0))
    client = await raw()
    begun = b"POST /sc"
    await client.send(post() + begun if is_at_once else post())
    await one.requests(1)
    if not is_at_once:
        await client.send(begun)
        other = await raw()
        await other.send(b"GET /nothing HTTP/1.1\r\nHost: teal\r\n\r\n")
        await other.answer()  # so it has been read
        await other.close()
    proxy.clients.sweep()
    gate.set()
    assert (await client.answer())[0] == 200
    await until(lambda: proxy.stats().in_flight == 0)
    proxy.clients.sweep()
    assert await client.rest() == b""
    assert proxy.runtime.totals.process.connections_cut == {"head_timeout": 1}
    assert [line["response_code"] for line in proxy.access_log() if line["path"] != "/nothing"] == [200]


async def test_line_ends_behind_a_request_are_no_head(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """Old clients send one behind a body: theirs is an idle connection."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))), limits=ProxyLimits(head_timeout_s=0.0))
    client = await raw()
    await client.send(post() + b"\r\n")
    assert (await client.answer())[0] == 200
    await until(lambda: proxy.clients.busy_now == 0)
    proxy.clients.sweep()
    await client.send(post())
    assert (await client.answer())[0] == 200


async def test_a_head_that_is_complete_is_not_late(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """Also in the moment before anybody has looked at it."""
    spec = endpoint(deployment("blue", await peer(answer_ok)))
    proxy.apply(spec)
    client = await raw()
    await client.send(post())
    await until(lambda: proxy.clients.busy_now)
    proxy.apply(spec, limits=ProxyLimits(head_timeout_s=0.0))
    proxy.clients.sweep()
    assert (await client.answer())[0] == 200


async def test_the_head_timeout_spares_those_who_are_at_work_or_idle(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw
) -> None:
    """Neither a request in flight nor a connection between two requests is late with a head."""
    gate = asyncio.Event()

    async def answer_second_late(conversation: Conversation) -> None:
        while True:
            seen = await conversation.request()
            if seen.body == b"late":
                await gate.wait()
            await conversation.answer()

    one = await peer(answer_second_late)
    proxy.apply(endpoint(deployment("blue", one)), limits=ProxyLimits(head_timeout_s=0.0))
    idle, busy = await raw(), await raw()
    await idle.send(post())
    await idle.answer()
    await busy.send(post(b"late"))
    await one.requests(2)
    proxy.clients.sweep()
    gate.set()
    assert (await busy.answer())[0] == 200
    await idle.send(post())
    assert (await idle.answer())[0] == 200


async def test_a_body_that_trickles_is_given_up(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """A client that sends byte after byte, never silent for long, still gets 408, and no instance hears of it."""
    one = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", one)), limits=ProxyLimits(body_timeout_s=0.1))
    client = await raw()
    await client.send(post(b"", "Content-Length: 10000"))
    answering = asyncio.create_task(client.answer(), name="answer")
    while not answering.done():
        client.writer.write(b"x")
        await asyncio.wait((answering,), timeout=0.01)
    status, head, _ = await answering
    assert status == 408
    assert b"x-teal-reason: body_timeout" in head
    assert b"connection: close" in head
    assert one.connections == 0


async def test_a_large_body_that_stops_is_given_up(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """Also when its first part is at the instance already: that connection is closed, the instance not blamed."""
    ended = asyncio.Event()

    async def read(conversation: Conversation) -> None:
        await conversation.closed()
        ended.set()

    proxy.apply(endpoint(deployment("blue", await peer(read))), limits=ProxyLimits(body_timeout_s=0.1))
    client = await raw()
    await client.send(post(b"x" * 400_000, "Content-Length: 1000000"))
    status, head, _ = await client.answer()
    assert status == 408
    assert b"x-teal-reason: body_timeout" in head
    await ended.wait()
    assert proxy.stats().failures == {}


async def test_an_instance_that_reads_slowly_is_not_the_clients_fault(
    proxy: Proxy, peer: StartPeer, client: aiohttp.ClientSession
) -> None:
    """The time that an instance does not read is not counted against the client's body."""

    async def read_late(conversation: Conversation) -> None:
        head = await conversation.head()
        conversation.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(0.3)
        conversation.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert len(await conversation.body(head)) == 30_000_000
        await conversation.answer()

    limits = ProxyLimits(body_timeout_s=0.1)
    proxy.apply(endpoint(deployment("blue", await peer(read_late), request_timeout_s=60)), limits=limits)
    async with client.post(proxy.url, data=_pieces(30)) as answer:
        assert answer.status == 200


async def _pieces(number: int):  # type: ignore[no-untyped-def]
    for _ in range(number):
        yield b"x" * 1_000_000


async def test_an_instance_that_never_answers_costs_408(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """After the deployment's timeout: 408, the instance's connection closed, the client's kept, nobody ejected."""
    ended = asyncio.Event()
    one = await peer(watch_end(ended))
    proxy.apply(endpoint(deployment("blue", one, request_timeout_s=0.05)))
    client = await raw()
    await client.send(post())
    status, head, body = await client.answer()
    assert (status, body) == (408, b"upstream request timeout")
    assert b"connection: close" not in head
    await ended.wait()
    await proxy.settled()
    assert proxy.stats().in_flight == 0
    assert proxy.stats().failures == {"timeout": 1}
    assert proxy.runtime.stats().ejected == ()


async def test_an_instance_that_does_not_read_costs_408(
    proxy: Proxy, peer: StartPeer, client: aiohttp.ClientSession
) -> None:
    """A large upload to an instance that stopped reading ends with the deployment's timeout."""
    gate = asyncio.Event()

    async def never_read(conversation: Conversation) -> None:
        conversation.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await gate.wait()

    proxy.apply(endpoint(deployment("blue", await peer(never_read), request_timeout_s=0.2)))
    async with client.post(proxy.url, data=_pieces(60)) as answer:
        assert answer.status == 408
        assert answer.headers["x-teal-reason"] == "upstream_timeout"
    gate.set()


async def test_an_idle_client_connection_is_closed(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """After `keepalive_timeout_s` without a next request the proxy closes."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))), limits=ProxyLimits(keepalive_timeout_s=0.05))
    client = await raw()
    await client.send(post())
    assert (await client.answer())[0] == 200
    assert await client.rest() == b""


@pytest.mark.parametrize("framing", ["Content-Length: 2", "Transfer-Encoding: chunked"])
async def test_a_head_that_has_begun_is_not_idle(proxy: Proxy, peer: StartPeer, raw: OpenRaw, framing: str) -> None:
    """It is due by `head_timeout_s`, whatever becomes of a connection that rests since later."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))), limits=ProxyLimits(keepalive_timeout_s=0.3))
    begun, idle = await raw(), await raw()
    whole = post(b"{}" if framing.endswith("2") else b"2\r\n{}\r\n0\r\n\r\n", framing)
    for client in (begun, idle):
        await client.send(whole)
        assert (await client.answer())[0] == 200
        if client is begun:
            await client.send(whole[:10])
            await until(lambda: proxy.clients.busy_now == 1)
    assert await idle.rest() == b""
    await begun.send(whole[10:])
    assert (await begun.answer())[0] == 200


@pytest.mark.parametrize(
    "pieces",
    [
        [b"1\r\n", b"x\r\n", b"1\r\n", b"x\r\n", b"0\r\n\r\n"],
        [b"2;a=" + b"x" * 1000, b"x" * 1000, b"x" * 1000, b"\r\nxx", b"\r\n0\r\n\r\n"],
        [b"2\r\nxx\r\n0\r\n", b"A: b\r\n", b"C: d\r\n", b"E: f\r\n", b"\r\n"],
    ],
)
async def test_framing_is_not_silence(proxy: Proxy, peer: StartPeer, raw: OpenRaw, pieces: list[bytes]) -> None:
    """Something of the body came in time, though none of its content."""
    limits = ProxyLimits(body_timeout_s=1.0, min_body_bytes_per_s=0.0)
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))), limits=limits)
    client = await raw()
    await client.send(post(b"", "Transfer-Encoding: chunked"))
    for piece in pieces:
        await asyncio.sleep(0.4)
        await client.send(piece)
    assert (await client.answer())[0] == 200


async def test_a_timeout_frees_the_place_for_the_queue(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """The request behind one that timed out is served."""

    async def answer_second(conversation: Conversation) -> None:
        seen = await conversation.request()
        if seen.body == b"first":
            await conversation.closed()
        await conversation.answer()

    one = await peer(answer_second)
    proxy.apply(endpoint(deployment("blue", one, max_concurrent=1, request_timeout_s=0.2)))
    first, second = await raw(), await raw()
    await first.send(post(b"first"))
    await one.requests(1)
    proxy.apply(endpoint(deployment("blue", one, max_concurrent=1, request_timeout_s=60)))
    await second.send(post(b"second"))
    assert (await first.answer())[0] == 408
    assert (await second.answer())[0] == 200

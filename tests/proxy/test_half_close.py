"""A client that shuts down its sending side still gets its answers (RFC 9112, 9.6); one that is gone is noticed."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.proxy.conftest import PATH, Proxy, RawClient, anywhere, deployment, endpoint, fields, post
from tests.proxy.peers import Conversation, Peer, Script, answer_ok
from tests.proxy.waiting import answer_when, until, watch_end

StartPeer = Callable[..., Awaitable[Peer]]
OpenRaw = Callable[[], Awaitable[RawClient]]

QUESTION = b"HTTP/1.1 100 Continue\r\n\r\n"
CHUNKED = post(b"2\r\n{}\r\n0\r\n\r\n", "Transfer-Encoding: chunked")


@pytest.mark.parametrize(
    "request_bytes",
    [post(), post(b"x" * 200_000), post(b"x" * 400_000), CHUNKED, post().replace(b"HTTP/1.1", b"HTTP/1.0")],
    ids=["plain", "large", "streamed", "chunked", "HTTP/1.0"],
)
async def test_a_client_that_ends_its_side_gets_its_answer(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw, request_bytes: bytes
) -> None:
    """The request and its end in one go: the answer comes, says that it is the last, and the connection ends."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))))
    client = await raw()
    client.writer.write(request_bytes)
    client.writer.write_eof()
    status, head, body = await client.answer()
    assert (status, body, fields(head)[b"connection"]) == (200, b'{"y": 1}', b"close")
    assert await client.rest() == b""
    assert proxy.stats().live == {200: 1}


async def test_a_client_that_ends_its_side_later_gets_its_answer(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """While the instance works on it, the client is asked whether it listens, by an answer that is none."""
    gate = asyncio.Event()
    instance = await peer(answer_when(gate))
    proxy.apply(endpoint(deployment("blue", instance)))
    client = await raw()
    await client.send(post())
    await instance.requests(1)
    client.writer.write_eof()
    assert await client.head() == QUESTION
    gate.set()
    assert (await client.answer())[0] == 200
    assert await client.rest() == b""
    await proxy.settled()
    assert (proxy.stats().live, proxy.clients.open_now) == ({200: 1}, 0)


async def test_a_client_of_http_1_0_is_not_asked(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """It would take the question for the answer."""
    gate = asyncio.Event()
    instance = await peer(answer_when(gate))
    proxy.apply(endpoint(deployment("blue", instance)))
    client = await raw()
    await client.send(post().replace(b"HTTP/1.1", b"HTTP/1.0"))
    await instance.requests(1)
    client.writer.write_eof()
    await asyncio.sleep(0.15)  # longer than a client of HTTP/1.1 is left in peace
    gate.set()
    assert (await client.rest()).startswith(b"HTTP/1.1 200 OK\r\n")


def in_two_halves(gate: asyncio.Event, began: asyncio.Event) -> Script:
    """An instance that answers by half, and by the other half once the gate is open."""

    async def script(conversation: Conversation) -> None:
        await conversation.request()
        await began.wait()
        await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
        await gate.wait()
        await conversation.send(b"full")

    return script


async def test_an_answer_goes_on_after_the_clients_end(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """It is under way, and nothing is asked in the middle of it."""
    gate, began = asyncio.Event(), asyncio.Event()
    proxy.apply(endpoint(deployment("blue", await peer(in_two_halves(gate, began)))))
    client = await raw()
    await client.send(post())
    began.set()
    await client.head()
    client.writer.write_eof()
    gate.set()
    assert await client.rest() == b"halffull"


async def test_an_answer_that_begins_after_the_clients_end_may_rest(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw
) -> None:
    """Its client was there when it was asked."""
    gate, began = asyncio.Event(), asyncio.Event()
    proxy.apply(endpoint(deployment("blue", await peer(in_two_halves(gate, began)))))
    client = await raw()
    await client.send(post())
    client.writer.write_eof()
    assert await client.head() == QUESTION
    began.set()
    await client.head()
    await asyncio.sleep(0.2)  # longer than an answer may rest whose client left in the middle of it
    gate.set()
    assert await client.rest() == b"halffull"


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
@pytest.mark.parametrize("request_bytes", [post(), CHUNKED], ids=["fast", "full"])
async def test_an_answer_that_rests_after_the_clients_end_is_given_up(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw, request_bytes: bytes, version: bytes
) -> None:
    """Who leaves in the middle of a stream leaves nobody behind."""
    ended = asyncio.Event()
    proxy.apply(endpoint(deployment("blue", await peer(watch_end(ended, answers=b"HTTP/1.1 200 OK\r\n\r\nsome")))))
    client = await raw()
    await client.send(request_bytes.replace(b"1.1", version, 1))
    await client.head()
    client.writer.write_eof()
    await ended.wait()
    await proxy.settled()
    (line,) = proxy.access_log()
    assert (line["response_code"], line["response_code_reason"]) == (200, "client_gone")


@pytest.mark.parametrize("number", [2, 5])
async def test_all_pipelined_requests_are_answered(proxy: Proxy, peer: StartPeer, raw: OpenRaw, number: int) -> None:
    """Each that came whole before the end; then the connection ends."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", instance)))
    client = await raw()
    client.writer.write(post() * number)
    client.writer.write_eof()
    assert [(await client.answer())[0] for _ in range(number)] == [200] * number
    assert await client.rest() == b""
    assert len(instance.seen) == number


async def test_requests_that_came_during_an_answer_are_answered(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """Those that waited behind the first, too."""
    gate = asyncio.Event()
    instance = await peer(answer_when(gate))
    proxy.apply(endpoint(deployment("blue", instance)))
    client = await raw()
    await client.send(post())
    await instance.requests(1)
    client.writer.write(post(b"[2]") + post(b"[3]"))
    client.writer.write_eof()
    assert await client.head() == QUESTION
    gate.set()
    assert [(await client.answer())[0] for _ in range(3)] == [200] * 3
    assert await client.rest() == b""
    assert [seen.body for seen in instance.seen] == [b"{}", b"[2]", b"[3]"]


@pytest.mark.parametrize("cut", [20, len(post()) - 1])
async def test_half_a_request_is_not_waited_for(proxy: Proxy, peer: StartPeer, raw: OpenRaw, cut: int) -> None:
    """What will never be whole reaches no instance, and its connection ends (RFC 9112, 8)."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", instance)))
    client = await raw()
    await client.send(post() + post(b"[2]")[:cut])
    client.writer.write_eof()
    answers = await client.rest()
    assert answers.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answers.count(b"HTTP/1.1 200") == 1
    assert len(instance.seen) == 1


@pytest.mark.parametrize("request_bytes", [post(), CHUNKED], ids=["fast", "full"])
async def test_a_client_that_is_gone_is_noticed(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw, request_bytes: bytes
) -> None:
    """Its end looks like that of one that waits; the question finds it out, and the work for it ends."""
    ended = asyncio.Event()
    instance = await peer(watch_end(ended))
    proxy.apply(endpoint(deployment("blue", instance, request_timeout_s=60)))
    client = await raw()
    await client.send(request_bytes)
    await instance.requests(1)
    client.writer.close()
    await ended.wait()
    await proxy.settled()
    await until(lambda: not proxy.clients.open_now)
    (line,) = proxy.access_log()
    assert (line["response_code"], line["response_code_reason"]) == (499, "client_gone")


async def test_a_connection_that_ends_between_requests_is_closed(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """Nothing is owed, so nothing is kept."""
    proxy.apply(endpoint(anywhere(await peer(answer_ok))))
    client = await raw()
    for request in (post(), post(path=PATH + "?full")):
        await client.send(request)
        assert (await client.answer())[0] == 200
    client.writer.write_eof()
    assert await client.rest() == b""
    await until(lambda: not proxy.clients.open_now)


@pytest.mark.parametrize("cut", [1, 5, 8, 11])
async def test_a_client_that_ends_in_the_middle_of_chunks_is_gone(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw, cut: int
) -> None:
    """Also behind a request that is still answered: it gets no second answer, and the log says why."""
    gate = asyncio.Event()
    proxy.apply(endpoint(deployment("blue", await peer(answer_when(gate)))))
    client = await raw()
    await client.send(CHUNKED + CHUNKED[:-cut])
    await until(lambda: proxy.stats().in_flight == 1)
    client.writer.write_eof()
    await until(lambda: all(one.is_half_closed for one in proxy.clients._full.client_connections))
    gate.set()
    assert (await client.rest()).count(b"HTTP/1.1 200") == 1
    await until(lambda: proxy.stats().in_flight == 0)
    lines = proxy.access_log()
    assert [line["response_code"] for line in lines] == [200, 499]
    assert lines[1]["response_code_reason"] == "client_gone"

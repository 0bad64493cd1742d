"""Requests that come slowly: held without a parser or a task where that makes no difference, and it makes none."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from router.core.wire import ProxyLimits
from tests.proxy.conftest import PATH, Proxy, RawClient, deployment, endpoint, fields, post
from tests.proxy.peers import Peer, answer_ok
from tests.proxy.waiting import until, until_left

StartPeer = Callable[..., Awaitable[Peer]]
OpenRaw = Callable[[], Awaitable[RawClient]]

START = f"POST {PATH} HTTP/1.1\r\n".encode()


async def _send_slowly(client: RawClient, raw: bytes) -> None:
    for byte in raw:
        await client.send(bytes((byte,)))
        await asyncio.sleep(0)  # a turn of the loop, for the proxy to read it


async def test_a_request_byte_by_byte_is_answered(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """Twice on one connection; the instance sees two whole requests."""
    one = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", one)))
    client = await raw()
    for body in (b"[1]", b"[2]"):
        await _send_slowly(client, post(body, "azureml-model-deployment: blue"))
        assert (await client.answer())[0] == 200
    assert [seen.body for seen in one.seen] == [b"[1]", b"[2]"]


@pytest.mark.parametrize(
    "wrong", [START + b"Ho st: a", START + b"Host :", START + b"Host: a\r\n b", b"NONE /", START + b"Content-Length: -"]
)
async def test_a_slow_head_that_is_malformed_is_a_400(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw, wrong: bytes
) -> None:
    """At the latest when its time is over, or with its client's end."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))), limits=ProxyLimits(head_timeout_s=0.0))
    late, ending = await raw(), await raw()
    await _send_slowly(ending, wrong)
    ending.writer.write_eof()
    assert (await ending.answer())[0] == 400
    await _send_slowly(late, wrong)
    await until_left(late.writer)
    proxy.clients.sweep()
    assert (await late.answer())[0] == 400


async def test_a_slow_head_that_grows_too_large_is_a_431(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """However it comes."""
    limits = ProxyLimits(max_head_bytes=2000)
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))), limits=limits)
    client = await raw()
    await _send_slowly(client, START + b"X-A: ")
    for _ in range(20):
        await client.send(b"x" * 100)
        await asyncio.sleep(0)
    assert (await client.answer())[0] == 431


async def test_many_late_heads_are_all_told(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """Though not all in one turn of the loop."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))), limits=ProxyLimits(head_timeout_s=0.0))
    clients = [await raw() for _ in range(80)]
    for client in clients:
        await client.send(b"POST /sc")
    await until(lambda: proxy.clients.busy_now == 80)
    proxy.clients.sweep()
    assert [(await client.answer())[0] for client in clients] == [408] * 80
    assert proxy.runtime.totals.process.connections_cut == {"head_timeout": 80}


async def test_a_body_that_is_late_is_recorded_where_it_would_have_gone(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw
) -> None:
    """The deployment was chosen when the head was here, and nothing of the body counts."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))), limits=ProxyLimits(body_timeout_s=0.05))
    client = await raw()
    pin = ("azureml-model-deployment: blue", "User-Agent: me", "x-ms-client-request-id: mine")
    await client.send(post(b"half", *pin, "Content-Length: 8"))
    status, head, body = await client.answer()
    assert (status, body) == (408, b"No byte of the request body came for 0.05 seconds.")
    assert fields(head)[b"azureml-model-deployment"] == b"blue"
    assert fields(head)[b"x-ms-client-request-id"] == b"mine"
    await proxy.settled()
    assert proxy.stats().in_flight == 0
    assert proxy.stats().reasons == {"body_timeout": 1}
    (line,) = proxy.access_log()
    assert (line["endpoint_name"], line["deployment_name"]) == ("churn", "blue")
    assert (line["request_payload_size"], line["user_agent"]) == (0, "me")


async def test_who_goes_on_with_a_late_body_gets_the_answer(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """What still comes is read and dropped; no reset takes the answer back."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))), limits=ProxyLimits(body_timeout_s=0.05))
    client = await raw()
    await client.send(post(b"half", "Content-Length: 200000"))
    await until(lambda: proxy.stats().reasons)
    for _ in range(10):
        await client.send(b"x" * 10_000)
    assert (await client.rest()).startswith(b"HTTP/1.1 408 ")
    assert proxy.clients.open_now == 1
    client.writer.close()
    await until(lambda: not proxy.clients.open_now)


async def test_a_drain_does_not_wait_for_those_with_a_late_body(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """They have their answer, and count as idle."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))), limits=ProxyLimits(body_timeout_s=0.05))
    client = await raw()
    await client.send(post(b"half", "Content-Length: 8"))
    await client.answer()
    await until(lambda: not proxy.clients.busy_now)
    proxy.clients.close_idle(0.0)
    await until(lambda: not proxy.clients.open_now)


async def test_a_client_gone_in_the_middle_of_its_body_is_recorded(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """As any client that went away."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))))
    client = await raw()
    await client.send(post(b"half", "Content-Length: 8"))
    await until(lambda: proxy.stats().in_flight == 1)
    client.writer.write_eof()
    assert await client.rest() == b""
    await until(lambda: proxy.stats().in_flight == 0)
    (line,) = proxy.access_log()
    assert (line["response_code"], line["response_code_reason"]) == (499, "client_gone")
    assert line["deployment_name"] == "blue"


async def test_a_slow_body_ends_on_the_table_that_it_began_with(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """Its deployment has left the table since, and waits for it."""
    one, two = await peer(answer_ok), await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", one)))
    client = await raw()
    whole = post(b"[1, 2]")
    await client.send(whole[:-3])
    await until(lambda: proxy.stats().in_flight == 1)
    proxy.apply(endpoint(deployment("blue", one), deployment("green", two), traffic=(("green", 100.0),)))
    await client.send(whole[-3:])
    status, head, _ = await client.answer()
    assert (status, fields(head)[b"x-teal-generation"]) == (200, b"1")
    assert [seen.body for seen in one.seen] == [b"[1, 2]"]


async def test_what_follows_a_slow_body_is_answered_in_its_turn(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """A request in the same piece as the end of the body before it."""
    one = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", one)))
    client = await raw()
    whole = post(b"[1, 2]")
    await client.send(whole[:-3])
    await until(lambda: proxy.stats().in_flight == 1)
    await client.send(whole[-3:] + post(b"[3]"))
    assert [(await client.answer())[0] for _ in range(2)] == [200, 200]
    assert [seen.body for seen in one.seen] == [b"[1, 2]", b"[3]"]

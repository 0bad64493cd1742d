"""Offers to switch to another protocol: RFC 9110, 7.8, and RFC 6455 with a real client and a real server."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from router.core.table import MirrorSpec
from tests.proxy.conftest import PATH, Proxy, RawClient, deployment, endpoint, fields
from tests.proxy.peers import Conversation, Peer, answer_ok, says, says_once
from tests.proxy.raw_cases import SMUGGLED
from tests.proxy.upgrades import BELOW, SWITCHED, echo_raw, get, switch, switchable, switches
from tests.proxy.waiting import until, watch_end

StartPeer = Callable[..., Awaitable[Peer]]
OpenRaw = Callable[[], Awaitable[RawClient]]

# What goes on, and what is answered


async def test_the_switch_is_passed_on_with_its_fields(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """The instance gets the offer and the client's fields, the client the instance's fields and the router's."""
    instance = await peer(switches(echo_raw))
    proxy.apply(endpoint(switchable(instance)))
    one = await raw()
    await one.send(get("Sec-WebSocket-Key: a", "Sec-WebSocket-Version: 13", path=BELOW + "/ws?x=%20"))
    head = await one.head()
    assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    found = fields(head)
    assert (found[b"upgrade"], found[b"connection"], found[b"x-own"]) == (b"websocket", b"Upgrade", b"1")
    assert found[b"azureml-model-deployment"] == b"blue"
    [seen] = instance.seen
    assert seen.line == b"GET /ws?x=%20 HTTP/1.1"
    assert (seen.values("upgrade"), seen.values("connection")) == ([b"websocket"], [b"Upgrade"])
    assert (seen.values("sec-websocket-key"), seen.values("sec-websocket-version")) == ([b"a"], [b"13"])
    assert seen.values("x-request-id") == [found[b"x-request-id"]]
    assert seen.values("authorization") == []
    await one.send(b"\x00 anything \xff")
    assert await one.reader.readexactly(12) == b"\x00 anything \xff"


@pytest.mark.parametrize(
    ("offer", "passed_on"),
    [
        ("websocket", [b"websocket"]),
        ("WebSocket", [b"WebSocket"]),
        ("h2c, websocket, HTTP/2.0", [b"websocket"]),
        ("echo/2, unheard-of, websocket", [b"echo/2, websocket"]),
        (" , websocket ,", [b"websocket"]),
    ],
)
async def test_of_several_protocols_those_of_the_deployment_go_on(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw, offer: str, passed_on: list[bytes]
) -> None:
    """In the client's order and spelling; what carries HTTP past the router never does (RFC 9113, 3.1)."""
    instance = await peer(switches(echo_raw))
    proxy.apply(endpoint(switchable(instance)))
    await switch(await raw(), get(upgrade=offer))
    assert instance.seen[0].values("upgrade") == passed_on


IGNORED = {
    "h2c": get("HTTP2-Settings: AAMAAABk", upgrade="h2c"),
    "TLS": get(upgrade="TLS/1.0"),
    "a protocol that is not passed on": get(upgrade="websocket2"),
    "no protocol": get(upgrade=""),
    "no upgrade in Connection": get().replace(b"Connection: Upgrade", b"Connection: keep-alive"),
    "no Connection": get().replace(b"Connection: Upgrade\r\n", b""),
    "no Upgrade": get().replace(b"Upgrade: websocket\r\n", b""),
    "HTTP/1.0": get().replace(b"HTTP/1.1", b"HTTP/1.0"),
    "HEAD": get().replace(b"GET", b"HEAD"),
    "a body": get("Content-Length: 2").replace(b"GET", b"POST") + b"{}",
    "an empty chunked body": get("Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "a request behind it": get() + SMUGGLED,
    "bytes behind it": get() + b"\x81\x00",
    "bytes behind another protocol": get(upgrade="echo") + b"x",
}


@pytest.mark.parametrize("name", IGNORED)
async def test_an_offer_that_is_not_taken_up_is_as_if_not_made(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw, name: str
) -> None:
    """One ordinary request without the offer; the connection ends, so that nothing behind it is misread."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(switchable(instance)))
    one = await raw()
    await one.send(IGNORED[name])
    if name == "no Upgrade":
        assert (await one.answer())[0] == 200
    else:
        answer = await one.rest()
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.count(b"HTTP/1.1 ") == 1
        assert b"\r\nconnection: close\r\n" in answer
    [seen] = instance.seen
    assert seen.values("upgrade") + seen.values("connection") == []
    assert proxy.stats().upgraded == 0


async def test_a_deployment_of_workers_ignores_an_offer(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """As a server may that goes on with HTTP: its workers have no other protocol."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", instance)))
    one = await raw()
    await one.send(get(path=PATH))
    assert (await one.rest()).startswith(b"HTTP/1.1 200 OK\r\n")
    assert instance.seen[0].values("upgrade") + instance.seen[0].values("connection") == []


@pytest.mark.parametrize(("model_errors", "status"), [("azure", 424), ("passthrough", 426)])
async def test_a_refused_offer_is_answered_as_usual(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw, model_errors: str, status: int
) -> None:
    """The instance's status, as every other one, and its body; then the connection ends."""
    wanted = b"Sec-WebSocket-Version: 13\r\nUpgrade: websocket\r\n"
    refusal = b"HTTP/1.1 426 Upgrade Required\r\n" + wanted + b"Content-Length: 3\r\n\r\nno!"
    proxy.apply(endpoint(switchable(await peer(says(refusal))), model_errors=model_errors))
    one = await raw()
    await one.send(get())
    code, head, body = await one.answer()
    assert (code, body, fields(head)[b"connection"]) == (status, b"no!", b"close")
    assert (fields(head)[b"sec-websocket-version"], fields(head)[b"upgrade"]) == (b"13", b"websocket")
    assert await one.rest() == b""


WRONG = {
    "to another protocol": SWITCHED.replace(b"Upgrade: websocket", b"Upgrade: h2c"),
    "to one of two": SWITCHED.replace(b"Upgrade: websocket", b"Upgrade: websocket, echo"),
    "to none": SWITCHED.replace(b"Upgrade: websocket\r\n", b""),
    "without Connection": SWITCHED.replace(b"Connection: Upgrade\r\n", b""),
    "malformed": SWITCHED.replace(b"X-Own: 1", b"X Own: 1"),
}


@pytest.mark.parametrize("name", WRONG)
async def test_an_instance_switches_only_to_what_was_offered(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw, name: str
) -> None:
    """Everything else is garbage, and neither side speaks to the other."""
    proxy.apply(endpoint(switchable(await peer(says_once(WRONG[name] + b"surplus")))))
    one = await raw()
    await one.send(get())
    status, head, _ = await one.answer()
    assert (status, fields(head)[b"x-teal-reason"]) == (424, b"upstream_reset")
    assert await one.rest() == b""
    assert proxy.stats().failures == {"garbage": 1}


async def test_bytes_before_the_switch_reach_no_instance(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """Who speaks before it is known what is spoken gets 400; an instance that refused might take it for a request."""
    received: list[bytes] = []
    gate = asyncio.Event()

    async def script(conversation: Conversation) -> None:
        await conversation.request()
        await gate.wait()
        await conversation.send(SWITCHED)
        received.append(await conversation.reader.read())

    instance = await peer(script)
    proxy.apply(endpoint(switchable(instance)))
    one = await raw()
    await one.send(get())
    await instance.requests(1)
    await one.send(SMUGGLED)
    await until(lambda: any(not c.has_bare_head for c in proxy.clients._full.client_connections))
    gate.set()
    answer = await one.rest()
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert answer.count(b"HTTP/1.1 ") == 1
    await until(lambda: received)
    assert received == [b""]


# An ordinary request in all other respects


async def test_an_upgrade_needs_the_key(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """No instance hears of it otherwise."""
    instance = await peer(switches(echo_raw))
    proxy.apply(endpoint(switchable(instance)))
    one = await raw()
    await one.send(get(key="wrong"))
    status, head, _ = await one.answer()
    assert (status, fields(head)[b"x-teal-reason"]) == (401, b"key_auth_access_denied")
    assert instance.connections == 0


async def test_an_upgrade_can_be_pinned(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """The header that names a deployment holds for it."""
    blue, green = await peer(answer_ok), await peer(switches(echo_raw))
    other = deployment("green", green, passes_paths=True, upgrades=("websocket",))
    proxy.apply(endpoint(switchable(blue), other))
    one = await raw()
    await one.send(get("azureml-model-deployment: green"))
    assert fields(await one.head())[b"azureml-model-deployment"] == b"green"
    assert blue.connections == 0


async def test_an_upgrade_is_never_mirrored(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """A conversation cannot be copied."""
    live, shadow = await peer(switches(echo_raw)), await peer(answer_ok)
    other = deployment("green", shadow, passes_paths=True, upgrades=("websocket",))
    table = endpoint(switchable(live), other, mirror_traffic=(("green", 100.0),), mirror=MirrorSpec())
    proxy.apply(table)
    one = await switch(await raw())
    await one.close()
    await proxy.settled()
    assert shadow.connections == 0


async def test_an_upgrade_takes_a_place(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """For as long as it lasts; the next one gets 429 where no other is left, and then its turn."""
    proxy.apply(endpoint(switchable(await peer(switches(echo_raw)), max_concurrent=1, max_queue=0)))
    first, second = await switch(await raw()), await raw()
    await second.send(get())
    assert (await second.answer())[0] == 429
    await first.close()
    await proxy.settled()
    await switch(await raw())


async def test_an_answer_to_an_offer_is_due_by_the_requests_deadline(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw
) -> None:
    """408 as for every request; what comes after the switch has no such limit."""

    async def silent(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.closed()

    proxy.apply(endpoint(switchable(await peer(silent), request_timeout_s=0.05)))
    one = await raw()
    await one.send(get())
    assert (await one.answer())[0] == 408


async def test_a_client_that_leaves_before_the_switch_is_not_waited_for(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw
) -> None:
    """The instance is told at once."""
    ended = asyncio.Event()
    instance = await peer(watch_end(ended))
    proxy.apply(endpoint(switchable(instance)))
    one = await raw()
    await one.send(get())
    await instance.requests(1)
    one.writer.transport.abort()
    await ended.wait()
    await proxy.settled()
    (line,) = proxy.access_log()
    assert (line["response_code"], line["response_code_reason"]) == (499, "client_gone")


# A real WebSocket


async def _converse(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(protocols=("chat",), compress=True)
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(message.data[::-1])
        elif message.type is WSMsgType.BINARY:
            await socket.send_bytes(message.data)
        if message.data == "bye":
            await socket.close(code=4001, message=b"as you wish")
    return socket


@asynccontextmanager
async def websocket_server(handler: Any = _converse) -> AsyncIterator[Peer]:
    app = web.Application()
    app.router.add_get("/ws/{name}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield Peer(f"http://127.0.0.1:{port}", answer_ok)
    finally:
        await runner.cleanup()


async def test_a_websocket_goes_through(proxy: Proxy, client: aiohttp.ClientSession) -> None:
    """Text, large binary messages, compression, the sub-protocol and the closing code arrive as they were sent."""
    async with websocket_server() as instance:
        proxy.apply(endpoint(switchable(instance)))
        url = f"http://127.0.0.1:{proxy.port}{BELOW}/ws/a"
        async with client.ws_connect(url, protocols=("chat",), compress=15, max_msg_size=0) as socket:
            assert socket.protocol == "chat"
            await socket.send_str("hello")
            assert await socket.receive_str() == "olleh"
            large = bytes(range(256)) * 8192
            await socket.send_bytes(large)
            assert await socket.receive_bytes() == large
            await socket.send_str("bye")
            assert await socket.receive_str() == "eyb"
            last = await socket.receive()
            assert (last.type, socket.close_code, last.extra) == (WSMsgType.CLOSE, 4001, "as you wish")
    await proxy.settled()


async def test_many_websockets_are_open_at_once(proxy: Proxy, client: aiohttp.ClientSession) -> None:
    """Each gets its own answers, and each counts as a request in flight and as one that has switched."""
    async with websocket_server() as instance:
        proxy.apply(endpoint(switchable(instance)))
        url = f"http://127.0.0.1:{proxy.port}{BELOW}/ws/a"
        sockets = [await client.ws_connect(url) for _ in range(20)]
        for number, socket in enumerate(sockets):
            await socket.send_bytes(b"%d" % number)
        assert [await socket.receive_bytes() for socket in sockets] == [b"%d" % number for number in range(20)]
        assert (proxy.stats().in_flight, proxy.stats().upgraded) == (20, 20)
        for socket in sockets:
            await socket.close()
        await proxy.settled()
    assert (proxy.stats().in_flight, proxy.stats().upgraded) == (0, 0)

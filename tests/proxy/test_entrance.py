"""How many clients are let in, and what becomes of the others."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from structlog.testing import capture_logs

from router.core.wire import ProxyLimits
from router.proxy.listener import Listener
from tests.proxy.conftest import PATH, Proxy, RawClient, deployment, endpoint, fields, post
from tests.proxy.peers import Peer, answer_ok
from tests.proxy.waiting import answer_when, until

StartPeer = Callable[..., Awaitable[Peer]]
OpenRaw = Callable[[], Awaitable[RawClient]]


def refused(proxy: Proxy) -> dict[str, int]:
    return proxy.runtime.totals.process.connections_refused


async def test_a_connection_over_the_limit_is_answered_503(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """Its request is not looked at; it is told to close, and those that are in are served."""
    one = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", one)), limits=ProxyLimits(max_connections=2))
    first, second, third = await raw(), await raw(), await raw()
    await third.send(post())
    status, head, _ = await third.answer()
    assert status == 503
    assert b"x-teal-reason: too_many_connections" in head
    assert b"retry-after: 1" in head
    assert b"connection: close" in head
    assert proxy.runtime.totals.endpoint("").reasons == {}
    assert await third.rest() == b""
    for client in (first, second):
        await client.send(post())
        assert (await client.answer())[0] == 200
    assert refused(proxy) == {"too_many_connections": 1}
    assert len(one.seen) == 2


async def test_a_client_that_takes_the_last_descriptor_is_told_so(proxy: Proxy) -> None:
    """It is answered before anybody waits for it, and may come again."""
    ours, theirs = socket.socketpair()
    with theirs:
        proxy.entrance.refuse_exhausted(ours)
        answer = theirs.recv(4096)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"x-teal-reason: no_descriptors" in answer
    assert b"retry-after: 1" in answer
    assert refused(proxy) == {"no_descriptors": 1}


async def test_a_place_is_free_again_once_its_client_has_gone(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """Whichever lane it was on when it left."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))), limits=ProxyLimits(max_connections=1))
    for path in (PATH, PATH + "?full", PATH):
        client = await raw()
        await client.send(post(path=path))
        assert (await client.answer())[0] == 200
        await client.close()
        await until(lambda: proxy.clients.open_now == 0)
    assert refused(proxy) == {}


async def test_one_address_may_not_have_all_places(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """Over its own limit it is refused, and another address is not."""
    limits = ProxyLimits(max_connections=9, max_connections_per_address=2)
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))), limits=limits)
    greedy = [await raw() for _ in range(3)]
    await greedy[2].send(post())
    status, head, _ = await greedy[2].answer()
    assert (status, fields(head)[b"x-teal-reason"]) == (503, b"too_many_connections_of_address")
    other = RawClient(*await asyncio.open_connection("127.0.0.1", proxy.port, local_addr=("127.0.0.2", 0)))
    await other.send(post())
    assert (await other.answer())[0] == 200
    await other.close()
    assert refused(proxy) == {"too_many_connections_of_address": 1}


async def test_a_trusted_proxy_has_no_limit_of_its_own(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """All its clients come from its address; only the limit in all holds for them."""
    limits = ProxyLimits(max_connections=3, max_connections_per_address=1, trusted_proxies=("127.0.0.1/32",))
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))), limits=limits)
    clients = [await raw() for _ in range(4)]
    for client in clients:
        await client.send(post())
    assert [(await client.answer())[0] for client in clients] == [200, 200, 200, 503]


async def test_clients_on_a_unix_socket_have_no_limit_of_their_own(
    proxy: Proxy, peer: StartPeer, tmp_path: Path
) -> None:
    """They have no address; only the limit in all holds for them."""
    one = await peer(answer_ok)
    limits = ProxyLimits(max_connections=3, max_connections_per_address=1)
    proxy.apply(endpoint(deployment("blue", one)), limits=limits)
    path = str(tmp_path / "teal.sock")
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listener = Listener(listening, proxy.entrance)
    listener.start()
    clients = [RawClient(*await asyncio.open_unix_connection(path)) for _ in range(4)]
    for client in clients:
        await client.send(post())
    assert [(await client.answer())[0] for client in clients] == [200, 200, 200, 503]
    assert one.seen[0].values("x-forwarded-for") == []
    listener.close()
    for client in clients:
        await client.close()


async def test_limits_hold_for_connections_that_come_later(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """A limit that was lowered closes nobody; one that was raised lets the next one in."""
    one = endpoint(deployment("blue", await peer(answer_ok)))
    proxy.apply(one)
    first, second = await raw(), await raw()
    for client in (first, second):
        await client.send(post())
        assert (await client.answer())[0] == 200
    proxy.apply(one, limits=ProxyLimits(max_connections=1))
    third = await raw()
    await third.send(post())
    assert (await third.answer())[0] == 503
    await second.send(post())
    assert (await second.answer())[0] == 200
    proxy.apply(one, limits=ProxyLimits(max_connections=3))
    fourth = await raw()
    await fourth.send(post())
    assert (await fourth.answer())[0] == 200


async def test_a_flood_of_refused_connections_costs_little(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """300 connections that never speak: only so many are waited for, each is counted, and whoever is in is served."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))), limits=ProxyLimits(max_connections=1))
    healthy = await raw()
    await healthy.send(post())
    assert (await healthy.answer())[0] == 200
    flood = [await raw() for _ in range(300)]
    await until(lambda: refused(proxy) == {"too_many_connections": 300})
    assert repr(proxy.entrance) == "Entrance(0 arriving, 32 refused)"
    await healthy.send(post())
    assert (await healthy.answer())[0] == 200
    answers = [await client.rest() for client in flood]
    assert sum(answer.startswith(b"HTTP/1.1 503 ") for answer in answers) == 268
    assert answers.count(b"") == 32
    assert proxy.clients.open_now == 1


async def test_a_refused_connection_that_was_answered_is_logged(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """A line for each, whether it was waited for or not; none for those that were closed without an answer."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))), limits=ProxyLimits(max_connections=1))
    flood = [await raw() for _ in range(41)]
    await until(lambda: refused(proxy) == {"too_many_connections": 40})
    answers = [await client.rest() for client in flood[33:]]
    said = {fields(answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")[b"x-request-id"].decode() for answer in answers}
    lines = proxy.access_log()
    assert {line["x_request_id"] for line in lines} == said
    assert {(line["response_code"], line["response_code_reason"]) for line in lines} == {(503, "too_many_connections")}
    assert len(lines) == 8


async def test_a_refused_client_is_not_waited_for_long(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """One that sends no request is closed without an answer, well before a head would be due."""
    limits = ProxyLimits(max_connections=1, head_timeout_s=600)
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))), limits=limits)
    await raw()
    second = await raw()
    assert await second.rest() == b""
    assert repr(proxy.entrance) == "Entrance(0 arriving, 0 refused)"


async def test_500_silent_connections_do_not_keep_others_out(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """Nor do as many that end in the middle of a head or of a body: a healthy client is answered, they are closed."""
    limits = ProxyLimits(head_timeout_s=0.0, body_timeout_s=0.3)
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))), limits=limits)
    flood = [await raw() for _ in range(500)]
    silent, in_head, in_body = flood[:200], flood[200:400], flood[400:]
    await asyncio.gather(*(client.send(post()[:40]) for client in in_head))
    await asyncio.gather(*(client.send(post(b"x" * 100)[:-50]) for client in in_body))
    healthy = await raw()
    await healthy.send(post())
    assert (await healthy.answer())[0] == 200
    ends = asyncio.gather(*(client.rest() for client in silent + in_head))
    proxy.clients.sweep()
    answers = await ends
    assert set(answers[:200]) == {b""}
    assert {answer.split(b"\r\n")[0] for answer in answers[200:]} == {b"HTTP/1.1 408 Request Timeout"}
    assert {(await client.answer())[0] for client in in_body} == {408}


async def test_a_busy_client_keeps_its_place(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """A request that takes long is answered however many clients are refused meanwhile."""
    gate = asyncio.Event()
    one = await peer(answer_when(gate))
    proxy.apply(endpoint(deployment("blue", one)), limits=ProxyLimits(max_connections=1))
    busy = await raw()
    await busy.send(post())
    await one.requests(1)
    for _ in range(3):
        late = await raw()
        await late.send(post())
        assert (await late.answer())[0] == 503
    gate.set()
    assert (await busy.answer())[0] == 200


async def test_the_log_tells_of_refusals_now_and_then(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """One line for many, with their number by reason; no line for none."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))), limits=ProxyLimits(max_connections=1))
    for _ in range(3):
        await raw()
    await until(lambda: refused(proxy) == {"too_many_connections": 2})
    with capture_logs() as lines:
        proxy.entrance.sweep()
        await raw()
        await until(lambda: refused(proxy) == {"too_many_connections": 3})
        proxy.entrance.sweep()
    expected = {
        "event": "connections.refused",
        "log_level": "warning",
        "open": 1,
        "limit": 1,
        "too_many_connections": 2,
    }
    assert lines == [expected]

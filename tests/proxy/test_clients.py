"""Which connections stay on the fast lane, and how the others leave it."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from router.core.wire import ProxyLimits
from tests.proxy.conftest import KEY, PATH, Proxy, RawClient, deployment, endpoint, post
from tests.proxy.peers import Peer, answer_ok
from tests.proxy.waiting import answer_when, until

StartPeer = Callable[..., Awaitable[Peer]]
OpenRaw = Callable[[], Awaitable[RawClient]]


@pytest.fixture
def lane() -> str:
    """These tests are about the fast lane alone."""
    return "fast"


@pytest.mark.parametrize(
    "request_bytes",
    [
        post(),
        post(b"x" * 200_000),
        post(b""),
        post(b"{}", "Connection: keep-alive", "azureml-model-deployment: BLUE", "x-ms-client-request-id: a b"),
        post(path="/score"),
        post(path="/api/v1/endpoint/CHURN/score").replace(b"CHURN", b"churn"),
        post(key="wrong"),
    ],
    ids=["usual", "large", "empty", "more fields", "by host", "by path", "refused"],
)
async def test_a_plain_request_stays_on_the_fast_lane(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw, request_bytes: bytes
) -> None:
    """aiohttp never hears of it, and the next one is served as well."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))))
    client = await raw()
    for _ in range(3):
        await client.send(request_bytes)
        assert (await client.answer())[0] in {200, 401}
    assert proxy.clients.fast_now == 1


async def test_the_host_names_the_endpoint_on_the_fast_lane(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """`POST /score` goes to the endpoint that its Host begins with, where there are several."""
    one, two = await peer(answer_ok), await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", one)), endpoint(deployment("blue", two), name="other"))
    client = await raw()
    await client.send(post(path="/score").replace(b"Host: teal", b"Host: OTHER.example"))
    assert (await client.answer())[0] == 200
    assert (len(one.seen), len(two.seen)) == (0, 1)
    assert proxy.clients.fast_now == 1


@pytest.mark.parametrize(
    "odd",
    [
        post(path=PATH + "?q=1"),
        post(b"2\r\n{}\r\n0\r\n\r\n", "Transfer-Encoding: chunked"),
        post(b"x" * 300_000),
        post().replace(b"POST", b"GET"),
        post(b"{}", "X-Blank: at its end "),
        post(b"{}", "ETag: 1"),
    ],
    ids=["query", "chunked", "over the bound", "GET", "blank", "single field"],
)
async def test_an_odd_request_moves_its_connection_to_the_full_lane(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw, odd: bytes
) -> None:
    """Between two plain ones: all three are answered, in turn, on one connection."""
    one = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", one), max_body_bytes=10**6))
    client = await raw()
    statuses = []
    for request in (post(), odd, post(b"[3]")):
        await client.send(request)
        statuses.append((await client.answer())[0])
    assert statuses == [200, 200, 200]
    assert (proxy.clients.fast_now, proxy.clients.open_now) == (0, 1)
    assert len(one.seen) == 3


async def test_a_body_in_pieces_is_waited_for(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """Head and body in two writes, as many clients send them, are still one plain request."""
    one = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", one)))
    client = await raw()
    whole = post(b"[1, 2, 3]")
    for piece in (whole[:-9], whole[-9:-4], whole[-4:]):
        await client.send(piece)
        await until(lambda: proxy.clients.fast_now)
    assert (await client.answer())[0] == 200
    assert one.seen[0].body == b"[1, 2, 3]"
    assert proxy.clients.fast_now == 1


async def test_a_body_that_does_not_come_is_waited_for(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """Without aiohttp, and not for longer than there: 408, and the connection ends."""
    one = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", one)), limits=ProxyLimits(body_timeout_s=0.1))
    client = await raw()
    await client.send(post(b"[1, 2, 3]")[:-4])
    await until(lambda: proxy.stats().in_flight == 1)
    status, head, _ = await client.answer()
    assert status == 408
    assert b"x-teal-reason: body_timeout" in head
    assert await client.rest() == b""
    assert proxy.clients.fast_now == 1  # until its client closes
    assert one.seen == []


async def test_a_request_byte_by_byte_stays_on_the_fast_lane(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """Its head is understood once its end is here, and its body forwarded as a whole."""
    one = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", one)))
    client = await raw()
    whole = post(b"[1, 2, 3]", "Accept: */*", path="/score")
    for byte in whole:
        await client.send(bytes((byte,)))
        await asyncio.sleep(0)
    assert (await client.answer())[0] == 200
    assert one.seen[0].body == b"[1, 2, 3]"
    assert proxy.clients.fast_now == 1


async def test_a_request_that_comes_too_early_is_answered_in_its_turn(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw
) -> None:
    """What is sent while another is answered waits, plain or not."""
    gate = asyncio.Event()
    one = await peer(answer_when(gate))
    proxy.apply(endpoint(deployment("blue", one)))
    client = await raw()
    await client.send(post(b"[1]"))
    await one.requests(1)
    await client.send(post(b"[22]") + post(b"[333]", path=PATH + "?q"))
    gate.set()
    assert [(await client.answer())[0] for _ in range(3)] == [200] * 3
    assert [seen.body for seen in one.seen] == [b"[1]", b"[22]", b"[333]"]


async def test_a_flood_of_early_requests_is_not_read(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """A client that sends and sends while it is being answered fills its own socket, not our memory."""
    gate = asyncio.Event()
    one = await peer(answer_when(gate))
    proxy.apply(endpoint(deployment("blue", one)))
    client = await raw()
    await client.send(post(b"[1]"))
    await one.requests(1)
    client.writer.write(post(b"x" * 10_000) * 3000)
    await asyncio.wait((asyncio.create_task(client.writer.drain(), name="drain"),), timeout=0.3)
    assert client.writer.transport.get_write_buffer_size() > 10_000_000
    client.writer.transport.abort()
    gate.set()
    await until(lambda: proxy.clients.open_now == 0)


async def test_a_client_that_asks_to_close_is_closed(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """`Connection: close` is plain; the answer says so too."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))))
    client = await raw()
    await client.send(post(b"{}", "Connection: Close"))
    received = await client.rest()
    assert received.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nconnection: close\r\n" in received


async def test_an_instance_on_a_unix_socket_is_reached(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw, tmp_path: Path
) -> None:
    """Its Host is localhost; the connection is used again."""
    one = await peer(answer_ok, tmp_path / "a.sock")
    proxy.apply(endpoint(deployment("blue", one)))
    client = await raw()
    for _ in range(5):
        await client.send(post())
        assert (await client.answer())[0] == 200
    assert one.seen[0].values("host") == [b"localhost"]
    assert one.connections == proxy.stats().instances[one.address].connections_opened == 1


async def test_no_key_is_kept_or_passed_on(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """The instance does not see the credential that the router checked."""
    one = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", one)))
    client = await raw()
    await client.send(post())
    await client.answer()
    assert KEY.encode() not in b"\n".join(one.seen[0].fields)

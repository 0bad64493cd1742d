"""Clients that talk TLS, on both lanes."""

import asyncio
import io
import ssl
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest

from router.core.wire import Encrypt, ProxyLimits
from tests.certificates import Authority
from tests.proxy.conftest import KEY, PATH, Proxy, RawClient, deployment, endpoint, post
from tests.proxy.control import Control, told
from tests.proxy.peers import Conversation, Peer, answer_ok, echo
from tests.proxy.upgrades import echo_raw, switch, switchable, switches
from tests.proxy.waiting import answer_when, until, watch_end

StartPeer = Callable[..., Awaitable[Peer]]
OpenTls = Callable[..., Awaitable[RawClient]]
LANES = pytest.mark.parametrize("path", [PATH, PATH + "?full"], ids=["plain target", "target with a query"])


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
async def proxy(proxy: Proxy, authority: Authority) -> Proxy:
    """One that serves a certificate."""
    proxy.entrance.encrypt(authority.issue().message)
    return proxy


@pytest.fixture
async def tls(proxy: Proxy, authority: Authority) -> AsyncIterator[OpenTls]:
    """Open a TLS connection: `await tls()`."""
    opened: list[RawClient] = []

    async def start(context: ssl.SSLContext | None = None) -> RawClient:
        context = context or authority.client()
        streams = await asyncio.open_connection("127.0.0.1", proxy.port, ssl=context, server_hostname="localhost")
        opened.append(RawClient(*streams))
        return opened[-1]

    yield start
    for one in opened:
        one.writer.transport.abort()


@pytest.fixture
async def client(authority: Authority) -> AsyncIterator[aiohttp.ClientSession]:
    """aiohttp's client, which checks the certificate."""
    connector = aiohttp.TCPConnector(ssl=authority.client())
    headers = {"Authorization": f"Bearer {KEY}"}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        yield session


def url(proxy: Proxy, path: str = PATH) -> str:
    return f"https://localhost:{proxy.port}{path}"


def refused(proxy: Proxy) -> dict[str, int]:
    return proxy.runtime.totals.process.connections_refused


@LANES
async def test_requests_are_answered_on_one_connection(
    proxy: Proxy, peer: StartPeer, client: aiohttp.ClientSession, path: str
) -> None:
    """With keep-alive, as in plain text; the instance learns how the client came."""
    one = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", one)))
    for _ in range(3):
        async with client.post(url(proxy, path), data=b"{}") as answer:
            assert (answer.status, await answer.read()) == (200, b'{"y": 1}')
    assert [seen.values("x-forwarded-proto") for seen in one.seen] == [[b"https"]] * 3
    assert [seen.values("x-forwarded-for") for seen in one.seen] == [[b"127.0.0.1"]] * 3
    assert proxy.runtime.totals.process.connections_opened == 1


@LANES
async def test_a_copy_says_that_its_request_came_by_tls(
    proxy: Proxy, peer: StartPeer, client: aiohttp.ClientSession, path: str
) -> None:
    """Like the live request."""
    live, shadow = await peer(answer_ok), await peer(answer_ok)
    green = deployment("green", shadow, passes_paths=True)
    proxy.apply(endpoint(deployment("blue", live), green, mirror_traffic=(("green", 100.0),)))
    async with client.post(url(proxy, path), data=b"{}"):
        pass
    [copy] = await shadow.requests(1)
    assert copy.values("x-forwarded-proto") == [b"https"]


async def test_a_connection_moves_to_the_full_lane_and_goes_on(proxy: Proxy, peer: StartPeer, tls: OpenTls) -> None:
    """Plain, odd, chunked and plain again, in pieces and together."""
    one = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", one)))
    client = await tls()
    await client.send(post(b"[1]"))
    assert (await client.answer())[0] == 200
    await client.send(post(b"[2]", path=PATH + "?q=1")[:60])
    await client.send(post(b"[2]", path=PATH + "?q=1")[60:])
    assert (await client.answer())[0] == 200
    await client.send(post(b"3\r\n[3]\r\n0\r\n\r\n", "Transfer-Encoding: chunked"))
    assert (await client.answer())[0] == 200
    await client.send(post(b"[4]") + post(b"[5]"))
    assert [(await client.answer())[0] for _ in range(2)] == [200, 200]
    assert [seen.body for seen in one.seen] == [b"[1]", b"[2]", b"[3]", b"[4]", b"[5]"]


@LANES
@pytest.mark.parametrize("size", [0, 100_000, 3_000_000])
async def test_bodies_of_any_size_go_both_ways(
    proxy: Proxy, peer: StartPeer, client: aiohttp.ClientSession, path: str, size: int
) -> None:
    """Larger than any record or buffer."""

    async def send_back(conversation: Conversation) -> None:
        while True:
            await conversation.answer((await conversation.request()).body)

    proxy.apply(endpoint(deployment("blue", await peer(send_back))))
    body = bytes(range(256)) * (size // 256)
    async with client.post(url(proxy, path), data=io.BytesIO(body)) as answer:
        assert answer.status == 200
        assert await answer.read() == body


@LANES
async def test_a_client_that_does_not_read_holds_no_memory(
    proxy: Proxy, peer: StartPeer, tls: OpenTls, path: str
) -> None:
    """The instance is not read either: 50 MB stay where they are until the client is given up."""
    sent = 0

    async def answer_much(conversation: Conversation) -> None:
        nonlocal sent
        await conversation.request()
        await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n")
        for _ in range(500):
            await conversation.send(bytes(100_000))
            sent += 100_000

    proxy.apply(endpoint(deployment("blue", await peer(answer_much))), limits=ProxyLimits(answer_timeout_s=0.3))
    client = await tls()
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await client.send(post(path=path))
    await until(lambda: proxy.clients.open_now == 0)
    assert sent < 25_000_000  # what sockets of both sides may hold


async def test_a_client_that_goes_away_ends_its_request(proxy: Proxy, peer: StartPeer, tls: OpenTls) -> None:
    """The instance's connection is closed; nothing is left in flight."""
    ended = asyncio.Event()
    one = await peer(watch_end(ended))
    proxy.apply(endpoint(deployment("blue", one)))
    client = await tls()
    await client.send(post())
    await one.requests(1)
    client.writer.transport.abort()
    await ended.wait()
    await proxy.settled()
    assert proxy.stats().live == {499: 1}


async def test_a_client_that_asks_to_close_is_told_goodbye(proxy: Proxy, peer: StartPeer, tls: OpenTls) -> None:
    """The whole answer, then the end that TLS asks for: a client can tell it from a cut."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))))
    client = await tls()
    await client.send(post(b"{}", "Connection: close"))
    assert (await client.rest()).endswith(b'{"y": 1}')
    await until(lambda: proxy.clients.open_now == 0)


# Handshakes


def _only(version: ssl.TLSVersion, authority: Authority) -> ssl.SSLContext:
    """A client that speaks this version, however old."""
    context = authority.client()
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that is why it is tested
        context.minimum_version = context.maximum_version = version
    return context


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_tls_1_2_and_1_3_are_spoken(
    proxy: Proxy, peer: StartPeer, tls: OpenTls, authority: Authority, version: ssl.TLSVersion
) -> None:
    """Both, with the one protocol that is offered on top."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))))
    context = _only(version, authority)
    context.set_alpn_protocols(["h2", "http/1.1"])
    client = await tls(context)
    assert client.writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
    await client.send(post())
    assert (await client.answer())[0] == 200


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
async def test_older_versions_are_refused(
    proxy: Proxy, tls: OpenTls, authority: Authority, version: ssl.TLSVersion
) -> None:
    """In the handshake, and counted."""
    proxy.apply(endpoint())
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await tls(_only(version, authority))
    await until(lambda: refused(proxy) == {"handshake": 1})
    assert proxy.clients.open_now == 0


async def test_plain_text_is_refused(proxy: Proxy, raw: Callable[[], Awaitable[RawClient]]) -> None:
    """No request that comes unencrypted is answered; whoever sent it is closed."""
    proxy.apply(endpoint())
    client = await raw()
    await client.send(post())
    assert b"HTTP" not in await client.rest()
    await until(lambda: refused(proxy) == {"handshake": 1})
    assert proxy.clients.open_now == 0


async def test_a_client_that_distrusts_the_certificate_is_no_problem(proxy: Proxy, tls: OpenTls) -> None:
    """It goes away in the middle of the handshake."""
    proxy.apply(endpoint())
    with pytest.raises(ssl.SSLCertVerificationError):
        await tls(ssl.create_default_context())
    await until(lambda: proxy.clients.open_now == 0)


async def test_handshakes_are_bounded_in_time(
    proxy: Proxy, peer: StartPeer, tls: OpenTls, raw: Callable[[], Awaitable[RawClient]]
) -> None:
    """Clients that say nothing, or begin and stop, are closed after the head timeout; others are served meanwhile."""
    limits = ProxyLimits(head_timeout_s=0.5)
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))), limits=limits)
    flood = [await raw() for _ in range(200)]
    for client in flood[:100]:
        await client.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
    healthy = await tls()
    await healthy.send(post())
    assert (await healthy.answer())[0] == 200
    assert [await client.rest() for client in flood] == [b""] * 200
    await until(lambda: refused(proxy) == {"handshake": 200})
    assert proxy.clients.open_now == 1


async def test_the_time_of_the_handshake_counts_for_the_first_head(proxy: Proxy, peer: StartPeer, tls: OpenTls) -> None:
    """A client that shakes hands and then says nothing is closed as one is that says nothing at all."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))), limits=ProxyLimits(head_timeout_s=0.5))
    client = await tls()
    while proxy.clients.open_now:
        await asyncio.sleep(0.05)
        proxy.clients.sweep()
    assert await client.rest() == b""


async def test_handshakes_count_as_connections(
    proxy: Proxy, peer: StartPeer, tls: OpenTls, raw: Callable[[], Awaitable[RawClient]]
) -> None:
    """A place is taken from the moment on that a connection is accepted; one too many is closed at once."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))), limits=ProxyLimits(max_connections=3))
    silent = [await raw(), await raw()]
    healthy = await tls()
    late = await raw()
    assert await late.rest() == b""
    assert refused(proxy) == {"too_many_connections": 1}
    await silent[0].close()
    await until(lambda: proxy.clients.open_now == 2)
    second = await tls()
    for client in (healthy, second):
        await client.send(post())
        assert (await client.answer())[0] == 200


# Certificates


async def test_another_certificate_is_for_the_next_connection(
    proxy: Proxy, peer: StartPeer, tls: OpenTls, authority: Authority
) -> None:
    """Those that are open go on with the one that they began with, on both lanes."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))))
    old_fast, old_full = await tls(), await tls()
    for client, path in ((old_fast, PATH), (old_full, PATH + "?full")):
        await client.send(post(path=path))
        assert (await client.answer())[0] == 200
    proxy.entrance.encrypt(authority.issue("localhost", "second.example").message)
    new = await tls()
    assert ("DNS", "second.example") in new.writer.get_extra_info("peercert")["subjectAltName"]
    for client in (old_fast, old_full, new):
        await client.send(post())
        assert (await client.answer())[0] == 200
    assert ("DNS", "second.example") not in old_fast.writer.get_extra_info("peercert")["subjectAltName"]


async def test_a_pair_that_is_not_usable_changes_nothing(
    proxy: Proxy, peer: StartPeer, tls: OpenTls, authority: Authority
) -> None:
    """The control process has tried it before; should it fail here, the one before is served."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))))
    mixed = Encrypt(is_on=True, certificate=authority.issue().certificate, key=authority.issue().key)
    proxy.entrance.encrypt(mixed)
    client = await tls()
    await client.send(post())
    assert (await client.answer())[0] == 200


async def test_without_a_certificate_clients_are_refused(proxy: Proxy, raw: Callable[[], Awaitable[RawClient]]) -> None:
    """Never answered in plain text instead."""
    proxy.apply(endpoint())
    proxy.entrance.encrypt(Encrypt(is_on=True))
    client = await raw()
    await client.send(post())
    assert await client.rest() == b""
    assert refused(proxy) == {"no_certificate": 1}


async def test_tls_can_be_switched_off_and_on(
    proxy: Proxy, peer: StartPeer, tls: OpenTls, raw: Callable[[], Awaitable[RawClient]], authority: Authority
) -> None:
    """From the next connection on; those that are open stay as they are."""
    one = await peer(echo)
    proxy.apply(endpoint(deployment("blue", one)))
    encrypted = await tls()
    await encrypted.send(post())
    await encrypted.answer()
    proxy.entrance.encrypt(Encrypt(is_on=False))
    plain = await raw()
    for client in (plain, encrypted):
        await client.send(post())
        assert (await client.answer())[0] == 200
    assert [seen.values("x-forwarded-proto") for seen in one.seen] == [[b"https"], [b"http"], [b"https"]]
    proxy.entrance.encrypt(authority.issue().message)
    again = await tls()
    await again.send(post())
    assert (await again.answer())[0] == 200


async def test_a_busy_connection_survives_the_end_of_the_entrance(
    proxy: Proxy, peer: StartPeer, tls: OpenTls, raw: Callable[[], Awaitable[RawClient]]
) -> None:
    """A drain cuts handshakes that do not end, and no request."""
    gate = asyncio.Event()
    one = await peer(answer_when(gate))
    proxy.apply(endpoint(deployment("blue", one)))
    client = await tls()
    await client.send(post())
    await one.requests(1)
    await raw()
    await until(lambda: proxy.clients.open_now == 2)
    proxy.entrance.close_idle(0.0)
    await until(lambda: proxy.clients.open_now == 1)
    gate.set()
    assert (await client.answer())[0] == 200


async def test_a_connection_can_be_upgraded(proxy: Proxy, peer: StartPeer, tls: OpenTls) -> None:
    """Over TLS as over plain text; whichever side ends ends the other."""
    proxy.apply(endpoint(switchable(await peer(switches(echo_raw)))))
    one = await switch(await tls())
    large = bytes(range(256)) * 4096
    await one.send(large)
    assert await one.reader.readexactly(len(large)) == large
    await one.close()
    await proxy.settled()
    (line,) = proxy.access_log()
    assert (line["response_code"], line["request_payload_size"]) == (101, len(large))


async def test_an_upgraded_connection_ends_with_its_instance(proxy: Proxy, peer: StartPeer, tls: OpenTls) -> None:
    """The client gets what was said last, then the end."""

    async def leave(conversation: Conversation) -> None:
        await conversation.send(b"goodbye")

    proxy.apply(endpoint(switchable(await peer(switches(leave)))))
    one = await switch(await tls())
    assert await one.rest() == b"goodbye"
    await proxy.settled()


# The process


async def _keep_scoring(client: RawClient, path: str) -> list[int]:
    """Statuses of one request after the other, until the proxy says that it closes."""
    statuses: list[int] = []
    says_close = False
    while not says_close:
        await client.send(post(path=path))
        status, head, _ = await client.answer()
        statuses.append(status)
        says_close = b"connection: close" in head
    return statuses


async def test_a_drain_over_tls_fails_no_request(lane: str, peer: StartPeer, authority: Authority) -> None:
    """Busy clients are told to close; idle and silent ones, and those within a handshake, do not hold it up."""
    async with Control.running(2, lane) as control:
        control.proxies.encrypt(authority.issue().message)
        await control.apply(
            endpoint(deployment("blue", await peer(answer_ok))), drain_timeout_s=600, head_timeout_s=600
        )

        async def connect() -> RawClient:
            trust = authority.client()
            streams = await asyncio.open_connection("127.0.0.1", control.port, ssl=trust, server_hostname="localhost")
            return RawClient(*streams)

        busy = [await connect() for _ in range(10)]
        paths = [PATH, PATH + "?full"] * 5
        load = [asyncio.create_task(_keep_scoring(*pair), name="load") for pair in zip(busy, paths, strict=True)]
        idle = [await connect() for _ in range(4)]
        for client, path in zip(idle, paths, strict=False):
            await client.send(post(path=path))
            assert (await client.answer())[0] == 200
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it will not say goodbye
        silent, shaking = await connect(), await control.client()
        await told(lambda: control.connections == 16)
        await control.stop()
        assert {status for statuses in await asyncio.gather(*load) for status in statuses} == {200}
        assert control.pids == []
        assert await shaking.rest() == b""
        for client in (*busy, *idle, silent):
            client.writer.transport.abort()


@LANES
async def test_a_client_that_says_goodbye_is_gone(
    proxy: Proxy, peer: StartPeer, authority: Authority, path: str
) -> None:
    """TLS has no half-close here: after `close_notify` there is no answer, an orderly end, and 499 in the log."""
    ended = asyncio.Event()
    one = await peer(watch_end(ended))
    proxy.apply(endpoint(deployment("blue", one)))
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = authority.client().wrap_bio(incoming, outgoing, server_hostname="localhost")

    async def finish(step: Callable[[], object]) -> None:
        while True:
            try:
                step()
                return
            except ssl.SSLWantReadError:
                writer.write(outgoing.read())
                incoming.write(await reader.read(65536))
            finally:
                writer.write(outgoing.read())

    await finish(client.do_handshake)
    await finish(lambda: client.write(post(path=path)))
    await one.requests(1)
    await finish(client.unwrap)  # fails if anything but the proxy's own goodbye comes
    assert await reader.read() == b""
    await ended.wait()
    await proxy.settled()
    writer.close()
    (line,) = proxy.access_log()
    assert (line["response_code"], line["response_code_reason"]) == (499, "client_gone")

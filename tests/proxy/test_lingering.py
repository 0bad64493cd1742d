"""A client that still sends gets to read why it should not: our side ends first (RFC 9112, 9.6)."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.proxy.conftest import KEY, PATH, Proxy, RawClient, deployment, endpoint, post
from tests.proxy.peers import Conversation, Peer, answer_ok
from tests.proxy.raw_cases import HEAD
from tests.proxy.waiting import until

StartPeer = Callable[..., Awaitable[Peer]]
OpenRaw = Callable[[], Awaitable[RawClient]]

MB = 1_000_000

REFUSED = {
    "head over the limit": (HEAD + b"X-A: " + b"x" * 10 * MB, b"431"),
    "head of many fields": (HEAD + b"X-A: 1\r\n" * MB, b"431"),
    "no HTTP": (b"\x16\x03\x01" + b"x" * 10 * MB, b"400"),
    "wrong key": (post(b"x" * 10 * MB, key="wrong"), b"401"),
    "nothing there": (post(b"x" * 10 * MB, path="/nothing"), b"404"),
    "body over the limit": (post(b"x" * 10 * MB), b"413"),
    "chunked over the limit": (post(b"a00000\r\n" + b"x" * 10 * MB, "Transfer-Encoding: chunked"), b"413"),
    "broken chunks": (post(b"zz\r\n" + b"x" * 10 * MB, "Transfer-Encoding: chunked"), b"400"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_client_that_sends_all_before_it_reads_gets_the_status(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw, name: str
) -> None:
    """10 MB that nobody wants are read and dropped, so that no reset takes the answer back."""
    sent, status = REFUSED[name]
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok)), max_body_bytes=5 * MB))
    client = await raw()
    await client.send(sent)
    answer = await client.rest()
    assert answer.split(b" ")[1] == status
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"\r\nconnection: close\r\n" in answer


@pytest.mark.parametrize("status", ["413 Content Too Large", "401 Unauthorized"])
async def test_a_client_that_sends_all_before_it_reads_gets_the_models_status(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw, status: str
) -> None:
    """The instance answers at the head of 10 MB, and reads none of them."""

    async def refuse(conversation: Conversation) -> None:
        await conversation.head()
        await conversation.answer(b"no", status)
        await conversation.closed()

    proxy.apply(endpoint(deployment("blue", await peer(refuse)), model_errors="passthrough"))
    client = await raw()
    await client.send(post(b"x" * 10 * MB))
    answer = await client.rest()
    assert answer.startswith(b"HTTP/1.1 " + status[:4].encode())
    assert answer.endswith(b"\r\n\r\nno")


async def test_the_end_of_a_refusal_does_not_wait_for_the_client(proxy: Proxy, raw: OpenRaw) -> None:
    """Our side ends at once: who reads to the end of the connection is not kept waiting."""
    proxy.apply(endpoint())
    client = await raw()
    await client.send(post(b"x", "Content-Length: 1000", key="wrong"))
    assert (await client.rest()).startswith(b"HTTP/1.1 401 ")
    assert proxy.clients.open_now == 1
    client.writer.close()
    await until(lambda: not proxy.clients.open_now)


async def test_nothing_that_follows_a_refusal_is_understood(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """A request in bytes that are dropped is none."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", instance)))
    client = await raw()
    await client.send(b"nonsense\r\n\r\n")
    assert (await client.answer())[0] == 400
    await client.send(post())
    assert await client.rest() == b""
    assert instance.seen == []


async def test_a_drain_does_not_wait_for_those_who_still_send(proxy: Proxy, raw: OpenRaw) -> None:
    """They have their answer: such a connection counts as idle."""
    proxy.apply(endpoint())
    for refused in (b"nonsense\r\n\r\n", post(b"x", "Content-Length: 1000", key="wrong")):
        client = await raw()
        await client.send(refused)
        await client.head()
    assert proxy.clients.busy_now == 0
    proxy.clients.close_idle(0.0)
    await until(lambda: not proxy.clients.open_now)


async def test_a_whole_request_is_closed_at_once(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """Nothing more was announced, so nobody waits for more."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))))
    client = await raw()
    await client.send(
        f"GET {PATH} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {KEY}\r\nConnection: close\r\n\r\n".encode()
    )
    assert (await client.rest()).startswith(b"HTTP/1.1 200 OK\r\n")
    await asyncio.sleep(0)
    await until(lambda: not proxy.clients.open_now)

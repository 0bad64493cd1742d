"""`Expect: 100-continue`: go on is said after authentication and limits, or not at all."""

import asyncio

import pytest

from tests.proxy.conftest import KEY, PATH, Proxy, deployment, endpoint, post
from tests.proxy.peers import answer_ok

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def asks(*lines: str, key: str = KEY, path: str = PATH) -> bytes:
    """The head of a request that waits to be told to go on."""
    return post(b"", "Expect: 100-continue", *lines, key=key, path=path)


@pytest.mark.parametrize("size", [2, 2_000_000])
async def test_a_client_that_asks_is_told_to_go_on(proxy: Proxy, peer, raw, size: int) -> None:
    """The interim answer comes first, then the body is read and forwarded; the instance is not asked."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", instance)))
    one = await raw()
    await one.send(asks(f"Content-Length: {size}"))
    assert await one.head() == CONTINUE
    await one.send(bytes(size))
    assert (await one.answer())[0] == 200
    assert (len(instance.seen[0].body), instance.seen[0].values("expect")) == (size, [])


async def test_a_chunked_request_is_told_to_go_on(proxy: Proxy, peer, raw) -> None:
    """The framing does not matter, nor the case of the field."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", instance)))
    one = await raw()
    await one.send(post(b"", "EXPECT: 100-Continue", "Transfer-Encoding: chunked"))
    assert await one.head() == CONTINUE
    await one.send(b"2\r\n{}\r\n0\r\n\r\n")
    assert (await one.answer())[0] == 200
    assert instance.seen[0].body == b"{}"


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (asks("Content-Length: 2", key="wrong"), b"401"),
        (asks("Content-Length: 2", path="/nothing"), b"404"),
        (asks("Content-Length: 2", "azureml-model-deployment: none"), b"404"),
        (asks("Content-Length: 1001"), b"413"),
        (asks("Content-Length: 2", "X-Long: " + "x" * 40_000), b"431"),
        (asks("Content-Length: 2", "Transfer-Encoding: chunked"), b"400"),
    ],
    ids=["401", "404 path", "404 deployment", "413", "431", "400"],
)
async def test_a_refused_client_is_not_told_to_go_on(
    proxy: Proxy, peer, raw, request_bytes: bytes, status: bytes
) -> None:
    """The final answer comes alone and closes, so that the body never has to be sent."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", instance), max_body_bytes=1000))
    one = await raw()
    await one.send(request_bytes)
    _, head, _ = await one.answer()
    assert head.split(b" ")[1] == status
    assert b"\r\nconnection: close\r\n" in head
    assert instance.seen == []


async def test_a_body_that_came_along_needs_no_go_on(proxy: Proxy, peer, raw) -> None:
    """A client that did not wait gets its answer only."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))))
    one = await raw()
    await one.send(post(b"{}", "Expect: 100-continue"))
    assert (await one.answer())[0] == 200


async def test_a_request_without_a_body_needs_no_go_on(proxy: Proxy, peer, raw) -> None:
    """There is nothing to go on with."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))))
    one = await raw()
    await one.send(asks("Content-Length: 0"))
    assert (await one.answer())[0] == 200


async def test_http_1_0_has_no_interim_answers(proxy: Proxy, peer, raw) -> None:
    """A client of that version would take it for the answer."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", instance)))
    one = await raw()
    await one.send(asks("Content-Length: 2").replace(b"HTTP/1.1", b"HTTP/1.0"))
    await asyncio.sleep(0)
    await one.send(b"{}")
    assert (await one.rest()).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_the_next_request_on_the_connection_is_understood(proxy: Proxy, peer, raw) -> None:
    """After a body that was waited for the connection lives on."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))))
    one = await raw()
    for _ in range(2):
        await one.send(asks("Content-Length: 2"))
        assert await one.head() == CONTINUE
        await one.send(b"{}")
        assert (await one.answer())[0] == 200

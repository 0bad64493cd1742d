"""What goes through the proxy arrives as it was sent, in both directions."""

import asyncio
import gzip
import hashlib
import random

import pytest

from tests.proxy.conftest import KEY, PATH, Proxy, anywhere, deployment, endpoint, post
from tests.proxy.peers import Conversation, answer_ok, says, says_once

KIB = 1024
SIZES = [0, 1, 256 * KIB - 1, 256 * KIB, 256 * KIB + 1, 10_000_000]


def noise(size: int) -> bytes:
    """Bytes that no layer can guess."""
    return random.Random(size).randbytes(size)


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def chunked(body: bytes, size: int = 50_000) -> bytes:
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


async def test_a_scoring_request_is_answered_by_the_model(proxy: Proxy, peer, client) -> None:
    """A POST with the key gets the model's answer, and headers that say who answered."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))))
    async with client.post(proxy.url, json={"data": [1]}) as answer:
        assert answer.status == 200
        assert await answer.read() == b'{"y": 1}'
        assert answer.headers["azureml-model-deployment"] == "blue"
        assert answer.headers["x-teal-generation"] == "1"
        assert len(answer.headers["x-request-id"]) == 36
        assert answer.headers["server-timing"].startswith("router;dur=")


# Bodies


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_a_request_body_arrives_byte_for_byte(proxy: Proxy, peer, raw, size: int, framing: str) -> None:
    """Whatever its size and framing, an instance gets the body that the client sent, under one framing."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", instance)))
    body = noise(size)
    one = await raw()
    if framing == "length":
        await one.send(post(body))
    else:
        await one.send(post(chunked(body), "Transfer-Encoding: chunked"))
    status, _, _ = await one.answer()
    seen = instance.seen[0]
    assert (status, len(seen.body), sha256(seen.body)) == (200, size, sha256(body))
    assert len(seen.values("content-length")) + len(seen.values("transfer-encoding")) == 1


async def test_a_body_of_many_tiny_chunks_arrives_whole(proxy: Proxy, peer, raw) -> None:
    """A large body in chunks of a few bytes loses none of them."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", instance)))
    body = noise(300_001)
    one = await raw()
    await one.send(post(chunked(body, size=7), "Transfer-Encoding: chunked"))
    assert (await one.answer())[0] == 200
    assert sha256(instance.seen[0].body) == sha256(body)


@pytest.mark.parametrize("piece", [1000, 65_536, 262_144])
async def test_a_body_that_comes_in_pieces_arrives_whole(proxy: Proxy, peer, raw, piece: int) -> None:
    """A body that the network delivers piece by piece is the same body."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", instance)))
    body = noise(700_001)
    one = await raw()
    await one.send(post(b"", f"Content-Length: {len(body)}"))
    for start in range(0, len(body), piece):
        await one.send(body[start : start + piece])
        await asyncio.sleep(0)
    assert (await one.answer())[0] == 200
    assert sha256(instance.seen[0].body) == sha256(body)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("framing", ["length", "chunked", "until close"])
async def test_an_answer_arrives_byte_for_byte(proxy: Proxy, peer, client, size: int, framing: str) -> None:
    """Whatever its size and framing, the client gets the body that the instance sent."""
    body = noise(size)
    script = {
        "length": says(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + body),
        "chunked": says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(body)),
        "until close": says_once(b"HTTP/1.1 200 OK\r\nX-Old: 1\r\n\r\n" + body),
    }[framing]
    proxy.apply(endpoint(deployment("blue", await peer(script))))
    async with client.post(proxy.url, data=b"{}") as answer:
        received = await answer.read()
        assert (answer.status, len(received), sha256(received)) == (200, size, sha256(body))
        assert ("Content-Length" in answer.headers) == (framing == "length")


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "zstd", "x-unheard-of"])
async def test_a_coded_body_is_not_touched(proxy: Proxy, peer, client, coding: str) -> None:
    """Content codings go through in both directions, with their header and length."""
    coded = gzip.compress(b"zero " * 1000, mtime=0)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: %b\r\nContent-Length: %d\r\n\r\n" % (coding.encode(), len(coded))
    instance = await peer(says(head + coded))
    proxy.apply(endpoint(deployment("blue", instance)))
    async with client.post(proxy.url, data=coded, headers={"Content-Encoding": coding}) as answer:
        assert await answer.read() == coded
        assert (answer.headers["Content-Encoding"], answer.headers["Content-Length"]) == (coding, str(len(coded)))
    seen = instance.seen[0]
    assert seen.body == coded
    assert (seen.values("content-encoding"), seen.values("content-length")) == (
        [coding.encode()],
        [b"%d" % len(coded)],
    )


async def test_an_answer_before_the_end_of_the_body_is_passed_on(proxy: Proxy, peer, raw) -> None:
    """An instance may answer a large upload early; the client gets its answer and the connection ends."""

    async def refuses_early(conversation: Conversation) -> None:
        await conversation.head()
        await conversation.answer(b"too long for me")
        await conversation.closed()

    proxy.apply(endpoint(deployment("blue", await peer(refuses_early))))
    one = await raw()
    await one.send(post(bytes(300_000), "Content-Length: 50000000"))
    status, head, body = await one.answer()
    assert (status, body) == (200, b"too long for me")
    assert b"\r\nconnection: close\r\n" in head


async def test_a_connection_with_half_a_request_is_not_used_again(proxy: Proxy, peer, raw, client) -> None:
    """After an early answer the instance still waits for the body: no other request may take its place there."""

    async def answers_early(conversation: Conversation) -> None:
        await conversation.head()
        conversation.peer.seen.append(None)
        await conversation.answer()
        await conversation.closed()

    instance = await peer(answers_early)
    proxy.apply(endpoint(deployment("blue", instance)))
    one = await raw()
    await one.send(post(bytes(300_000), "Content-Length: 50000000"))
    assert (await one.answer())[0] == 200
    async with client.post(proxy.url, data=b"{}") as answer:
        assert answer.status == 200
    assert instance.connections == 2


# Request targets


@pytest.mark.parametrize(
    "below",
    [
        b"/",
        b"/a%2Fb/../c",
        b"/a//b",
        b"//a",
        b"//evil.example.com/a",
        b"/a/./b/..",
        b"/..",
        b"/a;b=1;c",
        b"/a+b",
        b"/%zz%",
        b"/%7E~%41",
        b"/a?",
        b"/a??b",
        b"/?x=a+b&y=%7e&z=%zz",
        b"/a?b=/../c//d",
        b"/[x]{y}|z^`\"<>'",
        b"/a:b@c,d!$&*()=",
        b"/a?x=1&x=1&&",
        b"/http://other/x",
    ],
)
async def test_a_target_arrives_byte_for_byte(proxy: Proxy, peer, raw, below: bytes) -> None:
    """A path below the endpoint reaches the instance as the client wrote it, its query too."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(anywhere(instance)))
    one = await raw()
    prefix = PATH.removesuffix("/score").encode()
    await one.send(b"GET " + prefix + below + b" HTTP/1.1\r\nHost: teal\r\nAuthorization: Bearer " + KEY.encode())
    await one.send(b"\r\n\r\n")
    assert (await one.answer())[0] == 200
    assert instance.seen[0].line == b"GET " + below + b" HTTP/1.1"


@pytest.mark.parametrize("target", [b"/caf\xc3\xa9", b"/score?q=\xff", b"/a b", b"/a\x00", b"/a\tb", b"/\x7f"])
async def test_a_target_of_bytes_that_no_target_has_is_malformed(proxy: Proxy, peer, raw, target: bytes) -> None:
    """Bytes beyond ASCII, blanks and controls have to be percent-encoded (RFC 9112, 3.2)."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(anywhere(instance)))
    one = await raw()
    await one.send(b"GET " + PATH.removesuffix("/score").encode() + target + b" HTTP/1.1\r\nHost: teal\r\n\r\n")
    assert (await one.answer())[0] == 400
    assert instance.seen == []


@pytest.mark.parametrize("query", [b"", b"?", b"?a=%2F+b&c", b"?a?b"])
async def test_the_scoring_path_keeps_its_query(proxy: Proxy, peer, raw, query: bytes) -> None:
    """Scoring goes to the deployment's own path, with the client's query."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", instance, scoring_path="/v2/models/m/infer")))
    one = await raw()
    await one.send(post().replace(PATH.encode(), PATH.encode() + query))
    assert (await one.answer())[0] == 200
    assert instance.seen[0].line == b"POST /v2/models/m/infer" + query + b" HTTP/1.1"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "SEARCH"])
async def test_a_method_arrives_as_it_is(proxy: Proxy, peer, client, method: str) -> None:
    """Any method goes through."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", instance)))
    async with client.request(method, proxy.url) as answer:
        assert answer.status == 200
    assert instance.seen[0].line == f"{method} /score HTTP/1.1".encode()


@pytest.mark.parametrize(
    ("target", "host", "status"),
    [
        ("/score", "churn.example.com", 200),
        ("/score", "CHURN.example.com:8080", 200),
        ("/score", "other.example.com", 404),
        ("/score", "churn", 404),
        ("http://churn.example.com/score", "other.example.com", 200),
        ("http://other.example.com/score", "churn.example.com", 404),
        (f"http://anything{PATH}", "anything", 200),
        ("http://churn.example.com", "churn.example.com", 404),
    ],
)
async def test_a_host_names_an_endpoint(proxy: Proxy, peer, raw, target: str, host: str, status: int) -> None:
    """The first label of the Host does, unless the path or an absolute target does."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", instance)), endpoint(name="fraud"))
    one = await raw()
    await one.send(post(path=target).replace(b"Host: teal", f"Host: {host}".encode()))
    assert (await one.answer())[0] == status
    assert [seen.line for seen in instance.seen] == [b"POST /score HTTP/1.1"] * (status == 200)


async def test_an_absolute_target_tells_the_instance_its_own_host(proxy: Proxy, peer, raw) -> None:
    """The Host beside an absolute target is not what the instance hears of."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", instance)))
    one = await raw()
    await one.send(post(path="http://churn.example.com/score"))
    await one.answer()
    assert instance.seen[0].values("x-forwarded-host") == [b"churn.example.com"]


@pytest.mark.parametrize("target", ["http://café.x/score", "http://churn.x/ä", "http://[::1/score", "http://%zz/score"])
async def test_an_absolute_target_of_odd_bytes_gets_a_clear_answer(proxy: Proxy, peer, raw, target: str) -> None:
    """What no endpoint has is not found or malformed, never a fault of the router."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))), endpoint(name="fraud"))
    one = await raw()
    await one.send(post(path="TARGET").replace(b"TARGET", target.encode()))
    assert (await one.answer())[0] in {400, 404}


async def test_a_unix_socket_serves_as_well(proxy: Proxy, peer, client, tmp_path) -> None:
    """An instance on a Unix socket gets the same request, with a Host that says localhost."""
    instance = await peer(answer_ok, tmp_path / "blue.sock")
    proxy.apply(endpoint(deployment("blue", instance)))
    async with client.post(proxy.url, data=b"{}") as answer:
        assert answer.status == 200
    assert instance.seen[0].values("host") == [b"localhost"]

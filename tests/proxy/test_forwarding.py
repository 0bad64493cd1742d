"""What goes through the proxy arrives as it was sent, in both directions."""

import asyncio
import gzip
import hashlib
import json
import random

import pytest

from router.core.table import DeploymentSpec
from tests.proxy.conftest import KEY, PATH, Proxy, deployment, endpoint, post
from tests.proxy.peers import Conversation, Peer, Script, answer_ok, echo

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


def says(raw: bytes) -> Script:
    """An instance that answers every request with exactly these bytes."""

    async def script(conversation: Conversation) -> None:
        while True:
            await conversation.request()
            await conversation.send(raw)

    return script


def says_once(raw: bytes) -> Script:
    """An instance that answers with exactly these bytes and closes."""

    async def script(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(raw)

    return script


def anywhere(*peers: Peer) -> DeploymentSpec:
    """A deployment that takes any path."""
    return deployment("blue", *peers, passes_paths=True)


def fields(head: bytes) -> dict[bytes, bytes]:
    return {name.lower(): value for name, _, value in (line.partition(b": ") for line in head.split(b"\r\n")[1:-2])}


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


async def test_options_asterisk_is_a_question_to_the_endpoint(proxy: Proxy, peer, raw) -> None:
    """`OPTIONS *` reaches an instance that takes any path, found by its Host."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(anywhere(instance)))
    one = await raw()
    await one.send(b"OPTIONS * HTTP/1.1\r\nHost: churn.x\r\nAuthorization: Bearer " + KEY.encode() + b"\r\n\r\n")
    assert (await one.answer())[0] == 200
    assert instance.seen[0].line == b"OPTIONS * HTTP/1.1"


async def test_options_asterisk_without_an_endpoint_is_not_found(proxy: Proxy, raw) -> None:
    """`OPTIONS *` on the router itself leads nowhere."""
    proxy.apply(endpoint())
    one = await raw()
    await one.send(b"OPTIONS * HTTP/1.1\r\nHost: teal\r\n\r\n")
    assert (await one.answer())[0] == 404


@pytest.mark.parametrize("target", [b"churn.x:443", b"/score", b"http://churn.x/score", PATH.encode()])
async def test_connect_is_refused(proxy: Proxy, peer, raw, target: bytes) -> None:
    """The router is no tunnel: CONNECT gets a clear status, its connection ends, and no instance hears of it."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(anywhere(instance)))
    one = await raw()
    await one.send(b"CONNECT " + target + b" HTTP/1.1\r\nHost: churn.x\r\nAuthorization: Bearer " + KEY.encode())
    await one.send(b"\r\n\r\n")
    status, head, _ = await one.answer()
    assert status == 400
    assert b"\r\nconnection: close\r\n" in head
    assert instance.seen == []


# Header fields


async def test_request_fields_keep_order_spelling_and_duplicates(proxy: Proxy, peer, raw) -> None:
    """What is the client's own goes on as it came."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", instance)))
    one = await raw()
    await one.send(
        post(b"{}", "zEbra: 1", "Accept: a", "X-Dup: 1", "accept: b", "x-dup: 2", "X-Empty:", "X-Pad:  v \t")
    )
    await one.answer()
    assert instance.seen[0].fields[1:8] == [
        b"zEbra: 1",
        b"Accept: a",
        b"X-Dup: 1",
        b"accept: b",
        b"x-dup: 2",
        b"X-Empty: ",
        b"X-Pad: v",
    ]


async def test_request_fields_are_added_or_replaced(proxy: Proxy, peer, raw) -> None:
    """Spoofed forwarding fields and request ids are the router's own words for the instance."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", instance)))
    one = await raw()
    spoofed = ("X-Forwarded-For: 6.6.6.6", "x-forwarded-proto: https", "X-Forwarded-Host: e", "X-Real-IP: 6.6.6.6")
    await one.send(post(b"{}", *spoofed, "Forwarded: for=6.6.6.6", "X-Request-Id: mine", "x-ms-client-request-id: a b"))
    _, head, _ = await one.answer()
    seen = instance.seen[0]
    assert seen.values("x-forwarded-for") == [b"127.0.0.1"]
    assert seen.values("x-forwarded-proto") == [b"http"]
    assert seen.values("x-forwarded-host") == [b"teal"]
    assert seen.values("x-request-id") == [fields(head)[b"x-request-id"]]
    assert seen.values("x-ms-client-request-id") == [b"ab"]
    assert seen.values("host") == [instance.address.removeprefix("http://").encode()]
    assert seen.values("forwarded") + seen.values("x-real-ip") == []


async def test_request_fields_that_end_at_the_router(proxy: Proxy, peer, raw) -> None:
    """Hop-by-hop fields, those that Connection names, the router's own and the credential go no further."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", instance)))
    one = await raw()
    dropped = ("Connection: X-Hop, keep-alive", "X-Hop: 1", "Keep-Alive: 5", "TE: trailers", "Trailer: X-S")
    await one.send(post(b"{}", *dropped, "Proxy-Authorization: Basic x", "x-teal-generation: 9", "X-Stays: 1"))
    assert (await one.answer())[0] == 200
    assert [name.lower() for name in instance.seen[0].names] == [
        b"host",
        b"x-stays",
        b"x-request-id",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-proto",
        b"content-length",
    ]


async def test_a_request_without_a_body_has_no_framing(proxy: Proxy, peer, client) -> None:
    """A GET goes on without Content-Length or Transfer-Encoding."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", instance)))
    async with client.get(proxy.url):
        pass
    assert instance.seen[0].values("content-length") + instance.seen[0].values("transfer-encoding") == []


async def test_answer_fields_keep_order_spelling_and_duplicates(proxy: Proxy, peer, raw) -> None:
    """What is the model's own comes back as it was sent; what is not, does not."""
    head = (
        b"HTTP/1.1 200 Whatever\r\nSet-Cookie: a=1\r\nx-B: 2\r\nset-cookie: c=3\r\nServer: model\r\nX-Empty:\r\n"
        b"Connection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nX-Teal-Generation: 99\r\nX-Request-Id: evil\r\n"
        b"azureml-model-deployment: evil\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 0\r\n\r\n"
    )
    proxy.apply(endpoint(deployment("blue", await peer(says(head)))))
    one = await raw()
    await one.send(post())
    _, got, _ = await one.answer()
    lines = got.split(b"\r\n")
    assert lines[:8] == [
        b"HTTP/1.1 200 OK",
        b"Set-Cookie: a=1",
        b"x-B: 2",
        b"set-cookie: c=3",
        b"Server: model",
        b"X-Empty: ",
        b"Date: Thu, 01 Jan 1970 00:00:00 GMT",
        b"Content-Length: 0",
    ]
    assert [line.partition(b":")[0] for line in lines[8:-2]] == [
        b"x-request-id",
        b"x-teal-generation",
        b"azureml-model-deployment",
        b"server-timing",
    ]


async def test_an_answer_gets_no_invented_fields(proxy: Proxy, peer, raw) -> None:
    """No Server and no Content-Type are made up; a missing Date is added."""
    proxy.apply(endpoint(deployment("blue", await peer(says(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")))))
    one = await raw()
    await one.send(post())
    _, head, _ = await one.answer()
    got = fields(head)
    assert b"server" not in got
    assert b"content-type" not in got
    assert got[b"date"].endswith(b" GMT")


async def test_trailers_do_not_become_fields(proxy: Proxy, peer, raw) -> None:
    """What an instance sends after its last chunk is dropped, not mixed into the head."""
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nSet-Cookie: a\r\nX-Late: 1\r\n\r\n"
    proxy.apply(endpoint(deployment("blue", await peer(says(answer)))))
    one = await raw()
    await one.send(post() * 2)
    for _ in range(2):
        head = (await one.head()).lower()
        assert b"x-late" not in head
        assert b"set-cookie" not in head
        assert await one.reader.readexactly(11) == b"1\r\nx\r\n0\r\n\r\n"


TRAILERS = b"1\r\nx\r\n0\r\nX-Late: 1\r\nazureml-model-deployment: none\r\n\r\n"


@pytest.mark.parametrize("key", [KEY, "wrong"])
@pytest.mark.parametrize("follows", [b"", post()])
async def test_request_trailers_end_at_the_router(proxy: Proxy, peer, raw, key: str, follows: bytes) -> None:
    """Fields after the last chunk reach no instance, and no later request: the connection ends."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", instance)))
    one = await raw()
    await one.send(post(TRAILERS, "Transfer-Encoding: chunked", key=key) + follows)
    answer = await one.rest()
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"\r\nconnection: close\r\n" in answer
    assert [b"X-Late" in seen.names for seen in instance.seen] == [False] * (key == KEY)


async def test_a_connection_lives_on_after_a_chunked_body(proxy: Proxy, peer, raw) -> None:
    """A chunked request without trailers is followed by others on its connection, however it was cut."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", instance)))
    one = await raw()
    for cut in range(5):
        request = post(b"1\r\nx\r\n0\r\n\r\n", "Transfer-Encoding: chunked")
        await one.send(request[: len(request) - cut])
        await asyncio.sleep(0)
        await one.send(request[len(request) - cut :])
        status, head, _ = await one.answer()
        assert status == 200
        assert b"connection" not in fields(head)
    assert [seen.body for seen in instance.seen] == [b"x"] * 5


# Answers without a body, interim answers


@pytest.mark.parametrize(
    "raw_answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 500 Oh\r\nContent-Length: 8\r\n\r\n",
    ],
)
async def test_the_answer_to_head_has_no_body(proxy: Proxy, peer, raw, raw_answer: bytes) -> None:
    """HEAD gets the head only, and its connection serves the next request."""
    instance = await peer(says(raw_answer))
    proxy.apply(endpoint(deployment("blue", instance)))
    one = await raw()
    await one.send(post(b"").replace(b"POST", b"HEAD", 1) * 2)
    first, second = await one.head(), await one.head()
    assert first.split(b" ")[1] == second.split(b" ")[1] == (b"424" if b"500" in raw_answer else b"200")
    assert fields(first).get(b"content-length") == (b"8" if b": 8" in raw_answer else None)


@pytest.mark.parametrize(
    "raw_answer",
    [
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 8\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 8\r\nETag: x\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nConnection: Content-Length\r\nContent-Length: 8\r\n\r\n",
    ],
)
async def test_a_model_error_without_a_body_is_an_empty_424(proxy: Proxy, peer, raw, raw_answer: bytes) -> None:
    """204 and 304 become a 424 whose length says that nothing follows."""
    proxy.apply(endpoint(deployment("blue", await peer(says(raw_answer)))))
    one = await raw()
    await one.send(post() * 2)
    for _ in range(2):
        status, head, body = await one.answer()
        assert (status, body) == (424, b"")
        assert head.lower().count(b"content-length") == 1
        assert fields(head)[b"ms-azureml-model-error-statuscode"] == raw_answer[9:12]


@pytest.mark.parametrize(
    ("raw_answer", "length"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", None),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", None),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 8\r\nETag: x\r\n\r\n", b"8"),
    ],
)
async def test_passthrough_keeps_answers_without_a_body(
    proxy: Proxy, peer, raw, raw_answer: bytes, length: bytes | None
) -> None:
    """204 has no length at all, 304 that of what it stands for; the connection lives on after both."""
    proxy.apply(endpoint(deployment("blue", await peer(says(raw_answer))), model_errors="passthrough"))
    one = await raw()
    await one.send(post() * 2)
    first, second = await one.head(), await one.head()
    assert first.split(b" ")[1] == second.split(b" ")[1] == raw_answer[9:12]
    assert fields(first).get(b"content-length") == length


async def test_interim_answers_of_the_model_end_at_the_router(proxy: Proxy, peer, client) -> None:
    """100, 102 and 103 are not the answer."""
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\nContent-Length: 9\r\n\r\n"
    instance = await peer(says(interim + b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"))
    proxy.apply(endpoint(deployment("blue", instance)))
    for _ in range(2):
        async with client.post(proxy.url, data=b"{}") as answer:
            assert (answer.status, await answer.read()) == (200, b"x")
            assert "Link" not in answer.headers
    assert instance.connections == 1


# Answers that nobody may trust


@pytest.mark.parametrize(
    "raw_answer",
    [
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 70_000 + b"\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX Y: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Nul: \x00\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=[
        "no http",
        "101",
        "two lengths",
        "negative length",
        "length with text",
        "length and chunked",
        "gzip, chunked",
        "gzip",
        "chunked twice",
        "large head",
        "blank in a name",
        "NUL",
    ],
)
async def test_garbage_from_an_instance_is_a_424(proxy: Proxy, peer, raw, raw_answer: bytes) -> None:
    """An answer that is not well framed is none; the client's connection is unharmed."""
    proxy.apply(endpoint(deployment("blue", await peer(says_once(raw_answer)))))
    one = await raw()
    await one.send(post())
    status, head, body = await one.answer()
    assert (status, body) == (424, b"upstream connect error or disconnect/reset before headers")
    assert fields(head)[b"ms-azureml-model-error-reason"] == b"upstream_reset"
    assert proxy.stats().failures == {"garbage": 1}


@pytest.mark.parametrize(
    "surplus",
    [
        b"HTTP/1.1 200 OK\r\nX-Stale: 1\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstale",
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nstale",
        b"stale",
        b"\r\n",
    ],
)
async def test_bytes_after_an_answer_reach_nobody(proxy: Proxy, peer, client, surplus: bytes) -> None:
    """An instance that sends more than one answer does not get to answer the next request with it."""

    async def says_too_much(conversation: Conversation) -> None:
        while True:
            await conversation.request()
            number = len(conversation.peer.seen)
            await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number + surplus)

    proxy.apply(endpoint(deployment("blue", await peer(says_too_much))))
    for number in (b"1", b"2", b"3"):
        async with client.post(proxy.url, data=b"{}") as answer:
            assert (answer.status, await answer.read()) == (200, number)
            assert "X-Stale" not in answer.headers


@pytest.mark.parametrize("framing", [b"Content-Length: 10", b"Transfer-Encoding: chunked"])
async def test_an_answer_cut_short_is_cut_for_the_client_too(proxy: Proxy, peer, raw, framing: bytes) -> None:
    """Never padded and never ended as if whole."""
    part = b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n" + (b"5\r\nabcde\r\n" if b"chunked" in framing else b"abcde")
    proxy.apply(endpoint(deployment("blue", await peer(says_once(part)))))
    one = await raw()
    await one.send(post())
    received = await one.rest()
    assert not received.endswith(b"0\r\n\r\n")
    assert len(received.partition(b"\r\n\r\n")[2]) < 13


# Connections and versions


async def test_a_connection_serves_one_request_after_the_other(proxy: Proxy, peer, raw) -> None:
    """A client's connection and the one to the instance live on."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", instance)))
    one = await raw()
    for _ in range(3):
        await one.send(post())
        status, head, _ = await one.answer()
        assert status == 200
        assert b"connection" not in fields(head)
    assert instance.connections == 1


async def test_pipelined_requests_are_answered_in_order(proxy: Proxy, peer, raw) -> None:
    """Requests sent without waiting get their answers one after the other, each its own."""
    proxy.apply(endpoint(anywhere(await peer(echo))))
    one = await raw()
    prefix = PATH.removesuffix("/score")
    await one.send(b"".join(post(b"x" * n, path=f"{prefix}/{n}") for n in range(20)))
    answers = [json.loads((await one.answer())[2]) for _ in range(20)]
    assert [(answer["line"], answer["bytes"]) for answer in answers] == [(f"POST /{n} HTTP/1.1", n) for n in range(20)]


async def test_a_client_that_asks_to_close_is_told_and_closed(proxy: Proxy, peer, raw) -> None:
    """`Connection: close` ends the connection after the answer."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", instance)))
    one = await raw()
    await one.send(post(b"{}", "Connection: close"))
    answer = await one.rest()
    assert answer.count(b"HTTP/1.1 200 OK") == 1
    assert b"\r\nconnection: close\r\n" in answer
    assert len(instance.seen) == 1


@pytest.mark.parametrize("keep_alive", ["", "Connection: keep-alive\r\n"])
@pytest.mark.parametrize(
    "raw_answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n",
    ],
)
async def test_an_http_1_0_client_gets_a_plain_answer(
    proxy: Proxy, peer, raw, raw_answer: bytes, keep_alive: str
) -> None:
    """No chunks for a client that knows none: the body ends with the connection. It needs no Host either."""
    proxy.apply(endpoint(deployment("blue", await peer(says(raw_answer)))))
    one = await raw()
    await one.send(
        f"POST {PATH} HTTP/1.0\r\n{keep_alive}Authorization: Bearer {KEY}\r\nContent-Length: 2\r\n\r\n{{}}".encode()
    )
    head, _, body = (await one.rest()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"transfer-encoding" not in head.lower()
    assert body == b"abcde"


@pytest.mark.parametrize("protocol", ["websocket", "h2c", "TLS/1.0"])
async def test_an_upgrade_is_not_taken_up(proxy: Proxy, peer, raw, protocol: str) -> None:
    """A request that offers another protocol is an ordinary one; its connection ends, so that nothing is misread."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", instance)))
    one = await raw()
    await one.send(post(b"{}", "Connection: Upgrade", f"Upgrade: {protocol}", "Sec-WebSocket-Version: 13"))
    answer = await one.rest()
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nconnection: close\r\n" in answer
    assert instance.seen[0].values("upgrade") + instance.seen[0].values("connection") == []


async def test_a_unix_socket_serves_as_well(proxy: Proxy, peer, client, tmp_path) -> None:
    """An instance on a Unix socket gets the same request, with a Host that says localhost."""
    instance = await peer(answer_ok, tmp_path / "blue.sock")
    proxy.apply(endpoint(deployment("blue", instance)))
    async with client.post(proxy.url, data=b"{}") as answer:
        assert answer.status == 200
    assert instance.seen[0].values("host") == [b"localhost"]

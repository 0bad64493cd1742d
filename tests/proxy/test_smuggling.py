"""Requests framed in two ways at once: refused, or forwarded under one framing, and never two for one."""

import asyncio

import pytest

from tests.proxy.conftest import KEY, PATH, Proxy, deployment, endpoint, post
from tests.proxy.peers import answer_ok
from tests.proxy.waiting import until

HEAD = f"POST {PATH} HTTP/1.1\r\nHost: teal\r\nAuthorization: Bearer {KEY}\r\n".encode()
SMUGGLED = f"GET /smuggled HTTP/1.1\r\nHost: churn.x\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode()
CHUNKS = b"2\r\n{}\r\n0\r\n\r\n"

REFUSED = {
    "length and chunked": HEAD + b"Content-Length: 13\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    "chunked and length": HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n" + CHUNKS,
    "two lengths": HEAD + b"Content-Length: 2\r\nContent-Length: 40\r\n\r\n{}",
    "the same length twice": HEAD + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "a list of lengths": HEAD + b"Content-Length: 2, 2\r\n\r\n{}",
    "plus length": HEAD + b"Content-Length: +2\r\n\r\n{}",
    "negative length": HEAD + b"Content-Length: -2\r\n\r\n{}",
    "hex length": HEAD + b"Content-Length: 0x2\r\n\r\n{}",
    "empty length": HEAD + b"Content-Length:\r\n\r\n{}",
    "length with text": HEAD + b"Content-Length: 2a\r\n\r\n{}",
    "length with a blank inside": HEAD + b"Content-Length: 1 0\r\n\r\n{}",
    "length over 64 bits": HEAD + b"Content-Length: 18446744073709551618\r\n\r\n{}",
    "blank before the colon": HEAD + b"Transfer-Encoding : chunked\r\n\r\n" + CHUNKS,
    "blank before the colon of a length": HEAD + b"Content-Length : 2\r\n\r\n{}",
    "tab before the colon": HEAD + b"Transfer-Encoding\t: chunked\r\n\r\n" + CHUNKS,
    "folded coding": HEAD + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + CHUNKS,
    "folded field": HEAD + b"X-Fold: a\r\n b\r\nContent-Length: 2\r\n\r\n{}",
    "folded first field": f"POST {PATH} HTTP/1.1\r\n Host: teal\r\n\r\n".encode(),
    "bare LF after a field": HEAD + b"X-A: 1\nContent-Length: 2\r\n\r\n{}",
    "bare LF ends the head": HEAD + b"Content-Length: 2\r\n\n{}",
    "bare LF everywhere": (HEAD + b"Content-Length: 2\r\n\r\n{}").replace(b"\r\n", b"\n"),
    "bare CR in a value": HEAD + b"X-A: 1\rX-B: 2\r\nContent-Length: 2\r\n\r\n{}",
    "NUL in a value": HEAD + b"X-A: 1\x002\r\nContent-Length: 2\r\n\r\n{}",
    "NUL in a name": HEAD + b"X\x00A: 1\r\nContent-Length: 2\r\n\r\n{}",
    "blank in a name": HEAD + b"X A: 1\r\nContent-Length: 2\r\n\r\n{}",
    "empty name": HEAD + b": 1\r\nContent-Length: 2\r\n\r\n{}",
    "field without a colon": HEAD + b"X-A\r\nContent-Length: 2\r\n\r\n{}",
    "control in a value": HEAD + b"X-A: \x01\r\nContent-Length: 2\r\n\r\n{}",
    "coding of two": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + CHUNKS,
    "chunked is not last": HEAD + b"Transfer-Encoding: chunked, gzip\r\n\r\n" + CHUNKS,
    "coding identity": HEAD + b"Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}",
    "coding alone identity": HEAD + b"Transfer-Encoding: identity\r\n\r\n{}",
    "coding unknown": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n" + CHUNKS,
    "coding quoted": HEAD + b'Transfer-Encoding: "chunked"\r\n\r\n' + CHUNKS,
    "coding with VT": HEAD + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + CHUNKS,
    "coding with blanks": HEAD + b"Transfer-Encoding: \t chunked \t\r\n\r\n" + CHUNKS,
    "coding empty": HEAD + b"Transfer-Encoding:\r\n\r\n" + CHUNKS,
    "coding twice": HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    "coding twice, one unknown": HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n" + CHUNKS,
    "chunk size with text": HEAD + b"Transfer-Encoding: chunked\r\n\r\n2x\r\n{}\r\n0\r\n\r\n",
    "chunk size empty": HEAD + b"Transfer-Encoding: chunked\r\n\r\n\r\n{}\r\n0\r\n\r\n",
    "chunk size negative": HEAD + b"Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n",
    "chunk size plus": HEAD + b"Transfer-Encoding: chunked\r\n\r\n+2\r\n{}\r\n0\r\n\r\n",
    "chunk size 0x": HEAD + b"Transfer-Encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n",
    "chunk size over 64 bits": HEAD + b"Transfer-Encoding: chunked\r\n\r\n10000000000000002\r\n{}\r\n0\r\n\r\n",
    "chunk size with bare LF": HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\n{}\r\n0\r\n\r\n",
    "chunk with bare LF": HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\n0\r\n\r\n",
    "chunk longer than its size": HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n",
    "chunk extension with bare LF": HEAD + b"Transfer-Encoding: chunked\r\n\r\n2;a\n{}\r\n0\r\n\r\n",
    "no Host": HEAD.replace(b"Host: teal\r\n", b"") + b"Content-Length: 2\r\n\r\n{}",
    "two Hosts": HEAD + b"Host: other\r\nContent-Length: 2\r\n\r\n{}",
    "version 3": HEAD.replace(b"HTTP/1.1", b"HTTP/3.0") + b"\r\n",
    "no version": f"POST {PATH}\r\nHost: teal\r\n\r\n".encode(),
    "lower-case version": HEAD.replace(b"HTTP/1.1", b"http/1.1") + b"\r\n",
    "unknown method": HEAD.replace(b"POST", b"SMUGGLE") + b"\r\n",
    "lower-case method": HEAD.replace(b"POST", b"post") + b"\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "target that is no address": HEAD.replace(PATH.encode(), b"http://a[b]@") + b"\r\n",
    "not HTTP": b"hello?\r\n\r\n",
}


@pytest.mark.parametrize("name", REFUSED)
async def test_an_ambiguous_request_is_refused(proxy: Proxy, peer, raw, name: str) -> None:
    """400, the connection ends, and neither it nor what follows reaches an instance."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", instance, passes_paths=True)))
    one = await raw()
    await one.send(REFUSED[name] + SMUGGLED)
    answer = await one.rest()
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"\r\nconnection: close\r\n" in answer
    assert instance.seen == []


BROKEN_LATE = {
    "chunk size with text": b"2x\r\n{}\r\n0\r\n\r\n",
    "chunk longer than its size": b"1\r\n{}\r\n0\r\n\r\n",
    "no line end after a chunk": b"2\r\n{}0\r\n\r\n",
    "broken last chunk": b"2\r\n{}\r\n0\r\nX Y\r\n\r\n",
    "broken second chunk": b"2\r\n{}\r\nz\r\n",
}


@pytest.mark.parametrize("name", BROKEN_LATE)
async def test_a_body_that_breaks_after_its_head_is_refused(proxy: Proxy, peer, raw, name: str) -> None:
    """A body that turns out malformed when its request is under way is a 400 at once, not a wait for its end."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", instance, passes_paths=True)))
    one = await raw()
    await one.send(HEAD + b"Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n")
    assert await one.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
    await one.send(BROKEN_LATE[name] + SMUGGLED)
    answer = await one.rest()
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert instance.seen == []


async def test_a_large_body_that_breaks_half_way_is_refused(proxy: Proxy, peer, raw) -> None:
    """What an instance has got of a malformed body is broken off."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", instance, passes_paths=True)))
    one = await raw()
    await one.send(post(b"%x\r\n" % 400_000 + bytes(400_000) + b"\r\n", "Transfer-Encoding: chunked"))
    await until(lambda: instance.connections)
    await one.send(b"nonsense\r\n" + SMUGGLED)
    answer = await one.rest()
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert instance.seen == []


FORWARDED = {
    "coding in capitals": (HEAD + b"TRANSFER-ENCODING: CHUNKED\r\n\r\n" + CHUNKS, b"{}"),
    "chunk extensions": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2;a=b;c\r\n{}\r\n0;x\r\n\r\n", b"{}"),
    "quoted chunk extension": (HEAD + b'Transfer-Encoding: chunked\r\n\r\n2;a="b"\r\n{}\r\n0\r\n\r\n', b"{}"),
    "chunk size with zeros": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0000002\r\n{}\r\n000\r\n\r\n", b"{}"),
    "length with zeros": (HEAD + b"Content-Length: 0002\r\n\r\n{}", b"{}"),
    "length with blanks": (HEAD + b"Content-Length: \t 2 \t\r\n\r\n{}", b"{}"),
    "GET with a body": (HEAD.replace(b"POST", b"GET") + b"Content-Length: 2\r\n\r\n{}", b"{}"),
    "HEAD with a body": (HEAD.replace(b"POST", b"HEAD") + b"Content-Length: 2\r\n\r\n{}", b"{}"),
    "DELETE with a body": (HEAD.replace(b"POST", b"DELETE") + b"Content-Length: 2\r\n\r\n{}", b"{}"),
    "OPTIONS with a chunked body": (
        HEAD.replace(b"POST", b"OPTIONS") + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS,
        b"{}",
    ),
    "POST without a body": (HEAD + b"\r\n", b""),
    "a request as body": (HEAD + b"Content-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED, SMUGGLED),
    "a request as chunk": (
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(SMUGGLED) + SMUGGLED + b"\r\n0\r\n\r\n",
        SMUGGLED,
    ),
    "Connection names the framing": (
        HEAD + b"Connection: Content-Length, Transfer-Encoding\r\nContent-Length: 2\r\n\r\n{}",
        b"{}",
    ),
    "HTTP/1.0 with chunks": (
        HEAD.replace(b"HTTP/1.1", b"HTTP/1.0") + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS,
        b"{}",
    ),
}


@pytest.mark.parametrize("name", FORWARDED)
async def test_an_unusual_request_is_forwarded_under_one_framing(proxy: Proxy, peer, raw, name: str) -> None:
    """What HTTP allows reaches the instance as exactly one request, with at most one framing."""
    sent, body = FORWARDED[name]
    instance = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", instance, passes_paths=True)))
    one = await raw()
    await one.send(sent)
    head = await one.head()
    await one.close()
    await proxy.settled()
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    [seen] = instance.seen
    assert seen.body == body
    assert len(seen.values("content-length")) + len(seen.values("transfer-encoding")) == bool(body)


@pytest.mark.parametrize("cut", [1, 20, 60, 100, 150, 170, 180, 185])
async def test_a_request_is_the_same_however_it_is_cut(proxy: Proxy, peer, raw, cut: int) -> None:
    """Where a network splits a pipelined pair changes neither request."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", instance)))
    both = post(b"[1]") + post(b"[22]")
    one = await raw()
    await one.send(both[:cut])
    await asyncio.sleep(0)
    await one.send(both[cut:])
    assert [(await one.answer())[0], (await one.answer())[0]] == [200, 200]
    assert [seen.body for seen in instance.seen] == [b"[1]", b"[22]"]

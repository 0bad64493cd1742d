"""RFC 9112 for an intermediary: what is ambiguous is refused or put right, and one request never becomes two.

The cases are in `raw_cases`, each with its section. What an instance answers against the rules is a 424 here, as Azure
has it, where the RFC has 502.
"""

import asyncio
import json

import pytest
from aiohttp.web_protocol import RequestHandler

from tests.proxy.conftest import KEY, PATH, Proxy, anywhere, deployment, endpoint, fields, post
from tests.proxy.peers import Conversation, answer_ok, echo, says, says_once
from tests.proxy.raw_cases import (
    CHUNKED,
    FORWARDED,
    GARBAGE,
    HEAD,
    REFUSED,
    REFUSED_HEADS,
    SMUGGLED,
    Forwarded,
    Garbage,
    Refused,
)
from tests.proxy.waiting import until, until_read

# Requests: sections 2 to 7


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: f"{case.section} {case.name}")
async def test_an_ambiguous_request_is_refused(proxy: Proxy, peer, raw, case: Refused) -> None:
    """A clear status, the connection ends, and neither the request nor what follows reaches an instance."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(anywhere(instance)))
    one = await raw()
    await one.send(case.raw + SMUGGLED)
    answer = await one.rest()
    assert answer.startswith(b"HTTP/1.1 %d " % case.status)
    assert answer.count(b"\r\nx-request-id: ") == 1
    assert b"\r\nconnection: close\r\n" in answer
    assert instance.seen == []


@pytest.mark.parametrize("case", REFUSED_HEADS, ids=lambda case: f"{case.section} {case.name}")
async def test_a_refused_head_request_gets_no_body(proxy: Proxy, raw, case: Refused) -> None:
    """Though its answer says how long one would be; wherever the request is cut."""
    proxy.apply(endpoint(anywhere()))
    for cuts in ((), (2,), (4, 5), (30,)):
        one = await raw()
        for begin, stop in zip((0, *cuts), (*cuts, None), strict=True):
            await one.send(case.raw[begin:stop])
            await until_read(one.writer)
        answer = await one.rest()
        assert answer.startswith(b"HTTP/1.1 %d " % case.status)
        assert answer.index(b"\r\n\r\n") == len(answer) - 4
    assert {(line["method"], line["response_payload_size"]) for line in proxy.access_log()} == {("HEAD", 0)}


async def test_a_head_request_that_is_malformed_behind_another_gets_no_body(proxy: Proxy, peer, raw) -> None:
    """And a POST behind a HEAD gets one (RFC 9110, 9.3.2)."""
    proxy.apply(endpoint(anywhere(await peer(answer_ok))))
    malformed = HEAD + b"X A: 1\r\n\r\n"
    behind_post, behind_head = await raw(), await raw()
    await behind_post.send(post() + malformed.replace(b"POST", b"HEAD"))
    await behind_post.answer()
    assert (await behind_post.rest()).endswith(b"\r\n\r\n")
    await behind_head.send(HEAD.replace(b"POST", b"HEAD") + b"\r\n" + malformed)
    await behind_head.head()
    assert (await behind_head.rest()).endswith(b"\r\n\r\nThe request is not well-formed HTTP/1.1.")


CODED = (
    *(f"POST {PATH} HTTP/1.1".encode(), b"Host: teal", b"Transfer-Encoding:\tchunked \t", b"X-A: 1\t2", b""),
    *(b"2", b"{}", b"0", b"", b""),
)


async def test_a_coding_with_tabs_is_read_however_it_is_cut(proxy: Proxy, peer, raw) -> None:
    """And a tab in another field goes on as it came (RFC 9110, 5.5)."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(anywhere(instance), auth_mode="none"))
    one = await raw()
    coded = b"\r\n".join(CODED)
    cuts = range(coded.index(b"Transfer") - 2, coded.index(b"{}"))
    for cut in cuts:
        await one.send(coded[:cut])
        await until_read(one.writer)
        await one.send(coded[cut:])
        assert (await one.answer())[0] == 200
    assert [(seen.body, seen.values("x-a")) for seen in instance.seen] == [(b"{}", [b"1\t2"])] * len(cuts)


@pytest.mark.parametrize(
    "bad",
    [
        HEAD + b"Content-Length: 2\r\nContent-Length: 40\r\n\r\n{}",
        HEAD + b"X-A: 1\nContent-Length: 2\r\n\r\n{}",
        HEAD + b"X-Fold: a\r\n b\r\nContent-Length: 2\r\n\r\n{}",
        HEAD + b"Authorization: Bearer other\r\nContent-Length: 2\r\n\r\n{}",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n2x\r\n{}\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX Y\r\n\r\n",
    ],
)
async def test_a_refusal_says_the_same_however_the_request_is_cut(proxy: Proxy, peer, raw, bad: bytes) -> None:
    """In one read, in two, and in three; also for a part of the body that is broken."""
    proxy.apply(endpoint(anywhere(await peer(answer_ok))))
    said = set()
    middle, end = len(HEAD) + 9, len(bad) - 3
    for cuts in ((), (middle,), (middle, end)):
        one = await raw()
        for begin, stop in zip((0, *cuts), (*cuts, None), strict=True):
            await one.send((bad + SMUGGLED)[begin:stop])
            await until_read(one.writer)
        answer = await one.rest()
        said.add((answer.partition(b"\r\n")[0], answer.rpartition(b"\r\n\r\n")[2]))
    assert len(said) == 1


@pytest.mark.parametrize("version", [b"HTTP/2.0", b"HTTP/0.9"])
async def test_another_version_is_not_supported(proxy: Proxy, peer, raw, version: bytes) -> None:
    """What is framed like HTTP/1.1 and calls itself something else is refused with 505 (RFC 9110, 2.5)."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(anywhere(instance)))
    one = await raw()
    await one.send(post().replace(b"HTTP/1.1", version))
    answer = await one.rest()
    assert answer.startswith(b"HTTP/1.1 505 HTTP Version Not Supported\r\n")
    assert b"\r\nconnection: close\r\n" in answer
    assert instance.seen == []


async def test_a_connect_without_a_target_is_refused(proxy: Proxy, peer, raw) -> None:
    """It is answered and its connection ends, though its parser takes it for HTTP/0.9 of no address at all."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(anywhere(instance)))
    one = await raw()
    await one.send(b"CONNECT \r\nteal:443 HTTP/1.1\r\nHost: teal\r\n\r\n" + SMUGGLED)
    answer = await one.rest()
    assert answer.startswith(b"HTTP/1.1 505 HTTP Version Not Supported\r\n")
    assert b"\r\nconnection: close\r\n" in answer
    assert instance.seen == []


BROKEN_LATE = {
    "chunk size with text": b"2x\r\n{}\r\n0\r\n\r\n",
    "chunk longer than its size": b"1\r\n{}\r\n0\r\n\r\n",
    "no line end after a chunk": b"2\r\n{}0\r\n\r\n",
    "broken last chunk": b"2\r\n{}\r\n0\r\nX Y\r\n\r\n",
    "broken second chunk": b"2\r\n{}\r\nz\r\n",
    "length in a trailer": b"2\r\n{}\r\n0\r\nX-A: 1\r\nContent-Length: 50\r\n\r\n",
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


@pytest.mark.parametrize("case", FORWARDED, ids=lambda case: f"{case.section} {case.name}")
async def test_an_unusual_request_is_forwarded_under_one_framing(proxy: Proxy, peer, raw, case: Forwarded) -> None:
    """What HTTP allows reaches the instance as exactly one request, with at most one framing."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(anywhere(instance)))
    one = await raw()
    await one.send(case.raw)
    head = await one.head()
    await one.close()
    await proxy.settled()
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    [seen] = instance.seen
    assert seen.body == case.body
    assert len(seen.values("content-length")) + len(seen.values("transfer-encoding")) == bool(case.body)


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


# Answers: sections 4 to 7


@pytest.mark.parametrize("case", GARBAGE, ids=lambda case: f"{case.section} {case.name}")
async def test_garbage_from_an_instance_is_a_424(proxy: Proxy, peer, raw, case: Garbage) -> None:
    """An answer that is not well framed is none; the client's connection is unharmed."""
    proxy.apply(endpoint(deployment("blue", await peer(says_once(case.raw)))))
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
        b"HTTP/1.1 103 Early Hints\r\nX-Stale: 1\r\n\r\n",
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


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx", b"x"),
        (b"HTTP/1.1 200 \r\nContent-Length: 1\r\n\r\nx", b"x"),
        (b"HTTP/1.1 200 caf\xe9\r\nContent-Length: 1\r\n\r\nx", b"x"),
        (b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"1 ;a=b\r\nx\r\n0\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"1   \r\nx\r\n0   \r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\n" + CHUNKED + b'01;a="b;c"\r\nx\r\n000\r\n\r\n', b"x"),
    ],
)
async def test_an_unusual_answer_is_passed_on(proxy: Proxy, peer, client, answer: bytes, body: bytes) -> None:
    """What HTTP allows of an answer, and what servers write, reaches the client, one after the other."""
    instance = await peer(says(answer))
    proxy.apply(endpoint(deployment("blue", instance)))
    for _ in range(2):
        async with client.post(proxy.url, data=b"{}") as got:
            assert (got.status, await got.read()) == (200, body)
    assert instance.connections == 1


@pytest.mark.parametrize(
    "chunks",
    [
        b"1\r\nx\r\n0x1\r\nx\r\n0\r\n\r\n",
        b"1\r\nx\r\n0 1\r\nx\r\n0\r\n\r\n",
        b"1\r\nx\r\n1 x\r\nx\r\n0\r\n\r\n",
        b"1\r\nx\r\n 1\r\nx\r\n0\r\n\r\n",
        b"1\r\nx\r\n1 \nx\r\n0\r\n\r\n",
        b"1\r\nx\r\n1\nx\r\n0\r\n\r\n",
        b"1\r\nx\r\n-1\r\nx\r\n0\r\n\r\n",
        b"1\r\nxy\r\n0\r\n\r\n",
    ],
)
async def test_an_answer_whose_chunks_break_is_cut(proxy: Proxy, peer, raw, chunks: bytes) -> None:
    """What was well framed of it may have gone out, but not its end."""
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks
    proxy.apply(endpoint(deployment("blue", await peer(says_once(answer)))))
    one = await raw()
    await one.send(post())
    assert not (await one.rest()).endswith(b"0\r\n\r\n")
    assert proxy.stats().failures == {"garbage": 1}


@pytest.mark.parametrize("value", [b" \t chunked  ", b"chunked\t", b"\tCHUNKED \t\r\nX-A:\t1\t2"])
async def test_an_answer_whose_coding_has_blanks_around_it_is_passed_on(proxy: Proxy, peer, raw, value: bytes) -> None:
    """They are no part of it (RFC 9110, 5.5); what is in its body is left alone."""
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding:" + value + b"\r\n\r\n1\r\nx\r\n0\r\n\r\n"
    proxy.apply(endpoint(deployment("blue", await peer(says_once(answer)))))
    one = await raw()
    await one.send(post(b"{}", "Connection: close"))
    assert (await one.rest()).endswith(b"\r\n\r\n1\r\nx\r\n0\r\n\r\n")


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


async def test_the_connection_of_a_chunked_http_1_0_answer_is_not_used_again(proxy: Proxy, peer, client) -> None:
    """Its framing is faulty, so what follows cannot be trusted (6.1), whatever it says of keeping the connection."""
    old = b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"
    instance = await peer(says(old))
    proxy.apply(endpoint(deployment("blue", instance)))
    for _ in range(2):
        async with client.post(proxy.url, data=b"{}") as answer:
            assert await answer.read() == b"x"
    assert instance.connections == 2


# Connections: section 9


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


@pytest.mark.parametrize("follows", [post(b"second"), post(b"6\r\nsecond\r\n0\r\n\r\n", "Transfer-Encoding: chunked")])
async def test_what_follows_a_chunked_body_in_a_read_of_its_own_is_answered(
    proxy: Proxy, peer, raw, follows: bytes
) -> None:
    """Also while that is still at its instance: it is known then to have ended without trailers."""
    gate = asyncio.Event()
    bodies: list[bytes] = []

    async def answer_late(conversation: Conversation) -> None:
        while True:
            bodies.append((await conversation.request()).body)
            await gate.wait()
            await conversation.answer()

    proxy.apply(endpoint(deployment("blue", await peer(answer_late))))
    one = await raw()
    await one.send(post(b"5\r\nfirst\r\n0\r\n\r\n", "Transfer-Encoding: chunked"))
    await until(lambda: bodies)
    await one.send(follows)
    await until_read(one.writer)
    gate.set()
    assert [(await one.answer())[0] for _ in range(2)] == [200, 200]
    assert bodies == [b"first", b"second"]


LAST_CHUNKS = {
    "plain": b"0\r\n\r\n",
    "with an extension": b"00;a=b\r\n\r\n",
    "with trailers": b"0\r\nX-Late: 1\r\nX-Later: 2\r\n\r\n",
}


@pytest.mark.parametrize("last_chunk", LAST_CHUNKS)
@pytest.mark.parametrize("body", [b"first", b"\r\n\r\nfirst\r\n\r\n", b"0\r\n\r\n" + SMUGGLED])
async def test_what_comes_with_the_end_of_a_chunked_body_is_answered(
    proxy: Proxy, peer, raw, body: bytes, last_chunk: str
) -> None:
    """It is the next request, wherever a network cuts the two, and whatever the first one has in its body or behind."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(anywhere(instance)))
    chunks = b"%x\r\n" % len(body) + body + b"\r\n" + LAST_CHUNKS[last_chunk]
    first = post(chunks, "Transfer-Encoding: chunked")
    requests = first + post(b"second") + first + HEAD + b"\r\n"
    one = await raw()
    cuts = range(len(first) - 9, len(first) + 2)
    for cut in cuts:
        await one.send(requests[:cut])
        await asyncio.sleep(0)
        await one.send(requests[cut:])
        assert [(await one.answer())[0] for _ in range(4)] == [200] * 4
    assert [seen.body for seen in instance.seen] == [body, b"second", body, b""] * len(cuts)


async def test_many_chunked_requests_in_one_read_are_answered_in_order(proxy: Proxy, peer, raw) -> None:
    """More of them than wait for their turn, with others between."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", instance)))
    one = await raw()
    bodies = [b"%d" % number for number in range(100, 150)]
    chunked = [post(b"3\r\n" + body + b"\r\n0\r\nX-Late: 1\r\n\r\n", "Transfer-Encoding: chunked") for body in bodies]
    await one.send(b"".join(first + post(b"x") for first in chunked))
    assert [(await one.answer())[0] for _ in range(100)] == [200] * 100
    assert [seen.body for seen in instance.seen[::2]] == bodies


@pytest.mark.parametrize("body", [b"\r\n" * 9000, b"0\r\n\r\n" * 3000], ids=["empty lines", "last chunks"])
async def test_what_follows_chunks_with_a_great_many_empty_lines_is_answered(
    proxy: Proxy, peer, raw, body: bytes
) -> None:
    """In the same read, and behind trailers: where the body ends is not a matter of what is in it."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", instance)))
    one = await raw()
    first = post(b"%x\r\n" % len(body) + body + b"\r\n0\r\nX-Late: 1\r\n\r\n", "Transfer-Encoding: chunked")
    await one.send((first + post(b"second")) * 2)
    assert [(await one.answer())[0] for _ in range(4)] == [200] * 4
    assert [seen.body for seen in instance.seen] == [body, b"second"] * 2
    assert not any(b"X-Late" in seen.names for seen in instance.seen)


@pytest.mark.parametrize("before", [b"", post(), post(key="wrong")], ids=["first", "behind an answer", "refused"])
async def test_a_great_many_empty_lines_before_a_request_are_skipped_together(
    proxy: Proxy, peer, raw, monkeypatch: pytest.MonkeyPatch, before: bytes
) -> None:
    """They are no request (2.2), need no key, and cost no look at each: everybody else waits for that."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))))
    parsed: list[int] = []
    parse = RequestHandler.data_received

    def counted(handler: RequestHandler, data: bytes) -> None:
        parsed.append(len(data))
        parse(handler, data)

    monkeypatch.setattr(RequestHandler, "data_received", counted)
    one = await raw()
    if before:
        await one.send(before)
        assert (await one.answer())[0] in {200, 401}
    await one.send(b"\r\n" * 500_000 + post())
    assert (await one.answer())[0] == 200
    assert sum(parsed) >= 1_000_000
    assert len(parsed) < 500


async def test_what_follows_many_small_chunks_is_answered(proxy: Proxy, peer, raw) -> None:
    """aiohttp would stop at 16,384 chunks: here they are one chunk for each read."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", instance)))
    one = await raw()
    many = post(b"1\r\nx\r\n" * 40_000 + b"0\r\nX-Late: 1\r\n\r\n", "Transfer-Encoding: chunked")
    await one.send((many + post(b"second")) * 2)
    assert [(await one.answer())[0] for _ in range(4)] == [200] * 4
    assert [seen.body for seen in instance.seen] == [b"x" * 40_000, b"second"] * 2


async def test_a_refusal_does_not_wait_for_the_body(proxy: Proxy, raw) -> None:
    """A client learns at once that its key is wrong, and that the rest of its body is not wanted (9.6)."""
    proxy.apply(endpoint(deployment("blue")))
    one = await raw()
    await one.send(post(b"{", "Content-Length: 2", key="wrong"))
    status, head, _ = await one.answer()
    assert (status, fields(head)[b"connection"]) == (401, b"close")


async def test_pipelined_requests_are_answered_in_order(proxy: Proxy, peer, raw) -> None:
    """Requests sent without waiting get their answers one after the other, each its own."""
    proxy.apply(endpoint(anywhere(await peer(echo))))
    one = await raw()
    prefix = PATH.removesuffix("/score")
    await one.send(b"".join(post(b"x" * n, path=f"{prefix}/{n}") for n in range(20)))
    answers = [json.loads((await one.answer())[2]) for _ in range(20)]
    assert [(answer["line"], answer["bytes"]) for answer in answers] == [(f"POST /{n} HTTP/1.1", n) for n in range(20)]


WHOLE = {
    "plain": post(),
    "without a body": HEAD + b"\r\n",
    "large": post(b"x" * 300_000),
}
MALFORMED = {
    "no HTTP": b"nonsense\r\n\r\n",
    "no length": HEAD + b"Content-Length: x\r\n\r\n",
    "no chunks": HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
}


@pytest.mark.parametrize("malformed", MALFORMED)
@pytest.mark.parametrize("whole", WHOLE)
async def test_a_request_before_a_malformed_one_is_answered(
    proxy: Proxy, peer, raw, whole: str, malformed: str
) -> None:
    """Each gets its own answer, in the order that they came, though they came in one piece (9.3.2)."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(anywhere(instance)))
    one = await raw()
    await one.send(WHOLE[whole] * 2 + MALFORMED[malformed] + SMUGGLED)
    first, second = await one.answer(), await one.answer()
    assert [(status, b"connection" in fields(head)) for status, head, _ in (first, second)] == [(200, False)] * 2
    last = await one.rest()
    assert last.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert last.count(b"\r\nx-request-id: ") == 1
    assert b"\r\nconnection: close\r\n" in last
    assert len(instance.seen) == 2


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


@pytest.mark.parametrize("said", [("Connection: keep-alive, close",), ("Connection: keep-alive", "Connection: ,CLOSE")])
async def test_close_counts_wherever_it_is_said(proxy: Proxy, peer, raw, said: tuple[str, ...]) -> None:
    """In a list, in a field of its own, in capitals; what comes behind is not looked at (9.3, 9.6)."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", instance)))
    one = await raw()
    await one.send(post(b"{}", *said) + post(b"not this one"))
    answer = await one.rest()
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"\r\nconnection: close\r\n" in answer
    assert [seen.body for seen in instance.seen] == [b"{}"]


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

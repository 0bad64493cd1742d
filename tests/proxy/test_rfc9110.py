"""RFC 9110 for an intermediary, in the order of its sections.

The router is a gateway: towards clients it acts as an origin server does (3.7).
"""

import pytest

from tests.proxy.conftest import KEY, PATH, Proxy, anywhere, deployment, endpoint, fields, post
from tests.proxy.peers import Seen, answer_ok, says

TRAILERS = b"1\r\nx\r\n0\r\nX-Late: 1\r\nazureml-model-deployment: none\r\n\r\n"


# 5.3, 6.6, 7.2, 7.6.1: fields


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
        b"x-forwarded-proto",
        b"x-forwarded-host",
        b"via",
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


async def test_fields_that_connection_names_end_here(proxy: Proxy, peer, raw) -> None:
    """Be they for everybody otherwise; but not those by which this router and the next one understand each other."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", instance), auth_mode="none"))
    one = await raw()
    named = "Connection: ,Content-Type,, authorization ,HOST, via, x-forwarded-for, X-REQUEST-ID"
    await one.send(post(b"{}", "Content-Type: a/b", "TE: trailers", "Trailer: X-A", named))
    await one.answer()
    assert [name.lower() for name in instance.seen[0].names] == [
        b"host",
        b"x-request-id",
        b"x-forwarded-for",
        b"x-forwarded-proto",
        b"x-forwarded-host",
        b"via",
        b"content-length",
    ]


async def test_a_date_that_connection_names_is_replaced(proxy: Proxy, peer, raw) -> None:
    """An answer that goes on has one (6.6.1)."""
    named = b"Connection: Date, Content-Type\r\nDate: then\r\nContent-Type: a/b\r\n"
    instance = await peer(says(b"HTTP/1.1 200 OK\r\n" + named + b"Content-Length: 0\r\n\r\n"))
    proxy.apply(endpoint(deployment("blue", instance)))
    one = await raw()
    await one.send(post())
    _, head, _ = await one.answer()
    assert fields(head)[b"date"].endswith(b" GMT")
    assert b"content-type" not in fields(head)


# 6.5.1: trailers may be discarded where no one has asked for them; TE ends here, so no instance is told to send any


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


@pytest.mark.parametrize("follows", [b"", post(), post(b"1\r\nx\r\n0\r\n\r\n", "Transfer-Encoding: chunked")])
async def test_request_trailers_end_at_the_router(proxy: Proxy, peer, raw, follows: bytes) -> None:
    """Fields after the last chunk reach no instance, and no later request, though they come in one read with it."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", instance)))
    one = await raw()
    await one.send(post(TRAILERS, "Transfer-Encoding: chunked") + follows * 2 + post(b"last"))
    statuses = [(await one.answer())[0] for _ in range(4 if follows else 2)]
    assert set(statuses) == {200}
    assert instance.seen[-1].body == b"last"
    assert not any(b"X-Late" in seen.names for seen in instance.seen)


async def test_the_key_in_a_trailer_opens_nothing(proxy: Proxy, peer, raw) -> None:
    """A trailer is not a field of the request before it, nor of the one behind it."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", instance)))
    one = await raw()
    key = f"Authorization: Bearer {KEY}\r\n".encode()
    keyless = post().replace(key, b"")
    for trailers in (key, b"X-A: 1\r\n" + key):
        chunked = post(b"0\r\n" + trailers + b"\r\n", "Transfer-Encoding: chunked")
        await one.send(chunked.replace(key, b"", 1) + keyless + keyless)
        assert [(await one.answer())[0] for _ in range(3)] == [401, 401, 401]
    assert instance.seen == []


# 7.6.2, 7.6.3: how often and by whom a request was forwarded


async def forwarded(proxy: Proxy, peer, raw, *lines: str, method: str = "POST", version: str = "1.1") -> Seen:
    """A request with these fields, as its instance sees it."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", instance)))
    one = await raw()
    request = post(b"{}", *lines).replace(b"POST", method.encode(), 1)
    await one.send(request.replace(b"HTTP/1.1", b"HTTP/" + version.encode(), 1))
    assert (await one.head()).startswith(b"HTTP/1.1 200 OK\r\n")
    return instance.seen[0]


async def test_a_forwarded_request_says_who_forwarded_it(proxy: Proxy, peer, raw) -> None:
    """`Via` has the version that was received and the router's name, after those who forwarded it before."""
    seen = await forwarded(proxy, peer, raw, "Via: 1.0 first, 1.1 second (proxy)")
    assert seen.values("via") == [b"1.0 first, 1.1 second (proxy)", b"1.1 teal"]


async def test_a_request_of_http_1_0_is_forwarded_as_one_of_1_1(proxy: Proxy, peer, raw) -> None:
    """The router speaks its own version (2.5); `Via` has the client's."""
    seen = await forwarded(proxy, peer, raw, version="1.0")
    assert (seen.line, seen.values("via")) == (b"POST /score HTTP/1.1", [b"1.0 teal"])


async def test_an_answer_keeps_the_via_of_those_before(proxy: Proxy, peer, raw) -> None:
    """A gateway need not name itself in answers, and does not; `x-teal-generation` tells as much."""
    answer = b"HTTP/1.1 200 OK\r\nVia: 1.1 model-mesh\r\nContent-Length: 0\r\n\r\n"
    proxy.apply(endpoint(deployment("blue", await peer(says(answer)))))
    one = await raw()
    await one.send(post())
    _, head, _ = await one.answer()
    assert fields(head)[b"via"] == b"1.1 model-mesh"


async def test_a_copy_says_who_forwarded_it(proxy: Proxy, peer, raw) -> None:
    """A mirrored request is a forwarded one."""
    live, shadow = await peer(answer_ok), await peer(answer_ok)
    specs = (deployment("blue", live), deployment("green", shadow))
    proxy.apply(endpoint(*specs, mirror_traffic=(("green", 100.0),)))
    one = await raw()
    await one.send(post())
    await one.answer()
    [copy] = await shadow.requests(1)
    assert copy.values("via") == [b"1.1 teal"]


@pytest.mark.parametrize(
    ("given", "passed_on"),
    [("1", b"0"), ("10", b"9"), ("007", b"6"), ("9" * 20, b"9" * 17 + b"8"), ("x", b"x"), ("", b"")],
)
async def test_options_counts_its_forwards(proxy: Proxy, peer, raw, given: str, passed_on: bytes) -> None:
    """One less than what came, or less than that; what is no number is nobody's to change."""
    seen = await forwarded(proxy, peer, raw, f"Max-Forwards: {given}", method="OPTIONS")
    assert seen.values("max-forwards") == [passed_on]


async def test_other_methods_do_not_count(proxy: Proxy, peer, raw) -> None:
    """`Max-Forwards` says nothing about a POST."""
    seen = await forwarded(proxy, peer, raw, "Max-Forwards: 0")
    assert seen.values("max-forwards") == [b"0"]


async def test_options_at_its_last_forward_is_answered_here(proxy: Proxy, peer, raw) -> None:
    """0 forwards left: the router answers for itself, and no instance hears of it."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", instance)))
    one = await raw()
    await one.send(post(b"", "Max-Forwards: 0").replace(b"POST", b"OPTIONS", 1) * 2)
    for _ in range(2):
        status, head, body = await one.answer()
        assert (status, body) == (200, b"")
        assert fields(head)[b"allow"] == b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
        assert fields(head)[b"x-teal-reason"] == b"max_forwards"
    assert instance.seen == []


# 9.3: methods


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


@pytest.mark.parametrize(
    ("target", "line"),
    [
        (b"http://churn.x", b"*"),
        (b"http://churn.x/", b"/"),
        (b"http://churn.x?q", b"/?q"),
        (b"HTTP://churn.x:80/a", b"/a"),
    ],
)
async def test_options_of_a_whole_server_stays_that(proxy: Proxy, peer, raw, target: bytes, line: bytes) -> None:
    """An absolute target without path and query is asked as `*` (RFC 9112, 3.2.4), whatever `Host` stands beside it."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(anywhere(instance)))
    one = await raw()
    key = b"Authorization: Bearer " + KEY.encode()
    await one.send(b"OPTIONS " + target + b" HTTP/1.1\r\nHost: other.x\r\n" + key + b"\r\n\r\n")
    assert (await one.answer())[0] == 200
    assert instance.seen[0].line == b"OPTIONS " + line + b" HTTP/1.1"
    assert instance.seen[0].values("x-forwarded-host") == [target[7:].partition(b"/")[0].partition(b"?")[0]]


@pytest.mark.parametrize(
    ("target", "refusal"),
    [(b"churn.x:443", 501), (b"/score", 501), (PATH.encode(), 501), (b"http://churn.x/score", 400)],
)
async def test_connect_is_refused(proxy: Proxy, peer, raw, target: bytes, refusal: int) -> None:
    """The router is no tunnel: CONNECT gets a clear status, its connection ends, and no instance hears of it."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(anywhere(instance)))
    one = await raw()
    await one.send(b"CONNECT " + target + b" HTTP/1.1\r\nHost: churn.x\r\nAuthorization: Bearer " + KEY.encode())
    await one.send(b"\r\n\r\n")
    status, head, _ = await one.answer()
    assert status == refusal
    assert b"\r\nconnection: close\r\n" in head
    assert instance.seen == []


# 9.3.2, 15.2, 15.3.5, 15.4.5: answers without a body, and those that are not the answer


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


@pytest.mark.parametrize("status", [b"205 Reset Content", b"299 Odd", b"600 Odd", b"999 Odd"])
@pytest.mark.parametrize("model_errors", ["azure", "passthrough"])
async def test_a_status_that_nobody_knows_is_framed_like_others(
    proxy: Proxy, peer, raw, status: bytes, model_errors: str
) -> None:
    """Also 205, which should have no body: what there is of one belongs to it, and the next answer is the next."""
    answer = b"HTTP/1.1 " + status + b"\r\nContent-Length: 3\r\n\r\nabc"
    proxy.apply(endpoint(deployment("blue", await peer(says(answer))), model_errors=model_errors))
    one = await raw()
    await one.send(post() * 2)
    for _ in range(2):
        got, _, body = await one.answer()
        assert (got, body) == (int(status[:3]) if model_errors == "passthrough" else 424, b"abc")


async def test_interim_answers_of_the_model_end_at_the_router(proxy: Proxy, peer, client) -> None:
    """100, 102 and 103 are not the answer, and clients are about that take a 103 for one; a gateway may keep them."""
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\nContent-Length: 9\r\n\r\n"
    instance = await peer(says(interim + b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"))
    proxy.apply(endpoint(deployment("blue", instance)))
    for _ in range(2):
        async with client.post(proxy.url, data=b"{}") as answer:
            assert (answer.status, await answer.read()) == (200, b"x")
            assert "Link" not in answer.headers
    assert instance.connections == 1


# 7.8: upgrades


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


# 15.5.22: 426


@pytest.mark.parametrize("model_errors", ["passthrough", "azure"])
async def test_an_answer_that_requires_an_upgrade_says_which(proxy: Proxy, peer, raw, model_errors: str) -> None:
    """What the instance requires is said to the client as this hop's own words, also where 426 becomes 424."""
    refusal = (
        b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: HTTP/3.0, websocket\r\nConnection: Upgrade, X-Hop\r\n"
        b"X-Hop: 1\r\nContent-Length: 3\r\n\r\nno!"
    )
    proxy.apply(endpoint(deployment("blue", await peer(says(refusal))), model_errors=model_errors))
    one = await raw()
    await one.send(post() * 2)
    for _ in range(2):
        _, head, body = await one.answer()
        assert body == b"no!"
        assert (fields(head)[b"upgrade"], fields(head)[b"connection"]) == (b"HTTP/3.0, websocket", b"Upgrade")
        assert b"x-hop" not in fields(head)


async def test_an_upgrade_that_is_required_by_nobody_is_not_made_up(proxy: Proxy, peer, raw) -> None:
    """An instance that names none is at fault; and one that only advertises speaks to its own client, the router."""
    silent = b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n"
    advertised = b"HTTP/1.1 400 Bad Request\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n"
    for answer in (silent, advertised):
        proxy.apply(endpoint(deployment("blue", await peer(says(answer))), model_errors="passthrough"))
        one = await raw()
        await one.send(post())
        _, head, _ = await one.answer()
        assert b"upgrade" not in head.lower().partition(b"\r\n")[2]

"""The statuses that a client sees, with their bodies and headers."""

import asyncio

import pytest

from router.core.auth import issue_token
from router.core.table import InstanceSpec
from router.core.wire import ProxyLimits
from tests.proxy.conftest import KEY, PATH, Proxy, RawClient, deployment, endpoint, post
from tests.proxy.peers import Conversation, Script, answer_ok
from tests.proxy.waiting import answer_when, until

SECRET = b"0123456789abcdef0123456789abcdef"
MIB = 2**20


def fields(head: bytes) -> dict[bytes, bytes]:
    return {name.lower(): value for name, _, value in (line.partition(b": ") for line in head.split(b"\r\n")[1:-2])}


def answers(status: str, body: bytes = b"model says", extra: bytes = b"") -> Script:
    """An instance that answers every request with this status."""

    async def script(conversation: Conversation) -> None:
        while True:
            await conversation.request()
            await conversation.answer(body, status, extra)

    return script


async def holds(conversation: Conversation) -> None:
    """An instance that takes a request and never answers."""
    await conversation.request()
    await conversation.closed()


async def refused(one: RawClient, request: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
    await one.send(request)
    status, head, body = await one.answer()
    return status, fields(head), body


# 401


@pytest.mark.parametrize(
    ("line", "body", "challenge"),
    [
        ("X-None: 1", b"key_auth_bad_header_forbidden", b"Bearer"),
        ("Authorization: ", b"key_auth_bad_header_forbidden", b"Bearer"),
        ("Authorization: Basic a2V5", b"key_auth_bad_header_forbidden", b"Bearer"),
        ("Authorization: Bearer", b"key_auth_bad_header_forbidden", b"Bearer"),
        (f"Authorization: {KEY}", b"key_auth_bad_header_forbidden", b"Bearer"),
        ("Authorization: Bearer wrong", b"key_auth_access_denied", b'Bearer error="invalid_token"'),
        (f"Authorization: Bearer {KEY}x", b"key_auth_access_denied", b'Bearer error="invalid_token"'),
    ],
)
async def test_a_bad_credential_is_a_401(proxy: Proxy, peer, raw, line: str, body: bytes, challenge: bytes) -> None:
    """Missing or malformed, and wrong, have the two texts that Azure has; no instance is asked."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", instance)))
    request = f"POST {PATH} HTTP/1.1\r\nHost: teal\r\n{line}\r\nContent-Length: 2\r\n\r\n{{}}".encode()
    status, head, got = await refused(await raw(), request)
    assert (status, head[b"content-type"], got) == (401, b"text/plain", body)
    assert head[b"www-authenticate"] == challenge
    assert instance.seen == []


@pytest.mark.parametrize(
    "line", ["azureml-model-deployment: blue", "azureml-model-deployment: none", "Accept: */*", "X-Teal-Mirror: 1"]
)
@pytest.mark.parametrize("path", [PATH, PATH.replace("score", "other"), PATH.replace("score", "swagger.json")])
async def test_a_401_reveals_nothing(proxy: Proxy, peer, raw, path: str, line: str) -> None:
    """Without a credential every path and every deployment of an endpoint answers alike."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))))
    status, head, body = await refused(await raw(), post(b"{}", line, path=path, key="wrong"))
    assert (status, body) == (401, b"key_auth_access_denied")
    assert head.keys() == {
        b"content-type",
        b"content-length",
        b"date",
        b"x-teal-reason",
        b"www-authenticate",
        b"x-request-id",
        b"x-teal-generation",
        b"server-timing",
    }


async def test_a_401_keeps_the_connection(proxy: Proxy, peer, raw) -> None:
    """A client that gets its credential wrong may try again where it is."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))))
    one = await raw()
    assert (await refused(one, post(key="wrong")))[0] == 401
    assert (await refused(one, post()))[0] == 200


@pytest.mark.parametrize(
    ("name", "secret", "age_s", "status"),
    [
        ("churn", SECRET, 0, 200),
        ("churn", SECRET, 3601, 401),
        ("fraud", SECRET, 0, 401),
        ("churn", SECRET[::-1], 0, 401),
    ],
)
async def test_a_token_opens_its_own_endpoint_in_its_time(
    proxy: Proxy, peer, raw, name: str, secret: bytes, age_s: int, status: int
) -> None:
    """A token is checked for signature, endpoint and expiry."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok)), auth_mode="aml_token", token_secret=SECRET))
    token = issue_token(name, secret, now=proxy.runtime.wall_now() - age_s, lifetime_s=3600)
    assert (await refused(await raw(), post(key=token)))[0] == status


async def test_without_authentication_the_credential_is_the_models(proxy: Proxy, peer, raw) -> None:
    """In mode `none` anything passes, and its Authorization goes on."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", instance), auth_mode="none"))
    assert (await refused(await raw(), post(key="anything")))[0] == 200
    assert instance.seen[0].values("authorization") == [b"Bearer anything"]


async def test_a_checked_credential_ends_at_the_router(proxy: Proxy, peer, raw) -> None:
    """The key is not handed to the model."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", instance)))
    await refused(await raw(), post())
    assert instance.seen[0].values("authorization") == []


# 404


@pytest.mark.parametrize(
    ("path", "line", "body"),
    [
        (
            "/api/v1/endpoint/nothing/score",
            "Accept: */*",
            b'{"error": {"code": "endpoint_not_found", "message": "There is no endpoint at this address."}}',
        ),
        (
            "/",
            "Accept: */*",
            b'{"error": {"code": "endpoint_not_found", "message": "There is no endpoint at this address."}}',
        ),
        (
            PATH + "/other",
            "Accept: */*",
            b'{"error": {"code": "path_not_found", "message": "The endpoint has nothing at this path."}}',
        ),
        (
            PATH,
            "azureml-model-deployment: grene",
            b'{"error": {"code": "deployment_not_found", "message": '
            b"\"endpoint churn has no deployment 'grene'; it has blue, green\"}}",
        ),
    ],
)
async def test_what_does_not_exist_is_a_404(proxy: Proxy, peer, raw, path: str, line: str, body: bytes) -> None:
    """Each kind says what is missing; what exists is named to who has the key."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", instance), deployment("green", instance)))
    status, head, got = await refused(await raw(), post(b"{}", line, path=path))
    assert (status, head[b"content-type"], got) == (404, b"application/json", body)
    assert b"azureml-model-deployment" not in head
    assert instance.seen == []


@pytest.mark.parametrize("traffic", [(), (("blue", 0.0),)])
async def test_an_endpoint_without_live_weight_is_a_404(proxy: Proxy, peer, raw, traffic) -> None:
    """Azure's own sentence, and a pinned request still goes through."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok)), traffic=traffic))
    one = await raw()
    status, _, body = await refused(one, post())
    assert (status, body) == (
        404,
        b"No valid deployments to route to. Please check that the endpoint has at least one deployment with positive "
        b"weight values or use a deployment specific header to route.",
    )
    assert (await refused(one, post(b"{}", "azureml-model-deployment: blue")))[0] == 200


# 413, 431, 400


async def test_an_announced_body_over_the_limit_is_a_413(proxy: Proxy, peer, raw) -> None:
    """Refused by its Content-Length, before a byte of it is read."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", instance), max_body_bytes=1000))
    status, head, body = await refused(await raw(), post(b"", "Content-Length: 1001"))
    assert (status, body) == (413, b"The request body is over the limit of 1000 bytes.")
    assert (head[b"x-teal-reason"], head[b"connection"]) == (b"body_too_large", b"close")
    assert instance.seen == []


@pytest.mark.parametrize("limit", [0, 1000, 300_000, MIB])
async def test_a_chunked_body_over_the_limit_is_a_413(proxy: Proxy, peer, raw, limit: int) -> None:
    """Refused when its bytes pass the limit, also when an instance has some of them; never run."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", instance), max_body_bytes=limit))
    size = limit + 1
    body = b"%x\r\n" % size + bytes(size) + b"\r\n"
    status, head, _ = await refused(await raw(), post(body, "Transfer-Encoding: chunked"))
    assert (status, head[b"connection"]) == (413, b"close")
    assert instance.seen == []


@pytest.mark.parametrize("size", [1000, 300_000, MIB])
@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_a_body_of_the_limit_is_accepted(proxy: Proxy, peer, raw, size: int, framing: str) -> None:
    """The limit itself is allowed."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok)), max_body_bytes=size))
    request = post(bytes(size))
    if framing == "chunked":
        request = post(b"%x\r\n" % size + bytes(size) + b"\r\n0\r\n\r\n", "Transfer-Encoding: chunked")
    assert (await refused(await raw(), request))[0] == 200


async def test_the_whole_answer_to_a_413_arrives_while_the_client_still_sends(proxy: Proxy, peer, raw) -> None:
    """A client in the middle of its upload gets the status, not a reset."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok)), max_body_bytes=1000))
    one = await raw()
    await one.send(post(b"", "Content-Length: 50000000"))
    await one.send(bytes(2_000_000))
    assert (await one.answer())[0] == 413


@pytest.mark.parametrize(
    "request_bytes",
    [
        post(b"{}", "X-Long: " + "x" * 33_000),
        post(b"{}", *(f"X-{n}: {'x' * 1000}" for n in range(33))),
        post(b"{}", path=PATH + "?" + "x" * 33_000),
        post(b"{}", "x" * 33_000 + ": 1"),
    ],
    ids=["one field", "many fields", "target", "name"],
)
async def test_a_head_over_the_limit_is_a_431(proxy: Proxy, peer, raw, request_bytes: bytes) -> None:
    """32 KiB of request line and fields are enough by default."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", instance)))
    status, head, body = await refused(await raw(), request_bytes)
    assert (status, body) == (431, b"The request line and headers are over the limit of 32768 bytes.")
    assert head[b"connection"] == b"close"
    assert instance.seen == []


@pytest.mark.parametrize("limit", [32 * 1024, 60 * 1024])
async def test_a_head_under_the_limit_is_accepted(proxy: Proxy, peer, raw, limit: int) -> None:
    """The limit is the configured one, also for a single field."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))), limits=ProxyLimits(max_head_bytes=limit))
    assert (await refused(await raw(), post(b"{}", "X-Long: " + "x" * (limit - 500))))[0] == 200


async def test_a_head_over_the_limit_is_refused_before_its_end(proxy: Proxy, peer, raw) -> None:
    """It is not held until it is complete or late; neither is one that comes during an answer."""
    gate = asyncio.Event()
    instance = await peer(answer_when(gate))
    proxy.apply(endpoint(deployment("blue", instance)))
    head = post()[: -len(b"\r\n{}")]
    for earlier in (b"", post()):
        client = await raw()
        await client.send(earlier)
        await instance.requests(len(earlier) and 1)
        await client.send(head)
        for _ in range(40):
            await client.send(b"X-Long: " + b"x" * 1000 + b"\r\n")
            await asyncio.sleep(0)
        gate.set()
        for _ in range(len(earlier) and 1):
            assert (await client.answer())[0] == 200
        status, _, body = await client.answer()
        assert (status, body) == (431, b"The request line and headers are over the limit of 32768 bytes.")
        assert await client.rest() == b""
    assert len(instance.seen) == 1


async def test_a_new_limit_holds_for_the_next_request(proxy: Proxy, peer, raw) -> None:
    """The first one after a reload is measured by it already."""
    table = endpoint(deployment("blue", await peer(answer_ok)))
    proxy.apply(table, limits=ProxyLimits(max_head_bytes=60 * 1024))
    client = await raw()
    long = post(b"{}", "X-Long: " + "x" * 40_000)
    await client.send(long)
    assert (await client.answer())[0] == 200
    proxy.apply(table, limits=ProxyLimits(max_head_bytes=32 * 1024))
    await client.send(long)
    assert (await client.answer())[0] == 431


async def test_too_many_fields_are_refused(proxy: Proxy, peer, raw) -> None:
    """However short they are."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", instance)))
    status, head, _ = await refused(await raw(), post(b"{}", *(f"X-{n}: 1" for n in range(300))))
    assert (status, head[b"connection"]) == (431, b"close")
    assert instance.seen == []


async def test_a_malformed_request_is_a_400(proxy: Proxy, raw) -> None:
    """One sentence, an id to ask about, and the connection ends."""
    proxy.apply(endpoint())
    status, head, body = await refused(await raw(), b"nonsense\r\n\r\n")
    assert (status, head[b"content-type"], body) == (400, b"text/plain", b"The request is not well-formed HTTP/1.1.")
    assert (head[b"x-teal-reason"], head[b"connection"], len(head[b"x-request-id"])) == (b"bad_request", b"close", 36)


# 408, 424, 429


async def test_a_model_that_takes_too_long_is_a_408(proxy: Proxy, peer, raw) -> None:
    """Azure's text; who would have answered is named."""
    proxy.apply(endpoint(deployment("blue", await peer(holds), request_timeout_s=0.05)))
    status, head, body = await refused(await raw(), post())
    assert (status, body) == (408, b"upstream request timeout")
    assert (head[b"x-teal-reason"], head[b"azureml-model-deployment"]) == (b"upstream_timeout", b"blue")
    assert proxy.stats().failures == {"timeout": 1}


async def test_a_wait_in_the_queue_counts_as_time(proxy: Proxy, peer, raw) -> None:
    """A request that is not begun in time is a 408 too, and never begins."""

    async def begins_to_answer(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
        await conversation.closed()

    instance = await peer(begins_to_answer)
    proxy.apply(endpoint(deployment("blue", instance, request_timeout_s=0.05, max_concurrent=1)))
    first, second = await raw(), await raw()
    await first.send(post())
    await first.head()
    assert (await refused(second, post()))[0] == 408
    assert len(instance.seen) == 1


@pytest.mark.parametrize("model", ["201 Created", "400 Bad", "404 Gone", "422 No", "500 Oh", "503 Busy", "429 Slow"])
async def test_any_model_status_but_200_is_a_424(proxy: Proxy, peer, raw, model: str) -> None:
    """The model's body and its other headers are kept, its status is in a header."""
    proxy.apply(endpoint(deployment("blue", await peer(answers(model, extra=b"Retry-After: 7\r\nX-Own: 1\r\n")))))
    status, head, body = await refused(await raw(), post())
    assert (status, body) == (424, b"model says")
    assert head[b"ms-azureml-model-error-statuscode"] == model[:3].encode()
    assert head[b"ms-azureml-model-error-reason"] == b"model_error"
    assert (head[b"x-own"], head[b"azureml-model-deployment"]) == (b"1", b"blue")


@pytest.mark.parametrize("model", ["201 Created", "400 Bad", "404 Gone", "500 Oh", "503 Busy", "299 New"])
async def test_passthrough_hands_on_the_models_status(proxy: Proxy, peer, raw, model: str) -> None:
    """Beyond Azure: the model's own status, and no header of an error."""
    proxy.apply(endpoint(deployment("blue", await peer(answers(model))), model_errors="passthrough"))
    status, head, body = await refused(await raw(), post())
    assert (status, body) == (int(model[:3]), b"model says")
    assert b"ms-azureml-model-error-statuscode" not in head
    assert b"ms-azureml-model-error-reason" not in head


@pytest.mark.parametrize("instances", [(), (InstanceSpec(address="http://127.0.0.1:9", is_ready=False),)])
async def test_no_ready_instance_is_a_424(proxy: Proxy, raw, instances) -> None:
    """Answered at once, and in passthrough too: it is the router's answer."""
    blue = deployment("blue", instances=instances)
    proxy.apply(endpoint(blue, model_errors="passthrough"))
    status, head, body = await refused(await raw(), post())
    assert (status, body) == (424, b"no healthy upstream")
    assert head[b"ms-azureml-model-error-reason"] == b"model_not_ready"
    assert b"ms-azureml-model-error-statuscode" not in head


async def test_an_instance_that_dies_before_its_answer_is_a_424(proxy: Proxy, peer, raw) -> None:
    """Reset after the request was read: reported, not sent again."""

    async def dies(conversation: Conversation) -> None:
        await conversation.request()
        conversation.reset()

    instance = await peer(dies)
    proxy.apply(endpoint(deployment("blue", instance)))
    status, head, body = await refused(await raw(), post())
    assert (status, body) == (424, b"upstream connect error or disconnect/reset before headers")
    assert head[b"ms-azureml-model-error-reason"] == b"upstream_reset"
    assert len(instance.seen) == 1


async def test_an_instance_that_cannot_be_reached_is_a_424(proxy: Proxy, raw, tmp_path) -> None:
    """No connection, no other instance."""
    gone = InstanceSpec(address=f"unix:{tmp_path / 'gone.sock'}")
    proxy.apply(endpoint(deployment("blue", instances=(gone,))))
    one = await raw()
    status, head, _ = await refused(one, post())
    assert (status, head[b"ms-azureml-model-error-reason"]) == (424, b"upstream_reset")
    status, head, _ = await refused(one, post())  # by now it is ejected
    assert (status, head[b"ms-azureml-model-error-reason"]) == (424, b"model_not_ready")


async def test_a_full_queue_is_a_429(proxy: Proxy, peer, raw) -> None:
    """Past what an instance runs and what may wait, a request is refused at once, with an empty text."""
    gate = asyncio.Event()
    instance = await peer(answer_when(gate))
    proxy.apply(endpoint(deployment("blue", instance, max_concurrent=1, max_queue=1)))
    running, waiting, late = await raw(), await raw(), await raw()
    await running.send(post())
    await instance.requests(1)
    await waiting.send(post())
    await until(lambda: proxy.stats().queued)
    status, head, body = await refused(late, post())
    assert (status, head[b"content-type"], body) == (429, b"text/plain", b"")
    assert head[b"ms-azureml-model-error-reason"] == b"too_many_pending_request"
    assert head[b"retry-after"] == b"1"
    gate.set()
    assert [(await running.answer())[0], (await waiting.answer())[0]] == [200, 200]


@pytest.mark.parametrize("method", ["HEAD"])
@pytest.mark.parametrize(("key", "path", "status"), [("wrong", PATH, b"401"), (KEY, PATH + "/x", b"404")])
async def test_a_refused_head_request_gets_a_head(
    proxy: Proxy, peer, raw, method: str, key: str, path: str, status
) -> None:
    """The answer to HEAD ends with its head, and the next request is understood."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))))
    one = await raw()
    await one.send(post(b"", key=key, path=path).replace(b"POST", method.encode(), 1) * 2)
    assert (await one.head()).split(b" ")[1] == status
    assert (await one.head()).split(b" ")[1] == status


async def test_an_endpoint_that_was_just_added_answers(proxy: Proxy, peer, raw) -> None:
    """A connection that is open already sees the newest table."""
    one = await raw()
    assert (await refused(one, post()))[0] == 404
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))))
    status, head, _ = await refused(one, post())
    assert (status, head[b"x-teal-generation"]) == (200, b"1")

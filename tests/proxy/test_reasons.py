"""Every answer that the router itself gives says why in one word: to its client, in the log, and in the metrics."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from structlog.testing import capture_logs

from router.core.errors import RouterError
from router.core.table import DeploymentSpec, InstanceSpec
from router.core.wire import ProxyLimits
from tests.proxy.conftest import PATH, Proxy, RawClient, deployment, endpoint, fields, post
from tests.proxy.peers import Conversation, Peer, Script, answer_ok
from tests.proxy.waiting import until

StartPeer = Callable[..., Awaitable[Peer]]
OpenRaw = Callable[[], Awaitable[RawClient]]


async def holds(conversation: Conversation) -> None:
    """An instance that takes a request and never answers."""
    await conversation.request()
    await conversation.closed()


async def hangs_up(conversation: Conversation) -> None:
    await conversation.request()


async def talks_garbage(conversation: Conversation) -> None:
    await conversation.request()
    await conversation.send(b"nonsense\r\n\r\n")


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A request that the router answers itself, and how.

    Attributes:
        instance: What the only instance of `blue` does.
        blue: Fields of that deployment.
        limits: Fields of the proxy's limits.
    """

    raw: bytes
    status: int
    reason: str
    instance: Script = answer_ok
    blue: dict[str, Any] = field(default_factory=dict)
    endpoint: dict[str, Any] = field(default_factory=dict)
    limits: dict[str, Any] = field(default_factory=dict)


def _post(*lines: str, body: bytes = b"{}", path: str = PATH) -> bytes:
    return post(body, *lines, path=path)


REFUSALS = {
    "no credential": Refusal(
        raw=f"POST {PATH} HTTP/1.1\r\nHost: teal\r\nContent-Length: 2\r\n\r\n{{}}".encode(),
        status=401,
        reason="key_auth_bad_header_forbidden",
    ),
    "wrong key": Refusal(raw=post(key="wrong"), status=401, reason="key_auth_access_denied"),
    "no endpoint": Refusal(raw=_post(path="/api/v1/endpoint/x/score"), status=404, reason="endpoint_not_found"),
    "no path": Refusal(raw=_post(path=f"{PATH}/other"), status=404, reason="path_not_found"),
    "no deployment": Refusal(raw=_post("azureml-model-deployment: grene"), status=404, reason="deployment_not_found"),
    "no weight": Refusal(raw=_post(), status=404, reason="no_live_deployment", endpoint={"traffic": ()}),
    "not HTTP": Refusal(raw=b"nonsense\r\n\r\n", status=400, reason="bad_request"),
    "a broken field": Refusal(raw=_post("X A: 1"), status=400, reason="bad_request"),
    "a broken length": Refusal(raw=_post("Content-Length: 2, 2"), status=400, reason="bad_request"),
    "a broken chunk": Refusal(
        raw=_post("Transfer-Encoding: chunked", body=b"zz\r\n{}"), status=400, reason="bad_request"
    ),
    "no host": Refusal(raw=_post().replace(b"Host: teal\r\n", b""), status=400, reason="bad_request"),
    "a long head": Refusal(raw=_post(f"X-Long: {'x' * 33_000}"), status=431, reason="head_too_large"),
    "a long target": Refusal(raw=_post(path=f"{PATH}?{'x' * 33_000}"), status=431, reason="head_too_large"),
    "many fields": Refusal(raw=_post(*(f"X-{n}: 1" for n in range(300))), status=431, reason="head_too_large"),
    "a head without end": Refusal(raw=b"POST /sc", status=408, reason="head_timeout", limits={"head_timeout_s": 0.0}),
    "a large body": Refusal(
        raw=_post("Content-Length: 1001", body=b""), status=413, reason="body_too_large", endpoint={"max_body_bytes": 9}
    ),
    "a large chunk": Refusal(
        raw=_post("Transfer-Encoding: chunked", body=b"a\r\n0123456789\r\n"),
        status=413,
        reason="body_too_large",
        endpoint={"max_body_bytes": 9},
    ),
    "half a body": Refusal(
        raw=_post("Content-Length: 9"), status=408, reason="body_timeout", limits={"body_timeout_s": 0.05}
    ),
    "CONNECT": Refusal(raw=b"CONNECT teal:80 HTTP/1.1\r\nHost: teal:80\r\n\r\n", status=501, reason="not_implemented"),
    "an unknown coding": Refusal(
        raw=_post("Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"), status=501, reason="not_implemented"
    ),
    "HTTP/2.0": Refusal(raw=_post().replace(b"HTTP/1.1", b"HTTP/2.0"), status=505, reason="version_not_supported"),
    "a slow model": Refusal(
        raw=_post(), status=408, reason="upstream_timeout", instance=holds, blue={"request_timeout_s": 0.05}
    ),
    "no instance": Refusal(raw=_post(), status=424, reason="model_not_ready", blue={"instances": ()}),
    "an instance that hangs up": Refusal(raw=_post(), status=424, reason="upstream_reset", instance=hangs_up),
    "an instance that talks garbage": Refusal(raw=_post(), status=424, reason="upstream_reset", instance=talks_garbage),
    "an instance that is not there": Refusal(
        raw=_post(),
        status=424,
        reason="upstream_reset",
        blue={"instances": (InstanceSpec(address="unix:/nowhere/at.sock"),)},
    ),
    "no place in the queue": Refusal(
        raw=_post(), status=429, reason="too_many_pending_request", blue={"max_concurrent": 0, "max_queue": 0}
    ),
    "a bug": Refusal(
        raw=_post(), status=502, reason="internal_error", blue={"instances": (InstanceSpec(address="ftp://x"),)}
    ),
}
#: Limits for which the second connection of an address is one too many.
REFUSED_CONNECTIONS = {
    "too_many_connections": ProxyLimits(max_connections=1),
    "too_many_connections_of_address": ProxyLimits(max_connections_per_address=1),
}
#: Told elsewhere: what nobody is answered, and what is no refusal.
ELSEWHERE = {"answer_timeout", "client_stalled", "max_forwards", "not_found"}


def _blue(peer: Peer, refusal: Refusal) -> DeploymentSpec:
    return deployment("blue", peer, **refusal.blue)


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=list(REFUSALS))
async def test_a_refusal_says_why(proxy: Proxy, peer: StartPeer, raw: OpenRaw, refusal: Refusal) -> None:
    """The same word in `x-teal-reason`, in the log's line of this very request, and in the count of failures."""
    blue = _blue(await peer(refusal.instance), refusal)
    proxy.apply(endpoint(blue, **refusal.endpoint), limits=ProxyLimits(**refusal.limits))
    client = await raw()
    await client.send(refusal.raw)
    answering = asyncio.create_task(client.answer(), name="answer")
    await until(lambda: proxy.clients.busy_now or answering.done())
    proxy.clients.sweep()
    status, head, _ = await answering
    told = fields(head)
    assert (status, told[b"x-teal-reason"].decode()) == (refusal.status, refusal.reason)
    await proxy.settled()
    (line,) = proxy.access_log()
    assert (line["response_code"], line["response_code_reason"]) == (refusal.status, refusal.reason)
    assert line["x_request_id"].encode() == told[b"x-request-id"]
    churn, nowhere = (proxy.runtime.totals.endpoint(name) for name in ("churn", ""))
    counted = [churn.reasons, nowhere.reasons, churn.deployment("blue").reasons]
    assert [reasons for reasons in counted if reasons] == [{refusal.reason: 1}]


@pytest.mark.parametrize("reason", REFUSED_CONNECTIONS)
async def test_a_refused_connection_says_why(proxy: Proxy, raw: OpenRaw, reason: str) -> None:
    """It is one of the refused connections, not of the requests that failed: nobody has read any."""
    proxy.apply(endpoint(deployment("blue")), limits=REFUSED_CONNECTIONS[reason])
    await raw()
    client = await raw()
    await client.send(post())
    _, head, _ = await client.answer()
    _check_told(proxy, head, reason)


async def test_a_connection_without_a_descriptor_says_why(proxy: Proxy) -> None:
    """The same."""
    ours, theirs = socket.socketpair()
    with theirs:
        proxy.entrance.refuse_exhausted(ours)
        _check_told(proxy, theirs.recv(4096), "no_descriptors")


async def test_a_refused_connection_that_asks_for_a_head_gets_no_body(proxy: Proxy, raw: OpenRaw) -> None:
    """Whether it is waited for or not (RFC 9110, 9.3.2)."""
    proxy.apply(limits=REFUSED_CONNECTIONS["too_many_connections"])
    await raw()
    client = await raw()
    await client.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
        proxy.entrance.refuse_exhausted(ours)
        answers = [await client.rest(), theirs.recv(4096)]
    assert [answer.index(b"\r\n\r\n") - len(answer) for answer in answers] == [-4, -4]
    assert [(line["method"], line["response_payload_size"]) for line in proxy.access_log()] == [("HEAD", 0)] * 2


def _check_told(proxy: Proxy, head: bytes, reason: str) -> None:
    told = fields(head)
    assert told[b"x-teal-reason"].decode() == reason
    (line,) = proxy.access_log()
    assert (line["response_code"], line["response_code_reason"], line["endpoint_name"]) == (503, reason, "")
    assert line["x_request_id"].encode() == told[b"x-request-id"]
    assert proxy.runtime.totals.process.connections_refused == {reason: 1}
    with capture_logs() as lines:
        proxy.entrance.sweep()
    assert [(event["event"], event[reason]) for event in lines] == [("connections.refused", 1)]


def test_every_reason_is_tried() -> None:
    """What the router may answer is above, or has a test of its own."""
    known = {kind.code for kind in _kinds(RouterError)}
    connections = {*REFUSED_CONNECTIONS, "no_descriptors"}
    assert known == {refusal.reason for refusal in REFUSALS.values()} | connections | ELSEWHERE


def _kinds(base: type[RouterError]) -> set[type[RouterError]]:
    return {base}.union(*(_kinds(kind) for kind in base.__subclasses__()))

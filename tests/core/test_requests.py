"""The request target and the first three steps."""

import pytest

from router.core.auth import digest, issue_token
from router.core.errors import (
    AccessDenied,
    AuthHeaderMissing,
    BadRequest,
    DeploymentNotFound,
    EndpointNotFound,
    LastForward,
    NotImplementedHere,
    PathNotFound,
    RouterError,
)
from router.core.headers import RawHeaders
from router.core.record import RequestRecord
from router.core.requests import Chosen, TokenCache, route, split_target
from router.core.table import DeploymentSpec, EndpointSpec, RoutingTable, TableSpec

SECRET = b"0123456789abcdef0123456789abcdef"
PATH = b"/api/v1/endpoint/churn/score"
KEYED = (b"Authorization", b"Bearer key")


@pytest.mark.parametrize(
    ("target", "parts"),
    [
        (b"/score", (b"", b"/score", b"")),
        (b"/score?", (b"", b"/score", b"?")),
        (b"/score?a=1&b=?2", (b"", b"/score", b"?a=1&b=?2")),
        (b"/a%2Fb/../c;d//?x=%7e+%zz", (b"", b"/a%2Fb/../c;d//", b"?x=%7e+%zz")),
        (b"//host/score", (b"", b"//host/score", b"")),
        (b"/caf\xc3\xa9", (b"", b"/caf\xc3\xa9", b"")),
        (b"/a://b", (b"", b"/a://b", b"")),
        (b"*", (b"", b"*", b"")),
        (b"http://churn.x/score?q", (b"churn.x", b"/score", b"?q")),
        (b"HTTPS://churn.x:8080/score", (b"churn.x:8080", b"/score", b"")),
        (b"http://churn.x", (b"churn.x", b"/", b"")),
        (b"http://churn.x?q=1", (b"churn.x", b"/", b"?q=1")),
        (b"http://churn.x/caf\xc3\xa9", (b"churn.x", b"/caf\xc3\xa9", b"")),
        (b"http://caf\xc3\xa9.x/score", (b"caf\xc3\xa9.x", b"/score", b"")),
        (b"http://[::1]:80/score", (b"[::1]:80", b"/score", b"")),
        (b"http://[::1/score", (b"[::1", b"/score", b"")),
        (b"http://user:word@churn.x/score", (b"churn.x", b"/score", b"")),
        (b"http://churn.x//a/../b", (b"churn.x", b"//a/../b", b"")),
    ],
)
def test_a_target_is_split_without_changing_a_byte(target: bytes, parts: tuple[bytes, bytes, bytes]) -> None:
    """Authority, path and query come out as they went in."""
    assert split_target(target) == parts


@pytest.mark.parametrize(
    "target",
    [
        b"",
        b"/a#b",
        b"http://churn.x/#",
        b"score",
        b"churn.x:80",
        b"ftp://x/score",
        b"http://",
        b"http:///score",
        b"http://@/x",
        b"**",
    ],
)
def test_a_target_of_another_form_is_refused(target: bytes) -> None:
    """What is neither a path nor an http address is a bad request."""
    with pytest.raises(BadRequest):
        split_target(target)


def record() -> RequestRecord:
    return RequestRecord(generation=1, began=0.0, request_id="id")


def routed(
    target: bytes, *headers: tuple[bytes, bytes], into: RequestRecord | None = None, mode: str = "key"
) -> Chosen:
    spec = EndpointSpec(
        name="churn",
        auth_mode=mode,  # type: ignore[arg-type]  # a parameter of the tests
        key_digests=(digest(b"key"),),
        token_secret=SECRET,
        traffic=(("blue", 90.0), ("green", 10.0)),
        deployments=(DeploymentSpec(name="blue"), DeploymentSpec(name="green", scoring_path="/v2")),
    )
    table = RoutingTable(TableSpec(generation=1, endpoints=(spec, EndpointSpec(name="fraud"))))
    return route(table, target, headers, into or record(), tokens=TokenCache(), u=0.5, wall_now=lambda: 1000.0)


def test_a_request_is_routed_and_recorded() -> None:
    """Endpoint, deployment, route and what the log says of the client are filled in."""
    one = record()
    headers = [KEYED, (b"User-Agent", b"curl\xe9"), (b"x-ms-client-request-id", b"my id")]
    chosen = routed(PATH + b"?q=1", *headers, into=one)
    assert (chosen.deployment.name, chosen.target_at(chosen.deployment)) == ("blue", b"/score?q=1")
    assert (one.endpoint, one.deployment, one.route) == ("churn", "blue", "live")
    assert (one.path, one.user_agent, one.client_request_id) == (PATH.decode(), "curl\xe9", "myid")


def test_a_pinned_request_goes_where_it_says() -> None:
    """The pin wins over the weights, in any case, and is recorded as a route of its own."""
    one = record()
    chosen = routed(PATH, KEYED, (b"azureml-model-deployment", b"GREEN"), into=one)
    assert (chosen.target_at(chosen.deployment), one.deployment, one.route) == (b"/v2", "green", "pinned")


def test_the_address_in_an_absolute_target_wins_over_the_host() -> None:
    """The Host beside an absolute target is ignored, also in what the instance is told."""
    chosen = routed(b"http://churn.x/score", KEYED, (b"Host", b"fraud.x"))
    assert (chosen.endpoint.spec.name, chosen.head.host) == ("churn", b"churn.x")


@pytest.mark.parametrize(
    ("target", "headers", "error"),
    [
        (b"/api/v1/endpoint/x/score", [KEYED], EndpointNotFound),
        (PATH, [], AuthHeaderMissing),
        (PATH, [(b"Authorization", b"Bearer no")], AccessDenied),
        (PATH + b"/other", [], AuthHeaderMissing),
        (PATH + b"/other", [KEYED], PathNotFound),
        (PATH, [(b"azureml-model-deployment", b"red")], AuthHeaderMissing),
        (PATH, [KEYED, (b"azureml-model-deployment", b"red")], DeploymentNotFound),
        (PATH, [KEYED, (b"azureml-model-deployment", b"")], DeploymentNotFound),
        (PATH, [KEYED, (b"Host", b"a b")], BadRequest),
        (b"http://a b/score", [KEYED], BadRequest),
        (b"http://churn.x/score", [KEYED, (b"Host", b"a b")], BadRequest),
        (PATH, [KEYED, (b"Transfer-Encoding", b"gzip, chunked")], NotImplementedHere),
    ],
)
def test_a_request_that_goes_nowhere_is_refused(target: bytes, headers: RawHeaders, error: type[RouterError]) -> None:
    """Authentication comes before anything that tells what exists."""
    one = record()
    with pytest.raises(error):
        routed(target, *headers, into=one)
    assert one.deployment == ""


@pytest.mark.parametrize("method", ["CONNECT", "TRACE"])
def test_a_method_that_is_not_for_a_gateway_is_refused(method: str) -> None:
    """Before anything else is looked at."""
    one = record()
    one.method = method
    with pytest.raises(NotImplementedHere):
        routed(b"churn.x:443", into=one)


@pytest.mark.parametrize(
    ("method", "forwards"), [("OPTIONS", b"1"), ("OPTIONS", b"x"), ("OPTIONS", b""), ("POST", b"0")]
)
def test_a_request_may_be_forwarded(method: str, forwards: bytes) -> None:
    """`Max-Forwards` stops nothing but OPTIONS, and that only at 0."""
    one = record()
    one.method = method
    assert routed(PATH, KEYED, (b"Max-Forwards", forwards), into=one).deployment.name == "blue"


@pytest.mark.parametrize("forwards", [b"0", b"000"])
def test_the_last_forward_of_options_is_answered(forwards: bytes) -> None:
    """Where it may go no further, and only to who may ask."""
    one = record()
    one.method = "OPTIONS"
    with pytest.raises(LastForward):
        routed(PATH, KEYED, (b"Max-Forwards", forwards), into=one)
    with pytest.raises(AuthHeaderMissing):
        routed(PATH, (b"Max-Forwards", forwards), into=one)


def test_a_token_opens_an_endpoint_of_that_mode() -> None:
    """In token mode the bearer's token is checked, and a key is none."""
    token = issue_token("churn", SECRET, now=1000.0, lifetime_s=60).encode()
    assert routed(PATH, (b"Authorization", b"Bearer " + token), mode="aml_token").deployment.name == "blue"
    with pytest.raises(AccessDenied):
        routed(PATH, KEYED, mode="aml_token")


def test_without_authentication_no_credential_is_looked_at() -> None:
    """In mode `none` any request passes."""
    assert routed(PATH, mode="none").deployment.name == "blue"

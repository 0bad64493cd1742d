"""Heads of answers, byte for byte."""

import pytest

from router.core.errors import (
    AccessDenied,
    AuthHeaderMissing,
    BadRequest,
    BodyTimeout,
    BodyTooLarge,
    EndpointNotFound,
    HeadTooLarge,
    InternalError,
    NoLiveDeployment,
    NoReadyInstance,
    PathNotFound,
    QueueFull,
    RequestTimeout,
    RouterError,
    UpstreamReset,
)
from router.core.headers import read_answer
from router.core.record import RequestRecord
from router.core.replies import (
    Framing,
    client_status,
    forwarded_head,
    refusal,
    router_fields,
    status_line,
)

DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"


def record(**fields: object) -> RequestRecord:
    return RequestRecord(**{"generation": 7, "began": 10.0, "request_id": "rid"} | fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (200, b"HTTP/1.1 200 OK\r\n"),
        (424, b"HTTP/1.1 424 Failed Dependency\r\n"),
        (299, b"HTTP/1.1 299 \r\n"),
        (999, b"HTTP/1.1 999 \r\n"),
    ],
)
def test_a_status_line_has_the_standard_phrase(status: int, line: bytes) -> None:
    """A status without a phrase keeps the blank that the grammar asks for."""
    assert status_line(status) == line


@pytest.mark.parametrize(
    ("model", "mode", "status"),
    [
        (200, "azure", 200),
        (201, "azure", 424),
        (204, "azure", 424),
        (304, "azure", 424),
        (400, "azure", 424),
        (500, "azure", 424),
        (200, "passthrough", 200),
        (201, "passthrough", 201),
        (304, "passthrough", 304),
        (503, "passthrough", 503),
    ],
)
def test_the_client_sees_status(model: int, mode: str, status: int) -> None:
    """Azure's way turns all but 200 into 424; passthrough turns nothing."""
    assert client_status(model, mode) == status


def test_the_routers_own_time_leaves_out_the_instances() -> None:
    """Time between sending and the first byte of the answer is the instance's."""
    one = record(sent=10.25, answered=11.25, deployment="blue", client_request_id="mine")
    assert router_fields(one, 11.5) == [
        b"x-request-id: rid\r\nx-teal-generation: 7",
        b"azureml-model-deployment: blue",
        b"x-ms-client-request-id: mine",
        b"server-timing: router;dur=500.000",
    ]


SIZED = Framing(is_chunked=False, is_empty=False, closes=False)
CHUNKED = Framing(is_chunked=True, is_empty=False, closes=False)


def test_a_forwarded_head() -> None:
    """The model's fields come first and as they were, then the router's."""
    one = record(status=200, model_status=200, deployment="blue")
    head = forwarded_head(one, read_answer([(b"X-B", b"2"), (b"x-a", b"1")]), CHUNKED, now=10.0, http_date=DATE)
    assert head == (
        b"HTTP/1.1 200 OK\r\nX-B: 2\r\nx-a: 1\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
        b"x-request-id: rid\r\nx-teal-generation: 7\r\nazureml-model-deployment: blue\r\n"
        b"server-timing: router;dur=0.000\r\ntransfer-encoding: chunked\r\n\r\n"
    )


def test_the_models_date_is_kept() -> None:
    """A `Date` of the model is not doubled."""
    head = forwarded_head(record(status=200), read_answer([(b"DATE", b"then")]), SIZED, now=10.0, http_date=DATE)
    assert head.lower().count(b"\r\ndate:") == 1
    assert b"DATE: then" in head


def test_a_model_error_names_the_models_status() -> None:
    """A 424 says which status the model gave."""
    head = forwarded_head(record(status=424, model_status=500), read_answer([]), SIZED, now=10.0, http_date=DATE)
    assert head.startswith(b"HTTP/1.1 424 Failed Dependency\r\n")
    assert b"\r\nms-azureml-model-error-statuscode: 500\r\nms-azureml-model-error-reason: model_error\r\n" in head


@pytest.mark.parametrize(
    ("error", "status", "content_type", "body", "extra"),
    [
        (
            AccessDenied(),
            401,
            b"text/plain",
            b"key_auth_access_denied",
            b'www-authenticate: Bearer error="invalid_token"',
        ),
        (AuthHeaderMissing(), 401, b"text/plain", b"key_auth_bad_header_forbidden", b"www-authenticate: Bearer"),
        (BadRequest("No."), 400, b"text/plain", b"No.", b"x-teal-reason: bad_request"),
        (
            HeadTooLarge(10),
            431,
            b"text/plain",
            b"The request line and headers are over the limit of 10 bytes.",
            b"x-teal-reason: head_too_large",
        ),
        (
            BodyTooLarge(10),
            413,
            b"text/plain",
            b"The request body is over the limit of 10 bytes.",
            b"x-teal-reason: body_too_large",
        ),
        (
            BodyTimeout(1.5),
            408,
            b"text/plain",
            b"No byte of the request body came for 1.5 seconds.",
            b"x-teal-reason: body_timeout",
        ),
        (
            EndpointNotFound(),
            404,
            b"application/json",
            b'{"error": {"code": "endpoint_not_found", "message": "There is no endpoint at this address."}}',
            b"x-teal-reason: endpoint_not_found",
        ),
        (
            PathNotFound(),
            404,
            b"application/json",
            b'{"error": {"code": "path_not_found", "message": "The endpoint has nothing at this path."}}',
            b"x-teal-reason: path_not_found",
        ),
        (
            NoLiveDeployment(),
            404,
            b"text/plain",
            b"No valid deployments to route to. Please check that the endpoint has at least one deployment with "
            b"positive weight values or use a deployment specific header to route.",
            b"x-teal-reason: no_live_deployment",
        ),
        (RequestTimeout(), 408, b"text/plain", b"upstream request timeout", b"x-teal-reason: upstream_timeout"),
        (QueueFull(), 429, b"text/plain", b"", b"ms-azureml-model-error-reason: too_many_pending_request"),
        (QueueFull(), 429, b"text/plain", b"", b"retry-after: 1"),
        (
            NoReadyInstance(),
            424,
            b"text/plain",
            b"no healthy upstream",
            b"ms-azureml-model-error-reason: model_not_ready",
        ),
        (
            UpstreamReset(),
            424,
            b"text/plain",
            b"upstream connect error or disconnect/reset before headers",
            b"ms-azureml-model-error-reason: upstream_reset",
        ),
        (
            InternalError(),
            502,
            b"text/plain",
            b"The router failed to handle this request.",
            b"x-teal-reason: internal_error",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, RouterError) else "",
)
def test_a_refusal_is_a_whole_answer(
    error: RouterError, status: int, content_type: bytes, body: bytes, extra: bytes
) -> None:
    """Status, type, length and body, with the fields that its kind has."""
    answer = refusal(error, record(method="POST"), now=10.0, http_date=DATE, closes=False)
    head, _, sent = answer.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0].startswith(b"HTTP/1.1 %d " % status)
    assert lines[1:3] == [b"content-type: " + content_type, b"content-length: %d" % len(body)]
    assert extra in lines
    assert sent == body
    assert b"connection: close" not in lines


def test_a_refusal_of_head_has_no_body() -> None:
    """The answer to HEAD announces the length and ends with its head."""
    answer = refusal(AccessDenied(), record(method="HEAD"), now=10.0, http_date=DATE, closes=False)
    assert b"content-length: 22\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


def test_a_refusal_that_closes_says_so() -> None:
    """The client is told when its connection ends."""
    answer = refusal(AccessDenied(), record(), now=10.0, http_date=DATE, closes=True)
    assert b"\r\nconnection: close\r\n\r\n" in answer

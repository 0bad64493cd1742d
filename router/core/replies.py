"""The head of the answer that a client gets, as bytes."""

from http import HTTPStatus
from typing import NamedTuple

from router.core.digits import milliseconds
from router.core.errors import RouterError
from router.core.headers import AnswerFields
from router.core.record import RequestRecord

_CRLF = b"\r\n"
#: The router's own share of the time, in milliseconds, follows.
TIMING = b"server-timing: router;dur="
LAST_CHUNK = b"0\r\n\r\n"
_STATUS_LINES = {
    int(status): f"HTTP/1.1 {int(status)} {status.phrase}\r\n".encode()
    for status in HTTPStatus
    if status >= 200 or status == HTTPStatus.SWITCHING_PROTOCOLS
}


def status_line(status: int) -> bytes:
    """The status line with its line end."""
    return _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status


def client_status(model_status: int, model_errors: str) -> int:
    """The status for the client: Azure turns every answer of a model but 200 into 424."""
    return model_status if model_status == 200 or model_errors == "passthrough" else 424


class Framing(NamedTuple):
    """How the answer to a client ends: in chunks, after its Content-Length, or with its head (`is_empty`)."""

    is_chunked: bool
    is_empty: bool
    closes: bool


def framing_fields(framing: Framing, status: int) -> list[bytes]:
    """What the client is told of the body's end and of the connection."""
    fields = []
    if framing.is_chunked:
        fields.append(b"transfer-encoding: chunked")
    elif framing.is_empty and status == 424:
        fields.append(b"content-length: 0")  # 204 and 304 need none, 424 does
    if framing.closes:
        fields.append(b"connection: close")
    return fields


def chunk(part: bytes, *, is_last: bool) -> bytes:
    """A part of a chunked body; one may be empty only if it is the last."""
    framed = b"%x\r\n%b\r\n" % (len(part), part) if part else b""
    return framed + LAST_CHUNK if is_last else framed


def router_fields(record: RequestRecord, now: float) -> list[bytes]:
    """What the router adds to every answer, as lines without line ends.

    `Server-Timing` has the router's own share of the time until now, in milliseconds.
    """
    own_s = now - record.began
    if record.sent is not None and record.answered is not None:
        own_s -= record.answered - record.sent
    lines = [f"x-request-id: {record.request_id}\r\nx-teal-generation: {record.generation}".encode()]
    if record.deployment:
        lines.append(b"azureml-model-deployment: " + record.deployment.encode())
    if record.client_request_id:
        lines.append(b"x-ms-client-request-id: " + record.client_request_id.encode())
    lines.append(TIMING + milliseconds(own_s))
    return lines


def forwarded_head(
    record: RequestRecord, fields: AnswerFields, framing: Framing, *, now: float, http_date: bytes
) -> bytes:
    """Head of an answer that comes from an instance.

    Args:
        fields: The instance's.
        http_date: For an answer without `Date`: a recipient with a clock adds it (RFC 9110, 6.6.1).
    """
    is_without_length = framing.is_empty and record.status != 304
    lines = fields.lines_without_length() if is_without_length else fields.lines.copy()
    if not fields.has_date:
        lines.append(b"date: " + http_date)
    if record.status == 424:
        lines.append(b"ms-azureml-model-error-statuscode: %d" % record.model_status)
        lines.append(b"ms-azureml-model-error-reason: model_error")
    lines += router_fields(record, now)
    lines += framing_fields(framing, record.status)
    return status_line(record.status) + _CRLF.join(lines) + b"\r\n\r\n"


def router_constant(generation: int, deployment: str) -> bytes:
    """The router's fields that all answers of one deployment share, for `plain_answer`."""
    return f"x-teal-generation: {generation}\r\nazureml-model-deployment: {deployment}".encode()


def refusal(error: RouterError, record: RequestRecord, *, now: float, http_date: bytes, closes: bool) -> bytes:
    """The whole answer that the router itself gives; `closes` says so to the client."""
    body = error.body
    lines = [
        b"content-type: " + error.content_type.encode(),
        b"content-length: %d" % len(body),
        b"date: " + http_date,
        b"x-teal-reason: " + error.code.encode(),
        *(f"{name}: {value}".encode() for name, value in error.headers),
        *router_fields(record, now),
    ]
    if closes:
        lines.append(b"connection: close")
    head = status_line(error.status) + _CRLF.join(lines) + b"\r\n\r\n"
    return head if record.method == "HEAD" else head + body

"""Header fields on their way through: which go on, which are replaced and which end here.

Fields are (name, value) pairs of bytes in the order in which they came; order, spelling and duplicates are kept.
Source: RFC 9110, 7.6.1 (hop-by-hop fields); Azure ML managed online endpoints, request and response headers.
"""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

RawHeaders = Sequence[tuple[bytes, bytes]]

MIRROR_MARK = b"x-teal-mirror"
DEPLOYMENT = b"azureml-model-deployment"
REQUEST_ID = b"x-request-id"
CLIENT_REQUEST_ID = b"x-ms-client-request-id"

HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)
# Fields that the router writes itself; what the client claims in them is not passed on.
_REQUEST_REPLACED = HOP_BY_HOP | {
    b"host",
    b"content-length",
    b"expect",
    b"forwarded",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-proto",
    b"x-forwarded-port",
    b"x-forwarded-server",
    b"x-real-ip",
    REQUEST_ID,
    CLIENT_REQUEST_ID,
}
# A copy shall not be able to act in the caller's name.
_CREDENTIALS = frozenset((b"authorization", b"cookie", b"x-api-key", b"api-key"))
# The model's word on these is not the router's word. Content-Length is kept: it is the framing that the model chose.
_RESPONSE_REPLACED = HOP_BY_HOP | {
    DEPLOYMENT,
    REQUEST_ID,
    CLIENT_REQUEST_ID,
    b"ms-azureml-model-error-statuscode",
    b"ms-azureml-model-error-reason",
}

_CLIENT_REQUEST_ID_DROPS = re.compile(rb"[^A-Za-z0-9_-]")
_CLIENT_REQUEST_ID_BYTES = 40


class RequestHead(NamedTuple):
    """What the router looks at in the head of a request; header names compare in lower case."""

    authorization: bytes | None
    deployment: bytes | None
    client_request_id: bytes
    is_marked: bool
    user_agent: bytes
    host: bytes
    transfer_coding: bytes  # `chunked` where the request says nothing else


def read_head(headers: RawHeaders) -> RequestHead:
    """Pick the fields that decide, in one pass. Of a repeated field the first one counts."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        found.setdefault(name.lower(), value)
    return RequestHead(
        authorization=found.get(b"authorization"),
        deployment=found.get(DEPLOYMENT),
        client_request_id=clean_client_request_id(found.get(CLIENT_REQUEST_ID, b"")),
        is_marked=MIRROR_MARK in found,
        user_agent=found.get(b"user-agent", b""),
        host=found.get(b"host", b""),
        transfer_coding=found.get(b"transfer-encoding", b"chunked").lower(),
    )


def clean_client_request_id(value: bytes) -> bytes:
    """The client's own request id, less what Azure does not allow in it; at most 40 bytes."""
    return _CLIENT_REQUEST_ID_DROPS.sub(b"", value)[:_CLIENT_REQUEST_ID_BYTES] if value else b""


def connection_named(headers: RawHeaders) -> frozenset[bytes]:
    """Lower-case names of the fields that `Connection` declares hop-by-hop. Usually empty.

    Never the framing: an answer stripped of its length would leave its client without an end to it.
    """
    named: set[bytes] = set()
    for name, value in headers:
        if len(name) == 10 and name.lower() == b"connection":
            named.update(token.strip().lower() for token in value.split(b","))
    return frozenset(named - {b"close", b"keep-alive", b"content-length", b""})


def request_lines(headers: RawHeaders, *, keep_credentials: bool) -> list[bytes]:
    """The client's fields that go on to the instance, as `Name: value` lines without line ends.

    Args:
        keep_credentials: False where the router itself checked the credential: it was meant for the router.
    """
    drop = _REQUEST_REPLACED | connection_named(headers)
    lines = []
    for name, value in headers:
        lower = name.lower()
        if lower in drop or (not keep_credentials and lower == b"authorization"):
            continue
        if lower.startswith(b"x-teal-") and lower != MIRROR_MARK:
            continue
        lines.append(name + b": " + value)
    return lines


def mirror_lines(lines: Iterable[bytes]) -> list[bytes]:
    """`request_lines` as a copy may carry them: marked, and without credentials or the pin."""
    kept = []
    for line in lines:
        lower = line.partition(b":")[0].lower()
        if lower not in _CREDENTIALS and lower != DEPLOYMENT:
            kept.append(line)
    kept.append(MIRROR_MARK + b": 1")
    return kept


def response_headers(headers: RawHeaders) -> list[tuple[bytes, bytes]]:
    """The model's fields that go on to the client."""
    drop = _RESPONSE_REPLACED | connection_named(headers)
    kept = []
    for field in headers:
        lower = field[0].lower()
        if lower not in drop and not lower.startswith(b"x-teal-"):
            kept.append(field)
    return kept


def without_length(headers: RawHeaders) -> RawHeaders:
    """The fields of an answer that has no body, less the length of the one that it might have had."""
    return [field for field in headers if field[0].lower() != b"content-length"]


def single(headers: RawHeaders, name: bytes) -> bytes | None:
    """The first value of a field, by its lower-case name."""
    return next((value for key, value in headers if key.lower() == name), None)

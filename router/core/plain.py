"""Messages that need no second thought, as nearly all are: read in one pass, written in one piece.

Plain is a small part of what RFC 9112 allows: one length frames the body, no field that counts once comes twice,
nothing is said of the connection but whether to keep it, and each field is written `Name: value`. No parser refuses
what is plain, or reads it as something else. Everything else is for a parser and for `router.core.headers`.

`plain.pyx` beside it has the same functions for the compiled request path, where they work on bytes in memory;
`tests/core/test_plain.py` holds both to the same results.
"""

from collections.abc import Sequence

from router.core.digits import milliseconds, whole
from router.core.headers import (
    CONTROLS,
    MAX_ANSWER_HEAD_BYTES,
    MAX_DIGITS,
    NAME_BYTES,
    PLAIN_ANSWER_ROLES,
    REQUEST_ROLES,
    VIA,
    Role,
    clean_client_request_id,
    is_host,
    is_own,
    mirror_lines,
)
from router.core.record import quoted_agent
from router.core.replies import TIMING

_CRLF = b"\r\n"
_HEAD_END = b"\r\n\r\n"
_OK = b"HTTP/1.1 200 OK\r\n"
_BLANKS = b" \t"
_PERSISTENCE = frozenset((b"", b"keep-alive", b"close"))
_MAX_FIELDS = 256


class PlainRequest:
    """A head that needs no second thought, and what has come of its body.

    Attributes:
        fields: Those that go on to the instance, each with its line end.
        length: Of the body in bytes; `digits` is the same as text.
        received: How much of it is here; more than `length` if another request follows.
    """

    __slots__ = (
        "_body_at",
        "_data",
        "authorization",
        "client_request_id",
        "closes",
        "deployment",
        "digits",
        "fields",
        "host",
        "is_marked",
        "length",
        "received",
        "user_agent",
    )

    authorization: bytes | None
    client_request_id: bytes
    closes: bool
    deployment: bytes | None
    digits: bytes
    fields: bytes
    host: bytes
    is_marked: bool
    length: int
    received: int
    user_agent: bytes

    _data: bytes
    _body_at: int

    @property
    def body(self) -> memoryview:
        """What has come of it."""
        return memoryview(self._data)[self._body_at :]

    def complete(self, body: bytes) -> None:
        """All of its body is here."""
        self._data, self._body_at, self.received = body, 0, len(body)


class PlainAnswer:
    """A whole 200 that needs no second thought.

    Attributes:
        fields: Those that go on to the client, each with its line end.
        length: Of the body in bytes.
    """

    __slots__ = ("_body_at", "_data", "fields", "has_date", "length")

    fields: bytes
    has_date: bool
    length: int

    _data: bytes
    _body_at: int

    @property
    def body(self) -> bytes:
        return self._data[self._body_at :]


def first_line(data: bytes) -> bytes:
    """The first line of a message, without its end; empty if it has not all come."""
    end = data.find(b"\r")
    return data[:end] if data[end + 1 : end + 2] == b"\n" and end > 0 else b""


def read_plain_request(
    data: bytes, start: int, max_head_bytes: int, max_fields: int, keep_credentials: bool
) -> PlainRequest | None:
    """The head of a plain request; None for one that is not plain, or not all here.

    Args:
        data: What has come of the request; its first line is the caller's to judge.
        start: Of its second line.
        max_head_bytes: Without the empty line at its end.
        keep_credentials: False where the router itself checks the credential: it is meant for the router.
    """
    end = data.find(_HEAD_END, start)
    if not 0 <= end <= max_head_bytes:
        return None
    lines = data[start:end].split(_CRLF)
    if len(lines) > min(max_fields, _MAX_FIELDS) or _controls(data[:end]) != 2 * len(lines):
        return None
    passed_on = Role.AUTHORIZATION if keep_credentials else Role.FIRST_PASSED_ON
    found: dict[int, bytes] = {}
    kept = []
    for line in lines:
        name, _, value = line.partition(b": ")
        role = REQUEST_ROLES.get(name)
        if role is None:
            role = _role_of_any(name, REQUEST_ROLES)
        if role == Role.UNUSUAL or role in found or not _is_bare(value):
            return None
        if role >= 0:
            found[role] = value
        if role == Role.PASS or role >= passed_on:
            kept.append(line + _CRLF)
    plain = _plain(found)
    if plain is not None:
        plain.fields = b"".join(kept)
        plain._data, plain._body_at = data, end + len(_HEAD_END)
        plain.received = len(data) - plain._body_at
    return plain


def read_plain_answer(data: bytes) -> PlainAnswer | None:
    """A whole plain 200; None for an answer that is not plain, or not all here."""
    end = data.find(_HEAD_END)
    if not data.startswith(_OK) or not len(_OK) <= end <= MAX_ANSWER_HEAD_BYTES:
        return None
    lines = data[len(_OK) : end].split(_CRLF)
    if len(lines) > _MAX_FIELDS or _controls(data[:end]) != 2 * len(lines):
        return None
    kept = []
    digits = b""
    answer = PlainAnswer()
    answer.has_date = False
    for line in lines:
        name, _, value = line.partition(b": ")
        role = PLAIN_ANSWER_ROLES.get(name)
        if role is None:
            role = _role_of_any(name, PLAIN_ANSWER_ROLES)
        if role == Role.UNUSUAL or not _is_bare(value):
            return None
        if role == Role.LENGTH:
            if digits or not value.isdigit() or len(value) > MAX_DIGITS:
                return None
            digits = value
        elif role == Role.DATE:
            answer.has_date = True
        if role != Role.DROP:
            kept.append(line + _CRLF)
    answer._data, answer._body_at = data, end + len(_HEAD_END)
    if not digits or int(digits) != len(data) - answer._body_at:
        return None
    answer.length = int(digits)
    answer.fields = b"".join(kept)
    return answer


def plain_request(
    plain: PlainRequest, start: bytes, request_id: bytes, forwarded_for: bytes, has_body: bool = True
) -> bytes:
    """A request as its instance gets it.

    Args:
        start: Its first line and `Host`.
        forwarded_for: The lines on the client, up to the value of `X-Forwarded-Host`.
        has_body: False for the head alone.
    """
    client_id = plain.client_request_id
    return b"".join(
        (
            *(start, plain.fields, b"X-Request-Id: ", request_id),
            *((b"\r\nX-Ms-Client-Request-Id: ", client_id) if client_id else ()),
            *(_CRLF, forwarded_for, plain.host, _CRLF, VIA),
            *(b"\r\nContent-Length: ", plain.digits, _HEAD_END),
            plain.body if has_body else b"",
        )
    )


def plain_copy(plain: PlainRequest, start: bytes, request_id: bytes, forwarded_for: bytes) -> bytes:
    """`plain_request` as a copy may be: marked, and without credentials or the pin."""
    head = plain_request(plain, start, request_id, forwarded_for, has_body=False)
    first, *lines, framing, _, _ = head.split(_CRLF)
    return b"".join((_CRLF.join((first, *mirror_lines(lines), framing)), _HEAD_END, plain.body))


def plain_answer(  # noqa: PLR0917 - compiled, it has no keyword arguments
    answer: PlainAnswer, request_id: bytes, constant: bytes, client_id: bytes, own_s: float, http_date: bytes
) -> bytes:
    """A whole 200 for the client, on a connection that stays open.

    Args:
        constant: What all answers of one deployment share (`router_constant`).
        client_id: The client's own id of the request; may be empty.
        own_s: The router's own share of the time until now.
    """
    return b"".join(
        (
            *(_OK, answer.fields),
            *(() if answer.has_date else (b"date: ", http_date, _CRLF)),
            *(b"x-request-id: ", request_id, _CRLF, constant),
            *((b"\r\nx-ms-client-request-id: ", client_id) if client_id else ()),
            *(_CRLF, TIMING, milliseconds(own_s), _HEAD_END),
            answer.body,
        )
    )


def plain_line(  # noqa: PLR0917 - the same
    pieces: Sequence[bytes],
    plain: PlainRequest,
    response_bytes: int,
    time: bytes,
    request_id: bytes,
    total_s: float,
    request_s: float,
    response_s: float,
) -> bytes:
    """A line of the access log: `pieces` (`router.proxy.access_log.line_pieces`) with these values between them."""
    line = [b""] * (2 * len(pieces) - 1)
    line[::2] = pieces
    line[1::2] = (
        *(time, plain.digits, whole(response_bytes), quoted_agent(plain.user_agent.decode("latin-1"))),
        *(request_id, plain.client_request_id),
        *(milliseconds(total_s), milliseconds(request_s), milliseconds(response_s)),
    )
    return b"".join(line)


def _plain(found: dict[int, bytes]) -> PlainRequest | None:
    """A request of the values of its fields, if these leave no doubt where it ends."""
    host, digits = found.get(Role.HOST, b""), found.get(Role.LENGTH, b"")
    persistence = found.get(Role.PERSISTENCE, b"").lower()
    if not host or persistence not in _PERSISTENCE or not is_host(host):
        return None
    if not digits.isdigit() or len(digits) > MAX_DIGITS or (digits[:1] == b"0" and digits != b"0"):
        return None
    plain = PlainRequest()
    plain.host, plain.digits, plain.length = host, digits, int(digits)
    plain.authorization, plain.deployment = found.get(Role.AUTHORIZATION), found.get(Role.PIN)
    plain.client_request_id = clean_client_request_id(found.get(Role.CLIENT_ID, b""))
    plain.user_agent = found.get(Role.AGENT, b"")
    plain.is_marked = Role.MARK in found
    plain.closes = persistence == b"close"
    return plain


def _controls(head: bytes) -> int:
    """How many control characters it has; two for each line end."""
    return len(head) - len(head.translate(None, CONTROLS))


def _is_bare(value: bytes) -> bool:
    """Whether there is one, without blanks around it: parsers differ in what they do with those."""
    return bool(value) and value[0] not in _BLANKS and value[-1] not in _BLANKS


def _role_of_any(name: bytes, roles: dict[bytes, int]) -> int:
    """The role of a field in any spelling; of what is no name as well."""
    if not name or name.translate(None, NAME_BYTES):
        return Role.UNUSUAL
    lower = name.lower()
    role = roles.get(lower)
    if role is None:
        return Role.DROP if is_own(lower) else Role.PASS
    return role

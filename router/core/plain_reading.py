"""Messages that need no second thought, as nearly all are: what is one, and what it says.

Plain is a small part of what RFC 9112 allows: one length frames the body, no field that counts once comes twice,
nothing is said of the connection but whether to keep it, and each field is written `Name: value`. No parser refuses
what is plain, or reads it as something else. Everything else is for a parser and for `router.core.headers`.

`plain_reading.pyx` beside it has the same functions for the compiled request path, where they read each byte once;
`tests/core/test_plain_reading.py` holds both to the same results.
"""

import re
from collections.abc import Callable, Sequence

from router.core.headers import (
    CONTROLS,
    MAX_ANSWER_HEAD_BYTES,
    MAX_DIGITS,
    NAME_BYTES,
    PLAIN_ANSWER_ROLES,
    REQUEST_ROLES,
    Role,
    clean_client_request_id,
    is_host,
    is_own,
    is_replaced,
)
from router.core.replies import status_line

_CRLF = b"\r\n"
_HEAD_END = b"\r\n\r\n"
_OK = status_line(200)
_ZERO = ord("0")
_MAX_FIELDS = 256
_MAX_ANSWER_BYTES = MAX_ANSWER_HEAD_BYTES + len(_HEAD_END)
_VALUE_BYTES = bytes(byte for byte in range(256) if byte not in CONTROLS)
#: All fields of a head, and its empty line. A value has no blanks around it: parsers differ in what they do with those.
_FIELDS = re.compile(
    rb"(?:[%b]++: [%b][%b]*+(?<![ \t])\r\n)++\r\n"
    % (re.escape(NAME_BYTES), re.escape(_VALUE_BYTES.translate(None, b" \t")), re.escape(_VALUE_BYTES))
)
# Of a class, these would be looked up anew for each field.
_PASS, _DROP, _UNUSUAL, _LENGTH, _DATE = Role.PASS, Role.DROP, Role.UNUSUAL, Role.LENGTH, Role.DATE
_NOTHING_FOUND: list[bytes | None] = [None] * (1 + Role.MARK)


class PlainRequest:
    """A head that needs no second thought, and what has come of its body.

    Attributes:
        fields: Those that go on to the instance, each with its line end.
        length: Of the body in bytes; `digits` is the same as text.
        received: How much of it is here; more than `length` if another request follows.
        data: What has come of it, from `body_at` on.
    """

    __slots__ = (
        "authorization",
        "body_at",
        "client_request_id",
        "closes",
        "data",
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
    body_at: int
    client_request_id: bytes
    closes: bool
    data: bytes
    deployment: bytes | None
    digits: bytes
    fields: bytes
    host: bytes
    is_marked: bool
    length: int
    received: int
    user_agent: bytes

    @property
    def body(self) -> memoryview:
        """What has come of it."""
        return memoryview(self.data)[self.body_at :]

    def complete(self, body: bytes) -> None:
        """All of its body is here."""
        self.data, self.body_at, self.received = body, 0, len(body)


class PlainAnswer:
    """A whole 200 that needs no second thought.

    Attributes:
        fields: Those that go on to the client, each with its line end.
        length: Of the body in bytes.
        data: The whole answer; its body begins at `body_at`.
    """

    __slots__ = ("body_at", "data", "fields", "has_date", "length")

    body_at: int
    data: bytes
    fields: bytes
    has_date: bool
    length: int

    @property
    def body(self) -> bytes:
        return self.data[self.body_at :]


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
    head = _FIELDS.match(data, start, max_head_bytes + len(_HEAD_END))
    if head is None:
        return None
    body_at = head.end()
    lines = data[start : body_at - len(_HEAD_END)].split(_CRLF)
    if len(lines) > max_fields or len(lines) > _MAX_FIELDS:
        return None
    passed_on = Role.AUTHORIZATION if keep_credentials else Role.FIRST_PASSED_ON
    found = _NOTHING_FOUND.copy()
    kept = []
    for line in lines:
        name, _, value = line.partition(b": ")
        role = REQUEST_ROLES.get(name)
        if role is None:
            role = _role_of_any(name, REQUEST_ROLES, is_replaced)
        if role >= 0:
            if found[role] is not None:
                return None
            found[role] = value
            if role >= passed_on:
                kept.append(line)
        elif role == _PASS:
            kept.append(line)
        elif role == _UNUSUAL:
            return None
    plain = _plain(found)
    if plain is not None:
        plain.fields = _joined(kept)
        plain.data, plain.body_at = data, body_at
        plain.received = len(data) - body_at
    return plain


def read_plain_answer(data: bytes) -> PlainAnswer | None:
    """A whole plain 200; None for an answer that is not plain, or not all here."""
    head = _FIELDS.match(data, len(_OK), _MAX_ANSWER_BYTES) if data.startswith(_OK) else None
    if head is None:
        return None
    body_at = head.end()
    lines = data[len(_OK) : body_at - len(_HEAD_END)].split(_CRLF)
    if len(lines) > _MAX_FIELDS:
        return None
    kept = []
    digits = b""
    has_date = False
    for line in lines:
        name, _, value = line.partition(b": ")
        role = PLAIN_ANSWER_ROLES.get(name)
        if role is None:
            role = _role_of_any(name, PLAIN_ANSWER_ROLES, is_own)
        if role == _UNUSUAL:
            return None
        if role == _LENGTH:
            if digits or not value.isdigit() or len(value) > MAX_DIGITS:
                return None
            digits = value
        elif role == _DATE:
            has_date = True
        if role != _DROP:
            kept.append(line)
    if not digits or int(digits) != len(data) - body_at:
        return None
    answer = PlainAnswer()
    answer.fields = _joined(kept)
    answer.has_date = has_date
    answer.length = len(data) - body_at
    answer.data, answer.body_at = data, body_at
    return answer


def _plain(found: Sequence[bytes | None]) -> PlainRequest | None:
    """A request of the values of its fields by their roles, if these leave no doubt where it ends."""
    host, digits, client_id, persistence, authorization, agent, _, pin, mark = found
    if not host or not is_host(host) or not digits or not digits.isdigit():
        return None
    if len(digits) > MAX_DIGITS or (digits[0] == _ZERO and digits != b"0"):
        return None
    closes = persistence is not None and persistence.lower() == b"close"
    if persistence is not None and not closes and persistence.lower() != b"keep-alive":
        return None
    plain = PlainRequest()
    plain.host, plain.digits, plain.length = host, digits, int(digits)
    plain.authorization, plain.deployment = authorization, pin
    plain.client_request_id = clean_client_request_id(client_id) if client_id else b""
    plain.user_agent = agent or b""
    plain.is_marked = mark is not None
    plain.closes = closes
    return plain


def _joined(lines: list[bytes]) -> bytes:
    """Lines with their ends."""
    lines.append(b"")
    return _CRLF.join(lines)


def _role_of_any(name: bytes, roles: dict[bytes, int], is_dropped: Callable[[bytes], bool]) -> int:
    """The role of a field in any spelling; without one it goes on, unless it `is_dropped`."""
    lower = name.lower()
    role = roles.get(lower)
    if role is None:
        return _DROP if is_dropped(lower) else _PASS
    return role

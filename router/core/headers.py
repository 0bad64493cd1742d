"""Header fields on their way through: which go on, which are replaced and which end here.

Fields are (name, value) pairs of bytes in the order in which they came; order, spelling and duplicates are kept.
Source: RFC 9110, 7.6.1 (hop-by-hop fields); Azure ML managed online endpoints, request and response headers.
"""

import re
import string
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

RawHeaders = Sequence[tuple[bytes, bytes]]

MIRROR_MARK = b"x-teal-mirror"
DEPLOYMENT = b"azureml-model-deployment"
REQUEST_ID = b"x-request-id"
CLIENT_REQUEST_ID = b"x-ms-client-request-id"

#: Who forwards, for `Via`. A gateway must say so of requests (RFC 9110, 7.6.3); of answers it need not.
VIA = b"Via: 1.1 teal"
VIA_OF_1_0 = b"Via: 1.0 teal"

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
    MIRROR_MARK,
    DEPLOYMENT,
    REQUEST_ID,
    CLIENT_REQUEST_ID,
    b"ms-azureml-model-error-statuscode",
    b"ms-azureml-model-error-reason",
}

_REQUEST_REPLACED_AND_CREDENTIAL = _REQUEST_REPLACED | {b"authorization"}
_OWN_PREFIX = b"x-teal-"
_OK = b"HTTP/1.1 200 OK"
# What `Connection` may name without effect on the fields.
_NOT_NAMED = frozenset((b"close", b"keep-alive", b"content-length", b""))
_SPACE, _TAB, _ZERO, _DELETE = b" \t0\x7f"
_IS_COMPILED = not __file__.endswith(".py")
# Bytes that no field's value has (RFC 9110, 5.5), and those of a name (5.6.2).
_CONTROLS = bytes(byte for byte in (*range(0x20), 0x7F) if byte != _TAB)
_TOKEN = b"!#$%&'*+-.^_`|~" + (string.ascii_letters + string.digits).encode()
_NOTHING: frozenset[bytes] = frozenset()
_PLAIN_PERSISTENCE = frozenset((None, b"keep-alive", b"close"))

# What `read_plain_request` does with a field: pass it on, drop it, or keep its value at this index of what it finds.
_PASS, _DROP = -1, -2
_HOST, _LENGTH, _CLIENT_ID, _PERSISTENCE, _UNUSUAL, _AUTHORIZATION, _AGENT, _TYPE, _PIN, _MARK = range(10)
_FIRST_PASSED_ON = _AGENT  # from here on a field that is kept is passed on as well
# Any value counts as a second one at this index.
_NOTHING_FOUND = [None, None, None, None, b"", None, None, None, None, None]
_ROLES = {
    **dict.fromkeys(_REQUEST_REPLACED, _DROP),
    b"host": _HOST,
    b"content-length": _LENGTH,
    CLIENT_REQUEST_ID: _CLIENT_ID,
    b"connection": _PERSISTENCE,
    b"authorization": _AUTHORIZATION,
    b"user-agent": _AGENT,
    b"content-type": _TYPE,
    DEPLOYMENT: _PIN,
    MIRROR_MARK: _MARK,
    # A message with any of these is more than one head and a body of known length, or refused when it comes twice.
    **dict.fromkeys((b"transfer-encoding", b"expect", b"upgrade", b"trailer", b"te"), _UNUSUAL),
    **dict.fromkeys((b"content-location", b"content-range", b"etag", b"max-forwards", b"server"), _UNUSUAL),
    b"sec-websocket-key1": _UNUSUAL,
    **dict.fromkeys((b"accept", b"accept-encoding", b"accept-language", b"content-encoding", b"traceparent"), _PASS),
}
# The two spellings that nearly every client uses are found without a change of case.
_ROLES |= {name.title(): role for name, role in _ROLES.items()}

# What `read_answer` does with a field.
_ANSWER_LENGTH, _ANSWER_DATE = 0, 1
_ANSWER_ROLES = {
    **dict.fromkeys(_RESPONSE_REPLACED, _DROP),
    b"content-length": _ANSWER_LENGTH,
    b"date": _ANSWER_DATE,
    **dict.fromkeys((b"content-type", b"server", b"content-encoding", b"x-ms-run-fn-exec-ms"), _PASS),
}
_ANSWER_ROLES |= {name.title(): role for name, role in _ANSWER_ROLES.items()}

_CLIENT_REQUEST_ID_DROPS = re.compile(rb"[^A-Za-z0-9_-]")
_CLIENT_REQUEST_ID_BYTES = 40
# uri-host [ ":" port ] of RFC 9110, 7.2: a name, an IPv4 address or an IP literal in brackets; it may be empty.
_HOST_VALUE = re.compile(rb"(?:[\w.~!$&'()*+,;=%-]*|\[[\w.:~!$&'()*+,;=-]+\])(?::[0-9]*)?", re.ASCII)
# What fits a machine word, and is more than any length or count needs.
_MAX_DIGITS = 18


class RequestHead(NamedTuple):
    """What the router looks at in the head of a request; header names compare in lower case."""

    authorization: bytes | None
    deployment: bytes | None
    client_request_id: bytes
    is_marked: bool
    user_agent: bytes
    host: bytes
    transfer_coding: bytes  # `chunked` where the request says nothing else
    max_forwards: bytes | None = None


def read_head(headers: RawHeaders) -> RequestHead:
    """Pick the fields that decide, in one pass. Of a repeated field the first one counts."""
    found = {name.lower(): value for name, value in reversed(headers)}
    return RequestHead(
        authorization=found.get(b"authorization"),
        deployment=found.get(DEPLOYMENT),
        client_request_id=clean_client_request_id(found.get(CLIENT_REQUEST_ID, b"")),
        is_marked=MIRROR_MARK in found,
        user_agent=found.get(b"user-agent", b""),
        host=found.get(b"host", b""),
        transfer_coding=found.get(b"transfer-encoding", b"chunked").lower(),
        max_forwards=found.get(b"max-forwards"),
    )


class PlainRequest:
    """A head that needs no second thought: its body is framed by one length, and it names no other hop's fields.

    Attributes:
        lines: The fields that go on to the instance, without line ends.
        length: Of the body in bytes; `digits` is the same as text.
    """

    __slots__ = (
        "authorization",
        "client_request_id",
        "closes",
        "deployment",
        "digits",
        "host",
        "is_marked",
        "length",
        "lines",
        "user_agent",
    )

    def __init__(self, host: bytes, lines: list[bytes], digits: bytes) -> None:
        self.host = host
        self.lines = lines
        self.digits = digits
        self.length = int(digits)
        self.authorization: bytes | None = None
        self.deployment: bytes | None = None
        self.client_request_id = b""
        self.user_agent = b""
        self.is_marked = False
        self.closes = False


def read_plain_request(head: bytes, lines: list[bytes], keep_credentials: bool) -> PlainRequest | None:
    """What `read_head` and `request_lines` find, in one pass; None for a head that is not plain.

    Not plain is what frames its body in another way, repeats a field that counts once, says more of the connection
    than whether to keep it, or has a field that is written in any other way than `Name: value`. No parser refuses what
    is plain, or reads it as something else: it is a small part of what RFC 9112 allows.

    Args:
        head: All of it but the empty line at its end; the first line is the caller's to judge.
        lines: Its lines, without line ends.
    """
    if _has_controls(head, lines):
        return None
    found: list[bytes | None] = _NOTHING_FOUND.copy()
    passed_on = _AUTHORIZATION if keep_credentials else _FIRST_PASSED_ON
    roles = _ROLES
    kept = []
    for number in range(1, len(lines)):
        line = lines[number]
        name, _, value = line.partition(b": ")
        size = len(value)
        # The parsers differ in what they do with blanks at the end of a line.
        if not size or value[0] <= _SPACE or value[size - 1] <= _SPACE:
            return None
        known = roles.get(name)
        role = _role_of_any(name) if known is None else known
        if role >= 0:
            if found[role] is not None:
                return None
            found[role] = value
            if role < passed_on:
                continue
        elif role == _DROP:
            continue
        kept.append(line)
    return _plain(found, kept)


def _has_controls(head: bytes, lines: list[bytes]) -> bool:
    """Whether a head has more control characters than the line ends that it was split at."""
    if _IS_COMPILED:
        controls, space, tab, delete = 0, _SPACE, _TAB, _DELETE
        for byte in head:  # without a branch, so that the compiler takes many bytes at once
            controls += (byte < space) + (byte == delete) - (byte == tab)
    else:
        controls = len(head) - len(head.translate(None, _CONTROLS))
    return controls != 2 * (len(lines) - 1)


def _plain(found: list[bytes | None], lines: list[bytes]) -> PlainRequest | None:
    """A request of the values that `_ROLES` gives a place, if these leave no doubt where it ends."""
    host, digits, client_request_id, persistence, _, authorization, user_agent, _, deployment, mark = found
    if persistence is not None:
        persistence = persistence.lower()
    if host is None or digits is None or persistence not in _PLAIN_PERSISTENCE:
        return None
    if not digits.isdigit() or len(digits) > _MAX_DIGITS or (digits[0] == _ZERO and digits != b"0"):
        return None
    if not is_host(host):
        return None
    plain = PlainRequest(host, lines, digits)
    plain.authorization = authorization
    plain.deployment = deployment
    if client_request_id:
        plain.client_request_id = clean_client_request_id(client_request_id)
    if user_agent:
        plain.user_agent = user_agent
    plain.is_marked = mark is not None
    plain.closes = persistence == b"close"
    return plain


@lru_cache(maxsize=1024)
def is_host(value: bytes) -> bool:
    """Whether it is a host with or without a port, as `Host` has it."""
    return _HOST_VALUE.fullmatch(value) is not None


def _role_of_any(name: bytes) -> int:
    """The role of a field in any spelling; of what is no name as well."""
    if not name or name.translate(None, _TOKEN):
        return _UNUSUAL
    lower = name.lower()
    role = _ROLES.get(lower, _PASS)
    return _DROP if role == _PASS and lower[:7] == _OWN_PREFIX else role


def clean_client_request_id(value: bytes) -> bytes:
    """The client's own request id, less what Azure does not allow in it; at most 40 bytes."""
    if value.isalnum() and len(value) <= _CLIENT_REQUEST_ID_BYTES:
        return value
    return _CLIENT_REQUEST_ID_DROPS.sub(b"", value)[:_CLIENT_REQUEST_ID_BYTES] if value else b""


def connection_named(headers: RawHeaders) -> frozenset[bytes]:
    """Lower-case names of the fields that `Connection` declares hop-by-hop. Usually empty.

    Never the framing: an answer stripped of its length would leave its client without an end to it.
    """
    named: set[bytes] = set()
    for name, value in headers:
        if len(name) == 10 and name.lower() == b"connection":
            named.update(token.strip().lower() for token in value.split(b","))
    return frozenset(named - _NOT_NAMED) if named else _NOTHING


def request_lines(headers: RawHeaders, *, keep_credentials: bool) -> list[bytes]:
    """The client's fields that go on to the instance, as `Name: value` lines without line ends.

    Args:
        keep_credentials: False where the router itself checked the credential: it was meant for the router.
    """
    drop = _REQUEST_REPLACED if keep_credentials else _REQUEST_REPLACED_AND_CREDENTIAL
    return [b"%b: %b" % field for field in _passed_on(headers, drop)]


def is_last_forward(max_forwards: bytes | None) -> bool:
    """Whether the value of `Max-Forwards` is 0."""
    return max_forwards is not None and max_forwards.isdigit() and not max_forwards.strip(b"0")


def forwarded_once(lines: Iterable[bytes]) -> list[bytes]:
    """`request_lines` of an OPTIONS request, which may be forwarded once less from here on (RFC 9110, 7.6.2)."""
    return [_count_down(line) if line[:13].lower() == b"max-forwards:" else line for line in lines]


def _count_down(line: bytes) -> bytes:
    name, _, value = line.partition(b": ")
    digits = value.lstrip(b"0")[:_MAX_DIGITS]
    return b"%b: %d" % (name, int(digits) - 1) if digits.isdigit() else line


def mirror_lines(lines: Iterable[bytes]) -> list[bytes]:
    """`request_lines` as a copy may carry them: marked, and without credentials or the pin."""
    kept = []
    for line in lines:
        lower = line.partition(b":")[0].lower()
        if lower not in _CREDENTIALS and lower != DEPLOYMENT:
            kept.append(line)
    kept.append(MIRROR_MARK + b": 1")
    return kept


class AnswerFields:
    """The fields of a model's answer.

    Attributes:
        lines: Those that go on to the client, without line ends.
        length: Of the body, as announced.
        is_chunked: The parser takes chunks away.
        has_date: The model said when.
    """

    __slots__ = ("has_date", "is_chunked", "length", "lines")

    def __init__(self, lines: list[bytes], length: int | None, is_chunked: bool, has_date: bool) -> None:
        self.lines = lines
        self.length = length
        self.is_chunked = is_chunked
        self.has_date = has_date

    def lines_without_length(self) -> list[bytes]:
        """`lines` of an answer that has no body, less the length of the one that it might have had."""
        return [line for line in self.lines if line[:15].lower() != b"content-length:"]


def read_answer(headers: RawHeaders) -> AnswerFields:
    """Sort the fields of an answer whose parser has refused what is ambiguous, in one pass.

    Raises:
        ValueError: its body is coded in a way that we do not understand.
    """
    lines = []
    length = None
    is_chunked = has_date = has_connection = False
    for name, value in headers:
        role = _ANSWER_ROLES[name] if name in _ANSWER_ROLES else _answer_role(name.lower())
        if role != _DROP:
            lines.append(name + b": " + value)
            if role == _ANSWER_LENGTH and length is None:
                length = int(value)
            elif role == _ANSWER_DATE:
                has_date = True
        elif len(name) == 17 and name.lower() == b"transfer-encoding":
            if is_chunked or value.lower() != b"chunked":  # the parser leaves any other coding in place
                raise ValueError(f"transfer coding {value!r}")
            is_chunked = True
        elif len(name) == 10 and name.lower() == b"connection":
            has_connection = True
    if is_chunked:
        length = None
    if has_connection and (named := connection_named(headers)):
        lines = [line for line in lines if line.partition(b":")[0].lower() not in named]
    return AnswerFields(lines, length, is_chunked, has_date)


def read_plain_answer(head: bytes, lines: list[bytes]) -> AnswerFields | None:
    """`read_answer` of a 200 that needs no second thought, in one pass; None for a head that is not plain.

    Plain is one length, nothing that is said of the connection, and no field that is written in any other way than
    `Name: value`: a small part of what RFC 9112 allows.

    Args:
        head: All of it but the empty line at its end.
        lines: Its lines, without line ends.
    """
    if lines[0] != _OK or _has_controls(head, lines):
        return None
    roles = _ANSWER_ROLES
    kept = []
    digits = None
    has_date = False
    for number in range(1, len(lines)):
        line = lines[number]
        name, _, value = line.partition(b": ")
        size = len(value)
        if not size or value[0] <= _SPACE or value[size - 1] <= _SPACE:
            return None
        known = roles.get(name)
        role = _answer_role_of_any(name) if known is None else known
        if role == _DROP:
            if name.lower() in HOP_BY_HOP:
                return None
            continue
        if role == _ANSWER_LENGTH:
            if digits is not None or not value.isdigit() or size > _MAX_DIGITS:
                return None
            digits = value
        elif role == _ANSWER_DATE:
            has_date = True
        elif role == _UNUSUAL:
            return None
        kept.append(line)
    return None if digits is None else AnswerFields(kept, int(digits), False, has_date)


def _answer_role_of_any(name: bytes) -> int:
    """The role of a field in any spelling; of what is no name as well."""
    if not name or name.translate(None, _TOKEN):
        return _UNUSUAL
    return _answer_role(name.lower())


def _answer_role(lower: bytes) -> int:
    role = _ANSWER_ROLES.get(lower, _PASS)
    return _DROP if role == _PASS and lower[:7] == _OWN_PREFIX else role


def _passed_on(headers: RawHeaders, drop: frozenset[bytes]) -> list[tuple[bytes, bytes]]:
    """Fields that are not in `drop`, not hop-by-hop by the message's own word, and not the router's own."""
    kept = []
    has_connection = False
    for field in headers:
        lower = field[0].lower()
        if lower in drop:
            has_connection = has_connection or lower == b"connection"
        elif lower[:7] != _OWN_PREFIX or lower == MIRROR_MARK:
            kept.append(field)
    named = connection_named(headers) if has_connection else _NOTHING
    return [field for field in kept if field[0].lower() not in named] if named else kept


def single(headers: RawHeaders, name: bytes) -> bytes | None:
    """The first value of a field, by its lower-case name."""
    return next((value for key, value in headers if key.lower() == name), None)

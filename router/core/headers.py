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
# Fields that the router writes itself; what the client claims in them is not passed on. So it is with `is_forwarding`.
_REQUEST_REPLACED = HOP_BY_HOP | {
    b"host",
    b"content-length",
    b"expect",
    b"forwarded",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-proto",
    REQUEST_ID,
    CLIENT_REQUEST_ID,
}
#: Fields that decide where a request goes and come once. That others do which come once, parsers see to.
_SINGLE = frozenset((b"authorization", DEPLOYMENT))
# A copy shall not be able to act in the caller's name.
_CREDENTIALS = frozenset((b"authorization", b"cookie", b"x-api-key", b"api-key"))
_ALIASES_OF_CREDENTIALS = frozenset((b"x_api_key", b"x_api-key", b"x-api_key", b"api_key"))
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
OWN_PREFIX = b"x-teal-"
# What says whom a request came from. To a program behind CGI or WSGI, `X_Real_IP` is the same variable as `X-Real-IP`.
_FORWARDING = re.compile(rb"x[-_]forwarded|x[-_]real[-_]ip\Z")
#: Bytes that no field's value has (RFC 9110, 5.5).
CONTROLS = bytes(byte for byte in (*range(0x20), 0x7F) if byte != ord("\t"))
#: What a field's name may have in it (RFC 9110, 5.6.2).
NAME_BYTES = b"!#$%&'*+-.^_`|~" + (string.ascii_letters + string.digits).encode()
# What `Connection` may name without effect on the fields.
_NOT_NAMED = frozenset((b"close", b"keep-alive", b"content-length", b""))
_NOTHING: frozenset[bytes] = frozenset()
# To a program behind CGI or WSGI, `Content_Length` is another `Content-Length`, if not the only one.
_NOT_ALIASED = _REQUEST_REPLACED | {DEPLOYMENT}


class Role:
    """What is done with a field: pass it on, drop it, or keep its value, of which there is only one.

    From `FIRST_PASSED_ON` on, a field of a request whose value is kept is passed on as well. `LENGTH` and `DATE` of an
    answer are. A message with an `UNUSUAL` field is not plain.
    """

    PASS, DROP, UNUSUAL = -1, -2, -3
    HOST, LENGTH, CLIENT_ID, PERSISTENCE, AUTHORIZATION, AGENT, TYPE, PIN, MARK, DATE = range(10)
    FIRST_PASSED_ON = AGENT


def _spelled(roles: dict[bytes, int]) -> dict[bytes, int]:
    """The same, to be found without a change of case in the two spellings that nearly everybody uses."""
    return roles | {name.title(): role for name, role in roles.items()}


REQUEST_ROLES = _spelled(
    {
        **dict.fromkeys(_REQUEST_REPLACED, Role.DROP),
        b"host": Role.HOST,
        b"content-length": Role.LENGTH,
        CLIENT_REQUEST_ID: Role.CLIENT_ID,
        b"connection": Role.PERSISTENCE,
        b"authorization": Role.AUTHORIZATION,
        b"user-agent": Role.AGENT,
        b"content-type": Role.TYPE,
        DEPLOYMENT: Role.PIN,
        MIRROR_MARK: Role.MARK,
        # A message with any of these is more than one head and a body of known length, or refused when it comes twice.
        **dict.fromkeys((b"transfer-encoding", b"expect", b"upgrade", b"trailer", b"te"), Role.UNUSUAL),
        **dict.fromkeys((b"content-location", b"content-range", b"etag", b"max-forwards", b"server"), Role.UNUSUAL),
        b"sec-websocket-key1": Role.UNUSUAL,
        **dict.fromkeys(
            (b"accept", b"accept-encoding", b"accept-language", b"content-encoding", b"traceparent"), Role.PASS
        ),
    }
)
ANSWER_ROLES = _spelled(
    {
        **dict.fromkeys(_RESPONSE_REPLACED, Role.DROP),
        b"content-length": Role.LENGTH,
        b"date": Role.DATE,
        **dict.fromkeys((b"content-type", b"server", b"content-encoding", b"x-ms-run-fn-exec-ms"), Role.PASS),
    }
)
#: Of a request of which a copy is made: what must not be in that.
COPY_ROLES = dict.fromkeys(_CREDENTIALS | _ALIASES_OF_CREDENTIALS | {DEPLOYMENT}, Role.DROP)
PLAIN_ANSWER_ROLES = ANSWER_ROLES | _spelled(dict.fromkeys(HOP_BY_HOP, Role.UNUSUAL))

_CODING_LINE = re.compile(rb"(?:\A|(?<=\n))transfer-encoding:[^\r\n]*", re.IGNORECASE)
_CLIENT_REQUEST_ID_DROPS = re.compile(rb"[^A-Za-z0-9_-]")
_CLIENT_REQUEST_ID_BYTES = 40
# uri-host [ ":" port ] of RFC 9110, 7.2: a name, an IPv4 address or an IP literal in brackets; it may be empty.
_HOST_VALUE = re.compile(rb"(?:[\w.~!$&'()*+,;=%-]*|\[[\w.:~!$&'()*+,;=-]+\])(?::[0-9]*)?", re.ASCII)
#: Of an instance's answer, without the empty line at its end.
MAX_ANSWER_HEAD_BYTES = 64 * 1024
# What fits a machine word, and is more than any length or count needs.
MAX_DIGITS = 18


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
    """Pick the fields that decide, in one pass. Of a repeated field the first one counts; `repeated` tells of some."""
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


def repeated(headers: RawHeaders) -> bytes | None:
    """The name of a field of which the first and the second may both claim to be the one that counts."""
    seen = set()
    for name, _ in headers:
        lower = name.lower()
        if lower in seen:
            return name
        if lower in _SINGLE:
            seen.add(lower)
    return None


@lru_cache(maxsize=1024)
def is_host(value: bytes) -> bool:
    """Whether it is a host with or without a port, as `Host` has it."""
    return _HOST_VALUE.fullmatch(value) is not None


def clean_client_request_id(value: bytes) -> bytes:
    """The client's own request id, less what Azure does not allow in it; at most 40 bytes."""
    if value.isalnum() and len(value) <= _CLIENT_REQUEST_ID_BYTES:
        return value
    return _CLIENT_REQUEST_ID_DROPS.sub(b"", value)[:_CLIENT_REQUEST_ID_BYTES] if value else b""


def without_tabs_in_coding(head: bytes) -> bytes:
    """A head, or what came of one, with a blank for each tab of its transfer coding; of those llhttp makes another one.

    Around a value the two are the same (RFC 9110, 5.5), and within a coding neither may be.
    """
    return _CODING_LINE.sub(lambda line: line[0].replace(b"\t", b" "), head) if b"\t" in head else head


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
    digits = value.lstrip(b"0")[:MAX_DIGITS]
    return b"%b: %d" % (name, int(digits) - 1) if digits.isdigit() else line


def mirror_lines(lines: Iterable[bytes]) -> list[bytes]:
    """`request_lines` as a copy may carry them: marked, and without credentials or the pin."""
    kept = []
    for line in lines:
        lower = line.partition(b":")[0].lower()
        if lower not in COPY_ROLES:
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
        role = ANSWER_ROLES[name] if name in ANSWER_ROLES else _answer_role(name.lower())
        if role != Role.DROP:
            lines.append(name + b": " + value)
            if role == Role.LENGTH and length is None:
                length = int(value)
            elif role == Role.DATE:
                has_date = True
        elif len(name) == 17 and name.lower() == b"transfer-encoding":
            # The parser leaves any other coding in place, and blanks behind a value, but takes them for what they are.
            if is_chunked or value.rstrip(b" ").lower() != b"chunked":
                raise ValueError(f"transfer coding {value!r}")
            is_chunked = True
        elif len(name) == 10 and name.lower() == b"connection":
            has_connection = True
    if is_chunked:
        length = None
    if has_connection and (named := connection_named(headers)):
        lines = [line for line in lines if line.partition(b":")[0].lower() not in named]
        has_date = has_date and b"date" not in named
    return AnswerFields(lines, length, is_chunked, has_date)


def is_own(lower: bytes) -> bool:
    """Whether a field, by its name in lower case, is the router's own to write."""
    return lower[:7] == OWN_PREFIX


def is_forwarding(lower: bytes) -> bool:
    """Whether a request's field, by its name in lower case, is only a trusted proxy's to write, as `Forwarded` is."""
    return lower[:1] == b"x" and _FORWARDING.match(lower) is not None


def is_alias(lower: bytes) -> bool:
    """Whether a field of a request, by its name in lower case, is but for `_` one that frames, routes or vouches."""
    if b"_" not in lower:
        return False
    name = lower.replace(b"_", b"-")
    return name in _NOT_ALIASED or is_own(name)


def is_replaced(lower: bytes) -> bool:
    """Whether a field of a request, by its name in lower case, ends here though no role says so."""
    return is_own(lower) or is_forwarding(lower) or is_alias(lower)


def _answer_role(lower: bytes) -> int:
    role = ANSWER_ROLES.get(lower, Role.PASS)
    return Role.DROP if role == Role.PASS and is_own(lower) else role


def _passed_on(headers: RawHeaders, drop: frozenset[bytes]) -> list[tuple[bytes, bytes]]:
    """Fields that are not in `drop`, not hop-by-hop by the message's own word, and not the router's own."""
    kept = []
    has_connection = False
    for field in headers:
        lower = field[0].lower()
        if lower in drop:
            has_connection = has_connection or lower == b"connection"
        elif not is_replaced(lower) or lower == MIRROR_MARK:
            kept.append(field)
    named = connection_named(headers) if has_connection else _NOTHING
    return [field for field in kept if field[0].lower() not in named] if named else kept


def single(headers: RawHeaders, name: bytes) -> bytes | None:
    """The first value of a field, by its lower-case name."""
    return next((value for key, value in headers if key.lower() == name), None)

"""Plain messages: what is one, what is made of it, and that both versions of the module agree on it."""

import importlib.util
import math
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import router.core
from router.core import plain as in_use
from router.core.headers import ANSWER_ROLES, REQUEST_ROLES, read_answer, request_lines
from router.core.record import RequestRecord
from router.core.replies import Framing, forwarded_head, router_constant

DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"
PIECES = [b"{%d:" % number for number in range(10)]


def _from_source() -> ModuleType:
    """The module as Python, whether or not it was compiled."""
    spec = importlib.util.spec_from_file_location("plain_from_source", Path(router.core.__path__[0]) / "plain.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SOURCE: Any = _from_source()


@pytest.fixture(params=["source", "in use"])
def plain(request: pytest.FixtureRequest) -> Any:
    """Both versions; the one in use is machine code where the request path is compiled."""
    return SOURCE if request.param == "source" else in_use


FIELDS = [
    (b"Host", b"churn.example"),
    (b"AUTHORIZATION", b"Bearer k"),
    (b"content-Type", b"application/json"),
    (b"User-Agent", b"curl"),
    (b"X-Ms-Client-Request-Id", b"my id"),
    (b"azureml-model-deployment", b"green"),
    (b"Accept", b"*/*"),
    (b"X-Forwarded-For", b"evil"),
    (b"x-teal-generation", b"evil"),
    (b"Connection", b"Keep-Alive"),
    (b"Content-Length", b"12"),
]
FIRST = b"POST / HTTP/1.1"


def _request(fields: Iterable[tuple[bytes, bytes]], *more: bytes, body: bytes = b"twelve bytes") -> bytes:
    return b"\r\n".join((FIRST, *(b"%b: %b" % field for field in fields), *more, b"", body))


def _read(plain: Any, data: bytes, *, max_head_bytes: int = 16384, max_fields: int = 100, keeps: bool = False) -> Any:
    return plain.read_plain_request(data, len(FIRST) + 2, max_head_bytes, max_fields, keeps)


def test_a_plain_request_is_read_in_one_pass(plain: Any) -> None:
    """What decides, and the fields that go on: the same as `read_head` and `request_lines` find."""
    read = _read(plain, _request(FIELDS))
    assert (read.authorization, read.deployment, read.client_request_id) == (b"Bearer k", b"green", b"myid")
    assert (read.user_agent, read.host, read.length, read.digits) == (b"curl", b"churn.example", 12, b"12")
    assert (read.is_marked, read.closes, read.received, read.body) == (False, False, 12, b"twelve bytes")
    assert read.fields == b"".join(line + b"\r\n" for line in request_lines(FIELDS, keep_credentials=False))


def test_a_plain_request_may_keep_its_credentials(plain: Any) -> None:
    """Where the router does not ask for any, they are meant for the model."""
    read = _read(plain, _request(FIELDS), keeps=True)
    assert read.fields == b"".join(line + b"\r\n" for line in request_lines(FIELDS, keep_credentials=True))


@pytest.mark.parametrize("body", [b"", b"twelve", b"twelve bytes and more"])
def test_a_plain_request_may_still_be_coming(plain: Any, body: bytes) -> None:
    """It says how much of its body is here."""
    read = _read(plain, _request(FIELDS, body=body))
    assert (read.length, read.received, read.body) == (12, len(body), body)


def test_an_unfinished_head_is_not_plain(plain: Any) -> None:
    """Wherever it ends, before the end of its empty line."""
    head = _request(FIELDS, body=b"")
    assert [_read(plain, head[:size]) for size in range(len(FIRST), len(head))] == [None] * (len(head) - len(FIRST))
    assert _read(plain, head) is not None


def test_a_head_has_bounds(plain: Any) -> None:
    """Of its bytes, without the empty line at its end, and of its fields."""
    data = _request(FIELDS)
    head_bytes = data.index(b"\r\n\r\n")
    assert _read(plain, data, max_head_bytes=head_bytes) is not None
    assert _read(plain, data, max_head_bytes=head_bytes - 1) is None
    assert _read(plain, data, max_fields=len(FIELDS)) is not None
    assert _read(plain, data, max_fields=len(FIELDS) - 1) is None


@pytest.mark.parametrize("size", [7, 40, 41, 500])
def test_a_name_may_be_long(plain: Any, size: int) -> None:
    """Longer than any that means something, too; the router's own stay its own."""
    name = b"x-teal-" + b"a" * (size - 7)
    assert _read(plain, _request(FIELDS, name + b": 1")).fields == _read(plain, _request(FIELDS)).fields
    other = b"y" + name[1:]
    assert _read(plain, _request(FIELDS, other + b": 1")).fields.endswith(b"\r\n" + other + b": 1\r\n")


@pytest.mark.parametrize(
    "more",
    [
        *(b"transfer-encoding: chunked", b"Expect: 100-continue", b"Upgrade: h2c", b"host: other"),
        *(b"content-length: 12", b"authorization: Bearer other", b"connection: close", b"content-type: text/plain"),
        b"ETag: x",
    ],
)
def test_a_head_with_a_second_meaning_is_not_plain(plain: Any, more: bytes) -> None:
    """Another framing, an expectation, or a second value where one counts: the full lane reads those."""
    assert _read(plain, _request(FIELDS, more)) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((b"Host", None), (b"Host", b"a b"), (b"Host", b"a:b"), (b"Host", b"a:1:2"), (b"Content-Length", None)),
        *((b"Content-Length", value) for value in (b"+1", b"012", b"-1", b"1 2", b"0x1", b"1" * 19)),
        (b"Connection", b"X-Hop"),
    ],
)
def test_a_head_that_lacks_what_frames_it_is_not_plain(plain: Any, name: bytes, value: bytes | None) -> None:
    """No Host, no length or one that is no number, and a connection with more to say than close or keep-alive."""
    changed = [field for field in FIELDS if field[0] != name] + ([] if value is None else [(name, value)])
    assert _read(plain, _request(changed)) is None


@pytest.mark.parametrize("host", [b"a", b"a:", b"A.B-c_d:80", b"127.0.0.1:8080", b"[::1]:80", b":80", b"%41"])
def test_any_host_is_plain(plain: Any, host: bytes) -> None:
    """A name, an address or a literal, with or without a port (RFC 9110, 7.2)."""
    assert _read(plain, _request([(b"Host", host), (b"Content-Length", b"0")])).host == host


@pytest.mark.parametrize(("value", "closes"), [(b"close", True), (b"CLOSE", True), (b"keep-alive", False)])
def test_the_connection_may_close_or_stay(plain: Any, value: bytes, closes: bool) -> None:
    """In any spelling."""
    changed = [field for field in FIELDS if field[0] != b"Connection"] + [(b"cOnnection", value)]
    assert _read(plain, _request(changed)).closes is closes


@pytest.mark.parametrize(
    "line",
    [
        *(b"X-A:1", b"X-A:  1", b"X-A: \t1", b"X-A: 1 ", b"X-A: 1\t", b"X-A: ", b"X-A:", b"X-A", b"X-A : 1", b": 1"),
        *(b" X-A: 1", b"\tX-A: 1", b"X A: 1", b"X-\xc3\xa9: 1", b"X(A): 1", b"X-A:b: 1", b"X-\0: 1"),
        *(b"X-A: 1\0", b"X-A: 1\r", b"X-A: 1\n", b"X-A: 1\nHost: b", b"X-A: \r 1", b"X-A: 1\x7f2", b"X-A: \x0b1"),
    ],
)
def test_a_field_that_is_written_in_another_way_is_not_plain(plain: Any, line: bytes) -> None:
    """Exactly `Name: value`: with anything else parsers may differ in what they make of it."""
    assert _read(plain, _request(FIELDS, line)) is None
    assert plain.read_plain_answer(OK + line + b"\r\n\r\ntwelve bytes") is None


@pytest.mark.parametrize("line", [b"X-A: 1\t2", b"X-A: caf\xc3\xa9", b"x!#$%&'*+-.^_`|~9: :", b"X-A: b: c"])
def test_any_field_of_the_usual_form_is_plain(plain: Any, line: bytes) -> None:
    """Whatever a token and a value may have in them, it goes on as it came."""
    assert _read(plain, _request(FIELDS, line)).fields.endswith(b"\r\n" + line + b"\r\n")
    assert plain.read_plain_answer(OK + line + b"\r\n\r\ntwelve bytes").fields.endswith(b"\r\n" + line + b"\r\n")


OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Request-Id: evil\r\ncontent-length: 12\r\nx-a: 1\r\n"


@pytest.mark.parametrize(
    ("head", "fields", "has_date"),
    [
        (OK, b"Content-Type: text/plain\r\ncontent-length: 12\r\nx-a: 1\r\n", False),
        *((b"HTTP/1.1 200 OK\r\n" + fields, fields, True) for fields in (b"DATE: then\r\nContent-Length: 12\r\n",)),
    ],
)
def test_a_plain_answer_is_read_in_one_pass(plain: Any, head: bytes, fields: bytes, has_date: bool) -> None:
    """What `read_answer` makes of the same fields."""
    read = plain.read_plain_answer(head + b"\r\ntwelve bytes")
    assert (read.fields, read.length, read.has_date, read.body) == (fields, 12, has_date, b"twelve bytes")


@pytest.mark.parametrize(
    "head",
    [
        *(OK.replace(b"200 OK", b"201 Created"), OK.replace(b"1.1", b"1.0"), OK.replace(b": 12", b": +12")),
        *(OK.replace(b": 12", b": 11"), OK.replace(b": 12", b": 13"), OK.replace(b": 12", b": " + 19 * b"0")),
        *(OK.replace(b"content-length: 12", b"x-b: 1"), OK + b"Content-Length: 12\r\n", OK + b"Connection: close\r\n"),
        *(OK + b"Transfer-Encoding: chunked\r\n", OK + b"KEEP-alive: 1\r\n", OK[:-2], b"HTTP/1.1 200 OK\r\n"),
        OK + b"x: 1\r\n" * 11_000,
    ],
)
def test_an_answer_with_a_second_meaning_is_not_plain(plain: Any, head: bytes) -> None:
    """Another status, another framing, a word on the connection, a body that is not all here, or no end to the head."""
    assert plain.read_plain_answer(head + b"\r\ntwelve bytes") is None


def test_what_an_instance_gets(plain: Any) -> None:
    """The client's fields that go on, then the router's, then the body."""
    read = _read(plain, _request(FIELDS))
    head = (
        b"POST /score HTTP/1.1\r\nHost: localhost\r\ncontent-Type: application/json\r\nUser-Agent: curl\r\n"
        b"azureml-model-deployment: green\r\nAccept: */*\r\nX-Request-Id: rid\r\nX-Ms-Client-Request-Id: myid\r\n"
        b"X-Forwarded-Host: churn.example\r\nVia: 1.1 teal\r\nContent-Length: 12\r\n\r\n"
    )
    start = b"POST /score HTTP/1.1\r\nHost: localhost\r\n"
    assert plain.plain_request(read, start, b"rid", b"X-Forwarded-Host: ") == head + b"twelve bytes"
    assert plain.plain_request(read, start, b"rid", b"X-Forwarded-Host: ", False) == head


def test_what_a_mirror_gets(plain: Any) -> None:
    """The same, marked, and without credentials or the pin."""
    read = _read(plain, _request(FIELDS, b"X-API-Key: k", b"cookie: c", b"X-A: 1"), keeps=True)
    assert plain.plain_copy(read, b"POST /score HTTP/1.1\r\nHost: localhost\r\n", b"rid", b"X-Forwarded-Host: ") == (
        b"POST /score HTTP/1.1\r\nHost: localhost\r\ncontent-Type: application/json\r\nUser-Agent: curl\r\n"
        b"Accept: */*\r\nX-A: 1\r\nX-Request-Id: rid\r\nX-Ms-Client-Request-Id: myid\r\n"
        b"X-Forwarded-Host: churn.example\r\n"
        b"Via: 1.1 teal\r\nx-teal-mirror: 1\r\nContent-Length: 12\r\n\r\ntwelve bytes"
    )


@pytest.mark.parametrize("fields", [[(b"Content-Length", b"3")], [(b"Date", b"then"), (b"Content-Length", b"3")]])
@pytest.mark.parametrize("client_id", ["", "mine"])
def test_a_plain_answer_has_the_forwarded_head(plain: Any, fields: list[tuple[bytes, bytes]], client_id: str) -> None:
    """The short way to a whole 200 gives the same bytes as the long one."""
    record = RequestRecord(
        generation=7,
        began=10.0,
        request_id="rid",
        status=200,
        model_status=200,
        deployment="blue",
        client_request_id=client_id,
    )
    framing = Framing(is_chunked=False, is_empty=False, closes=False)
    head = forwarded_head(record, read_answer(fields), framing, now=10.5, http_date=DATE)
    came = b"HTTP/1.1 200 OK\r\n" + b"".join(b"%b: %b\r\n" % field for field in fields) + b"\r\nabc"
    read, constant = plain.read_plain_answer(came), router_constant(7, "blue")
    assert plain.plain_answer(read, b"rid", constant, client_id.encode(), 0.5, DATE) == head + b"abc"


@pytest.mark.parametrize(
    ("agent", "logged"),
    [
        *((b"curl/8", b'"curl/8"'), (b'a"b', b'"a\\"b"'), (b"a\\b", b'"a\\\\b"'), (b"a\tb", b'"a\\tb"')),
        *((b"caf\xe9", '"café"'.encode()), (b"x" * 70, b'"%b"' % (b"x" * 70)), (b"x" * 71, b'"%b"' % (b"x" * 70))),
    ],
)
def test_a_line_of_the_access_log(plain: Any, agent: bytes, logged: bytes) -> None:
    """Values come between the pieces; what the client calls itself is JSON, and not too long."""
    fields = [*(field for field in FIELDS if field[0] != b"User-Agent"), (b"User-Agent", agent)]
    line = plain.plain_line(PIECES, _read(plain, _request(fields)), 1234, b"now", b"rid", 1.5, 0.0012, 0.25)
    values = [b"now", b"12", b"1234", logged, b"rid", b"myid", b"1500.000", b"1.200", b"250.000"]
    pairs = zip(PIECES, [*values, b""], strict=True)
    assert line == b"".join(part for pair in pairs for part in pair)


@pytest.mark.parametrize("seconds", [0.0, 4.9e-7, 5.1e-7, 0.00125, 0.9998999, 0.99999, 1.0, 61.0, -0.0015])
def test_times_are_written_as_elsewhere(plain: Any, seconds: float) -> None:
    """In milliseconds, to the nearest microsecond, for clocks that step back as well."""
    from router.core.digits import milliseconds

    read = plain.read_plain_answer(OK + b"\r\ntwelve bytes")
    assert b";dur=%b\r\n\r\n" % milliseconds(seconds) in plain.plain_answer(read, b"", b"", b"", seconds, DATE)


NAMES = sorted({*REQUEST_ROLES, *ANSWER_ROLES, b"x-a", b"x-teal-b", b"X-Teal-C", b"a" * 41, b"A b", b""})
SEPARATORS = st.sampled_from([b": "] * 8 + [b":", b" : ", b":  ", b""])
ENDS = st.sampled_from([b"\r\n"] * 12 + [b"\n", b"\r", b"\r\n\r\n", b""])
VALUES = st.one_of(
    st.sampled_from([b"0", b"3", b"12", b"close", b"Keep-Alive", b"a:80", b"[::1]", b"chunked", b" x", b"x ", b""]),
    st.binary(max_size=6),
    st.text('ab/"\\ \t\x7f', max_size=80).map(str.encode),
)
LINES = st.builds(lambda *parts: b"".join(parts), st.sampled_from(NAMES), SEPARATORS, VALUES, ENDS)
WHOLE = st.sampled_from([b"Host: a\r\n", b"Content-Length: 3\r\n", b"content-length: 12\r\n", b"X-A: 1\r\n"])
HEADS = st.lists(st.one_of(WHOLE, WHOLE, LINES), max_size=8).map(b"".join)
BODIES = st.sampled_from([b"abc", b"", b"twelve bytes", b"\r\n\r\n"])


def _told(one: Any, *names: str) -> Any:
    return None if one is None else [getattr(one, name) for name in names]


@given(start=st.sampled_from([FIRST + b"\r\n", b"\r\n", b"", FIRST]), head=HEADS, body=BODIES, keeps=st.booleans())
@example(start=FIRST + b"\r\n", head=b"Host: a\r\nContent-Length: 3\r\n", body=b"abc", keeps=False)
def test_both_versions_read_and_write_the_same_requests(start: bytes, head: bytes, body: bytes, keeps: bool) -> None:
    """Whatever comes, and cut off wherever it may be."""
    data = start + head + b"\r\n" + body
    lines = SOURCE.first_line(data), in_use.first_line(data)
    assert lines[0] == lines[1]
    reads = [one.read_plain_request(data, len(start), 16384, 100, keeps) for one in (SOURCE, in_use)]
    names = ("authorization", "client_request_id", "closes", "deployment", "digits", "fields", "host", "is_marked")
    told = [_told(one, *names, "length", "received", "user_agent", "body") for one in reads]
    assert told[0] == told[1]
    if reads[0] is not None:
        made = [one.plain_request(read, b"s", b"r", b"f") for one, read in zip((SOURCE, in_use), reads, strict=True)]
        assert made[0] == made[1]
        start = b"POST / HTTP/1.1\r\nHost: h\r\n"
        made = [one.plain_copy(read, start, b"r", b"f") for one, read in zip((SOURCE, in_use), reads, strict=True)]
        assert made[0] == made[1]
        times = (0.5, 0.25, math.pi)
        lines = tuple(
            one.plain_line(PIECES, read, 7, b"t", b"r", *times)
            for one, read in zip((SOURCE, in_use), reads, strict=True)
        )
        assert lines[0] == lines[1]


@given(start=st.sampled_from([b"HTTP/1.1 200 OK\r\n"] * 4 + [b"HTTP/1.0 200 OK\r\n", b""]), head=HEADS, body=BODIES)
@example(start=b"HTTP/1.1 200 OK\r\n", head=b"Content-Length: 3\r\n", body=b"abc")
def test_both_versions_read_and_write_the_same_answers(start: bytes, head: bytes, body: bytes) -> None:
    """Whatever comes."""
    data = start + head + b"\r\n" + body
    reads = [one.read_plain_answer(data) for one in (SOURCE, in_use)]
    told = [_told(one, "fields", "has_date", "length", "body") for one in reads]
    assert told[0] == told[1]
    if reads[0] is not None:
        made = [
            one.plain_answer(read, b"r", b"c", b"i", 0.0012, DATE)
            for one, read in zip((SOURCE, in_use), reads, strict=True)
        ]
        assert made[0] == made[1]

"""Plain messages: what is one, what it says, and that both versions of the module agree on it."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from router.core.headers import request_lines
from tests.core.plain_versions import BODIES, FIELDS, FIRST, HEADS, IN_USE, OK, SOURCE, VERSIONS, read, request_of


@pytest.fixture(params=VERSIONS)
def plain(request: pytest.FixtureRequest) -> Any:
    """Both versions."""
    return VERSIONS[request.param]


def test_a_plain_request_is_read_in_one_pass(plain: Any) -> None:
    """What decides, and the fields that go on: the same as `read_head` and `request_lines` find."""
    came = read(plain, request_of(FIELDS))
    assert (came.authorization, came.deployment, came.client_request_id) == (b"Bearer k", b"green", b"myid")
    assert (came.user_agent, came.host, came.length, came.digits) == (b"curl", b"churn.example", 12, b"12")
    assert (came.is_marked, came.closes, came.received, came.body) == (False, False, 12, b"twelve bytes")
    assert came.fields == b"".join(line + b"\r\n" for line in request_lines(FIELDS, keep_credentials=False))


def test_a_plain_request_may_keep_its_credentials(plain: Any) -> None:
    """Where the router does not ask for any, they are meant for the model."""
    came = read(plain, request_of(FIELDS), keeps=True)
    assert came.fields == b"".join(line + b"\r\n" for line in request_lines(FIELDS, keep_credentials=True))


@pytest.mark.parametrize("body", [b"", b"twelve", b"twelve bytes and more"])
def test_a_plain_request_may_still_be_coming(plain: Any, body: bytes) -> None:
    """It says how much of its body is here."""
    came = read(plain, request_of(FIELDS, body=body))
    assert (came.length, came.received, came.body) == (12, len(body), body)


def test_an_unfinished_head_is_not_plain(plain: Any) -> None:
    """Wherever it ends, before the end of its empty line."""
    head = request_of(FIELDS, body=b"")
    assert [read(plain, head[:size]) for size in range(len(FIRST), len(head))] == [None] * (len(head) - len(FIRST))
    assert read(plain, head) is not None


def test_a_head_has_bounds(plain: Any) -> None:
    """Of its bytes, without the empty line at its end, and of its fields."""
    data = request_of(FIELDS)
    head_bytes = data.index(b"\r\n\r\n")
    assert read(plain, data, max_head_bytes=head_bytes) is not None
    assert read(plain, data, max_head_bytes=head_bytes - 1) is None
    assert read(plain, data, max_fields=len(FIELDS)) is not None
    assert read(plain, data, max_fields=len(FIELDS) - 1) is None


@pytest.mark.parametrize("size", [7, 40, 41, 500])
def test_a_name_may_be_long(plain: Any, size: int) -> None:
    """Longer than any that means something, too; the router's own stay its own."""
    name = b"x-teal-" + b"a" * (size - 7)
    assert read(plain, request_of(FIELDS, name + b": 1")).fields == read(plain, request_of(FIELDS)).fields
    other = b"y" + name[1:]
    assert read(plain, request_of(FIELDS, other + b": 1")).fields.endswith(b"\r\n" + other + b": 1\r\n")


@pytest.mark.parametrize(
    ("line", "goes_on"),
    [
        *((b"X-Forwarded-Prefix: /a", False), (b"x_forwarded_for: 1", False), (b"X-FORWARDED: 1", False)),
        *((b"X-Forwarded_" + b"a" * 40 + b": 1", False), (b"X_Real-IP: 1", False), (b"x-real-ip: 1", False)),
        *((b"Content_Length: 9", False), (b"azureml-model_deployment: green", False), (b"X_Teal_Mirror: 1", False)),
        *((b"my_feature: 1", True), (b"api_key: k", True), (b"__" + b"a" * 99 + b": 1", True)),
        *((b"X-Forward: 1", True), (b"x-real-ips: 1", True), (b"Y-Forwarded-For: 1", True), (b"x: 1", True)),
    ],
)
def test_what_a_client_says_of_whom_it_speaks_for_ends_here(plain: Any, line: bytes, goes_on: bool) -> None:
    """`X-Forwarded` with anything behind it and `X-Real-IP`, also with `_` for `-`; an instance may say them."""
    came = read(plain, request_of(FIELDS, line)).fields
    assert came.removeprefix(read(plain, request_of(FIELDS)).fields) == (line + b"\r\n" if goes_on else b"")
    assert line + b"\r\n" in plain.read_plain_answer(OK + line + b"\r\n\r\ntwelve bytes").fields


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
    assert read(plain, request_of(FIELDS, more)) is None


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
    assert read(plain, request_of(changed)) is None


@pytest.mark.parametrize("host", [b"a", b"a:", b"A.B-c_d:80", b"127.0.0.1:8080", b"[::1]:80", b":80", b"%41"])
def test_any_host_is_plain(plain: Any, host: bytes) -> None:
    """A name, an address or a literal, with or without a port (RFC 9110, 7.2)."""
    assert read(plain, request_of([(b"Host", host), (b"Content-Length", b"0")])).host == host


@pytest.mark.parametrize(("value", "closes"), [(b"close", True), (b"CLOSE", True), (b"keep-alive", False)])
def test_the_connection_may_close_or_stay(plain: Any, value: bytes, closes: bool) -> None:
    """In any spelling."""
    changed = [field for field in FIELDS if field[0] != b"Connection"] + [(b"cOnnection", value)]
    assert read(plain, request_of(changed)).closes is closes


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
    assert read(plain, request_of(FIELDS, line)) is None
    assert plain.read_plain_answer(OK + line + b"\r\n\r\ntwelve bytes") is None


@pytest.mark.parametrize("line", [b"X-A: 1\t2", b"X-A: caf\xc3\xa9", b"x!#$%&'*+-.^_`|~9: :", b"X-A: b: c"])
def test_any_field_of_the_usual_form_is_plain(plain: Any, line: bytes) -> None:
    """Whatever a token and a value may have in them, it goes on as it came."""
    assert read(plain, request_of(FIELDS, line)).fields.endswith(b"\r\n" + line + b"\r\n")
    assert plain.read_plain_answer(OK + line + b"\r\n\r\ntwelve bytes").fields.endswith(b"\r\n" + line + b"\r\n")


@pytest.mark.parametrize(
    ("head", "fields", "has_date"),
    [
        (OK, b"Content-Type: text/plain\r\ncontent-length: 12\r\nx-a: 1\r\n", False),
        *((b"HTTP/1.1 200 OK\r\n" + fields, fields, True) for fields in (b"DATE: then\r\nContent-Length: 12\r\n",)),
    ],
)
def test_a_plain_answer_is_read_in_one_pass(plain: Any, head: bytes, fields: bytes, has_date: bool) -> None:
    """What `read_answer` makes of the same fields."""
    came = plain.read_plain_answer(head + b"\r\ntwelve bytes")
    assert (came.fields, came.length, came.has_date, came.body) == (fields, 12, has_date, b"twelve bytes")


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


def _told(one: Any, *names: str) -> Any:
    return None if one is None else [getattr(one, name) for name in names]


@given(start=st.sampled_from([FIRST + b"\r\n", b"\r\n", b"", FIRST]), head=HEADS, body=BODIES, keeps=st.booleans())
@example(start=FIRST + b"\r\n", head=b"Host: a\r\nContent-Length: 3\r\n", body=b"abc", keeps=False)
def test_both_versions_read_the_same_requests(start: bytes, head: bytes, body: bytes, keeps: bool) -> None:
    """Whatever comes, and cut off wherever it may be."""
    data = start + head + b"\r\n" + body
    assert SOURCE.first_line(data) == IN_USE.first_line(data)
    reads = [one.read_plain_request(data, len(start), 16384, 100, keeps) for one in (SOURCE, IN_USE)]
    names = ("authorization", "client_request_id", "closes", "deployment", "digits", "fields", "host", "is_marked")
    told = [_told(one, *names, "length", "received", "user_agent", "body") for one in reads]
    assert told[0] == told[1]


@given(start=st.sampled_from([b"HTTP/1.1 200 OK\r\n"] * 4 + [b"HTTP/1.0 200 OK\r\n", b""]), head=HEADS, body=BODIES)
@example(start=b"HTTP/1.1 200 OK\r\n", head=b"Content-Length: 3\r\n", body=b"abc")
def test_both_versions_read_the_same_answers(start: bytes, head: bytes, body: bytes) -> None:
    """Whatever comes."""
    data = start + head + b"\r\n" + body
    told = [_told(one.read_plain_answer(data), "fields", "has_date", "length", "body") for one in (SOURCE, IN_USE)]
    assert told[0] == told[1]

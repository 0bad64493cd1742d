"""What is made of plain messages, and that both versions of the module make the same."""

import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from router.core.digits import milliseconds
from router.core.headers import read_answer
from router.core.record import RequestRecord
from router.core.replies import Framing, forwarded_head, router_constant
from tests.core.plain_versions import BODIES, FIELDS, FIRST, HEADS, IN_USE, OK, SOURCE, VERSIONS, read, request_of

DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"
PIECES = [b"{%d:" % number for number in range(10)]


@pytest.fixture(params=VERSIONS)
def plain(request: pytest.FixtureRequest) -> Any:
    """Both versions."""
    return VERSIONS[request.param]


def test_what_an_instance_gets(plain: Any) -> None:
    """The client's fields that go on, then the router's, then the body."""
    came = read(plain, request_of(FIELDS))
    head = (
        b"POST /score HTTP/1.1\r\nHost: localhost\r\ncontent-Type: application/json\r\nUser-Agent: curl\r\n"
        b"azureml-model-deployment: green\r\nAccept: */*\r\nX-Request-Id: rid\r\nX-Ms-Client-Request-Id: myid\r\n"
        b"X-Forwarded-Host: churn.example\r\nVia: 1.1 teal\r\nContent-Length: 12\r\n\r\n"
    )
    start = b"POST /score HTTP/1.1\r\nHost: localhost\r\n"
    assert plain.plain_request(came, start, b"rid", b"X-Forwarded-Host: ") == head + b"twelve bytes"
    assert plain.plain_request(came, start, b"rid", b"X-Forwarded-Host: ", False) == head


def test_what_a_mirror_gets(plain: Any) -> None:
    """The same, marked, and without credentials or the pin."""
    came = read(plain, request_of(FIELDS, b"X-API-Key: k", b"cookie: c", b"X-A: 1"), keeps=True)
    assert plain.plain_copy(came, b"POST /score HTTP/1.1\r\nHost: localhost\r\n", b"rid", b"X-Forwarded-Host: ") == (
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
    data = b"HTTP/1.1 200 OK\r\n" + b"".join(b"%b: %b\r\n" % field for field in fields) + b"\r\nabc"
    came, constant = plain.read_plain_answer(data), router_constant(7, "blue")
    assert plain.plain_answer(came, b"rid", constant, client_id.encode(), 0.5, DATE) == head + b"abc"


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
    line = plain.plain_line(PIECES, read(plain, request_of(fields)), 1234, b"now", b"rid", 1.5, 0.0012, 0.25)
    values = [b"now", b"12", b"1234", logged, b"rid", b"myid", b"1500.000", b"1.200", b"250.000"]
    pairs = zip(PIECES, [*values, b""], strict=True)
    assert line == b"".join(part for pair in pairs for part in pair)


@pytest.mark.parametrize("seconds", [0.0, 4.9e-7, 5.1e-7, 0.00125, 0.9998999, 0.99999, 1.0, 61.0, -0.0015])
def test_times_are_written_as_elsewhere(plain: Any, seconds: float) -> None:
    """In milliseconds, to the nearest microsecond, for clocks that step back as well."""
    came = plain.read_plain_answer(OK + b"\r\ntwelve bytes")
    assert b";dur=%b\r\n\r\n" % milliseconds(seconds) in plain.plain_answer(came, b"", b"", b"", seconds, DATE)


@given(head=HEADS, body=BODIES, keeps=st.booleans())
@example(head=b"Host: a\r\nContent-Length: 3\r\n", body=b"abc", keeps=False)
def test_both_versions_make_the_same_of_a_request(head: bytes, body: bytes, keeps: bool) -> None:
    """Whatever it has in it."""
    data = FIRST + b"\r\n" + head + b"\r\n" + body
    assert _made_of_request(SOURCE, data, keeps) == _made_of_request(IN_USE, data, keeps)


def _made_of_request(plain: Any, data: bytes, keeps: bool) -> list[bytes]:
    """The request for an instance, the copy and the line of the log; nothing of what is not plain."""
    came = read(plain, data, keeps=keeps)
    if came is None:
        return []
    return [
        plain.plain_request(came, b"s", b"r", b"f"),
        plain.plain_copy(came, b"POST / HTTP/1.1\r\nHost: h\r\n", b"r", b"f"),
        plain.plain_line(PIECES, came, 7, b"t", b"r", 0.5, 0.25, math.pi),
    ]


@given(head=HEADS, body=BODIES)
@example(head=b"Content-Length: 3\r\n", body=b"abc")
def test_both_versions_make_the_same_of_an_answer(head: bytes, body: bytes) -> None:
    """Whatever it has in it."""
    data = b"HTTP/1.1 200 OK\r\n" + head + b"\r\n" + body
    assert _made_of_answer(SOURCE, data) == _made_of_answer(IN_USE, data)


def _made_of_answer(plain: Any, data: bytes) -> bytes | None:
    came = plain.read_plain_answer(data)
    return None if came is None else plain.plain_answer(came, b"r", b"c", b"i", 0.0012, DATE)

"""Which beginnings of heads can be held without a parser."""

import pytest

from router.core.beginning import MAX_BYTES, has_controls, is_harmless, least_missing

HEAD = (
    b"POST /api/v1/endpoint/churn/score?a=1&b=%2F HTTP/1.1\r\nHost: a.example:80\r\nAuthorization: Bearer k\tk\r\n"
    b"X-Custom!: caf\xc3\xa9\r\nContent-Length: 12\r\nConnection: keep-alive\r\n\r"
)


@pytest.mark.parametrize("size", range(1, len(HEAD) + 1))
def test_every_beginning_of_what_clients_send_is_harmless(size: int) -> None:
    """Up to the last byte but one of its end."""
    assert is_harmless(HEAD[:size], 100)


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"])
def test_other_methods_are_harmless_as_well(method: bytes) -> None:
    """Who shall answer them is another question."""
    assert is_harmless(method + b" / HTTP/1.1\r\nHo", 100)


@pytest.mark.parametrize(
    "beginning",
    [
        b"\x16\x03\x01",
        b"\r\n",
        b"PRI",
        b"POSTS",
        b"POST  /",
        b"POST x",
        b"POST http://a/",
        b"POST /a\x00",
        b"POST /a HTTP/1.0",
        b"POST /a HTTP/1.1\rx",
        b"POST /a HTTP/1.1\n",
        b"POST /a HTTP/1.1\r\n Host",
        b"POST /a HTTP/1.1\r\nHo st",
        b"POST /a HTTP/1.1\r\nHost\r",
        b"POST /a HTTP/1.1\r\nHost :",
        b"POST /a HTTP/1.1\r\nHost:a",
        b"POST /a HTTP/1.1\r\nHost: a \r\nX",
        b"POST /a HTTP/1.1\r\nHost: a\nX",
        b"POST /a HTTP/1.1\r\nHost: a\x01",
        b"POST /a HTTP/1.1\r\nHost: a\r\nHost:",
        b"POST /a HTTP/1.1\r\nHost: a\r\nHOST: b\r\nX",
        b"POST /a HTTP/1.1\r\nTransfer-Encoding:",
        b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\nX",
        b"POST /a HTTP/1.1\r\nContent-Length: 1x",
        b"POST /a HTTP/1.1\r\nContent-Length: 1, 1\r\nX",
        b"POST /a HTTP/1.1\r\nContent-Length: 1234567890123456789",
    ],
)
def test_what_a_parser_might_refuse_is_not(beginning: bytes) -> None:
    """Before its end, or in another way than the rest of them."""
    assert not is_harmless(beginning, 100)


def test_a_long_beginning_is_not() -> None:
    """In bytes, or in lines; what is written in it does not matter."""
    assert not is_harmless(b"POST /" + b"a" * MAX_BYTES, 100)
    assert not is_harmless(b"POST / HTTP/1.1\r\nX: " + b"a" * MAX_BYTES, 100)
    lines = b"POST / HTTP/1.1\r\nA: 1\r\nB: 1\r\n"
    assert is_harmless(lines, 3)
    assert not is_harmless(lines, 2)


@pytest.mark.parametrize(("piece", "expected"), [(b"a", False), (b"\t \xff", False), (b"a\r", True), (b"\x7f", True)])
def test_the_middle_of_a_line_is_told_from_all_else(piece: bytes, expected: bool) -> None:
    """Only what has a control character can end a line, or spoil one."""
    assert has_controls(piece) is expected


@pytest.mark.parametrize(
    "head", [HEAD + b"\n", b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n", b"GET /HTT HTTP/1.1\r\n\r\n"]
)
def test_no_more_is_missing_than_comes(head: bytes) -> None:
    """Wherever a head is cut."""
    assert all(least_missing(head[:size]) <= len(head) - size for size in range(len(head)))


@pytest.mark.parametrize(
    ("beginning", "missing"),
    [
        *((b"", 15), (b"POST", 15), (b"POST /a", 13), (b"POST /a ", 12), (b"POST /a HTTP/1.1", 4)),
        *((b"POST /a HTTP/1.1\r", 3), (b"POST /a HTTP/1.1\r\n", 2), (b"POST /a HTTP/1.1\r\n\r", 1)),
        *((b"POST /a HTTP/1.1\r\nHost", 4), (b"POST /a HTTP/1.1\r\nHost: a\r\n", 2)),
    ],
)
def test_what_is_missing_at_least(beginning: bytes, missing: int) -> None:
    """Of the shortest head that begins so."""
    assert least_missing(beginning) == missing

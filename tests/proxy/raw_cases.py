"""Requests and answers as raw bytes, each with the section that decides its fate: of RFC 9112, unless it says which."""

from typing import NamedTuple

from tests.proxy.conftest import KEY, PATH

HEAD = f"POST {PATH} HTTP/1.1\r\nHost: teal\r\nAuthorization: Bearer {KEY}\r\n".encode()
SMUGGLED = f"GET /smuggled HTTP/1.1\r\nHost: churn.x\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode()
LENGTH_2 = b"Content-Length: 2\r\n\r\n{}"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
CHUNKS = b"2\r\n{}\r\n0\r\n\r\n"


class Refused(NamedTuple):
    """A request that no instance may see."""

    section: str
    name: str
    raw: bytes
    status: int = 400


class Forwarded(NamedTuple):
    """A request that is unusual and allowed; `body` is what its instance gets."""

    section: str
    name: str
    raw: bytes
    body: bytes


class Garbage(NamedTuple):
    """An answer that no client may see."""

    section: str
    name: str
    raw: bytes


def _with_target(target: bytes, host: bytes = b"teal") -> bytes:
    return HEAD.replace(PATH.encode(), target).replace(b"Host: teal", b"Host: " + host) + LENGTH_2


def _with_host(host: bytes) -> bytes:
    return HEAD.replace(b"Host: teal", b"Host: " + host) + LENGTH_2


def _without_host() -> bytes:
    return HEAD.replace(b"HTTP/1.1", b"HTTP/1.0").replace(b"Host: teal\r\n", b"") + LENGTH_2


REFUSED = (
    Refused("6.1", "length and chunked", HEAD + b"Content-Length: 13\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS),
    Refused("6.1", "chunked and length", HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n" + CHUNKS),
    Refused("6.3", "two lengths", HEAD + b"Content-Length: 2\r\nContent-Length: 40\r\n\r\n{}"),
    Refused("6.3", "the same length twice", HEAD + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}"),
    Refused("6.3", "a list of lengths", HEAD + b"Content-Length: 2, 2\r\n\r\n{}"),
    Refused("6.3", "plus length", HEAD + b"Content-Length: +2\r\n\r\n{}"),
    Refused("6.3", "negative length", HEAD + b"Content-Length: -2\r\n\r\n{}"),
    Refused("6.3", "hex length", HEAD + b"Content-Length: 0x2\r\n\r\n{}"),
    Refused("6.3", "empty length", HEAD + b"Content-Length:\r\n\r\n{}"),
    Refused("6.3", "length with text", HEAD + b"Content-Length: 2a\r\n\r\n{}"),
    Refused("6.3", "length with a blank inside", HEAD + b"Content-Length: 1 0\r\n\r\n{}"),
    Refused("6.3", "length over 64 bits", HEAD + b"Content-Length: 18446744073709551618\r\n\r\n{}"),
    Refused("5.1", "blank before the colon", HEAD + b"Transfer-Encoding : chunked\r\n\r\n" + CHUNKS),
    Refused("5.1", "blank before the colon of a length", HEAD + b"Content-Length : 2\r\n\r\n{}"),
    Refused("5.1", "tab before the colon", HEAD + b"Transfer-Encoding\t: chunked\r\n\r\n" + CHUNKS),
    Refused("5.2", "folded coding", HEAD + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + CHUNKS),
    Refused("5.2", "folded field", HEAD + b"X-Fold: a\r\n b\r\nContent-Length: 2\r\n\r\n{}"),
    Refused("2.2", "folded first field", f"POST {PATH} HTTP/1.1\r\n Host: teal\r\n\r\n".encode()),
    Refused("2.2", "bare LF after a field", HEAD + b"X-A: 1\nContent-Length: 2\r\n\r\n{}"),
    Refused("2.2", "bare LF ends the head", HEAD + b"Content-Length: 2\r\n\n{}"),
    Refused("2.2", "bare LF everywhere", (HEAD + b"Content-Length: 2\r\n\r\n{}").replace(b"\r\n", b"\n")),
    Refused("2.2", "bare CR in a value", HEAD + b"X-A: 1\rX-B: 2\r\nContent-Length: 2\r\n\r\n{}"),
    Refused("RFC 9110, 5.5", "NUL in a value", HEAD + b"X-A: 1\x002\r\nContent-Length: 2\r\n\r\n{}"),
    Refused("5.1", "NUL in a name", HEAD + b"X\x00A: 1\r\nContent-Length: 2\r\n\r\n{}"),
    Refused("5.1", "blank in a name", HEAD + b"X A: 1\r\nContent-Length: 2\r\n\r\n{}"),
    Refused("5.1", "empty name", HEAD + b": 1\r\nContent-Length: 2\r\n\r\n{}"),
    Refused("5.1", "field without a colon", HEAD + b"X-A\r\nContent-Length: 2\r\n\r\n{}"),
    Refused("RFC 9110, 5.5", "control in a value", HEAD + b"X-A: \x01\r\nContent-Length: 2\r\n\r\n{}"),
    Refused("6.1", "coding of two", HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + CHUNKS, 501),
    Refused("6.3", "chunked is not last", HEAD + b"Transfer-Encoding: chunked, gzip\r\n\r\n" + CHUNKS),
    Refused("6.3", "coding identity", HEAD + b"Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}"),
    Refused("6.3", "coding alone identity", HEAD + b"Transfer-Encoding: identity\r\n\r\n{}"),
    Refused("6.3", "coding unknown", HEAD + b"Transfer-Encoding: xchunked\r\n\r\n" + CHUNKS),
    Refused("6.3", "coding quoted", HEAD + b'Transfer-Encoding: "chunked"\r\n\r\n' + CHUNKS),
    Refused("6.3", "coding with VT", HEAD + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + CHUNKS),
    Refused("6.3", "coding with VT behind it", HEAD + b"Transfer-Encoding: chunked\x0b\r\n\r\n" + CHUNKS),
    Refused("6.3", "coding with NUL", HEAD + b"Transfer-Encoding: chunked\t\x00\r\n\r\n" + CHUNKS),
    Refused("6.3", "coding with a tab inside", HEAD + b"Transfer-Encoding: chun\tked\r\n\r\n" + CHUNKS),
    Refused("6.3", "coding and another behind a tab", HEAD + b"Transfer-Encoding: chunked\t,chunked\r\n\r\n" + CHUNKS),
    Refused("6.3", "coding empty", HEAD + b"Transfer-Encoding:\r\n\r\n" + CHUNKS, 501),
    Refused("6.1", "coding twice", HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS),
    Refused(
        "6.1",
        "coding twice, one unknown",
        HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n" + CHUNKS,
    ),
    Refused("7.1", "chunk size with text", HEAD + b"Transfer-Encoding: chunked\r\n\r\n2x\r\n{}\r\n0\r\n\r\n"),
    Refused("7.1", "chunk size empty", HEAD + b"Transfer-Encoding: chunked\r\n\r\n\r\n{}\r\n0\r\n\r\n"),
    Refused("7.1", "chunk size negative", HEAD + b"Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n"),
    Refused("7.1", "chunk size plus", HEAD + b"Transfer-Encoding: chunked\r\n\r\n+2\r\n{}\r\n0\r\n\r\n"),
    Refused("7.1", "chunk size 0x", HEAD + b"Transfer-Encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n"),
    Refused(
        "7.1",
        "chunk size over 64 bits",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n10000000000000002\r\n{}\r\n0\r\n\r\n",
    ),
    Refused("7.1", "chunk size with bare LF", HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\n{}\r\n0\r\n\r\n"),
    Refused("7.1", "chunk with bare LF", HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\n0\r\n\r\n"),
    Refused("7.1", "chunk longer than its size", HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n"),
    Refused("7.1.1", "chunk extension with bare LF", HEAD + b"Transfer-Encoding: chunked\r\n\r\n2;a\n{}\r\n0\r\n\r\n"),
    Refused("7.1.1", "chunk extension with bare CR", HEAD + CHUNKED + b"2;a\rb\r\n{}\r\n0\r\n\r\n"),
    *(
        Refused("7.1.1", f"chunk extension {extension!r}", HEAD + CHUNKED + b"2" + extension + b"\r\n{}\r\n0\r\n\r\n")
        for extension in (
            *(
                b";",
                b" ",
                b";a ",
                b" a",
                b";;a",
                b";a;",
                b";=b",
                b";a=",
                b";a=b=c",
                b";a b",
                b";(a",
                b';"a"',
                b";a=\xe9",
            ),
            *(b';a="b', b';a="b"c', b';a=b"c"', b';a="\r\n"', b';a="\\', b";a=\x00", b';a="\x7f"', b"\x0b;a"),
        )
    ),
    Refused("7.1.1", "long chunk extension", HEAD + CHUNKED + b"2;" + b"x" * 99_999 + b"\r\n{}\r\n0\r\n\r\n"),
    Refused("7.1.1", "chunk extensions larger than all else", HEAD + CHUNKED + b"1;" + b"x" * 9999 + b"\r\n{\r\n" * 4),
    Refused("7.1.2", "trailers over the limit", HEAD + CHUNKED + b"0\r\n" + (b"X-A: " + b"x" * 999 + b"\r\n") * 40),
    Refused("7.1.2", "more than 256 trailers", HEAD + CHUNKED + b"0\r\n" + b"X-A: 1\r\n" * 257 + b"\r\n"),
    *(
        Refused("RFC 9110, 6.5.1", f"trailer {field!r}", HEAD + CHUNKED + b"2\r\n{}\r\n0\r\n" + field + b"\r\n\r\n")
        for field in (b"Content-Length: 2", b"content-length: 0", b"Transfer-Encoding: chunked", b"HOST: teal")
    ),
    Refused("7.1", "chunk size with an underscore", HEAD + CHUNKED + b"0_2\r\n{}\r\n0\r\n\r\n"),
    Refused("7.1", "chunk size with a blank inside", HEAD + CHUNKED + b"0 2\r\n{}\r\n0\r\n\r\n"),
    Refused("7.1", "chunk size with a blank before", HEAD + CHUNKED + b" 2\r\n{}\r\n0\r\n\r\n"),
    Refused("7.1.2", "folded trailer", HEAD + CHUNKED + b"0\r\nX-A: 1\r\n 2\r\n\r\n"),
    Refused("7.1.2", "trailer with bare LF", HEAD + CHUNKED + b"0\r\nX-A: 1\n\r\n"),
    Refused("7.1.2", "trailer with a blank before the colon", HEAD + CHUNKED + b"0\r\nX-A : 1\r\n\r\n"),
    Refused("3.2", "no Host", HEAD.replace(b"Host: teal\r\n", b"") + b"Content-Length: 2\r\n\r\n{}"),
    Refused("3.2", "two Hosts", HEAD + b"Host: other\r\nContent-Length: 2\r\n\r\n{}"),
    Refused("2.3", "version 3", HEAD.replace(b"HTTP/1.1", b"HTTP/3.0") + b"\r\n"),
    Refused("3", "no version", f"POST {PATH}\r\nHost: teal\r\n\r\n".encode(), 505),  # HTTP/0.9 had none
    Refused("2.3", "lower-case version", HEAD.replace(b"HTTP/1.1", b"http/1.1") + b"\r\n"),
    Refused("3.1", "unknown method", HEAD.replace(b"POST", b"SMUGGLE") + b"\r\n"),
    Refused("3.1", "lower-case method", HEAD.replace(b"POST", b"post") + b"\r\n"),
    Refused("3", "TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100)),
    Refused("3", "HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    Refused("3.2", "target that is no address", HEAD.replace(PATH.encode(), b"http://a[b]@") + b"\r\n"),
    Refused("3", "not HTTP", b"hello?\r\n\r\n"),
    Refused("2.3", "version 1.2", HEAD.replace(b"HTTP/1.1", b"HTTP/1.2") + b"Content-Length: 2\r\n\r\n{}"),
    Refused("3", "tab in the request line", HEAD.replace(b" HTTP", b"\tHTTP") + b"Content-Length: 2\r\n\r\n{}"),
    Refused("3", "request line over the limit", HEAD.replace(b"/score", b"/" + b"s" * 40_000) + b"\r\n", 431),
    Refused("3.2", "fragment in the target", _with_target(PATH.encode() + b"#a")),
    Refused("3.2", "bytes beyond ASCII in the target", _with_target("/caf\xe9".encode())),
    Refused("3.2", "blank in a Host", _with_host(b"a b")),
    Refused("3.2", "address as Host", _with_host(b"http://teal/")),
    Refused("3.2", "user in a Host", _with_host(b"me@teal")),
    Refused("3.2", "path in a Host", _with_host(b"teal/score")),
    Refused("3.2", "port of a Host that is no number", _with_host(b"teal:http")),
    Refused("3.2", "open bracket in a Host", _with_host(b"[::1")),
    Refused("3.2", "bytes beyond ASCII in a Host", _with_host("caf\xe9".encode())),
    Refused("3.2", "Host that is none beside an absolute target", _with_target(b"http://churn.x/score", b"a b")),
    Refused("3.2.2", "absolute target of another scheme", _with_target(b"ftp://churn.x/score")),
    Refused("3.2.2", "absolute target without a host", _with_target(b"http:///score")),
    Refused("3.2.3", "CONNECT", HEAD.replace(b"POST " + PATH.encode(), b"CONNECT churn.x:443") + b"\r\n", 501),
    Refused("3.2.4", "asterisk for a POST", _with_target(b"*")),
    Refused("5", "field over the limit", HEAD + b"X-A: " + b"x" * 40_000 + b"\r\n\r\n", 431),
    Refused("5", "more than 256 fields", HEAD + b"X-A: 1\r\n" * 256 + b"\r\n", 431),
    Refused("6.1", "chunked within chunked", HEAD + b"Transfer-Encoding: chunked, chunked\r\n\r\n" + CHUNKS),
    Refused("6.3", "length of 5000 digits", HEAD + b"Content-Length: " + b"0" * 5000 + b"2\r\n\r\n{}"),
    Refused("7.1.2", "trailer without a colon", HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX\r\n\r\n"),
    Refused("RFC 9110, 5.3", "two Authorizations", HEAD + b"Authorization: Bearer other\r\n" + LENGTH_2),
    Refused("RFC 9110, 5.3", "the same Authorization twice", HEAD + HEAD.split(b"\r\n", 2)[2] + LENGTH_2),
    Refused("RFC 9110, 5.3", "two pins", HEAD + b"azureml-model-deployment: blue\r\n" * 2 + LENGTH_2),
    Refused("RFC 9110, 5.3", "two Content-Types", HEAD + b"Content-Type: a/b\r\n" * 2 + LENGTH_2),
    Refused("RFC 9110, 5.3", "two Max-Forwards", HEAD + b"Max-Forwards: 1\r\n" * 2 + LENGTH_2),
    Refused("RFC 9110, 5.3", "two User-Agents", HEAD + b"User-Agent: a\r\n" * 2 + LENGTH_2),
    Refused(
        "RFC 9110, 7.6.2",
        "TRACE at its last forward",
        HEAD.replace(b"POST", b"TRACE") + b"Max-Forwards: 0\r\n\r\n",
        501,
    ),
    Refused("RFC 9110, 9.3.8", "TRACE", HEAD.replace(b"POST", b"TRACE") + b"\r\n", 501),
)

#: Requests for a head alone, which get no body: it would be taken for the next answer.
REFUSED_HEADS = tuple(
    Refused("RFC 9110, 9.3.2", name, raw.replace(b"POST", b"HEAD", 1), status)
    for name, raw, status in (
        ("blank in a name", HEAD + b"X A: 1\r\n\r\n", 400),
        ("a length that is none", HEAD + b"Content-Length: x\r\n\r\n", 400),
        ("empty lines, and no host", b"\r\n\r\n" + HEAD.replace(b"Host: teal\r\n", b"") + b"\r\n", 400),
        ("chunk size with text", HEAD + CHUNKED + b"2x\r\n{}\r\n0\r\n\r\n", 400),
        ("unknown coding", HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + CHUNKS, 501),
        ("version 2.0", HEAD.replace(b"HTTP/1.1", b"HTTP/2.0") + b"\r\n", 505),
        ("version 3", HEAD.replace(b"HTTP/1.1", b"HTTP/3.0") + b"\r\n", 400),
        ("field over the limit", HEAD + b"X-A: " + b"x" * 40_000 + b"\r\n\r\n", 431),
        ("target over the limit", HEAD.replace(b"/score", b"/" + b"s" * 40_000) + b"\r\n", 431),
        ("more than 256 fields", HEAD + b"X-A: 1\r\n" * 256 + b"\r\n", 431),
        ("no target", b"POST\r\n\r\n", 400),
        ("no target, and a bare LF", b"POST\n\n", 400),
        ("no endpoint", HEAD.replace(PATH.encode(), b"/x") + b"Connection: close\r\n\r\n", 404),
    )
)

FORWARDED = (
    Forwarded(
        "RFC 9110, 5.5", "coding with blanks", HEAD + b"Transfer-Encoding: \t chunked \t\r\n\r\n" + CHUNKS, b"{}"
    ),
    Forwarded("RFC 9110, 5.5", "coding with a tab", HEAD + b"Transfer-Encoding:chunked\t\r\n\r\n" + CHUNKS, b"{}"),
    Forwarded(
        "RFC 9110, 5.5",
        "coding with tabs in the middle of a head",
        HEAD + b"X-A: 1\t2\r\ntransfer-encoding:\tCHUNKED\t \t\r\nX-B:\t1\t\r\n\r\n" + CHUNKS,
        b"{}",
    ),
    Forwarded("7", "coding in capitals", HEAD + b"TRANSFER-ENCODING: CHUNKED\r\n\r\n" + CHUNKS, b"{}"),
    Forwarded(
        "7.1.1", "chunk extensions", HEAD + b"Transfer-Encoding: chunked\r\n\r\n2;a=b;c\r\n{}\r\n0;x\r\n\r\n", b"{}"
    ),
    Forwarded(
        "7.1.1", "quoted chunk extension", HEAD + b'Transfer-Encoding: chunked\r\n\r\n2;a="b"\r\n{}\r\n0\r\n\r\n', b"{}"
    ),
    Forwarded(
        "7.1", "chunk size with zeros", HEAD + b"Transfer-Encoding: chunked\r\n\r\n0000002\r\n{}\r\n000\r\n\r\n", b"{}"
    ),
    Forwarded("6.2", "length with zeros", HEAD + b"Content-Length: 0002\r\n\r\n{}", b"{}"),
    Forwarded("5.1", "length with blanks", HEAD + b"Content-Length: \t 2 \t\r\n\r\n{}", b"{}"),
    Forwarded("6", "GET with a body", HEAD.replace(b"POST", b"GET") + b"Content-Length: 2\r\n\r\n{}", b"{}"),
    Forwarded("6", "HEAD with a body", HEAD.replace(b"POST", b"HEAD") + b"Content-Length: 2\r\n\r\n{}", b"{}"),
    Forwarded("6", "DELETE with a body", HEAD.replace(b"POST", b"DELETE") + b"Content-Length: 2\r\n\r\n{}", b"{}"),
    Forwarded(
        "6",
        "OPTIONS with a chunked body",
        HEAD.replace(b"POST", b"OPTIONS") + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS,
        b"{}",
    ),
    Forwarded("6.3", "POST without a body", HEAD + b"\r\n", b""),
    Forwarded("6.2", "a request as body", HEAD + b"Content-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED, SMUGGLED),
    Forwarded(
        "7.1",
        "a request as chunk",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(SMUGGLED) + SMUGGLED + b"\r\n0\r\n\r\n",
        SMUGGLED,
    ),
    Forwarded(
        "9.3",
        "Connection names the framing",
        HEAD + b"Connection: Content-Length, Transfer-Encoding\r\nContent-Length: 2\r\n\r\n{}",
        b"{}",
    ),
    Forwarded(
        "6.1",
        "HTTP/1.0 with chunks",
        HEAD.replace(b"HTTP/1.1", b"HTTP/1.0") + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS,
        b"{}",
    ),
    Forwarded("2.2", "empty lines before the request line", b"\r\n\r\n" + HEAD + LENGTH_2, b"{}"),
    Forwarded("3", "two blanks in the request line", HEAD.replace(b" HTTP/1.1", b"  HTTP/1.1") + LENGTH_2, b"{}"),
    Forwarded("3.2", "empty Host", _with_host(b""), b"{}"),
    Forwarded("3.2", "Host with a port", _with_host(b"teal:8080"), b"{}"),
    Forwarded("3.2", "IPv6 Host", _with_host(b"[2001:db8::1]:80"), b"{}"),
    Forwarded("3.2", "Host with an underscore", _with_host(b"my_model.teal"), b"{}"),
    Forwarded("3.2", "HTTP/1.0 without a Host", _without_host(), b"{}"),
    Forwarded("3.2.2", "absolute target", _with_target(b"http://anything" + PATH.encode()), b"{}"),
    Forwarded("3.2.2", "absolute target with a user", _with_target(b"http://me@anything" + PATH.encode()), b"{}"),
    Forwarded("5.1", "blanks around a value", HEAD + b"X-A: \t 1 \t \r\n" + LENGTH_2, b"{}"),
    Forwarded("5.1", "no blank before a value", HEAD.replace(b": ", b":") + LENGTH_2, b"{}"),
    *(
        Forwarded(
            "7.1.1", f"chunk extension {extension!r}", HEAD + CHUNKED + b"2" + extension + b"\r\n{}\r\n0\r\n\r\n", b"{}"
        )
        for extension in (
            *(b" ;a=b", b"; a=b", b";a =b", b";a= b", b" \t; \ta\t \t=\t b;\tc ;d", b";a", b";a;b;c=d", b';a=""'),
            *(b';a="b;c"', b';a="\\"0"', b';a="\\\\"', b';a = "\xe9\t\\\xe9"', b";!#$%&'*+-.^_`|~=x"),
        )
    ),
    Forwarded(
        "7.1.1",
        "extensions of the last chunk",
        HEAD + CHUNKED + b'2\r\n{}\r\n000 ; a ="b" ;c\r\nX-Sum: 1\r\n\r\n',
        b"{}",
    ),
    Forwarded("7.1.1", "many extensions", HEAD + CHUNKED + b"2" + b";a=b" * 2000 + b"\r\n{}\r\n0\r\n\r\n", b"{}"),
    Forwarded(
        "7.1.1",
        "extensions that large chunks are worth",
        HEAD + CHUNKED + (b"400;sum=" + b"x" * 2000 + b"\r\n" + b"{" * 1024 + b"\r\n") * 99 + b"0\r\n\r\n",
        b"{" * 1024 * 99,
    ),
    Forwarded("7.1", "chunk size with many zeros", HEAD + CHUNKED + b"0" * 999 + b"2\r\n{}\r\n0\r\n\r\n", b"{}"),
    Forwarded(
        "7.1.2",
        "trailers of all kinds",
        HEAD + CHUNKED + b"2\r\n{}\r\n0\r\nX:\r\nY: \xe9\t\r\nTrailer: X\r\n\r\n",
        b"{}",
    ),
    Forwarded("7.1.2", "trailers", HEAD + CHUNKED + b"2\r\n{}\r\n0\r\nX-Sum: 1\r\nX-Two: 2\r\n\r\n", b"{}"),
    Forwarded("RFC 9110, 5.5", "bytes beyond ASCII in a value", HEAD + "X-A: caf\xe9\r\n".encode() + LENGTH_2, b"{}"),
    Forwarded("RFC 9110, 5.6.1", "empty elements of a list", HEAD + b"Connection: ,, X-Hop , ,\r\n" + LENGTH_2, b"{}"),
    Forwarded("RFC 9110, 10.1.4", "TE", HEAD + b"TE: trailers, deflate;q=0.5\r\nConnection: TE\r\n" + LENGTH_2, b"{}"),
    Forwarded(
        "RFC 9110, 11.7.2", "two Proxy-Authorizations", HEAD + b"Proxy-Authorization: a b\r\n" * 2 + LENGTH_2, b"{}"
    ),
    Forwarded("RFC 9110, 10.1.1", "another expectation", HEAD + b"Expect: the-worst\r\n" + LENGTH_2, b"{}"),
)

GARBAGE = (
    Garbage("2.2", "bare LF", b"HTTP/1.1 200 OK\nContent-Length: 1\n\nx"),
    Garbage("2.2", "bare LF after a field", b"HTTP/1.1 200 OK\r\nX-A: 1\nContent-Length: 1\r\n\r\nx"),
    Garbage("2.2", "bare CR in a value", b"HTTP/1.1 200 OK\r\nX-A: 1\r2\r\nContent-Length: 1\r\n\r\nx"),
    Garbage("4", "no HTTP", b"nonsense\r\n\r\n"),
    Garbage("2.3", "version 2", b"HTTP/2.0 200 OK\r\nContent-Length: 1\r\n\r\nx"),
    Garbage("2.3", "version 0.9", b"HTTP/0.9 200 OK\r\nContent-Length: 1\r\n\r\nx"),
    Garbage("2.3", "version 1.2", b"HTTP/1.2 200 OK\r\nContent-Length: 1\r\n\r\nx"),
    Garbage("4", "status of four digits", b"HTTP/1.1 2000 OK\r\nContent-Length: 1\r\n\r\nx"),
    Garbage("4", "negative status", b"HTTP/1.1 -200 OK\r\nContent-Length: 1\r\n\r\nx"),
    Garbage("4", "interim answers without end", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 3000),
    Garbage("4", "status of two digits", b"HTTP/1.1 20 OK\r\nContent-Length: 1\r\n\r\nx"),
    Garbage("4", "status below 100", b"HTTP/1.1 099 Odd\r\nContent-Length: 1\r\n\r\nx"),
    Garbage("5.1", "blank before the colon", b"HTTP/1.1 200 OK\r\nX-A : 1\r\nContent-Length: 1\r\n\r\nx"),
    Garbage("5.1", "blank in a name", b"HTTP/1.1 200 OK\r\nX Y: 1\r\n\r\n"),
    Garbage("5.2", "folded field", b"HTTP/1.1 200 OK\r\nX-A: 1\r\n 2\r\nContent-Length: 1\r\n\r\nx"),
    Garbage("RFC 9110, 5.5", "NUL", b"HTTP/1.1 200 OK\r\nX-Nul: \x00\r\nContent-Length: 0\r\n\r\n"),
    Garbage("RFC 9110, 5.5", "control", b"HTTP/1.1 200 OK\r\nX-A: 1\x012\r\nContent-Length: 0\r\n\r\n"),
    Garbage("5", "large head", b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 70_000 + b"\r\nContent-Length: 0\r\n\r\n"),
    Garbage("6.1", "length and chunked", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n" + CHUNKED + CHUNKS),
    Garbage("6.1", "gzip, chunked", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n" + CHUNKS),
    Garbage("6.1", "gzip", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx"),
    Garbage("6.1", "chunked twice", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + CHUNKED + CHUNKS),
    Garbage("6.3", "two lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"),
    Garbage("6.3", "the same length twice", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx"),
    Garbage("6.3", "a list of lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\nx"),
    Garbage("6.3", "a list of one length", b"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\nx"),
    Garbage("6.3", "empty length", b"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nx"),
    Garbage("6.3", "negative length", b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"),
    Garbage("6.3", "length with text", b"HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\nx"),
    Garbage("6.3", "length of 5000 digits", b"HTTP/1.1 200 OK\r\nContent-Length: " + b"0" * 5000 + b"1\r\n\r\nx"),
    Garbage(
        "RFC 9110, 7.8", "101 unasked", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
    ),
)

"""Golden cases of header fields, in both directions."""

import pytest

from router.core.headers import (
    RawHeaders,
    RequestHead,
    clean_client_request_id,
    connection_named,
    forwarded_once,
    is_host,
    mirror_lines,
    read_answer,
    read_head,
    repeated,
    request_lines,
    single,
)


@pytest.mark.parametrize(
    ("came", "goes"),
    [
        ([], []),
        ([(b"Accept", b"*/*")], [b"Accept: */*"]),
        ([(b"X-Empty", b"")], [b"X-Empty: "]),
        ([(b"X-A", b"1"), (b"x-a", b"2"), (b"X-A", b"1")], [b"X-A: 1", b"x-a: 2", b"X-A: 1"]),
        ([(b"zebra", b"1"), (b"Apple", b"2")], [b"zebra: 1", b"Apple: 2"]),
        ([(b"X-Bytes", b"caf\xc3\xa9 \xff")], [b"X-Bytes: caf\xc3\xa9 \xff"]),
        ([(b"X-Colon", b"a: b, c")], [b"X-Colon: a: b, c"]),
        ([(b"Content-Type", b"application/json")], [b"Content-Type: application/json"]),
        ([(b"Content-Encoding", b"gzip")], [b"Content-Encoding: gzip"]),
        ([(b"Accept-Encoding", b"br")], [b"Accept-Encoding: br"]),
        ([(b"Cookie", b"a=1")], [b"Cookie: a=1"]),
        ([(b"traceparent", b"00-1-2-01")], [b"traceparent: 00-1-2-01"]),
        ([(b"azureml-model-deployment", b"green")], [b"azureml-model-deployment: green"]),
        ([(b"Connection", b"close")], []),
        ([(b"CONNECTION", b"keep-alive"), (b"Keep-Alive", b"timeout=5")], []),
        ([(b"Connection", b"X-Secret, close"), (b"x-secret", b"1"), (b"X-Open", b"2")], [b"X-Open: 2"]),
        ([(b"X-One", b"1"), (b"Connection", b"x-one"), (b"Connection", b" X-TWO "), (b"x-two", b"2")], []),
        ([(b"Connection", b",, ,"), (b"X-A", b"1")], [b"X-A: 1"]),
        ([(b"Connection", b"upgrade"), (b"Upgrade", b"websocket")], []),
        ([(b"TE", b"trailers"), (b"Trailer", b"X-Sum")], []),
        ([(b"Transfer-Encoding", b"chunked"), (b"Content-Length", b"3")], []),
        ([(b"Proxy-Authorization", b"Basic x"), (b"Proxy-Connection", b"close")], []),
        ([(b"Proxy-Authenticate", b"Basic")], []),
        ([(b"Expect", b"100-continue")], []),
        ([(b"Host", b"churn.example.com")], []),
        ([(b"X-Forwarded-For", b"6.6.6.6"), (b"x-forwarded-host", b"evil")], []),
        ([(b"X-Forwarded-Proto", b"https"), (b"X-Forwarded-Port", b"1"), (b"X-Forwarded-Server", b"e")], []),
        ([(b"Forwarded", b"for=6.6.6.6"), (b"X-Real-IP", b"6.6.6.6")], []),
        ([(b"X-Forwarded-Prefix", b"/a"), (b"X-Forwarded-Ssl", b"on"), (b"x-forwarded", b"for=6.6.6.6")], []),
        ([(b"X_Forwarded_For", b"6.6.6.6"), (b"x_FORWARDED-user", b"root"), (b"X-ForwardedBy", b"e")], []),
        ([(b"X_Real_IP", b"6.6.6.6"), (b"x-real_ip", b"6.6.6.6")], []),
        ([(b"Content_Length", b"9"), (b"TRANSFER_ENCODING", b"chunked"), (b"azureml_model-deployment", b"green")], []),
        ([(b"X_Request_Id", b"1"), (b"x-ms_client_request_id", b"1"), (b"proxy_authorization", b"b")], []),
        ([(b"x_teal_mirror", b"1"), (b"X-Teal_Anything", b"1"), (b"x_teal-", b"1")], []),
        ([(b"my_feature", b"1"), (b"api_key", b"k"), (b"_", b"2")], [b"my_feature: 1", b"api_key: k", b"_: 2"]),
        ([(b"X-Real-IPs", b"1"), (b"Y-Forwarded-For", b"2")], [b"X-Real-IPs: 1", b"Y-Forwarded-For: 2"]),
        ([(b"X-Forward", b"3"), (b"Forwarded-By", b"4")], [b"X-Forward: 3", b"Forwarded-By: 4"]),
        ([(b"X-Request-Id", b"mine"), (b"x-ms-client-request-id", b"mine")], []),
        ([(b"x-teal-generation", b"9"), (b"X-Teal-Anything", b"1")], []),
        ([(b"X-Teal-Mirror", b"1")], [b"X-Teal-Mirror: 1"]),
        ([(b"Authorization", b"Bearer k")], []),
    ],
)
def test_a_request_goes_on_with(came: RawHeaders, goes: list[bytes]) -> None:
    """Order, spelling and duplicates stay; hop-by-hop fields and those that the router vouches for end here."""
    assert request_lines(came, keep_credentials=False) == goes


def test_a_credential_that_the_router_does_not_check_goes_on() -> None:
    """Without authentication here the credential is meant for the model."""
    assert request_lines([(b"Authorization", b"Bearer k")], keep_credentials=True) == [b"Authorization: Bearer k"]


@pytest.mark.parametrize(
    ("came", "goes"),
    [
        ([], []),
        (
            [(b"Set-Cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"Set-Cookie", b"a=1")],
            [(b"Set-Cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"Set-Cookie", b"a=1")],
        ),
        ([(b"Content-Length", b"3")], [(b"Content-Length", b"3")]),
        ([(b"Content-Encoding", b"br")], [(b"Content-Encoding", b"br")]),
        ([(b"Server", b"model"), (b"Date", b"today")], [(b"Server", b"model"), (b"Date", b"today")]),
        ([(b"Transfer-Encoding", b"chunked"), (b"Trailer", b"X-Sum")], []),
        ([(b"Connection", b"close, X-Hop"), (b"X-Hop", b"1"), (b"X-End", b"2")], [(b"X-End", b"2")]),
        ([(b"Connection", b"Content-Length"), (b"Content-Length", b"3")], [(b"Content-Length", b"3")]),
        ([(b"Keep-Alive", b"timeout=5"), (b"Upgrade", b"h2c"), (b"Proxy-Authenticate", b"Basic")], []),
        ([(b"azureml-model-deployment", b"evil"), (b"X-Request-Id", b"evil")], []),
        ([(b"X-Ms-Client-Request-Id", b"evil"), (b"X-Teal-Generation", b"0")], []),
        ([(b"ms-azureml-model-error-reason", b"x"), (b"ms-azureml-model-error-statuscode", b"1")], []),
        (
            [(b"x-ms-run-fn-exec-ms", b"1.234"), (b"X-Ms-Run-Function-Failed", b"True")],
            [(b"x-ms-run-fn-exec-ms", b"1.234"), (b"X-Ms-Run-Function-Failed", b"True")],
        ),
        ([(b"WWW-Authenticate", b"Basic"), (b"Via", b"1.1 x")], [(b"WWW-Authenticate", b"Basic"), (b"Via", b"1.1 x")]),
    ],
)
def test_an_answer_goes_on_with(came: RawHeaders, goes: list[tuple[bytes, bytes]]) -> None:
    """Order, spelling and duplicates stay; hop-by-hop fields and the router's own words are not the model's."""
    assert read_answer(came).lines == [name + b": " + value for name, value in goes]


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"teal",
        b"churn.example.com:8080",
        b"my_model",
        b"a:",
        b"10.0.0.1:80",
        b"[::1]",
        b"[2001:db8::1]:8080",
        b"%7Ex",
    ],
)
def test_a_host_is(value: bytes) -> None:
    """A name, an IPv4 address or an IP literal, with or without a port (RFC 9110, 7.2); it may be empty."""
    assert is_host(value)


@pytest.mark.parametrize(
    "value",
    [
        b"a b",
        b"a\tb",
        b"http://a",
        b"a/b",
        b"a@b",
        b"a:b",
        b"a:80:80",
        b"::1",
        b"[::1",
        b"[]",
        b"[a b]",
        b"a?b",
        b"a\\b",
        b"caf\xc3\xa9",
        b'"a"',
        b"<a>",
        b"a#b",
        b"a\x00",
    ],
)
def test_a_host_is_not(value: bytes) -> None:
    """An address, a path, a user, or bytes that no name has."""
    assert not is_host(value)


@pytest.mark.parametrize(
    ("line", "goes_on"),
    [
        (b"Max-Forwards: 10", b"Max-Forwards: 9"),
        (b"MAX-FORWARDS: 001", b"MAX-FORWARDS: 0"),
        (b"max-forwards: " + b"1" * 5000, b"max-forwards: " + b"1" * 17 + b"0"),
        (b"Max-Forwards: many", b"Max-Forwards: many"),
        (b"X-Max-Forwards: 10", b"X-Max-Forwards: 10"),
    ],
)
def test_a_forward_is_counted(line: bytes, goes_on: bytes) -> None:
    """One less, or a number that is less still."""
    assert forwarded_once([line]) == [goes_on]


@pytest.mark.parametrize(
    ("lines", "copy"),
    [
        ([b"Accept: */*"], [b"Accept: */*", b"x-teal-mirror: 1"]),
        ([b"Authorization: Bearer k", b"COOKIE: a=1"], [b"x-teal-mirror: 1"]),
        ([b"X-Api-Key: k", b"api-key: k", b"X_Api_Key: k", b"api_key: k", b"x_api-key: k"], [b"x-teal-mirror: 1"]),
        ([b"Azureml-Model-Deployment: blue"], [b"x-teal-mirror: 1"]),
        ([b"X-Text: cookie: a"], [b"X-Text: cookie: a", b"x-teal-mirror: 1"]),
    ],
)
def test_a_copy_carries(lines: list[bytes], copy: list[bytes]) -> None:
    """A copy is marked, and has neither credential nor pin."""
    assert mirror_lines(lines) == copy


def test_the_head_is_read_in_any_case_and_first_come() -> None:
    """Names compare without case; of a repeated field the first counts."""
    came = [
        (b"AUTHORIZATION", b"Bearer a"),
        (b"authorization", b"Bearer b"),
        (b"AzureML-Model-Deployment", b"Green"),
        (b"X-MS-Client-Request-ID", b"my id!"),
        (b"X-TEAL-MIRROR", b"0"),
        (b"user-agent", b"curl"),
        (b"HOST", b"churn.x"),
    ]
    assert read_head(came) == RequestHead(
        authorization=b"Bearer a",
        deployment=b"Green",
        client_request_id=b"myid",
        is_marked=True,
        user_agent=b"curl",
        host=b"churn.x",
        transfer_coding=b"chunked",
    )


@pytest.mark.parametrize(
    ("came", "name"),
    [
        ([(b"Authorization", b"a"), (b"X-A", b"1"), (b"AUTHORIZATION", b"a")], b"AUTHORIZATION"),
        (
            [(b"azureml-model-deployment", b"blue"), (b"Azureml-Model-Deployment", b"green")],
            b"Azureml-Model-Deployment",
        ),
        ([(b"Authorization", b"a"), (b"azureml-model-deployment", b"blue"), (b"Host", b"a")], None),
        ([(b"Cookie", b"a"), (b"Cookie", b"b"), (b"Via", b"a"), (b"Via", b"b")], None),
    ],
)
def test_a_field_that_decides_comes_once(came: list[tuple[bytes, bytes]], name: bytes | None) -> None:
    """In any case, and with the same value too; others may come as often as they like."""
    assert repeated(came) == name


def test_an_empty_head_has_nothing() -> None:
    """What is absent is None or empty."""
    assert read_head([]) == RequestHead(
        authorization=None,
        deployment=None,
        client_request_id=b"",
        is_marked=False,
        user_agent=b"",
        host=b"",
        transfer_coding=b"chunked",
    )


@pytest.mark.parametrize(
    ("value", "clean"),
    [
        (b"", b""),
        (b"abc-DEF_123", b"abc-DEF_123"),
        (b"a b\tc", b"abc"),
        (b"\xc3\xa4\xff", b""),
        (b"<script>", b"script"),
        (b"x" * 40, b"x" * 40),
        (b"x" * 41, b"x" * 40),
        (b"!" * 100 + b"y", b"y"),
    ],
)
def test_a_client_request_id_is_cleaned(value: bytes, clean: bytes) -> None:
    """Letters, digits, `_` and `-` stay, at most 40 of them."""
    assert clean_client_request_id(value) == clean


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (b"close", frozenset()),
        (b"Keep-Alive, X-A", frozenset({b"x-a"})),
        (b"x-a,,X-B ,", frozenset({b"x-a", b"x-b"})),
        (b"content-length", frozenset()),
    ],
)
def test_connection_names_fields(value: bytes, named: frozenset[bytes]) -> None:
    """Its tokens are names of fields, except what says what becomes of the connection, and the framing."""
    assert connection_named([(b"Connection", value)]) == named


def test_single_is_the_first_of_its_name() -> None:
    """A look-up by lower-case name yields the first value, or None."""
    came = [(b"Date", b"1"), (b"date", b"2")]
    assert (single(came, b"date"), single(came, b"expect")) == (b"1", None)


@pytest.mark.parametrize(
    ("headers", "length", "is_chunked", "has_date"),
    [
        ([(b"CONTENT-LENGTH", b"3"), (b"date", b"today")], 3, False, True),
        ([(b"transfer-encoding", b"Chunked")], None, True, False),
        ([(b"transfer-encoding", b"chunked  ")], None, True, False),
        ([(b"X-A", b"1")], None, False, False),
    ],
)
def test_an_answer_says_how_it_is_framed(
    headers: RawHeaders, length: int | None, is_chunked: bool, has_date: bool
) -> None:
    """By a length, in chunks, or by neither: then it lasts until the connection closes."""
    fields = read_answer(headers)
    assert (fields.length, fields.is_chunked, fields.has_date) == (length, is_chunked, has_date)


@pytest.mark.parametrize("values", [[b"gzip, chunked"], [b"gzip"], [b"chunked", b"chunked"], [b"chunked\t"]])
def test_an_answer_in_another_coding_is_refused(values: list[bytes]) -> None:
    """The parser takes chunks away and leaves any other coding where it is."""
    with pytest.raises(ValueError, match="transfer coding"):
        read_answer([(b"Transfer-Encoding", value) for value in values])

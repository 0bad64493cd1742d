"""Bodies of chunks: what is in them, where they end, and how much must still come."""

import itertools

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.core.chunks import Chunks

LIMIT = 32 * 1024
TOKEN = st.text("ab!#$%&'*+-.^_`|~09", min_size=1, max_size=4).map(str.encode)
BLANKS = st.sampled_from([b"", b"", b" ", b"\t", b" \t "])
QUOTED = st.lists(st.sampled_from([b"a", b";", b" ", b"\t", b"=", b"0", b"\xe9", b'\\"', b"\\\\"]), max_size=5).map(
    lambda parts: b'"' + b"".join(parts) + b'"'
)
VALUED = st.tuples(BLANKS, st.just(b"="), BLANKS, TOKEN | QUOTED).map(b"".join)
EXTENSION = st.tuples(BLANKS, st.just(b";"), BLANKS, TOKEN, st.just(b"") | VALUED).map(b"".join)
EXTENSIONS = st.lists(EXTENSION, max_size=3).map(b"".join)
#: That the other reader does not know.
BLANKS_BEFORE = b" \t"
SIZE = st.sampled_from(["%x", "%X", "0%x", "0000000%x"])
CONTENT = st.sampled_from([b"\r\n", b"0\r\n\r\n", b"\r\n\r\n", b"\n", b"\r", b"x", b"{}" * 20]) | st.binary(min_size=1)
TRAILER = st.tuples(
    TOKEN, st.just(b":"), BLANKS, st.sampled_from([b"", b"1", b"a \xe9", b"0"]), BLANKS, st.just(b"\r\n")
)


@st.composite
def bodies(draw: st.DrawFn) -> tuple[bytes, bytes, bytes]:
    """A body of chunks, the same without blanks before the first extension, and what is in it."""
    contents = draw(st.lists(CONTENT, max_size=5))
    sizes = [(draw(SIZE) % len(content)).encode() for content in contents] + [draw(st.sampled_from([b"0", b"000"]))]
    extensions = [draw(EXTENSIONS) for _ in sizes]
    trailers = b"".join(draw(st.lists(TRAILER.map(b"".join), max_size=3)))
    rest = [*(content + b"\r\n" for content in contents), trailers + b"\r\n"]
    lines = zip(sizes, extensions, rest, strict=True)
    raw, plain = b"", b""
    for size, extension, behind in lines:
        raw += size + extension + b"\r\n" + behind
        plain += size + extension.lstrip(BLANKS_BEFORE) + b"\r\n" + behind
    return raw, plain, b"".join(contents)


def read(raw: bytes, cuts: list[int]) -> tuple[bytes, int, Chunks]:
    """What is in a body that comes cut like this, and where it ends."""
    chunks = Chunks(LIMIT, 256)
    content, end = b"", 0
    for begin, stop in itertools.pairwise([0, *sorted({cut % max(1, len(raw)) for cut in cuts}), len(raw)]):
        end += chunks.read(raw[begin:stop], 0)
        content += chunks.take()
    return content, end, chunks


def read_by_h11(raw: bytes) -> tuple[bytes, bytes]:
    """What another reader finds in it, and what that leaves."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + raw)
    content = b""
    while not isinstance(event := connection.next_event(), h11.EndOfMessage):
        assert event is not h11.NEED_DATA
        content += bytes(event.data) if isinstance(event, h11.Data) else b""
    return content, connection.trailing_data[0]


@given(bodies(), st.lists(st.integers(0, 1000), max_size=6), st.sampled_from([b"", b"\r\n", b"POST / HTTP/1.1\r\n"]))
@settings(max_examples=150, deadline=None)
def test_a_body_is_the_same_however_it_is_cut(body: tuple[bytes, bytes, bytes], cuts: list[int], behind: bytes) -> None:
    """It has the content and the end that another reader finds, whatever follows."""
    raw, plain, content = body
    found, end, chunks = read(raw + behind, cuts)
    assert (found, end, chunks.has_ended) == (content, len(raw), True)
    assert read(raw + behind, [*range(len(raw))])[:2] == (content, len(raw))
    assert {read(raw + behind, [cut])[:2] for cut in range(len(raw))} == {(content, len(raw))}
    assert read_by_h11(plain + behind) == (content, behind)


@given(bodies())
@settings(max_examples=100, deadline=None)
def test_it_is_never_too_much_that_must_still_come(body: tuple[bytes, bytes, bytes]) -> None:
    """At each byte of a body, at least as many follow as are said to be missing; at its end, none."""
    raw = body[0]
    chunks = Chunks(LIMIT, 256)
    for place in range(len(raw)):
        assert 0 < chunks.least_missing_bytes <= len(raw) - place
        assert chunks.read(raw, place) if place == len(raw) - 1 else chunks.read(raw[: place + 1], place)
    assert chunks.has_ended
    assert chunks.least_missing_bytes == 0


@given(st.lists(st.sampled_from([b"2", b"0", b"\r", b"\n", b"\r\n", b";", b"a", b"=", b'"', b" ", b":", b"\\"])))
@settings(max_examples=200, deadline=None)
def test_what_is_no_body_is_none_however_it_is_cut(pieces: list[bytes]) -> None:
    """Whole or byte by byte, odd bytes have one fate, and what is read of them is read by another reader as well."""
    raw = b"".join(pieces) or b"0"
    content, end, whole = read(raw, [])
    dripped, _, by_byte = read(raw, [*range(len(raw))])
    assert whole.has_ended == by_byte.has_ended
    assert whole.is_broken == by_byte.is_broken
    if whole.has_ended and b" ;" not in raw:
        assert dripped == content
        assert read_by_h11(raw) == (content, raw[end:])


@pytest.mark.parametrize(
    ("come", "missing_bytes"),
    [
        (b"", 5),
        (b"0", 4),
        (b"00", 4),
        (b"0;a", 4),
        (b"0\r", 3),
        (b"0\r\n", 2),
        (b"0\r\n\r", 1),
        (b"0\r\n\r\n", 0),
        (b"0\r\nX", 4),
        (b"0\r\nX: 1\r", 3),
        (b"0\r\nX: 1\r\n", 2),
        (b"a", 2 + 10 + 2 + 5),
        (b"a;b=c", 2 + 10 + 2 + 5),
        (b"a\r", 1 + 10 + 2 + 5),
        (b"a\r\n", 10 + 2 + 5),
        (b"a\r\n123456789", 1 + 2 + 5),
        (b"a\r\n1234567890", 2 + 5),
        (b"a\r\n1234567890\r", 1 + 5),
        (b"a\r\n1234567890\r\n", 5),
        (b"FFFFFFFFFFFFFFFF\r\n", 2**64 - 1 + 2 + 5),
        (b"x", 0),
    ],
)
def test_what_must_still_come_is_known_to_the_byte(come: bytes, missing_bytes: int) -> None:
    """Whether it comes at once or byte by byte; of what is broken, nothing."""
    assert read(come, [])[2].least_missing_bytes == missing_bytes
    assert read(come, [*range(len(come))])[2].least_missing_bytes == missing_bytes


@pytest.mark.parametrize(
    "begun",
    [
        *(b"\r", b"\n", b"x", b" 2", b"-2", b"+2", b"0x", b"2\rx", b"2\n", b"2 x", b"2;a\x00", b"2;a\rb", b"2;\x7f"),
        *(b"10000000000000000", b"2\r\n{}\n", b"2\r\n{}x", b"2\r\n{}\rx", b"2\r\n{}\r\n\r"),
        *(b"0\r\n\n", b"0\r\n ", b"0\r\n:", b"0\r\nX ", b"0\r\nX: \x01", b"0\r\nX: \ry", b"0\r\n\rx", b"0\r\n\xe9"),
    ],
)
def test_what_cannot_become_a_body_is_told_at_once(begun: bytes) -> None:
    """Before the end of its line, which need never come."""
    assert read(begun, [])[2].is_broken
    assert read(begun, [*range(len(begun))])[2].is_broken


@pytest.mark.parametrize(
    ("raw", "is_broken"),
    [
        (b"2;" + b"a" * 96 + b"\r\n", False),
        (b"2;" + b"a" * 97 + b"\r\n", True),
        (b"2;" + b"a" * 99, True),
        (b"1;" + b"a" * 62 + b"\r\nx\r\n" + b"1;" + b"a" * 62 + b"\r\nx\r\n", False),
        (b"1;" + b"a" * 62 + b"\r\nx\r\n" + b"1;" + b"a" * 80 + b"\r\nx\r\n", True),
        ((b"28;" + b"a" * 91 + b"\r\n" + b"x" * 40 + b"\r\n") * 50, False),
        (b"0\r\nA: " + b"a" * 95 + b"\r\n", False),
        (b"0\r\nA: " + b"a" * 96 + b"\r\n", True),
        (b"0\r\nA: " + b"a" * 98, True),
        (b"0\r\n" + b"A: 1\r\n" * 3, False),
        (b"0\r\n" + b"A: 1\r\n" * 4, True),
    ],
)
def test_what_is_no_content_is_bounded(raw: bytes, is_broken: bool) -> None:
    """A line, all trailers, their number, and what extensions have more than the content is worth."""
    chunks = Chunks(100, 3)
    chunks.read(raw, 0)
    assert chunks.is_broken == is_broken

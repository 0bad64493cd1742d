"""How the cheap upstream finds the end of a request."""

import pytest
from peers.upstream import ANSWER_BODY, complete_requests

WHOLE = b"POST /score HTTP/1.1\r\nHost: x\r\ncontent-length: 3\r\n\r\nabc"


@pytest.mark.parametrize(
    ("buffer", "expected"),
    [
        (b"", (0, b"")),
        (WHOLE, (1, b"")),
        (WHOLE + WHOLE, (2, b"")),
        (WHOLE[:-1], (0, WHOLE[:-1])),
        (WHOLE[:30], (0, WHOLE[:30])),
        (WHOLE + b"PO", (1, b"PO")),
        (b"GET / HTTP/1.1\r\n\r\n", (1, b"")),
    ],
)
def test_only_whole_requests_are_answered(buffer: bytes, expected: tuple[int, bytes]) -> None:
    """A request counts once its head and announced body are there; the rest waits."""
    assert complete_requests(buffer) == expected


def test_answer_has_89_bytes() -> None:
    """The published numbers are for this size."""
    assert len(ANSWER_BODY) == 89

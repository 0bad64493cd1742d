"""What is made of a plain message, each written in one piece: a request, a copy of it, an answer, a line of the log.

`plain_writing.pyx` beside it has the same functions for the compiled request path, where they copy each byte once;
`tests/core/test_plain_writing.py` holds both to the same results.
"""

from collections.abc import Sequence

from router.core.digits import milliseconds, whole
from router.core.headers import VIA, mirror_lines
from router.core.plain_reading import PlainAnswer, PlainRequest
from router.core.record import quoted_agent
from router.core.replies import TIMING, status_line

_OK = status_line(200)
_CRLF = b"\r\n"
_HEAD_END = b"\r\n\r\n"
_FRAMING = _CRLF + VIA + b"\r\nContent-Length: "
_TIMING = _CRLF + TIMING


def plain_request(
    plain: PlainRequest, start: bytes, request_id: bytes, forwarded_for: bytes, has_body: bool = True
) -> bytes:
    """A request as its instance gets it.

    Args:
        start: Its first line and `Host`.
        forwarded_for: The lines on the client, up to the value of `X-Forwarded-Host`.
        has_body: False for the head alone.
    """
    client_id = plain.client_request_id
    return b"".join(
        (
            start,
            plain.fields,
            b"X-Request-Id: ",
            request_id,
            b"\r\nX-Ms-Client-Request-Id: " + client_id if client_id else b"",
            _CRLF,
            forwarded_for,
            plain.host,
            _FRAMING,
            plain.digits,
            _HEAD_END,
            plain.data[plain.body_at :] if has_body else b"",
        )
    )


def plain_copy(plain: PlainRequest, start: bytes, request_id: bytes, forwarded_for: bytes) -> bytes:
    """`plain_request` as a copy may be: marked, and without credentials or the pin."""
    head = plain_request(plain, start, request_id, forwarded_for, has_body=False)
    first, *lines, framing, _, _ = head.split(_CRLF)
    return b"".join((_CRLF.join((first, *mirror_lines(lines), framing)), _HEAD_END, plain.body))


def plain_answer(  # noqa: PLR0917 - compiled, it has no keyword arguments
    answer: PlainAnswer, request_id: bytes, constant: bytes, client_id: bytes, own_s: float, http_date: bytes
) -> bytes:
    """A whole 200 for the client, on a connection that stays open.

    Args:
        constant: What all answers of one deployment share (`router_constant`).
        client_id: The client's own id of the request; may be empty.
        own_s: The router's own share of the time until now.
    """
    return b"".join(
        (
            _OK,
            answer.fields,
            b"" if answer.has_date else b"date: " + http_date + _CRLF,
            b"x-request-id: ",
            request_id,
            _CRLF,
            constant,
            b"\r\nx-ms-client-request-id: " + client_id if client_id else b"",
            _TIMING,
            milliseconds(own_s),
            _HEAD_END,
            answer.data[answer.body_at :],
        )
    )


def plain_line(  # noqa: PLR0917 - the same
    pieces: Sequence[bytes],
    plain: PlainRequest,
    response_bytes: int,
    time: bytes,
    request_id: bytes,
    total_s: float,
    request_s: float,
    response_s: float,
) -> bytes:
    """A line of the access log: `pieces` (`router.proxy.access_log.line_pieces`) with these values between them."""
    agent = plain.user_agent
    first, second, third, fourth, fifth, sixth, seventh, eighth, ninth, tenth = pieces
    return b"".join(
        (
            first,
            time,
            second,
            plain.digits,
            third,
            whole(response_bytes),
            fourth,
            quoted_agent(agent.decode("latin-1")) if agent else b'""',
            fifth,
            request_id,
            sixth,
            plain.client_request_id,
            seventh,
            milliseconds(total_s),
            eighth,
            milliseconds(request_s),
            ninth,
            milliseconds(response_s),
            tenth,
        )
    )

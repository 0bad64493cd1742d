"""Answers as bytes."""

import pytest

from workers.encode import Answer
from workers.wire import HeadRenderer

RENDERER = HeadRenderer({"HTTP_X_MS_SERVER_VERSION": "v1"})


def test_a_head_has_status_headers_and_length():
    """The answer's own headers first, then the worker's, then the length."""
    head = RENDERER.render(Answer(201, b"A: 1\r\n", b"body"), b"r1", b"c1", stays=True)
    assert head == (
        b"HTTP/1.1 201 Created\r\nA: 1\r\nx-ms-server-version: v1\r\nx-request-id: r1\r\n"
        b"x-ms-client-request-id: c1\r\nContent-Length: 4\r\n\r\n"
    )


def test_a_connection_that_ends_is_announced():
    """So that the client sends nothing more on it."""
    assert b"\r\nConnection: close\r\n" in RENDERER.render(Answer(200, b"", b""), b"", b"", stays=False)


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_body_has_no_length(status):
    """RFC 9110, 8.6."""
    assert b"Content-Length" not in RENDERER.render(Answer(status, b"", b"x"), b"", b"", stays=True)


def test_an_echoed_id_is_the_bytes_that_came():
    """Whatever encoding the client used."""
    assert b"x-request-id: \xff\r\n" in RENDERER.render(Answer(200, b"", b""), b"\xff", b"", stays=True)


def test_an_unassigned_status_has_a_phrase():
    """A script may answer 599."""
    assert RENDERER.render(Answer(599, b"", b""), b"", b"", stays=True).startswith(b"HTTP/1.1 599 Unknown\r\n")

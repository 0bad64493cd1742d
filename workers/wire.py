"""Answers as the bytes of an HTTP/1.1 response."""

from __future__ import annotations

import uuid
from http import HTTPStatus
from typing import Mapping

from workers import VERSION
from workers.encode import CLIENT_REQUEST_ID, REQUEST_ID, SERVER_VERSION, Answer

MAX_ID_LENGTH = 100  # Azure's limit
WITHOUT_BODY = frozenset((204, 304))
CLIENT_ID = CLIENT_REQUEST_ID.encode()

STATUS_LINES = {int(status): f"HTTP/1.1 {int(status)} {status.phrase}\r\n".encode() for status in HTTPStatus}


class HeadRenderer:
    """Writes the heads of this process's answers."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        version = environ.get("HTTP_X_MS_SERVER_VERSION") or f"teal/{VERSION}"
        self._ids = f"{SERVER_VERSION}: {version}\r\n{REQUEST_ID}: ".encode()

    def render(self, answer: Answer, request_id: bytes, client_request_id: bytes, stays: bool) -> bytes:
        """Return the head of `answer`, the worker's own headers and the body's length in it.

        Args:
            request_id: Echoed; empty for a new one.
            client_request_id: Echoed unless it is empty.
            stays: Whether the connection stays open.
        """
        return b"".join(
            (
                STATUS_LINES.get(answer.status) or b"HTTP/1.1 %d Unknown\r\n" % answer.status,
                answer.headers,
                self._ids,
                request_id or str(uuid.uuid4()).encode(),
                b"\r\n%s: %s" % (CLIENT_ID, client_request_id) if client_request_id else b"",
                b"" if stays else b"\r\nConnection: close",
                b"\r\n\r\n" if answer.status in WITHOUT_BODY else b"\r\nContent-Length: %d\r\n\r\n" % len(answer.body),
            )
        )

"""Answers as the bytes of an HTTP/1.1 response."""

from __future__ import annotations

import uuid
from http import HTTPStatus
from typing import Mapping

from workers import VERSION
from workers.encode import CLIENT_REQUEST_ID, REQUEST_ID, SERVER_VERSION, Answer

MAX_ID_LENGTH = 100  # Azure's limit
WITHOUT_BODY = frozenset((204, 304))

STATUS_LINES = {int(status): f"HTTP/1.1 {int(status)} {status.phrase}\r\n" for status in HTTPStatus}


class HeadRenderer:
    """Writes the heads of this process's answers."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        version = environ.get("HTTP_X_MS_SERVER_VERSION") or f"teal/{VERSION}"
        self._ids = f"{SERVER_VERSION}: {version}\r\n{REQUEST_ID}: "

    def render(self, answer: Answer, request_id: str, client_request_id: str, stays: bool) -> bytes:
        """Return the head of `answer`, the worker's own headers and the body's length in it.

        Args:
            request_id: Echoed; empty for a new one.
            client_request_id: Echoed unless it is empty.
            stays: Whether the connection stays open.
        """
        parts = [STATUS_LINES.get(answer.status) or f"HTTP/1.1 {answer.status} Unknown\r\n"]
        for name, value in answer.headers:
            parts.append(f"{name}: {value}\r\n")
        parts.append(f"{self._ids}{request_id or uuid.uuid4()}\r\n")
        if client_request_id:
            parts.append(f"{CLIENT_REQUEST_ID}: {client_request_id}\r\n")
        if not stays:
            parts.append("Connection: close\r\n")
        parts.append("\r\n" if answer.status in WITHOUT_BODY else f"Content-Length: {len(answer.body)}\r\n\r\n")
        # surrogateescape: how the request ids that are echoed here were decoded.
        return "".join(parts).encode("utf-8", "surrogateescape")

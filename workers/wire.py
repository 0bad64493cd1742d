"""Answers as the bytes of an HTTP/1.1 response."""

from __future__ import annotations

from http import HTTPStatus
from typing import Iterable, Tuple

from workers.encode import Answer

PHRASES = {int(status): status.phrase for status in HTTPStatus}
WITHOUT_BODY = frozenset((204, 304))


def render_head(answer: Answer, more: Iterable[Tuple[str, str]]) -> bytes:
    """Return the head of `answer` with its own headers, then `more`, then its length."""
    lines = [f"HTTP/1.1 {answer.status} {PHRASES.get(answer.status, 'Unknown')}"]
    lines += [f"{name}: {value}" for name, value in answer.headers]
    lines += [f"{name}: {value}" for name, value in more]
    if answer.status not in WITHOUT_BODY:
        lines.append(f"Content-Length: {len(answer.body)}")
    # surrogateescape: how aiohttp decoded the request ids that are echoed here.
    return "\r\n".join((*lines, "", "")).encode("utf-8", "surrogateescape")

"""What callers of the admin site are refused: counted for the metrics, and logged as far as a person can read it."""

import asyncio
from dataclasses import dataclass, field
from typing import Final

import structlog

from router.core.stats import count

log = structlog.get_logger()

#: Of the refusals of so many seconds, the first are logged one by one and the others by number.
_WINDOW_S: Final = 10.0
_IN_WINDOW: Final = 20
_SHOWN: Final = 200  # characters of a path

#: What strangers come by; these have a series from the start.
REASONS: Final = (
    "bad_request",
    "forbidden",
    "foreign_page",
    "head_too_large",
    "key_auth_access_denied",
    "key_auth_bad_header_forbidden",
    "not_found",
)
#: Why the site closed a connection of its own accord.
CUTS: Final = ("head_timeout", "body_timeout", "not_read", "made_place", "too_many_connections")


@dataclass(frozen=True, slots=True)
class AdminCounts:
    """Since the start, by reason: requests that were refused, and callers that were cut or not let in."""

    refused: dict[str, int] = field(default_factory=lambda: dict.fromkeys(REASONS, 0))
    cut: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CUTS, 0))


class Refusals:
    """Takes note of refusals; a flood of them is a line in ten seconds after the first lines."""

    def __init__(self) -> None:
        self.counts = AdminCounts()
        self._in_window = 0
        self._left_out: dict[str, int] = {}
        self._closing: asyncio.TimerHandle | None = None

    def note(self, reason: str, *, method: str, path: str, status: int) -> None:
        """A request was answered with `status`, for a reason that is one of ours and never the caller's text."""
        count(self.counts.refused, reason)
        if self._closing is None:
            self._closing = asyncio.get_running_loop().call_later(_WINDOW_S, self.close_window)
        self._in_window += 1
        if self._in_window <= _IN_WINDOW:
            log.info("admin.refused", method=method, path=path[:_SHOWN], status=status, reason=reason)
        else:
            count(self._left_out, reason)

    def close_window(self) -> None:
        """Log how many were left out, and begin anew."""
        if self._closing is not None:
            self._closing.cancel()
        left_out, self._left_out, self._in_window, self._closing = self._left_out, {}, 0, None
        if left_out:
            log.info("admin.refused_more", number=sum(left_out.values()), reasons=left_out)

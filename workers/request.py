"""One scoring request, whole, as the script's side of the worker sees it."""

from __future__ import annotations

from typing import Mapping, NamedTuple


class ScoreRequest(NamedTuple):
    """A request whose body has arrived; made on the event loop, read in a run thread."""

    method: str
    target: str
    headers: Mapping[str, str]
    """Case-insensitive; `items()` repeats a name that was sent several times."""
    body: bytes

    @property
    def path(self) -> str:
        """The target up to its query, as sent."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """The target after its first `?`, as sent."""
        return self.target.partition("?")[2]

"""One scoring request, whole, as the script's side of the worker sees it."""

from __future__ import annotations

from typing import NamedTuple, Sequence, Tuple

from multidict import CIMultiDict


class ScoreRequest(NamedTuple):
    """A request whose body has arrived; made on the event loop, read in a run thread."""

    method: str
    target: str
    raw_headers: Sequence[Tuple[bytes, bytes]]
    """In the order they were sent; most scripts never look at them, so nothing is decoded before one does."""
    body: bytes

    @property
    def headers(self) -> CIMultiDict[str]:
        """The headers as text, decoded anew each time; what is no UTF-8 survives as surrogates."""
        return CIMultiDict(
            (name.decode("utf-8", "surrogateescape"), value.decode("utf-8", "surrogateescape"))
            for name, value in self.raw_headers
        )

    @property
    def path(self) -> str:
        """The target up to its query, as sent."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """The target after its first `?`, as sent."""
        return self.target.partition("?")[2]

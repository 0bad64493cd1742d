"""Keeps the proxies served with the certificate and key that the config names.

Rules
- What cannot be served changes nothing: the pair before stays in force, and the problem is shown until it is repaired.
- A pair is two files that are not written at the same moment: a problem counts once it was seen twice, or when somebody
  has asked for a look.
- A config that names other files than the one in force is refused if those cannot be served. At a start there is
  nothing to stay with: the daemon serves nobody, says so, and lets clients in as soon as the files are right.
- The key is in the memory of this process and of the proxies, and nowhere else.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
import structlog

from router.control.certificate import Pair, PairError, read_pair
from router.control.config.schema import TlsConfig
from router.control.status import TlsView
from router.core.wire import Encrypt

log = structlog.get_logger()


class Prepared(NamedTuple):
    """A config, the pair that shall be in force with it, and why that is not the one that it names."""

    config: TlsConfig | None
    pair: Pair | None = None
    problem: str = ""


class Encryption:
    """The pair in force.

    Args:
        tell: Has every proxy follow, from its next connection on.
    """

    def __init__(self, tell: Callable[[Encrypt], None]) -> None:
        self._tell = tell
        self._in_force = Prepared(None)
        self._has_begun = False
        self._suspected = ""
        self._told: Encrypt | None = None

    @property
    def view(self) -> TlsView | None:
        """What is in force; None for plain text."""
        config, pair, problem = self._in_force
        return None if config is None else TlsView(certificate=pair.view if pair else None, problem=problem)

    @property
    def not_after(self) -> float | None:
        """Unix time at which the certificate in force ends; None if there is none."""
        pair = self._in_force.pair
        return pair.view.not_after if pair is not None else None

    def unready(self) -> list[str]:
        """Why nobody is served, if so."""
        has_none = self._in_force.config is not None and self._in_force.pair is None
        return [f"tls: clients are refused: {self._in_force.problem}"] if has_none else []

    async def prepare(self, config: TlsConfig | None) -> Prepared:
        """What to `follow` for a config.

        Raises:
            PairError: it names files that cannot be served, and others than the one in force.
        """
        if config is None:
            return Prepared(None)
        try:
            return Prepared(config, await asyncio.to_thread(read_pair, config, self._in_force.pair))
        except PairError as error:
            if self._has_begun and config != self._in_force.config:
                raise
            return Prepared(config, self._in_force.pair, str(error))

    def follow(self, prepared: Prepared) -> None:
        """Bring it into force."""
        before, self._in_force = self._in_force, prepared
        self._has_begun = True
        self._suspected = prepared.problem
        if prepared.problem and prepared.problem != before.problem:
            log.error("tls.refused", problem=prepared.problem, in_force=_summary(prepared.pair))
        message = _message(prepared)
        if message != self._told:
            self._told = message
            self._tell(message)
            if prepared.pair is not None:
                log.info("tls.loaded", certificate=_summary(prepared.pair))
        elif before.problem and not prepared.problem:
            log.info("tls.repaired")

    async def look(self, *, is_asked: bool = False) -> None:
        """Read the files again.

        Args:
            is_asked: Somebody waits for the outcome.
        """
        prepared = await self.prepare(self._in_force.config)
        if prepared.problem and prepared.problem != self._suspected and not is_asked:
            self._suspected = prepared.problem
        else:
            self.follow(prepared)


def _message(prepared: Prepared) -> Encrypt:
    config, pair, _ = prepared
    if pair is None:
        return Encrypt(is_on=config is not None)
    return Encrypt(is_on=True, certificate=pair.certificate, key=pair.key)


def _summary(pair: Pair | None) -> str:
    """A certificate in one line."""
    if pair is None:
        return "none: clients are refused"
    names, not_after, sha256 = msgspec.structs.astuple(pair.view)
    ends = datetime.fromtimestamp(not_after, UTC)
    return f"{', '.join(names)} until {ends:%Y-%m-%d %H:%M} UTC, SHA-256 {sha256[:16]}..."

"""The config in force, and what became of every attempt to replace it."""

import asyncio
import time
from collections.abc import Iterable
from pathlib import Path

import structlog

from router.control.config.document import KeyPath
from router.control.config.load import ConfigError, Loaded, load_content
from router.control.config.problem import Problem
from router.control.config.watch import Changed, FileEvent, Gone, Unreadable
from router.control.status import ReloadOutcome, ReloadResult

log = structlog.get_logger()


class Reloads:
    """Judges new content of the config file. What is refused leaves the config in force as it is."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: tuple[str, ...] = ()
        self.counts: dict[ReloadResult, int] = {"applied": 0, "unchanged": 0, "refused": 0}
        self.last: ReloadOutcome | None = None
        self.last_success: float | None = None
        self._in_force: bytes | None = None
        self._warned: frozenset[KeyPath] = frozenset()

    def is_in_force(self, found: FileEvent) -> bool:
        """Whether the file has what runs, and was not refused since."""
        return isinstance(found, Changed) and found.content == self._in_force and not self.problems

    async def judge(self, event: FileEvent) -> Loaded | None:
        """The config to apply, or None if there is nothing to do or the content is refused.

        An unchanged file is not applied again; going back to what is in force clears the problems.
        """
        if isinstance(event, Changed) and event.content == self._in_force:
            if self.problems:
                log.info("config.repaired", path=str(self.path))
            self.problems = ()
            self._finished("unchanged")
            return None
        try:
            return await self.load(event)
        except ConfigError as error:
            self.refused(error.problems)
            return None

    async def load(self, event: FileEvent) -> Loaded:
        """The config in the file, parsed off the event loop.

        Raises:
            ConfigError: it is not valid, or the file cannot be read.
        """
        match event:
            case Changed(content=content):
                return await asyncio.to_thread(load_content, content, self.path)
            case Gone():
                raise ConfigError([self._problem("the file is gone; what was applied last stays in force")])
            case Unreadable(reason=reason):
                raise ConfigError([self._problem(f"cannot be read: {reason}")])

    def applied(self, loaded: Loaded) -> None:
        """A config came into force."""
        self._in_force = loaded.content
        self.problems = ()
        warnings = {warning.key: warning for warning in loaded.warnings}
        for key in [key for key in warnings if key not in self._warned]:
            log.warning("config.no_effect", problem=str(warnings[key]))
        self._warned = frozenset(warnings)
        self._finished("applied")

    def refused(self, problems: Iterable[Problem]) -> None:
        """A config did not; every problem is logged once, however often the same content is read."""
        lines = tuple(str(problem) for problem in problems)
        if lines != self.problems:
            log.error("config.refused", path=str(self.path), problems=list(lines))
        self.problems = lines
        self._finished("refused")

    def _problem(self, message: str) -> Problem:
        return Problem(path=self.path, line=None, field="", message=message)

    def _finished(self, outcome: ReloadResult) -> None:
        now = time.time()
        self.counts[outcome] += 1
        self.last = ReloadOutcome(outcome=outcome, at=now)
        if outcome != "refused":
            self.last_success = now

"""The config file as the truth: commands change it one after the other, and what people save meanwhile is never lost.

Rules
- A change begins with what is on the disk now. A file that is not valid is not changed: its problems are the answer.
- The changed text is valid as a whole, or nothing is written.
- A file that was saved by hand between reading and writing makes the change begin again with the new content.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from router.control.config.edit import Edit, EditError, edit_text
from router.control.config.load import ConfigError, Loaded, collector_paused, load_config, load_content
from router.control.config.problem import Problem
from router.control.config.replace import ContentChanged, ReplaceError, replace_content
from router.control.config.validate import transition_breaches
from router.control.refusal import Conflict, Invalid, NotWritten

#: Somebody who saves the file faster than this is not waited for.
_TRIES = 5

Plan = Callable[[Loaded], Sequence[Edit]]
#: Called with the SHA-256 of the new text before it is written.
Announce = Callable[[str], Awaitable[None]]


class ConfigFile:
    """Reads and rewrites the file at `path`; the caller sees to it that nobody else does so at the same time."""

    def __init__(self, path: Path) -> None:
        self.path = path

    async def change(self, plan: Plan, *, explain: Callable[[Problem], Problem], announce: Announce) -> Loaded:
        """Write what `plan` makes of the file; return the new config, which is on the disk and not in force yet.

        Args:
            plan: Called in a thread with the file as it is; may raise a Refusal.
            explain: Says a problem of the changed text in terms of what the caller was given.

        Raises:
            Conflict: the file on disk is not valid, or keeps changing.
            Invalid: the changed text would break rules.
            NotWritten: it cannot be written; the file is as it was.
            Refusal: what `plan` raised.
        """
        for _ in range(_TRIES):
            before, after = await asyncio.to_thread(self._change_quickly, plan, explain)
            if after.content == before.content:
                await announce(sha256(after.content))
                return after
            await announce(sha256(after.content))
            try:
                await asyncio.to_thread(replace_content, self.path, after.content, expected=before.content)
            except ContentChanged:
                continue
            except ReplaceError as error:
                raise NotWritten(str(error)) from error
            return after
        raise Conflict(f"{self.path} is being changed by somebody else all the time; try again")

    async def restore(
        self, text: str, *, expected: bytes | None, approve: Callable[[Loaded], Awaitable[None]]
    ) -> Loaded:
        """Write an earlier text over whatever the file has, valid or not; return the config.

        Args:
            expected: What the file has; None if it is not there.
            approve: Called before the text is written; may raise a Refusal.

        Raises:
            Conflict: the text is not valid any more, or the file is not what is `expected`.
            NotWritten: it cannot be written; the file is as it was.
        """
        content = text.encode()
        try:
            loaded = await asyncio.to_thread(load_content, content, self.path)
        except ConfigError as error:
            raise Conflict("that version is not valid any more", error.problems) from error
        await approve(loaded)
        try:
            await asyncio.to_thread(replace_content, self.path, content, expected=expected)
        except ContentChanged as error:
            raise Conflict(f"{self.path} was changed meanwhile; look at it and try again") from error
        except ReplaceError as error:
            raise NotWritten(str(error)) from error
        return loaded

    def _change_quickly(self, plan: Plan, explain: Callable[[Problem], Problem]) -> tuple[Loaded, Loaded]:
        with collector_paused():
            return self._changed(plan, explain)

    def _changed(self, plan: Plan, explain: Callable[[Problem], Problem]) -> tuple[Loaded, Loaded]:
        try:
            before = load_config(self.path)
        except ConfigError as error:
            raise Conflict(
                f"{self.path} is not valid, so it is not changed; repair it, or see `teal config undo`", error.problems
            ) from error
        edits = plan(before)
        try:
            text = edit_text(before.content.decode(), edits)
            after = load_content(text.encode(), self.path)
        except EditError as error:
            raise Conflict(f"{self.path}: {error}") from error
        except ConfigError as error:
            raise Invalid(explain(problem) for problem in error.problems) from error
        breaches = transition_breaches(before.config, after.config)
        if breaches:
            raise Invalid(explain(after.problem(*breach)) for breach in breaches)
        return before, after


def sha256(content: bytes) -> str:
    """By which versions of the file are told apart."""
    return hashlib.sha256(content).hexdigest()

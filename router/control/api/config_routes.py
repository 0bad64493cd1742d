"""Routes of the config file's versions."""

import asyncio
from pathlib import Path
from typing import Annotated

import msgspec
from aiohttp import web

from router.control.api.messages import Operation, iso
from router.control.api.routes import Route, read_body, read_number, reply
from router.control.commands.commands import Commands
from router.control.commands.config_file import sha256
from router.control.config.source import read_source
from router.control.history import ConfigHistory, Version
from router.control.refusal import NotFound

_MAX_NUMBER = 10**9 - 1


class UndoChoice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which version to bring back; None: the one before the last change."""

    number: Annotated[int, msgspec.Meta(ge=1, le=_MAX_NUMBER)] | None = None


class VersionMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One version of the config file.

    Attributes:
        applied: When it came into force, ISO 8601, UTC.
        source: What made it: the name of a command, or `file` for an edit by hand.
        is_current: It is what is in the file now.
        is_applied: False for what was in the file, never came into force, and was replaced by an undo.
        restores: Number of the version that it brought back.
    """

    number: int
    applied: str
    source: str
    is_current: bool
    is_applied: bool
    restores: int | None
    added: int
    removed: int


class ConfigRoutes:
    """Answers for the history of the config file at `path`."""

    def __init__(self, commands: Commands, history: ConfigHistory, path: Path) -> None:
        self._commands = commands
        self._history = history
        self._path = path

    def routes(self) -> list[Route]:
        """Its routes."""
        number = {"number": "Compare with this version; default: the one before the last change."}
        text = "/v1/config/versions/{number}"
        versions = list[VersionMessage]
        undo = "Bring back a version."
        return [
            Route("GET", "/v1/config/history", self._list, "Every version that is kept.", answer=versions),
            Route("GET", text, self._show, "The text of a version."),
            Route("GET", "/v1/config/diff", self._diff, "What changed, as a unified diff.", query=number),
            Route("POST", "/v1/config/undo", self._undo, undo, body=UndoChoice, answer=Operation, status=202),
        ]

    async def _list(self, _request: web.Request) -> web.Response:
        return reply(await asyncio.to_thread(self._versions))

    async def _show(self, request: web.Request) -> web.Response:
        number = request.match_info["number"]
        if not (number.isascii() and number.isdigit() and len(number) < 10):
            raise NotFound(f"there is no version {number}; versions have numbers")
        return web.Response(text=await asyncio.to_thread(self._history.text, int(number)))

    async def _diff(self, request: web.Request) -> web.Response:
        number = read_number(request, "number", default=0, most=_MAX_NUMBER)
        return web.Response(text=await asyncio.to_thread(self._compared, number or None))

    async def _undo(self, request: web.Request) -> web.Response:
        choice = await read_body(request, UndoChoice)
        return reply(await self._commands.undo(choice.number), 202)

    def _versions(self) -> list[VersionMessage]:
        found = self._history.versions()
        on_disk = sha256(self._on_disk())
        current = max((version.number for version in found if version.sha256 == on_disk), default=None)
        return [_message(version, is_current=version.number == current) for version in found]

    def _compared(self, number: int | None) -> str:
        return self._history.diff(number, self._on_disk().decode("utf-8", "replace"))

    def _on_disk(self) -> bytes:
        """What is in the file; nothing if it cannot be read."""
        try:
            return read_source(self._path)
        except OSError:
            return b""


def _message(version: Version, *, is_current: bool) -> VersionMessage:
    return VersionMessage(
        number=version.number,
        applied=iso(version.applied),
        source=version.source,
        is_current=is_current,
        is_applied=version.was_applied,
        restores=version.restores,
        added=version.added,
        removed=version.removed,
    )

"""A daemon that says what a test tells it to, on a real Unix socket, and remembers what it was asked."""

import asyncio
import json
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

from aiohttp import web

from router.control.admin_socket import listen_at, socket_path


class Asked(NamedTuple):
    """A request; the body is what its JSON says."""

    method: str
    target: str
    body: Any = None


class _Answer(NamedTuple):
    status: int
    body: object
    reason: str | None = None


class FakeDaemon:
    """Answers each question with the answers that it was given, one after the other, the last of them again and again.

    What is uploaded it keeps.
    """

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self.asked: list[Asked] = []
        self.contents: dict[str, bytes] = {}
        self.is_kept_waiting = asyncio.Event()
        self._answers: dict[tuple[str, str], list[_Answer]] = defaultdict(list)
        self._never: set[str] = set()
        self._deadly: set[str] = set()
        app = web.Application(client_max_size=2**26)
        app.router.add_head("/v1/content/{digest}", self._has)
        app.router.add_put("/v1/content/{digest}", self._take)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)

    async def start(self) -> None:
        await self._runner.setup()
        self._site = web.SockSite(self._runner, listen_at(socket_path(self.state_dir)))
        await self._site.start()

    async def stop(self) -> None:
        await self._runner.cleanup()

    def answer(self, method: str, path: str, body: object, status: int = 200, reason: str | None = None) -> None:
        """Say this to the next such question; text is said as it is, None means no body, other things become JSON."""
        self._answers[method, path].append(_Answer(status, body, reason))

    def refuse(self, method: str, path: str, status: int, message: str, *problems: str) -> None:
        """Say why not; the message of problems alone is empty here."""
        message = message or "; ".join(problems)
        texts = [{"text": problem} for problem in problems]
        self.answer(method, path, {"error": {"code": "x", "message": message, "problems": texts}}, status)

    def obey(self, method: str, path: str, **fields: object) -> None:
        """Do as told, which has succeeded at once; `fields` are those of the operation."""
        self.answer(method, path, operation(**fields), 202)

    def keep_waiting(self, path: str) -> None:
        """Never answer a question; `is_kept_waiting` is set when it was asked."""
        self._never.add(path)

    def vanish_when_asked(self, path: str) -> None:
        """Break the connection in place of an answer, as a crash does."""
        self._deadly.add(path)

    def bodies(self, method: str) -> list[Any]:
        """Bodies of the requests of a method."""
        return [asked.body for asked in self.asked if asked.method == method]

    async def _has(self, request: web.Request) -> web.Response:
        self.asked.append(Asked("HEAD", request.path_qs))
        return web.Response(status=200 if request.match_info["digest"] in self.contents else 404)

    async def _take(self, request: web.Request) -> web.Response:
        content = await request.read()
        if ("PUT", request.path) in self._answers:
            return await self._answer(request)
        self.contents[request.match_info["digest"]] = content
        return web.Response(status=201)

    async def _answer(self, request: web.Request) -> web.Response:
        sent = await request.read()
        is_json = request.content_type == "application/json" and sent
        self.asked.append(Asked(request.method, request.path_qs, json.loads(sent) if is_json else None))
        if request.path in self._never:
            self.is_kept_waiting.set()
            await asyncio.Event().wait()
        if request.path in self._deadly and request.transport is not None:
            request.transport.close()
        answers = self._answers.get((request.method, request.path), [_Answer(404, "404: Not Found")])
        status, body, reason = answers[0] if len(answers) == 1 else answers.pop(0)
        headers = {} if reason is None else {"x-teal-reason": reason}
        if body is None or isinstance(body, str):
            return web.Response(text=body, status=status, headers=headers)
        return web.json_response(body, status=status, headers=headers)


def operation(**fields: object) -> dict[str, object]:
    """An operation as the admin API shows it."""
    return {
        "id": "5f0c2d9a81e4",
        "command": "online-deployment create",
        "endpoint": "churn",
        "deployment": "blue",
        "status": "Succeeded",
        "started": "2026-03-01T10:00:00.000Z",
        "ended": None,
        "generation": 3,
        "progress": [],
        "reason": "",
        "log_tail": [],
        "warnings": [],
        **fields,
    }


def progress(*lines: str) -> list[dict[str, str]]:
    """Lines of progress as an operation has them."""
    return [{"at": "2026-03-01T10:00:00.000Z", "text": line} for line in lines]

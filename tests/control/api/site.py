"""A real server with routes of the admin API, and a client of it."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from io import IOBase
from typing import Any, NamedTuple

import aiohttp
from aiohttp import web
from yarl import URL

from router.control.api.mount import mount
from router.control.api.routes import MAX_BODY_BYTES, Route


class Answer(NamedTuple):
    """What came back."""

    status: int
    content_type: str
    text: str
    reason: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def error(self) -> tuple[int, str, str]:
        """Status, code and message of a refusal, whose header has the code as well."""
        error = self.json["error"]
        assert self.reason == error["code"]
        return self.status, error["code"], error["message"]


class Site:
    """The address of a server, and a connection to it."""

    def __init__(self, base: str, session: aiohttp.ClientSession) -> None:
        self._base = base
        self.session = session

    def url(self, target: str) -> URL:
        """The target as it is, percent signs and all."""
        return URL(self._base + target, encoded=True)

    async def ask(self, method: str, target: str, body: object = None) -> Answer:
        """The answer to a request; a body that is neither bytes nor a file goes as JSON."""
        sent = body if body is None or isinstance(body, bytes | IOBase) else json.dumps(body).encode()
        async with self.session.request(method, self.url(target), data=sent) as response:
            content_type, reason = (response.headers.get(name, "") for name in ("content-type", "x-teal-reason"))
            return Answer(response.status, content_type, await response.text(), reason)


@asynccontextmanager
async def serve(routes: Sequence[Route], *, is_trusted: bool = True) -> AsyncIterator[Site]:
    """A server on a free port."""
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    mount(app, routes, is_trusted=is_trusted)
    app.router.add_get("/", _page)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with aiohttp.ClientSession() as session:
            yield Site(f"http://127.0.0.1:{runner.addresses[0][1]}", session)
    finally:
        await runner.cleanup()


async def _page(_request: web.Request) -> web.Response:
    return web.Response(text="the status page")

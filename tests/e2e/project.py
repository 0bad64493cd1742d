"""A config file made of plain data, with scoring scripts small enough to start at once."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web

ANSWERS_ITS_NAME = """
import os

def init():
    pass

def run(data):
    return os.environ["NAME"]
"""


class Project:
    """One endpoint, `churn`, with one deployment, `blue`; change `data` and save."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "teal.yaml"
        self.endpoint: dict[str, Any] = {
            "auth_mode": "none",
            "traffic": {"blue": 100},
            "deployments": {"blue": self.worker("blue")},
        }
        self.data: dict[str, Any] = {
            "listen": "127.0.0.1:0",
            "admin": {"http": None},
            "limits": {"drain_timeout_s": 10},
            "endpoints": {"churn": self.endpoint},
        }

    @property
    def deployments(self) -> dict[str, Any]:
        """Those of `churn`."""
        deployments: dict[str, Any] = self.endpoint["deployments"]
        return deployments

    def worker(self, name: str, source: str = ANSWERS_ITS_NAME, **fields: Any) -> dict[str, Any]:
        """A deployment that runs `source`, which finds its deployment's name in the environment."""
        self.script(name, source)
        return {
            "code_configuration": {"code": f"code/{name}", "scoring_script": "score.py"},
            "environment_variables": {"NAME": name},
            **fields,
        }

    def script(self, name: str, source: str) -> None:
        """Write the scoring script of a deployment."""
        script = self.folder / "code" / name / "score.py"
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(source)

    def text(self) -> str:
        return yaml.safe_dump(self.data, sort_keys=False)

    def save(self) -> Path:
        """Write the config file; return its path."""
        replace(self.path, self.text())
        return self.path


class Upstream:
    """A server that teal does not run."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.requests = 0
        self.heads: list[str] = []
        self._app = web.Application()
        self._app.router.add_get("/", self._check)
        self._app.router.add_post("/score", self._score)
        self._runner = web.AppRunner(self._app, access_log=None)

    @property
    def address(self) -> str:
        host, port = self._runner.addresses[0]
        return f"http://{host}:{port}"

    async def start(self) -> None:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _check(self, _request: web.Request) -> web.Response:
        return web.Response()

    async def _score(self, request: web.Request) -> web.Response:
        self.requests += 1
        self.heads.append(str(request.raw_headers))
        self.asked.set()
        return web.json_response({})


def replace(path: Path, text: str) -> None:
    """Save a file as editors do: a new one takes its place."""
    replacement = path.with_suffix(".new")
    replacement.write_text(text)
    replacement.replace(path)


async def until(is_so: Callable[[], Awaitable[bool]]) -> None:
    """Ask again and again for what nobody tells of; the test's own timeout is the limit."""
    while not await is_so():  # noqa: ASYNC110 - what is asked is another process
        await asyncio.sleep(0.02)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a client got."""

    status: int
    headers: Mapping[str, str]
    text: str


async def ask(url: str, *, deployment: str | None = None, body: bytes = b"{}", key: str | None = None) -> Reply:
    """Score one request on a connection of its own."""
    headers = {"Content-Type": "application/json"}
    if deployment is not None:
        headers["azureml-model-deployment"] = deployment
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers) as answer:
        return Reply(answer.status, answer.headers, await answer.text())

"""A whole daemon, as its user starts it, and clients that never stop asking."""

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from tests.e2e.project import Project, Upstream, replace, until

ROOT = Path(__file__).resolve().parents[2]
READY_S = 90.0


class Teal:
    """A running daemon: its file, its output, its admin site."""

    def __init__(self, config: Path, state_dir: Path, process: asyncio.subprocess.Process) -> None:
        self.config = config
        self.state_dir = state_dir
        self.process = process
        self.lines: list[str] = []
        self._news = asyncio.Event()
        self._reading = asyncio.create_task(self._read(), name="daemon-output")
        connector = aiohttp.UnixConnector(str(state_dir / "run" / "admin.sock"))
        self._admin = aiohttp.ClientSession(connector=connector)

    async def said(self, pattern: str, *, after: int = 0) -> str:
        """The first line of output from line `after` on that matches."""
        seen = after
        while True:
            for line in self.lines[seen:]:
                if re.search(pattern, line):
                    return line
            seen = len(self.lines)
            if self._reading.done():
                raise AssertionError(f"the daemon ended without saying {pattern!r}:\n" + "\n".join(self.lines[-30:]))
            await self._news.wait()

    async def url(self, endpoint: str = "churn") -> str:
        """Where the endpoint is scored."""
        return f"{(await self.status())['base_url']}/api/v1/endpoint/{endpoint}/score"

    async def deployment(self, name: str, endpoint: str = "churn") -> Any:
        """A deployment, as the status shows it."""
        endpoints = {each["name"]: each for each in (await self.status())["endpoints"]}
        return {each["name"]: each for each in endpoints[endpoint]["deployments"]}[name]

    async def status(self) -> Any:
        return await self.get("/status")

    async def get(self, path: str) -> Any:
        """What the admin API has there."""
        async with self._admin.get(f"http://teal{path}") as answer:
            return await answer.json()

    async def metrics(self) -> dict[str, float]:
        """Every sample, by its name and labels as printed."""
        async with self._admin.get("http://teal/metrics") as answer:
            text = await answer.text()
        samples = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in samples}

    async def counted(self, sample: str, number: float) -> None:
        """Wait until a metric has reached a number; the test's own timeout is the limit."""

        async def has_come() -> bool:
            return (await self.metrics()).get(sample, 0) >= number

        await until(has_come)

    async def reads_ready(self, status: int = 200, text: str = "ready\n") -> None:
        """Wait until /readyz says this; proxies may be about to apply the newest table."""
        said: tuple[int, str] | None = None

        async def is_said() -> bool:
            nonlocal said
            said = await self.readyz()
            return said == (status, text)

        try:
            async with asyncio.timeout(READY_S / 2):
                await until(is_said)
        except TimeoutError:
            raise AssertionError(f"/readyz says {said}, not {(status, text)}") from None

    async def readyz(self) -> tuple[int, str]:
        async with self._admin.get("http://teal/readyz") as answer:
            return answer.status, await answer.text()

    async def reload(self) -> int:
        """`POST /reload`; returns the status."""
        async with self._admin.post("http://teal/reload") as answer:
            return answer.status

    async def edit(self, old: str, new: str) -> int:
        """Edit the file as an editor does, and return the generation that is then in force."""
        text = self.config.read_text()
        assert old in text
        return await self.apply(lambda: replace(self.config, text.replace(old, new)))

    async def apply(self, save: Callable[[], None]) -> int:
        """Save the file by `save`, and return the generation that is then in force."""
        return int((await self.after(save, '"config.applied"'))["generation"])

    async def after(self, act: Callable[[], None], pattern: str) -> Any:
        """Do something, and return the first log event from then on that matches."""
        seen = len(self.lines)
        act()
        return json.loads(await self.said(pattern, after=seen))

    def events(self, name: str) -> list[Any]:
        """Every log event of that name so far."""
        return [json.loads(line) for line in self.lines if f'"event":"{name}"' in line]

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    async def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        code = await self.process.wait()
        await self._reading
        return code

    async def close(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
        await self._reading
        await self._admin.close()

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            self.lines.append(line.decode().rstrip("\n"))
            self._tell()
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


@asynccontextmanager
async def running(
    config: Path, state_dir: Path, *options: str, env: dict[str, str] | None = None, under: tuple[str, ...] = ()
) -> AsyncIterator[Teal]:
    """`teal serve` on `config`, ended at the end.

    Args:
        under: The command that runs it.
    """
    process = await asyncio.create_subprocess_exec(
        *under, sys.executable, "-m", "router.cli.main", "serve",
        "--config", str(config), "--state-dir", str(state_dir), *options,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, limit=2**20,
        env={**os.environ, **(env or {})},
    )  # fmt: skip
    daemon = Teal(config, state_dir, process)
    try:
        yield daemon
    finally:
        await daemon.close()


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Teal]]]:
    """Start a daemon and wait until it serves: `await serve(config_path)`."""
    async with AsyncExitStack() as stack:

        async def start(config: Path, *options: str, is_awaited: bool = True) -> Teal:
            daemon = await stack.enter_async_context(running(config, tmp_path / "state", *options))
            if is_awaited:
                async with asyncio.timeout(READY_S):
                    await daemon.said('"daemon.serving"')
            return daemon

        yield start


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """The example as it is in the repository, on ports of its own, with its models trained."""
    folder = tmp_path / "config"
    shutil.copytree(ROOT / "config", folder, ignore=shutil.ignore_patterns(".teal", "*.pkl", "model.json"))
    subprocess.run([sys.executable, folder / "models" / "train.py"], check=True, capture_output=True)
    config = folder / "teal.yaml"
    text = config.read_text()
    for port in ("8080", "8081"):
        assert f"127.0.0.1:{port}" in text
        text = text.replace(f"127.0.0.1:{port}", "127.0.0.1:0")
    config.write_text(text)
    return config


class Load:
    """Clients that keep their connections and send one request after the other until stopped.

    Args:
        think_s: Pause of a client between an answer and its next request.
    """

    def __init__(self, url: str, key: str = "none", body: bytes = b"{}", *, think_s: float = 0.0) -> None:
        self._url = url
        self._think_s = think_s
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._body = body
        self._is_stopping = False
        self._tasks: list[asyncio.Task[None]] = []
        self._news = asyncio.Event()
        self.answers: list[tuple[int, str, int]] = []  # status, deployment, generation
        self.failures: list[str] = []
        self._ended: list[int] = []  # requests that have ended, by client
        self._generations: list[int] = []  # of the newest answer, by client

    def start(self, clients: int) -> None:
        self._ended, self._generations = [0] * clients, [0] * clients
        self._tasks = [asyncio.create_task(self._ask(number), name=f"client-{number}") for number in range(clients)]

    async def stop(self) -> None:
        self._is_stopping = True
        await asyncio.gather(*self._tasks)

    async def more(self, number: int) -> list[tuple[int, str, int]]:
        """Wait for `number` more answers, and return those."""
        start = len(self.answers)
        while len(self.answers) < start + number:
            await self._news.wait()
        return self.answers[start:]

    async def settle(self, generation: int = 0) -> None:
        """Wait until each client was answered by this generation or a later one, on a request begun after the call."""
        due = [ended + 2 for ended in self._ended]  # the next to end may be under way already
        while min(self._generations) < generation or any(map(int.__lt__, self._ended, due)):
            await self._news.wait()

    def statuses(self) -> Counter[int]:
        return Counter(status for status, _, _ in self.answers)

    async def _ask(self, client: int) -> None:
        connector = aiohttp.TCPConnector(limit=1)
        async with aiohttp.ClientSession(connector=connector, headers=self._headers) as session:
            while not self._is_stopping:
                try:
                    async with session.post(self._url, data=self._body) as answer:
                        await answer.read()
                        where = answer.headers.get("azureml-model-deployment", "")
                        self._generations[client] = int(answer.headers["x-teal-generation"])
                        self.answers.append((answer.status, where, self._generations[client]))
                except aiohttp.ClientError as error:
                    self.failures.append(repr(error))
                self._ended[client] += 1
                self._news.set()
                self._news = asyncio.Event()
                await asyncio.sleep(self._think_s)


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
async def upstreams() -> AsyncIterator[list[Upstream]]:
    """Three servers that teal does not run."""
    servers = [Upstream() for _ in range(3)]
    async with AsyncExitStack() as stack:
        for server in servers:
            await server.start()
            stack.push_async_callback(server.stop)
        yield servers


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A small config with one endpoint and one deployment."""
    return Project(tmp_path)

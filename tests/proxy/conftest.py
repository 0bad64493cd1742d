"""A real proxy on real sockets; its clients are aiohttp or raw sockets, its instances are scripted peers."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from router.core.auth import digest
from router.core.table import DeploymentSpec, EndpointSpec, InstanceSpec, TableSpec
from router.core.wire import Apply, ProxyLimits
from router.line_writer import LineWriter
from router.proxy.access_log import AccessLog
from router.proxy.checks import ReturnChecks
from router.proxy.clients import Clients
from router.proxy.entrance import Entrance
from router.proxy.listener import Listener
from router.proxy.mirror import Mirror
from router.proxy.runtime import Runtime
from tests.proxy.peers import BACKLOG, Peer, Script, answer_ok, running

KEY = "the-primary-key"
PATH = "/api/v1/endpoint/churn/score"


class Proxy:
    """A running data plane, with what a test looks at."""

    def __init__(self, log: Path, *, has_fast_lane: bool) -> None:
        self._log = log
        self._fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._writer = LineWriter(self._fd, 1_000_000)
        self.runtime = Runtime(AccessLog(self._writer, "json"))
        self.mirror = Mirror(self.runtime)
        self.checks = ReturnChecks(self.runtime)
        self.clients = Clients(self.runtime, self.mirror, has_fast_lane=has_fast_lane)
        self.entrance = Entrance(self.runtime, self.clients)
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{PATH}"

    def start(self) -> None:
        listening = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
        self.port = listening.getsockname()[1]
        self._listener = Listener(listening, self.entrance)
        self._listener.start()

    def apply(self, *endpoints: EndpointSpec, limits: ProxyLimits | None = None) -> None:
        table = TableSpec(generation=self.runtime.table.generation + 1, endpoints=endpoints)
        self.runtime.apply(Apply(table=table, limits=limits or ProxyLimits()))

    async def settled(self) -> None:
        """Wait until no request and no copy is in flight."""
        while self.mirror.in_flight or any(self.runtime.stats().busy.values()):  # noqa: ASYNC110
            await asyncio.sleep(0)  # a turn of the loop: what is waited for has no event of its own

    def stats(self, deployment: str = "blue") -> Any:
        return self.runtime.stats().totals.endpoint("churn").deployment(deployment)

    def access_log(self) -> list[dict[str, Any]]:
        """Everything logged; the proxy logs nothing afterwards."""
        self.runtime.access_log.flush()
        self._writer.close(1.0)
        return self._logged()

    def access_log_so_far(self) -> list[dict[str, Any]]:
        """Everything logged until now."""
        self.runtime.access_log.flush()
        self._writer.close(1.0)
        self._writer = self.runtime.access_log.writer = LineWriter(self._fd, 1_000_000)
        return self._logged()

    def _logged(self) -> list[dict[str, Any]]:
        # Not `splitlines`: a client's name may have one of the characters that it takes for ends of lines.
        return [json.loads(line) for line in self._log.read_text().split("\n")[:-1]]

    async def close(self) -> None:
        self._listener.close()
        await self.entrance.close()
        await self.clients.shutdown(0.1)
        self.mirror.close()
        await self.checks.close()
        self.runtime.pool.close()
        self._writer.close(1.0)
        os.close(self._fd)


@asynccontextmanager
async def serving(log: Path, *, has_fast_lane: bool) -> AsyncIterator[Proxy]:
    """A proxy without a table."""
    running_proxy = Proxy(log, has_fast_lane=has_fast_lane)
    running_proxy.start()
    yield running_proxy
    await running_proxy.close()


@pytest.fixture(params=["fast", "full"])
def lane(request: pytest.FixtureRequest) -> str:
    """The lane under test; every behaviour holds on each."""
    return str(request.param)


@pytest.fixture
async def proxy(lane: str, tmp_path: Path) -> AsyncIterator[Proxy]:
    """A proxy without a table."""
    async with serving(tmp_path / "access.log", has_fast_lane=lane == "fast") as running_proxy:
        yield running_proxy


@pytest.fixture
async def peer() -> AsyncIterator[Callable[..., Awaitable[Peer]]]:
    """Start a scripted instance: `await peer(script)`."""
    async with AsyncExitStack() as stack:

        async def start(script: Script = answer_ok, unix: Path | None = None) -> Peer:
            return await stack.enter_async_context(running(script, unix))

        yield start


@pytest.fixture
def refusing() -> Iterator[Callable[[], str]]:
    """Get an address on which nobody listens, and that nobody else is given until the test is over: `refusing()`."""
    with ExitStack() as stack:

        def address() -> str:
            held = stack.enter_context(socket.socket())
            held.bind(("127.0.0.1", 0))
            return f"http://127.0.0.1:{held.getsockname()[1]}"

        yield address


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    """A client that keeps its connections and has the key."""
    async with aiohttp.ClientSession(
        headers={"Authorization": f"Bearer {KEY}"}, auto_decompress=False, timeout=aiohttp.ClientTimeout(total=20)
    ) as session:
        yield session


def deployment(name: str = "blue", *peers: Peer, **fields: Any) -> DeploymentSpec:
    """A deployment of these peers."""
    instances = tuple(InstanceSpec(address=peer.address) for peer in peers)
    return DeploymentSpec(**{"name": name, "instances": instances, "max_concurrent": 100} | fields)


def anywhere(*peers: Peer) -> DeploymentSpec:
    """A deployment that takes any path."""
    return deployment("blue", *peers, passes_paths=True)


def endpoint(*deployments: DeploymentSpec, **fields: Any) -> EndpointSpec:
    """An endpoint `churn` with a key, all weight on the first deployment."""
    traffic = ((deployments[0].name, 100.0),) if deployments else ()
    defaults = {"name": "churn", "key_digests": (digest(KEY.encode()),), "traffic": traffic, "deployments": deployments}
    return EndpointSpec(**defaults | fields)


class RawClient:
    """A client that says exactly what it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, proxy: Proxy) -> "RawClient":
        return cls(*await asyncio.open_connection("127.0.0.1", proxy.port))

    async def send(self, raw: bytes) -> None:
        self.writer.write(raw)
        await self.writer.drain()

    async def head(self) -> bytes:
        return await self.reader.readuntil(b"\r\n\r\n")

    async def answer(self) -> tuple[int, bytes, bytes]:
        """(status, head, body) of one answer that has a Content-Length."""
        head = await self.head()
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        return int(head.split()[1]), head, await self.reader.readexactly(length)

    async def rest(self) -> bytes:
        """Everything until the proxy closes."""
        try:
            return await self.reader.read()
        except ConnectionError:
            return b""

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


@pytest.fixture
async def raw(proxy: Proxy) -> AsyncIterator[Callable[[], Awaitable[RawClient]]]:
    """Open a raw client: `await raw()`."""
    opened: list[RawClient] = []

    async def start() -> RawClient:
        opened.append(await RawClient.open(proxy))
        return opened[-1]

    yield start
    for one in opened:
        await one.close()


def post(body: bytes = b"{}", *fields: str, path: str = PATH, key: str = KEY) -> bytes:
    """A scoring request as bytes."""
    lines = [f"POST {path} HTTP/1.1", "Host: teal", f"Authorization: Bearer {key}", *fields]
    if not any(line.lower().startswith(("content-length", "transfer-encoding")) for line in fields):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def fields(head: bytes) -> dict[bytes, bytes]:
    """Fields of an answer's head, by lower-case name."""
    return {name.lower(): value for name, _, value in (line.partition(b": ") for line in head.split(b"\r\n")[1:-2])}

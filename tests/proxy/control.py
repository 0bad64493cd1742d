"""The part of a control process that looks after real proxy processes."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from router.control.listeners import bind
from router.control.proxies import Proxies
from router.core.patience import Patience
from router.core.stats import DeploymentStats
from router.core.table import EndpointSpec, TableSpec
from router.core.wire import ProxyLimits
from tests.proxy.conftest import PATH, RawClient

# A test stops a process for as long as it takes.
_BEARS_ALL = Patience(silent_s=600.0, stopped_s=600.0)


class Control:
    """The part of a control process that looks after the proxies."""

    def __init__(self, slots: int, lane: str, *, has_own_ports: bool = False) -> None:
        """Look after `slots` proxies on one port, or each on its own, so that a test says which one a client gets."""
        each = [("127.0.0.1", 0)]
        self._sockets = [bind(each, 1)[0] for _ in range(slots)] if has_own_ports else bind(each, slots)
        self.ports = [owned[0].getsockname()[1] for owned in self._sockets]
        self.port = self.ports[0]
        loop = "asyncio" if os.environ.get("TEAL_TEST_LOOP") == "asyncio" else "uvloop"
        arguments = ["--loop", loop, "--lane", lane, "--log-level", "error"]
        self.proxies = Proxies(self._sockets, arguments, lambda: None, _BEARS_ALL)
        self._clients: list[RawClient] = []
        self._generation = 0
        self._deployments: set[str] = set()

    @classmethod
    @asynccontextmanager
    async def running(cls, slots: int, lane: str, *, has_own_ports: bool = False) -> AsyncIterator["Control"]:
        """So many slots, filled; clients are closed in the end."""
        control = cls(slots, lane, has_own_ports=has_own_ports)
        control.proxies.start()
        yield control
        for client in control._clients:
            await client.close()
        hurry = asyncio.Event()
        hurry.set()
        await control.proxies.stop(20.0, hurry)
        await control.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{PATH}"

    def push(self, *endpoints: EndpointSpec, **limits: Any) -> int:
        self._generation += 1
        table = TableSpec(generation=self._generation, endpoints=endpoints)
        self.proxies.push(table, ProxyLimits(**{"access_log": False} | limits))
        self._deployments |= {spec.name for one in endpoints for spec in one.deployments}
        self.proxies.forget({"churn": self._deployments})
        return self._generation

    async def apply(self, *endpoints: EndpointSpec, **limits: Any) -> None:
        await self.proxies.applied(self.push(*endpoints, **limits))

    async def client(self, slot: int = 0) -> RawClient:
        """A client that keeps its connection; to the port of that slot, where each has its own."""
        client = RawClient(*await asyncio.open_connection("127.0.0.1", self.ports[slot]))
        self._clients.append(client)
        return client

    @property
    def connections(self) -> int:
        """Clients that are connected now."""
        return sum(status.stats.connections for status in self.proxies.statuses())

    @property
    def refused(self) -> dict[str, int]:
        """Connections that were refused, by reason."""
        return self.proxies.totals().process.connections_refused

    @property
    def pids(self) -> list[int]:
        return [status.pid for status in self.proxies.statuses() if status.pid is not None]

    def stats(self, name: str = "blue") -> DeploymentStats:
        return self.proxies.totals().endpoint("churn").deployment(name)

    async def stop(self) -> None:
        await self.proxies.stop(20.0, asyncio.Event())
        for sockets in self._sockets:
            for listener in sockets:
                listener.close()


async def told(is_so: Callable[[], object]) -> None:
    """Wait for news from the proxies until it is so."""
    while not is_so():  # noqa: ASYNC110 - the counters come several times a second, without an event
        await asyncio.sleep(0.01)

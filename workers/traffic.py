"""What is going on in a worker, counted over both lanes."""

from __future__ import annotations

import asyncio
import enum
from typing import Protocol, Set


class FastClient(Protocol):
    """A connection of the fast lane."""

    transport: asyncio.Transport

    @property
    def is_busy(self) -> bool:
        """Whether a request of it is being scored or its answer written, or a run thread waits for one."""
        ...

    def take_back(self) -> None:
        """Have the event loop read it, if a run thread does and takes long."""
        ...


class Phase(enum.Enum):
    """SERVING until SIGTERM, then DRAINING until the process ends."""

    SERVING = enum.auto()
    DRAINING = enum.auto()


class Traffic:
    """Counts of requests and the connections of the fast lane; used on the HTTP loop, `phase` in run threads too."""

    def __init__(self) -> None:
        self.phase = Phase.SERVING
        self.begun = 0
        self.fast: Set[FastClient] = set()
        self._on_aiohttp = 0

    @property
    def in_flight(self) -> int:
        """How many requests wait for their answer."""
        # Connections are asked, because what a run thread ends it cannot count without a lock.
        return self._on_aiohttp + sum(client.is_busy for client in self.fast)

    def began(self) -> None:
        """Count a request of aiohttp's lane whose head is here."""
        self.begun += 1
        self._on_aiohttp += 1

    def ended(self) -> None:
        """Count a request of aiohttp's lane as answered or given up."""
        self._on_aiohttp -= 1

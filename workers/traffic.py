"""What is going on in a worker, counted over both lanes."""

from __future__ import annotations

import asyncio
import enum
from typing import Set


class Phase(enum.Enum):
    """SERVING until SIGTERM, then DRAINING until the process ends."""

    SERVING = enum.auto()
    DRAINING = enum.auto()


class Traffic:
    """Counts of requests and the connections of the fast lane; used on the HTTP loop only."""

    def __init__(self) -> None:
        self.phase = Phase.SERVING
        self.begun = 0
        self.in_flight = 0
        self.fast: Set[asyncio.Transport] = set()

    def began(self) -> None:
        """Count a request whose head is here."""
        self.begun += 1
        self.in_flight += 1

    def ended(self) -> None:
        """Count a request as answered or given up."""
        self.in_flight -= 1

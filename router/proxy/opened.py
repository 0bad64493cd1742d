"""The client connections of a process that are open, on whichever lane."""

import asyncio
from typing import Protocol

from router.core.admission import Admission


class ClientProtocol(Protocol):
    """A connection that knows whom it counts for."""

    client: str


class OpenConnections:
    """Counts a connection from the moment it is accepted until it is lost."""

    def __init__(self) -> None:
        self.admission = Admission()
        self.all_closed = asyncio.Event()
        self.all_closed.set()
        self._expected: set[ClientProtocol] = set()

    def expect(self, connection: ClientProtocol) -> None:
        """It was accepted, and is made later or never."""
        self._enter(connection)
        self._expected.add(connection)

    def forget(self, connection: ClientProtocol) -> bool:
        """It is not made any more; whether it was not already."""
        if connection not in self._expected:
            return False
        self._expected.remove(connection)
        self.lost(connection)
        return True

    def made(self, connection: ClientProtocol) -> None:
        """It can be talked to."""
        if connection in self._expected:
            self._expected.remove(connection)
        else:
            self._enter(connection)

    def lost(self, connection: ClientProtocol) -> None:
        """It is closed, or another one has taken its place."""
        self.admission.leave(connection.client)
        if not self.admission.number:
            self.all_closed.set()

    def _enter(self, connection: ClientProtocol) -> None:
        self.admission.enter(connection.client)
        self.all_closed.clear()

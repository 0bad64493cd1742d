"""The client connections of a process that are open, on whichever lane."""

import asyncio
from typing import Protocol

from router.core.admission import Admission
from router.core.crowd import Crowd
from router.core.ledger import Claims


class ClientProtocol(Protocol):
    """A connection that knows whom it counts for."""

    client: str


class OpenConnections:
    """Knows every connection from the moment it is admitted until it is lost."""

    def __init__(self, places: Claims, crowd: Crowd | None = None) -> None:
        self.admission = Admission(places, crowd)
        self.all_closed = asyncio.Event()
        self.all_closed.set()
        self._expected: set[ClientProtocol] = set()

    def expect(self, connection: ClientProtocol) -> None:
        """It was admitted, and is made later or never."""
        self.all_closed.clear()
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
            self.admission.enter(connection.client)
            self.all_closed.clear()

    def replaced(self, by: ClientProtocol) -> None:
        """One is not heard of again, and this one of the same client is made in its place."""
        self._expected.add(by)

    def lost(self, connection: ClientProtocol) -> None:
        """It is closed."""
        self.admission.leave(connection.client)
        if not self.admission.number:
            self.all_closed.set()

"""Who may connect: so many clients in all, and so many of one address."""

from ipaddress import IPv6Address
from typing import Literal

from router.core.crowd import Crowd
from router.core.ledger import Claims

#: Clients that are answered read the same words in `x-teal-reason`.
ConnectionRefusal = Literal[
    "too_many_connections", "too_many_connections_of_address", "no_descriptors", "no_certificate", "handshake"
]
ConnectionCut = Literal["head_timeout", "not_read"]

#: Descriptors that are neither a client's nor an instance's: the loop's, the log's, refusals on their way.
_OWN_DESCRIPTORS = 64
#: Whoever has an IPv6 address has 2**64 of them.
_ONE_CLIENT_BITS = 64
_V6_BITS = 128


class Admission:
    """Counts connections by client, and knows who may not have one more.

    A client is what `client_of` says; the empty one, behind a Unix socket or a trusted proxy, has no limit of its own.

    Args:
        places: What all proxies count together.
        crowd: Whom the other proxies have; None: there are none.
    """

    def __init__(self, places: Claims, crowd: Crowd | None = None) -> None:
        self.number = 0  # of this proxy
        self._places = places
        self._by_client: dict[str, int] = {}
        self._crowd = crowd
        self._seats: dict[str, tuple[int, ...]] = {}  # in the crowd, of those who are here

    def __repr__(self) -> str:
        return f"Admission({self.number} connections of {len(self._by_client)} clients)"

    def admit(self, client: str, *, most: int, most_here: int, most_of_one: int) -> ConnectionRefusal | None:
        """Count one more connection of this client, or say why it may not have it.

        Args:
            most: Of all proxies together.
            most_here: Of this proxy.
            most_of_one: Of this client, at all proxies together.
        """
        if self.number >= most_here:
            return "too_many_connections"
        if client and self._by_client.get(client, 0) >= most_of_one:
            return "too_many_connections_of_address"
        if not self._places.claim(1, most):
            return "too_many_connections"
        self._count(client)
        if client and self._crowd is not None:
            others = self._crowd.others(self._seats[client])
            if self._by_client[client] + others > most_of_one:
                self.leave(client)
                return "too_many_connections_of_address"
        return None

    def enter(self, client: str) -> None:
        """One more connection, which is there already."""
        self._places.add(1)
        self._count(client)

    def leave(self, client: str) -> None:
        """One connection less."""
        self._places.give_back(1)
        self.number -= 1
        left = self._by_client[client] - 1
        if client and self._crowd is not None:
            self._crowd.leave(self._seats[client])
        if left:
            self._by_client[client] = left
        else:
            del self._by_client[client]
            self._seats.pop(client, None)

    def _count(self, client: str) -> None:
        self.number += 1
        number = self._by_client[client] = self._by_client.get(client, 0) + 1
        if client and self._crowd is not None:
            if number == 1:
                self._seats[client] = self._crowd.seats(client)
            self._crowd.enter(self._seats[client])


def client_of(host: str) -> str:
    """Whom connections from `host` count for: an IPv4 address, or the first half of an IPv6 address."""
    if ":" not in host:
        return host
    address = IPv6Address(host.partition("%")[0])
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    hidden_bits = _V6_BITS - _ONE_CLIENT_BITS
    return f"{IPv6Address(int(address) >> hidden_bits << hidden_bits)}/{_ONE_CLIENT_BITS}"


def affordable_connections(descriptors: int) -> int:
    """Clients that a process may have which may open that many descriptors: each may need one for an instance."""
    return max(1, (descriptors - _OWN_DESCRIPTORS) // 2)

"""What an instance is told of the client: by the router alone, or after what a proxy before it said.

Source: RFC 7239 (`Forwarded`), and common use of `X-Forwarded-*`.
"""

from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address, ip_network
from typing import NamedTuple

from router.core.headers import RawHeaders, is_forwarding

#: Fields of a trusted proxy that do not go on as they are, since the router adds to them or would.
_WRITTEN = frozenset((b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"))


class Hop(NamedTuple):
    """The connection that a request came on: the peer's address (empty for a Unix socket), and what it asked for."""

    peer: bytes
    host: bytes
    scheme: bytes


class TrustedProxies:
    """Peers whose word on the client is passed on.

    Args:
        networks: Addresses and networks such as `10.0.0.0/8`.
    """

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._networks = tuple(ip_network(network) for network in networks)

    def __repr__(self) -> str:
        return f"TrustedProxies({', '.join(map(str, self._networks))})"

    def trust(self, host: str) -> bool:
        """Whether the peer at this address is one of them."""
        if not self._networks:
            return False
        address = ip_address(host.partition("%")[0])
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)


def forwarding_lines(hop: Hop) -> list[bytes]:
    """The lines that say whom a request came from, as the router saw it."""
    lines = [b"X-Forwarded-For: " + hop.peer] if hop.peer else []
    return [*lines, b"X-Forwarded-Proto: " + hop.scheme, b"X-Forwarded-Host: " + hop.host]


def forwarding_lines_after(headers: RawHeaders, hop: Hop) -> list[bytes]:
    """The same for a request of a trusted proxy: its address is added to those that it names; the rest is its word."""
    said: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        said.setdefault(name.lower(), []).append(value)
    for_whom = said.get(b"x-forwarded-for", []) + ([hop.peer] if hop.peer else [])
    lines = [b"X-Forwarded-For: " + b", ".join(for_whom)] if for_whom else []
    lines.append(b"X-Forwarded-Proto: " + said.get(b"x-forwarded-proto", [hop.scheme])[0])
    lines.append(b"X-Forwarded-Host: " + said.get(b"x-forwarded-host", [hop.host])[0])
    lines += [b"%b: %b" % field for field in headers if _is_kept(field[0].lower())]
    if b"forwarded" in said:
        lines.append(b"Forwarded: " + b", ".join([*said[b"forwarded"], _element(hop.peer)]))
    return lines


def _is_kept(lower: bytes) -> bool:
    """Whether it goes on as it is; `x_forwarded_for` does not, which would be another `X-Forwarded-For` to some."""
    return is_forwarding(lower) and lower.replace(b"_", b"-") not in _WRITTEN


def _element(peer: bytes) -> bytes:
    """What `Forwarded` gains: for an address of IPv6, brackets and quotes (RFC 7239, 6)."""
    if not peer:
        return b"for=unknown"
    return b'for="[%b]"' % peer if b":" in peer else b"for=" + peer

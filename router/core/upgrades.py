"""Another protocol on a connection: which of those that a client offers go on, and which is taken or required.

Source: RFC 9110, 7.8 (Upgrade); RFC 9113, 3.1, on why `h2c` must not pass an intermediary that does not speak it.
"""

import re
from collections.abc import Collection, Iterator

from router.core.headers import RawHeaders, single

SWITCHING = 101
UPGRADE_REQUIRED = 426

_PROTOCOL = re.compile(r"[\w!#$%&'*+.^`|~-]+(?:/[\w!#$%&'*+.^`|~-]+)?", re.ASCII)
# Who speaks one of these to an instance speaks HTTP with it, past everything that the router does with a request.
_CARRIERS_OF_HTTP = frozenset(("h2", "h2c", "h3", "http", "https", "tls"))


def is_protocol(text: str) -> bool:
    """Whether it is a name, or a name and a version, as `Upgrade` lists them."""
    return _PROTOCOL.fullmatch(text) is not None


def carries_http(protocol: str) -> bool:
    """Whether requests could come over it that nobody would look at."""
    return _name(protocol.lower()) in _CARRIERS_OF_HTTP


def offered_upgrades(headers: RawHeaders, passed_on: Collection[str]) -> tuple[bytes, ...]:
    """Protocols that a request offers to switch to and that go on to its instance, as they are spelled.

    None if it has a body, after which alone the switch could come, or does not say that the offer is for this hop.

    Args:
        passed_on: In lower case; a name without a version stands for all of its versions.
    """
    if not passed_on or not _is_for_this_hop(headers) or _has_body(headers):
        return ()
    return tuple(
        protocol
        for protocol in _tokens(headers, b"upgrade")
        if (lower := protocol.decode("latin-1").lower()) in passed_on or _name(lower) in passed_on
    )


def upgrade_taken(headers: RawHeaders, offered: Collection[bytes]) -> bytes | None:
    """The protocol that an instance says it switches to, if it was offered that and no more than that one is named."""
    named = list(_tokens(headers, b"upgrade"))
    if not _is_for_this_hop(headers) or len(named) != 1:
        return None
    if named[0].lower() not in {protocol.lower() for protocol in offered}:
        return None
    return named[0]


def required_upgrades(headers: RawHeaders) -> tuple[bytes, ...]:
    """The lines of an answer with 426 that say what it requires: it must have them (RFC 9110, 15.5.22)."""
    named = b", ".join(_tokens(headers, b"upgrade"))
    return (b"connection: Upgrade", b"upgrade: " + named) if named else ()


def _is_for_this_hop(headers: RawHeaders) -> bool:
    return any(token.lower() == b"upgrade" for token in _tokens(headers, b"connection"))


def _has_body(headers: RawHeaders) -> bool:
    length = single(headers, b"content-length")
    return bool(length and length.strip(b"0")) or single(headers, b"transfer-encoding") is not None


def _tokens(headers: RawHeaders, name: bytes) -> Iterator[bytes]:
    for key, value in headers:
        if key.lower() == name:
            yield from filter(None, (token.strip(b" \t") for token in value.split(b",")))


def _name(protocol: str) -> str:
    return protocol.partition("/")[0]

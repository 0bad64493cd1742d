"""What an instance is told of the client."""

import pytest

from router.core.forwarding import Hop, TrustedProxies, forwarding_lines, forwarding_lines_after
from router.core.headers import RawHeaders

HOP = Hop(b"10.0.0.9", b"churn.x", b"http")


@pytest.mark.parametrize("host", ["10.1.2.3", "192.168.0.7", "::ffff:10.1.2.3", "2001:db8::5", "fe80::1%eth0"])
def test_a_proxy_is_trusted_by_address_or_network(host: str) -> None:
    """An IPv4 address is one whichever way it is written; the zone of a link-local one does not count."""
    assert TrustedProxies(["10.0.0.0/8", "192.168.0.7", "2001:db8::/32", "fe80::/10"]).trust(host)


@pytest.mark.parametrize("host", ["11.1.2.3", "192.168.0.8", "::1", "::ffff:11.1.2.3"])
def test_every_other_peer_is_not_trusted(host: str) -> None:
    """Only those that are listed are."""
    assert not TrustedProxies(["10.0.0.0/8", "192.168.0.7", "2001:db8::/32"]).trust(host)


def test_by_default_nobody_is_trusted() -> None:
    """Not even this host."""
    assert not TrustedProxies().trust("127.0.0.1")


def test_the_router_tells_what_it_saw() -> None:
    """The peer, and how and under which name the router was asked."""
    assert forwarding_lines(HOP) == [
        b"X-Forwarded-For: 10.0.0.9",
        b"X-Forwarded-Proto: http",
        b"X-Forwarded-Host: churn.x",
    ]


def test_a_peer_on_a_unix_socket_has_no_address() -> None:
    """Nothing is made up for it."""
    hop = Hop(b"", b"churn.x", b"http")
    assert forwarding_lines(hop) == [b"X-Forwarded-Proto: http", b"X-Forwarded-Host: churn.x"]
    assert forwarding_lines_after([(b"Forwarded", b"for=a")], hop)[-1] == b"Forwarded: for=a, for=unknown"


@pytest.mark.parametrize(
    ("came", "goes"),
    [
        ([], [b"X-Forwarded-For: 10.0.0.9", b"X-Forwarded-Proto: http", b"X-Forwarded-Host: churn.x"]),
        (
            [(b"X-Forwarded-For", b"1.1.1.1, 2.2.2.2"), (b"x-forwarded-for", b"3.3.3.3")],
            [
                b"X-Forwarded-For: 1.1.1.1, 2.2.2.2, 3.3.3.3, 10.0.0.9",
                b"X-Forwarded-Proto: http",
                b"X-Forwarded-Host: churn.x",
            ],
        ),
        (
            [(b"x-forwarded-proto", b"https"), (b"X-FORWARDED-HOST", b"public.example"), (b"X-Forwarded-Port", b"443")],
            [
                b"X-Forwarded-For: 10.0.0.9",
                b"X-Forwarded-Proto: https",
                b"X-Forwarded-Host: public.example",
                b"X-Forwarded-Port: 443",
            ],
        ),
        (
            [(b"X-Real-IP", b"1.1.1.1"), (b"Accept", b"*/*"), (b"Forwarded", b"for=1.1.1.1;proto=https")],
            [
                b"X-Forwarded-For: 10.0.0.9",
                b"X-Forwarded-Proto: http",
                b"X-Forwarded-Host: churn.x",
                b"X-Real-IP: 1.1.1.1",
                b"Forwarded: for=1.1.1.1;proto=https, for=10.0.0.9",
            ],
        ),
    ],
)
def test_a_trusted_proxy_is_believed(came: RawHeaders, goes: list[bytes]) -> None:
    """Its peer's address is added to the list that it began; what else it says stands."""
    assert forwarding_lines_after(came, HOP) == goes


def test_fields_of_that_kind_go_on_as_a_trusted_proxy_said_them() -> None:
    """But for what the router adds to, which is not told twice to a program that reads `_` as `-`."""
    came = [(b"X_FORWARDED_FOR", b"1.1.1.1"), (b"X_Forwarded_Port", b"443"), (b"X-Forwarded-Prefix", b"/a")]
    assert forwarding_lines_after(came, HOP) == [
        b"X-Forwarded-For: 10.0.0.9",
        b"X-Forwarded-Proto: http",
        b"X-Forwarded-Host: churn.x",
        b"X_Forwarded_Port: 443",
        b"X-Forwarded-Prefix: /a",
    ]


def test_an_address_of_ipv6_is_quoted_in_forwarded() -> None:
    """As RFC 7239 has it; `X-Forwarded-For` has it bare."""
    lines = forwarding_lines_after([(b"Forwarded", b"for=a")], Hop(b"2001:db8::9", b"x", b"http"))
    assert (lines[0], lines[-1]) == (b"X-Forwarded-For: 2001:db8::9", b'Forwarded: for=a, for="[2001:db8::9]"')

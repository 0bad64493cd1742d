"""Whose word on the client an instance hears."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from router.core.table import MirrorSpec
from router.core.wire import ProxyLimits
from tests.proxy.conftest import Proxy, RawClient, deployment, endpoint, post
from tests.proxy.peers import Peer, Seen, answer_ok
from tests.proxy.upgrades import echo_raw, get, switch, switchable, switches

StartPeer = Callable[..., Awaitable[Peer]]
OpenRaw = Callable[[], Awaitable[RawClient]]

SAID = (
    *("X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https", "X-Forwarded-Host: public.example"),
    *("X-Forwarded-Port: 443", "X-Real-IP: 6.6.6.6", "Forwarded: for=6.6.6.6;proto=https"),
)


#: Beyond those, and not what the router writes itself.
SAID_BESIDES = (
    *("X-Forwarded-Prefix: /admin", "x-forwarded-ssl: on", "X-Forwarded-User: root", "X-ForwardedBy: me"),
    *("X_Forwarded_Port: 443", "X_Real_IP: 6.6.6.6"),
)
#: The router's own to write, to a program that reads `_` as `-`.
SAID_OTHERWISE = ("X_Forwarded_For: 6.6.6.6", "X-FORWARDED_PROTO: https", "x_forwarded-host: public.example")


def told(seen: Seen) -> list[bytes]:
    """What an instance hears of the client in fields that begin as those do."""
    begin = (b"x-f", b"x_f", b"x-real", b"x_real", b"forwarded")
    return [line for line in seen.fields if line.lower().startswith(begin)]


async def seen_with(proxy: Proxy, peer: StartPeer, raw: OpenRaw, trusted: tuple[str, ...]) -> Seen:
    """A request that says much of its client, as the instance sees it."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", instance)), limits=ProxyLimits(trusted_proxies=trusted))
    one = await raw()
    await one.send(post(b"{}", *SAID))
    assert (await one.answer())[0] == 200
    return instance.seen[0]


@pytest.mark.parametrize("trusted", [("127.0.0.1/32",), ("10.0.0.0/8", "127.0.0.0/8")])
async def test_a_trusted_proxy_is_believed_and_added_to(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw, trusted: tuple[str, ...]
) -> None:
    """The instance hears of the client that the proxy saw, and of the proxy."""
    seen = await seen_with(proxy, peer, raw, trusted)
    assert seen.values("x-forwarded-for") == [b"6.6.6.6, 127.0.0.1"]
    assert seen.values("forwarded") == [b"for=6.6.6.6;proto=https, for=127.0.0.1"]
    assert (seen.values("x-forwarded-proto"), seen.values("x-forwarded-host")) == ([b"https"], [b"public.example"])
    assert (seen.values("x-forwarded-port"), seen.values("x-real-ip")) == ([b"443"], [b"6.6.6.6"])


@pytest.mark.parametrize("trusted", [(), ("10.0.0.0/8", "::1/128")])
async def test_every_other_client_is_not_believed(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw, trusted: tuple[str, ...]
) -> None:
    """The instance hears what the router saw."""
    seen = await seen_with(proxy, peer, raw, trusted)
    assert seen.values("x-forwarded-for") == [b"127.0.0.1"]
    assert (seen.values("x-forwarded-proto"), seen.values("x-forwarded-host")) == ([b"http"], [b"teal"])
    assert seen.values("forwarded") + seen.values("x-forwarded-port") + seen.values("x-real-ip") == []


ROUTERS_WORD = [b"X-Forwarded-For: 127.0.0.1", b"X-Forwarded-Proto: http", b"X-Forwarded-Host: teal"]


async def test_no_client_is_believed_in_fields_of_that_kind(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """Whatever begins with `X-Forwarded`, also written with underscores; in a copy for a mirror as well."""
    live, shadow = await peer(answer_ok), await peer(answer_ok)
    blue, green = deployment("blue", live), deployment("green", shadow)
    proxy.apply(endpoint(blue, green, mirror_traffic=(("green", 100.0),), mirror=MirrorSpec()))
    one = await raw()
    await one.send(post(b"{}", *SAID, *SAID_BESIDES, *SAID_OTHERWISE))
    assert (await one.answer())[0] == 200
    [copy] = await shadow.requests(1)
    assert [told(live.seen[0]), told(copy)] == [ROUTERS_WORD] * 2


async def test_nor_is_one_that_switches_to_another_protocol(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """An upgrade goes on with what the router saw."""
    instance = await peer(switches(echo_raw))
    proxy.apply(endpoint(switchable(instance)))
    await switch(await raw(), get(*SAID, *SAID_BESIDES, *SAID_OTHERWISE))
    assert told(instance.seen[0]) == ROUTERS_WORD


async def test_a_trusted_proxy_is_believed_in_all_that_the_router_does_not_write(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw
) -> None:
    """`X_Forwarded_For` would be a second `X-Forwarded-For` to a program behind WSGI."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", instance)), limits=ProxyLimits(trusted_proxies=("127.0.0.1",)))
    one = await raw()
    await one.send(post(b"{}", *SAID_BESIDES, *SAID_OTHERWISE))
    assert (await one.answer())[0] == 200
    assert told(instance.seen[0]) == ROUTERS_WORD + [line.encode() for line in SAID_BESIDES]


async def test_the_connection_of_a_trusted_proxy_lives_on(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """It serves one request after the other, on the full lane, however they are cut, and is counted once."""
    instance = await peer(answer_ok)
    limits = ProxyLimits(trusted_proxies=("127.0.0.1/32",))
    proxy.apply(endpoint(deployment("blue", instance)), limits=limits)
    one = await raw()
    for _ in range(3):
        request = post(b"{}", "X-Forwarded-For: 6.6.6.6")
        await one.send(request[:50])
        await asyncio.sleep(0)
        await one.send(request[50:])
        assert (await one.answer())[0] == 200
    assert [seen.values("x-forwarded-for") for seen in instance.seen] == [[b"6.6.6.6, 127.0.0.1"]] * 3
    assert (proxy.clients.fast_now, proxy.clients.open_now) == (0, 1)

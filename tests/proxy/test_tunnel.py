"""Connections that have switched to another protocol: bytes both ways, limits, and every way to end."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable

import pytest

from router.core.wire import ProxyLimits
from tests.proxy.conftest import Proxy, RawClient, deployment, endpoint
from tests.proxy.peers import Conversation, Peer, answer_ok
from tests.proxy.upgrades import SWITCHED, echo_raw, get, switch, switchable, switches
from tests.proxy.waiting import until, until_still

StartPeer = Callable[..., Awaitable[Peer]]
OpenRaw = Callable[[], Awaitable[RawClient]]

MB = 1_000_000
SIZE = 100 * MB
#: What the kernel's own buffers on the way may hold, with room to spare; far from `SIZE`.
KERNEL = 30 * MB


async def ended_line(proxy: Proxy) -> tuple[int, str]:
    """Status and reason in the log's only line."""
    await proxy.settled()
    (line,) = proxy.access_log()
    return line["response_code"], line["response_code_reason"]


async def test_bytes_pass_as_they_are(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """Nothing is read into them, not even what looks like HTTP; what came with the switch comes first."""
    proxy.apply(endpoint(switchable(await peer(switches(echo_raw, SWITCHED + b"first")))))
    one = await switch(await raw())
    assert await one.reader.readexactly(5) == b"first"
    for part in (b"\x00\xff", b"GET / HTTP/1.1\r\n\r\n", bytes(300_000)):
        await one.send(part)
        assert await one.reader.readexactly(len(part)) == part


async def test_a_tunnel_is_logged_and_counted_when_it_ends(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """One line with the bytes of both directions; they are counted as they pass, and as latency that of the switch."""
    proxy.apply(endpoint(switchable(await peer(switches(echo_raw, SWITCHED + b"first")))))
    one = await switch(await raw())
    await one.send(bytes(1000))
    await one.reader.readexactly(1005)
    stats = proxy.stats()
    assert (stats.request_bytes, stats.response_bytes, stats.in_flight, stats.upgraded) == (1000, 1005, 1, 1)
    assert (stats.instances[next(iter(stats.instances))].in_flight, stats.live) == (1, {})
    proxy.runtime.sweep()
    one.writer.write_eof()
    assert await one.rest() == b""
    await proxy.settled()
    stats = proxy.stats()
    assert (stats.request_bytes, stats.response_bytes, stats.in_flight, stats.upgraded) == (1000, 1005, 0, 0)
    assert (stats.live, stats.model, stats.reasons, stats.failures) == ({101: 1}, {101: 1}, {}, {})
    (line,) = proxy.access_log()
    assert (line["response_code"], line["response_code_reason"], line["model_status_reason"]) == (101, "", "")
    assert (line["request_payload_size"], line["response_payload_size"]) == (1000, 1005)
    assert line["path"] == "/api/v1/endpoint/churn/ws"
    assert stats.duration.sum_s < line["total_duration_ms"] / 1000


# Backpressure


async def test_a_client_that_does_not_read_holds_back_its_instance(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """The instance gets stuck with its 100 MB, and goes on when the client reads; every byte arrives."""
    sent = 0

    async def pour(conversation: Conversation) -> None:
        nonlocal sent
        while sent < SIZE:
            await conversation.send(bytes(MB))
            sent += MB

    proxy.apply(endpoint(switchable(await peer(switches(pour)))))
    one = await raw()
    one.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await one.send(get())
    await until(lambda: sent)
    assert await until_still(lambda: sent) < KERNEL
    one.writer.transport.resume_reading()  # type: ignore[attr-defined]
    await one.head()
    assert len(await one.rest()) == SIZE


async def test_an_instance_that_does_not_read_holds_back_its_client(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw
) -> None:
    """The client gets stuck with its 100 MB, and goes on when the instance reads; every byte arrives."""
    gate, received, sent = asyncio.Event(), 0, 0

    async def read_late(conversation: Conversation) -> None:
        nonlocal received
        conversation.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await gate.wait()
        conversation.writer.transport.resume_reading()  # type: ignore[attr-defined]
        while part := await conversation.reader.read(MB):
            received += len(part)

    async def pour(one: RawClient) -> None:
        nonlocal sent
        while sent < SIZE:
            await one.send(bytes(MB))
            sent += MB
        one.writer.write_eof()

    proxy.apply(endpoint(switchable(await peer(switches(read_late)))))
    one = await switch(await raw())
    pouring = asyncio.create_task(pour(one), name="pour")
    await until(lambda: sent)
    assert await until_still(lambda: sent) < KERNEL
    gate.set()
    await pouring
    assert await one.rest() == b""
    await proxy.settled()
    assert received == SIZE


async def test_bytes_over_the_bandwidth_are_delayed(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """As those of bodies are, in both directions, and by the newest table."""
    blue = switchable(await peer(switches(echo_raw)))
    proxy.apply(endpoint(blue))
    one = await switch(await raw())
    proxy.apply(endpoint(blue, bandwidth_bytes_per_s=1_000_000))
    await one.send(bytes(520_000))
    await one.reader.readexactly(520_000)
    one.writer.write_eof()
    await one.rest()
    await proxy.settled()
    (line,) = proxy.access_log()
    assert line["request_throttling_delay_ms"] + line["response_throttling_delay_ms"] > 20


# Ends


@pytest.mark.parametrize("last", [b"", b"last words"])
async def test_the_end_of_a_client_ends_both(proxy: Proxy, peer: StartPeer, raw: OpenRaw, last: bytes) -> None:
    """Its last bytes arrive before its end, and so do the instance's, which are told it."""
    received = b""

    async def listen(conversation: Conversation) -> None:
        nonlocal received
        received = await conversation.reader.read()
        await conversation.send(b"goodbye")

    proxy.apply(endpoint(switchable(await peer(switches(listen)))))
    one = await switch(await raw())
    await one.send(last)
    one.writer.write_eof()
    assert await one.rest() == b"goodbye"
    assert await ended_line(proxy) == (101, "")
    assert received == last


async def test_a_client_that_ended_before_the_switch_has_ended(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """Its instance is told so at once, and may say goodbye."""
    gate = asyncio.Event()

    async def switch_late(conversation: Conversation) -> None:
        await conversation.request()
        await gate.wait()
        await conversation.send(SWITCHED)
        await conversation.closed()
        await conversation.send(b"goodbye")

    instance = await peer(switch_late)
    proxy.apply(endpoint(switchable(instance)))
    one = await raw()
    await one.send(get())
    await instance.requests(1)
    one.writer.write_eof()
    await asyncio.sleep(0)
    gate.set()
    assert (await one.rest()).endswith(b"\r\n\r\ngoodbye")
    assert await ended_line(proxy) == (101, "")


async def test_the_end_of_an_instance_ends_both(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """The client gets what was said last, then the end."""

    async def leave(conversation: Conversation) -> None:
        await conversation.send(b"goodbye")

    proxy.apply(endpoint(switchable(await peer(switches(leave)))))
    one = await switch(await raw())
    assert await one.rest() == b"goodbye"
    await one.close()
    assert await ended_line(proxy) == (101, "")


async def test_a_side_that_does_not_end_after_the_other_is_cut(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has some seconds for what it still has to say."""
    monkeypatch.setattr("router.proxy.tunnel._END_S", 0.05)
    never = asyncio.Event()

    async def stay(conversation: Conversation) -> None:
        await never.wait()

    proxy.apply(endpoint(switchable(await peer(switches(stay)))))
    one = await switch(await raw())
    one.writer.write_eof()
    ending = asyncio.create_task(one.rest(), name="rest")
    while not ending.done():
        proxy.runtime.sweep()
        await asyncio.sleep(0.01)
    never.set()
    assert await ended_line(proxy) == (101, "")


async def test_a_client_that_breaks_off_breaks_its_instance(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """The instance learns of it at once."""
    over = asyncio.Event()

    async def listen(conversation: Conversation) -> None:
        await conversation.closed()
        over.set()

    proxy.apply(endpoint(switchable(await peer(switches(listen)))))
    one = await switch(await raw())
    _reset(one.writer)
    await over.wait()
    assert await ended_line(proxy) == (101, "client_gone")
    assert proxy.stats().failures == {}


async def test_an_instance_that_breaks_off_breaks_its_client(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """It counts against the instance, as an answer does that breaks off."""

    async def fall(conversation: Conversation) -> None:
        await conversation.reader.readexactly(1)
        _reset(conversation.writer)

    proxy.apply(endpoint(switchable(await peer(switches(fall)))))
    one = await switch(await raw())
    await one.send(b"x")
    assert await one.rest() == b""
    assert await ended_line(proxy) == (101, "upstream_reset")
    assert proxy.stats().failures == {"reset": 1}


async def test_a_tunnel_on_which_nothing_passes_is_cut(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """After `upgrade_idle_timeout_s`, not the request's own time, and only if neither side says anything."""
    limits = ProxyLimits(upgrade_idle_timeout_s=0.3)
    proxy.apply(endpoint(switchable(await peer(switches(echo_raw)), request_timeout_s=0.1)), limits=limits)
    one = await switch(await raw())
    began = proxy.runtime.now()
    while proxy.runtime.now() - began < 0.5:
        await one.send(b"x")
        assert await one.reader.readexactly(1) == b"x"
        proxy.runtime.sweep()
    ending = asyncio.create_task(one.rest(), name="rest")
    while not ending.done():
        proxy.runtime.sweep()
        await asyncio.sleep(0.01)
    assert await ended_line(proxy) == (101, "upgrade_idle")
    assert proxy.stats().reasons == {"upgrade_idle": 1}


# Changes of the table, and the end of the process


async def test_a_tunnel_outlives_tables_that_keep_its_instance(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """Weights and limits may change: what is open goes on, and new requests follow the new table."""
    blue, green = await peer(switches(echo_raw)), await peer(answer_ok)
    limits = ProxyLimits(drain_timeout_s=0)
    proxy.apply(endpoint(switchable(blue)), limits=limits)
    one = await switch(await raw())
    both = (deployment("green", green), switchable(blue))
    proxy.apply(endpoint(*both, traffic=(("green", 100.0),)), limits=limits)
    proxy.runtime.sweep()
    await one.send(b"x")
    assert await one.reader.readexactly(1) == b"x"


async def test_a_tunnel_to_what_has_left_the_table_is_drained(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """It goes on for `drain_timeout_s`, and is cut then."""
    blue, green = await peer(switches(echo_raw)), await peer(answer_ok)
    proxy.apply(endpoint(switchable(blue)))
    one = await switch(await raw())
    proxy.apply(endpoint(deployment("green", green)))
    proxy.runtime.sweep()
    await one.send(b"x")
    assert await one.reader.readexactly(1) == b"x"
    proxy.apply(endpoint(deployment("green", green)), limits=ProxyLimits(drain_timeout_s=0))
    proxy.runtime.sweep()
    assert await one.rest() == b""
    assert await ended_line(proxy) == (101, "drained")


async def test_a_process_that_ends_cuts_its_tunnels(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """When its drain is over, and says so."""
    proxy.apply(endpoint(switchable(await peer(switches(echo_raw)))))
    one = await switch(await raw())
    proxy.runtime.is_draining = True
    assert proxy.clients.busy_now == 1
    proxy.clients.close_idle(0)
    await one.send(b"x")
    assert await one.reader.readexactly(1) == b"x"
    await proxy.clients.shutdown(0.01)
    assert await one.rest() == b""
    await proxy.clients.all_closed.wait()
    assert await ended_line(proxy) == (101, "drained")


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close so that the other side hears of a break, not of an end."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()

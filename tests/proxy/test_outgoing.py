"""What is written to a connection arrives in order and whole, whatever its peer takes at a time."""

import asyncio
import socket

import pytest

from router.proxy.outgoing import Outgoing


class Taken(asyncio.Protocol):
    """Our end of a connection; `lost` has the news of its end."""

    def __init__(self) -> None:
        self.is_paused = False
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def pause_writing(self) -> None:
        self.is_paused = True

    def resume_writing(self) -> None:
        self.is_paused = False

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)


async def opened(kind: socket.AddressFamily) -> tuple[Outgoing, asyncio.Transport, Taken, socket.socket]:
    """A connection with little room on its way, and the socket of its peer."""
    loop = asyncio.get_running_loop()
    if kind == socket.AF_UNIX:
        ours, peer = socket.socketpair(kind)
    else:
        with socket.create_server(("127.0.0.1", 0)) as server:
            ours = socket.create_connection(server.getsockname())
            peer = server.accept()[0]
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 * 1024)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 * 1024)
    ours.setblocking(False)
    peer.setblocking(False)
    transport, protocol = await loop.create_connection(Taken, sock=ours)
    return Outgoing(transport), transport, protocol, peer


async def read(peer: socket.socket, size: int) -> bytes:
    received = bytearray()
    while len(received) < size:
        part = await asyncio.get_running_loop().sock_recv(peer, 64 * 1024)
        assert part, "ended early"
        received += part
    return bytes(received)


KINDS = pytest.mark.parametrize("kind", [socket.AF_UNIX, socket.AF_INET])


@KINDS
async def test_small_writes_arrive_at_once(kind: socket.AddressFamily) -> None:
    """Nothing waits in the transport."""
    outgoing, transport, _, peer = await opened(kind)
    outgoing.write(b"one ")
    outgoing.write_two(b"two ", b"three ")
    outgoing.write_two(b"four ", memoryview(b"-five")[1:])
    assert transport.get_write_buffer_size() == 0
    assert await read(peer, 23) == b"one two three four five"
    transport.abort()
    peer.close()


@KINDS
async def test_more_than_the_peer_takes_arrives_in_order(kind: socket.AddressFamily) -> None:
    """What found no room is sent before what is written later, and the protocol is told to wait."""
    outgoing, transport, protocol, peer = await opened(kind)
    sent = b""
    for number in range(40):
        head, body = b"<%d>" % number, bytes([number]) * 30_000
        if number % 2:
            outgoing.write(head + body)
        else:
            outgoing.write_two(head, memoryview(body))
        sent += head + body
    assert protocol.is_paused
    assert transport.get_write_buffer_size() > 0
    assert await read(peer, len(sent)) == sent
    assert not protocol.is_paused
    outgoing.write(b"and once more")
    assert transport.get_write_buffer_size() == 0
    assert await read(peer, 13) == b"and once more"
    transport.abort()
    peer.close()


@KINDS
async def test_a_head_that_goes_out_in_part_is_followed_by_its_body(kind: socket.AddressFamily) -> None:
    """Wherever the kernel cuts what it is given."""
    outgoing, transport, _, peer = await opened(kind)
    head, body = b"h" * 2_000_000, b"b" * 1_000
    outgoing.write_two(head, body)
    assert await read(peer, 2_001_000) == head + body
    transport.abort()
    peer.close()


@KINDS
async def test_the_end_of_a_connection_is_the_protocols_news(kind: socket.AddressFamily) -> None:
    """A write to a peer that is gone raises nothing; the protocol hears of the end as it would of any other."""
    outgoing, transport, protocol, peer = await opened(kind)
    transport.pause_reading()  # only the write can find out
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    peer.close()
    outgoing.write(b"first")
    outgoing.write(b"second")
    outgoing.write_two(b"third", b"fourth")
    assert isinstance(await asyncio.wait_for(protocol.lost, 5), ConnectionError)


async def test_other_writers_are_not_overtaken() -> None:
    """After `defer`, what somebody else wrote to the transport stays before what comes later."""
    outgoing, transport, _, peer = await opened(socket.AF_UNIX)
    outgoing.defer()
    transport.write(b"x" * 1_000_000)
    outgoing.write(b"y" * 1_000)
    assert await read(peer, 1_001_000) == b"x" * 1_000_000 + b"y" * 1_000
    transport.abort()
    peer.close()

"""Accepting goes on whatever happens."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from router.proxy.listener import Accepted, Listener
from tests.proxy.waiting import until


class Taken:
    """Keeps what comes in."""

    def __init__(self) -> None:
        self.accepted: list[Accepted] = []

    def take(self, accepted: Accepted) -> None:
        self.accepted.append(accepted)

    def refuse_exhausted(self, connection: socket.socket) -> None:
        raise AssertionError("there are enough descriptors here")

    def close(self) -> None:
        for connection, _ in self.accepted:
            connection.close()


@pytest.fixture
def taken() -> Iterator[Taken]:
    """A door that lets everybody in."""
    door = Taken()
    yield door
    door.close()


def connect(listening: socket.socket) -> socket.socket:
    return socket.create_connection(listening.getsockname())


async def test_what_is_queued_is_taken_before_the_socket_is_closed(taken: Taken) -> None:
    """Clients that connected before the end are let in; later ones are refused by the kernel."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=200)
    address = listening.getsockname()
    listener = Listener(listening, taken)
    clients = [connect(listening) for _ in range(150)]
    listener.close()
    assert len(taken.accepted) == 150
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
    for client in clients:
        client.close()


async def test_the_kernel_takes_little_for_a_client_that_does_not_read(taken: Taken) -> None:
    """An eighth of a megabyte besides what the client's own side holds; by itself it would take four."""
    listening = socket.create_server(("127.0.0.1", 0))
    listener = Listener(listening, taken)
    listener.start()
    with connect(listening):
        await until(lambda: taken.accepted)
        connection = taken.accepted[0].connection
        connection.setblocking(False)
        taken_bytes = 0
        with contextlib.suppress(BlockingIOError):
            while taken_bytes < 100_000_000:
                taken_bytes += connection.send(bytes(65536))
        assert taken_bytes < 1_000_000
    listener.close()


async def test_a_listener_that_failed_is_tried_again(taken: Taken) -> None:
    """An error that is nobody's fault is logged, and costs a pause."""
    listening = socket.create_server(("127.0.0.1", 0))
    listener = Listener(listening, taken)
    listener.start()
    listening.shutdown(socket.SHUT_RDWR)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    listening.listen()
    with connect(listening):
        await until(lambda: taken.accepted)
    listener.close()


async def test_a_client_on_a_unix_socket_is_taken(taken: Taken, tmp_path: Path) -> None:
    """Its address is no host and port."""
    path = tmp_path / "teal.sock"
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listener = Listener(listening, taken)
    listener.start()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        await until(lambda: taken.accepted)
    assert not isinstance(taken.accepted[0].address, tuple)
    listener.close()

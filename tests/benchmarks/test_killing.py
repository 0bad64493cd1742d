"""What of a load's losses a killed process explains."""

import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from faults.killing import Kill, strays_of_proxies, strays_of_workers
from harness.samples import Sample
from harness.steady import CUT

ACCEPTS = """
import socket
with socket.create_server(("127.0.0.1", 0)) as listener:
    print(listener.getsockname()[1], flush=True)
    connection, _ = listener.accept()
    connection.sendall(b"!")
    connection.recv(1)
"""


def lost(sent: float, done: float, port: int = 0) -> Sample:
    return Sample(sent, done, CUT, -1, port)


@pytest.fixture
def accepting() -> Iterator[tuple[int, int]]:
    """A process that accepts one client; its number and port."""
    with subprocess.Popen([sys.executable, "-c", ACCEPTS], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.pid, int(process.stdout.readline())
        process.kill()


def test_a_kill_knows_whose_connections_the_process_had(accepting: tuple[int, int]) -> None:
    """By the client's port; once it returns they are closed."""
    pid, port = accepting
    with socket.create_connection(("127.0.0.1", port)) as client:
        assert client.recv(1) == b"!"
        kill = Kill.of(pid, serving=port)
        assert kill.ports == {client.getsockname()[1]}
        assert kill.at < kill.gone
        assert client.recv(1) == b""


def test_a_lost_request_is_explained_by_the_kill_of_the_proxy_that_had_its_connection() -> None:
    """Not by one that had another, nor by one that came after its end: there is no margin of time."""
    kill = Kill(at=10.0, gone=10.01, ports=frozenset({7}))
    on_it, on_another, before = lost(9.9, 10.02, port=7), lost(9.9, 10.02, port=8), lost(9.8, 9.9, port=7)
    assert strays_of_proxies([on_it, on_another, before], [kill]) == [on_another, before]


def test_a_connection_ends_with_one_request() -> None:
    """A second one that was lost on the same port was on another connection."""
    kill = Kill(at=10.0, gone=10.01, ports=frozenset({7}))
    first, second = lost(9.9, 10.02, port=7), lost(10.5, 10.6, port=7)
    assert strays_of_proxies([first, second], [kill]) == [second]
    assert strays_of_proxies([first, second], [kill, Kill(at=10.55, gone=10.56, ports=frozenset({7}))]) == []


def test_each_kill_of_a_worker_explains_one_lost_request_that_was_under_way() -> None:
    """Sent before it was gone, and not answered before it was stopped."""
    kills = [Kill(at=10.0, gone=10.01), Kill(at=11.0, gone=11.01)]
    under_way, another = lost(9.9, 10.02), lost(9.95, 10.03)
    too_late, too_early = lost(10.02, 10.03), lost(10.9, 10.99)
    assert strays_of_workers([under_way, lost(10.9, 11.1)], kills) == []
    assert strays_of_workers([under_way, another], kills) == [another]
    assert strays_of_workers([too_late, too_early], kills) == [too_late, too_early]

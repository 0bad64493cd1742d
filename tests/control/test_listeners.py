"""The sockets for scoring traffic."""

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing

import pytest

from router.control.listeners import ListenError, bind, bound_at, from_systemd, spread, url_of


@pytest.fixture
def bound() -> Iterator[list[socket.socket]]:
    """Sockets to close after the test."""
    sockets: list[socket.socket] = []
    yield sockets
    for listener in sockets:
        listener.close()


def ports(by_slot: Sequence[Sequence[socket.socket]]) -> list[list[int]]:
    return [[listener.getsockname()[1] for listener in sockets] for sockets in by_slot]


def test_every_slot_has_a_socket_of_its_own_on_the_same_port(bound: list[socket.socket]) -> None:
    """Port 0 is the same free port for all slots."""
    by_slot = bind([("127.0.0.1", 0)], slots=3)
    bound += [listener for sockets in by_slot for listener in sockets]
    ((first,), *others) = ports(by_slot)
    assert first > 0
    assert others == [[first], [first]]
    assert len({listener.fileno() for listener in bound}) == 3


def test_every_address_is_listened_on(bound: list[socket.socket]) -> None:
    """In the order of the config, in every slot."""
    by_slot = bind([("127.0.0.1", 0), ("127.0.0.2", 0)], slots=2)
    bound += [listener for sockets in by_slot for listener in sockets]
    assert [listener.getsockname()[0] for listener in by_slot[1]] == ["127.0.0.1", "127.0.0.2"]


def test_a_star_is_every_address(bound: list[socket.socket]) -> None:
    """`*:8080` listens, as `0.0.0.0:8080` does."""
    ((listener,),) = bind([("*", 0)], slots=1)
    bound.append(listener)
    assert listener.getsockname()[0] in {"0.0.0.0", "::"}


def test_a_port_that_another_shares_is_refused(bound: list[socket.socket]) -> None:
    """SO_REUSEPORT on both sides would split the clients between two daemons."""
    ((listener,),) = bind([("127.0.0.1", 0)], slots=1)
    bound.append(listener)
    port = listener.getsockname()[1]
    with pytest.raises(ListenError, match=f"cannot listen on 127.0.0.1:{port}: the port is in use"):
        bind([("127.0.0.1", port)], slots=1)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "192.0.2.1"])
def test_an_address_that_is_not_ours_is_refused(host: str) -> None:
    """The message names it."""
    with pytest.raises(ListenError, match=f"cannot listen on {host}:0: "):
        bind([(host, 0)], slots=1)


def test_sockets_for_another_process_are_not_taken() -> None:
    """`LISTEN_PID` says whom systemd meant."""
    assert from_systemd({"LISTEN_FDS": "1", "LISTEN_PID": "1"}, os.getpid()) == []
    assert from_systemd({}, os.getpid()) == []


def test_sockets_from_systemd_are_shared_by_all_slots() -> None:
    """They were bound once; whoever is free accepts."""
    with ExitStack() as stack:
        one, two = stack.enter_context(socket.socket()), stack.enter_context(socket.socket())
        assert spread([one, two], slots=2) == [[one, two], [one, two]]


@pytest.mark.parametrize(
    ("host", "bound", "reached"),
    [
        ("127.0.0.1", "http://127.0.0.1:", "http://127.0.0.1:"),
        ("0.0.0.0", "http://0.0.0.0:", "http://127.0.0.1:"),
        ("::1", "http://[::1]:", "http://[::1]:"),
        ("::", "http://[::]:", "http://[::1]:"),
    ],
)
def test_a_socket_has_an_address_and_a_way_to_it(host: str, bound: str, reached: str) -> None:
    """The wildcard is what an operator must see, and nothing that a client could connect to."""
    with closing(bind([(host, 0)], slots=1)[0][0]) as listener:
        port = listener.getsockname()[1]
        assert bound_at(listener, scheme="http") == f"{bound}{port}"
        assert url_of(listener, scheme="http") == f"{reached}{port}"

"""The open loop: what it sends, and what it takes for an answer and for its time."""

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable

import pytest
from harness.open_loop import LoadError, OpenLoop, requests
from harness.pace import Pace
from harness.wrk import Answers, Target
from peers.upstream import ANSWER, Upstream, complete_requests

PACE = Pace(per_second=200, seconds=0.1, connections=3, seed=1)
REFUSAL = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno"


def loop_on(port: int, pace: Pace, *listeners: socket.socket) -> Answers:
    with select.epoll() as epoll:
        target = Target(url=f"http://127.0.0.1:{port}/score", key="k")
        with contextlib.closing(Upstream(*listeners, epoll=epoll)) as instance:
            return OpenLoop(target, pace, instance, epoll).run()


def answering(answer: Callable[[socket.socket], None]) -> int:
    """The port of a server that calls `answer` for each request on its one connection at a time."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener, listener.accept()[0] as connection:
            while connection.recv(65536):
                answer(connection)

    threading.Thread(target=serve, daemon=True).start()
    return int(listener.getsockname()[1])


def test_every_request_is_whole_and_like_no_other() -> None:
    """Each has its own id and numbers, 430 bytes of body and the key."""
    sent = requests(Target(url="http://127.0.0.1:1/score", key="k"), 100)
    assert complete_requests(b"".join(sent)) == (100, b"")
    assert len(set(sent)) == 100
    assert sent[7].split(b"\r\n")[2] == b"Authorization: Bearer k"
    assert {len(request.partition(b"\r\n\r\n")[2]) for request in sent} == {430}


def test_every_request_that_is_due_is_answered_by_the_instance_beside_the_loop() -> None:
    """Direct: the loop is client and instance at once, and counts none of the requests that open a connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        found = loop_on(listener.getsockname()[1], PACE, listener)
    assert (found.requests, found.errors) == (22, 0)


def test_waiting_for_a_slow_system_is_part_of_the_latency() -> None:
    """About 20 requests in 0.1 s on one connection, 0.05 s each: the last waited for nearly all the others."""

    def slowly(connection: socket.socket) -> None:
        time.sleep(0.05)
        connection.sendall(ANSWER)

    found = loop_on(answering(slowly), Pace(per_second=200, seconds=0.1, connections=1, seed=1))
    assert found.requests == 22
    assert found.p99_ms > 22 * 50 - 100 - 1


def test_an_answer_in_pieces_is_one_answer() -> None:
    """The head and the body may come apart."""

    def in_pieces(connection: socket.socket) -> None:
        connection.sendall(ANSWER[:40])
        connection.sendall(ANSWER[40:])

    assert loop_on(answering(in_pieces), Pace(per_second=200, seconds=0.1, connections=1, seed=1)).errors == 0


def test_a_refusal_is_an_error() -> None:
    """A system that refuses fast must not look fast."""
    found = loop_on(
        answering(lambda connection: connection.sendall(REFUSAL)),
        Pace(per_second=200, seconds=0.1, connections=1, seed=1),
    )
    assert (found.requests, found.errors, found.good) == (22, 22, 0)


def test_a_closed_connection_ends_the_run() -> None:
    """What was not answered has no latency, so there is no result without it."""

    def leave(connection: socket.socket) -> None:
        connection.shutdown(socket.SHUT_RDWR)

    with pytest.raises(LoadError, match="closed"):
        loop_on(answering(leave), Pace(per_second=200, seconds=0.1, connections=1, seed=1))

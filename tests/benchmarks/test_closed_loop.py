"""What the load on Unix sockets sends, and what it takes for an answer."""

import socket
import threading
from itertools import islice
from pathlib import Path

import pytest
from harness.closed_loop import AnswerError, requests, run
from peers.upstream import Upstream, complete_requests, listen_on


def test_every_request_is_whole_and_like_no_other() -> None:
    """Nothing wins by remembering an earlier answer."""
    sent = list(islice(requests(7), 100))
    assert complete_requests(b"".join(sent)) == (100, b"")
    assert len(set(sent)) == 100


def test_answers_are_counted(tmp_path: Path) -> None:
    """Each connection gets at least its first request answered, however short the time."""
    path = tmp_path / "socket"
    threading.Thread(target=Upstream(listen_on(f"unix:{path}")).serve, daemon=True).start()
    assert run(path, connections=3, seconds=0, first=0) == 3


@pytest.mark.parametrize("answer", [b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b""])
def test_an_answer_that_is_no_200_with_a_length_is_an_error(tmp_path: Path, answer: bytes) -> None:
    """A server that fails fast must not look cheap."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        listener.listen()
        threading.Thread(target=_answer_once, args=(listener, answer), daemon=True).start()
        with pytest.raises(AnswerError):
            run(tmp_path / "socket", connections=1, seconds=1, first=0)


def _answer_once(listener: socket.socket, answer: bytes) -> None:
    with listener.accept()[0] as connection:
        connection.recv(65536)
        connection.sendall(answer)

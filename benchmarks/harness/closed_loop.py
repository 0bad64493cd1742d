"""A load on a Unix socket, which wrk cannot reach: keep-alive connections, each with one request in flight."""

import re
import select
import socket
import time
from collections.abc import Iterator
from pathlib import Path

READ_BYTES = 65536
BODY_BYTES = 430
CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
# What the router adds is there too: the id that it gives to every request.
HEAD = (
    b"POST /score HTTP/1.1\r\nHost: worker\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\nx-request-id: 3f2c9f5e-0b5a-4c9e-8f6d-%012d\r\n\r\n"
)
BODY_START = b'{"data": [[0.%012d, '
BODY_END = b"]]}"


class AnswerError(Exception):
    """A server answered something else than a whole 200, or left."""


def requests(first: int) -> Iterator[bytes]:
    """Requests without end, each with an id and a number of its own."""
    filler = BODY_BYTES - len(BODY_START % 0) - len(BODY_END)
    rest = (b"0.0061730, " * BODY_BYTES)[: filler - 1] + b"1" + BODY_END
    number = first
    while True:
        yield HEAD % (BODY_BYTES, number) + BODY_START % number + rest
        number += 1


def run(path: Path, *, connections: int, seconds: float, first: int) -> int:
    """Put load on a server for so many seconds; return how many requests it answered.

    Raises:
        AnswerError: one of them was not answered as it should be.
    """
    clients = [_connect(path) for _ in range(connections)]
    try:
        return _drive(clients, requests(first), time.monotonic() + seconds)
    finally:
        for client in clients:
            client.close()


def _connect(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(path))
    return client


def _drive(clients: list[socket.socket], source: Iterator[bytes], until: float) -> int:
    by_fd = {client.fileno(): client for client in clients}
    answered = 0
    with select.epoll() as ready:
        for fd, client in by_fd.items():
            ready.register(fd, select.EPOLLIN)
            client.sendall(next(source))
        while by_fd:
            for fd, _ in ready.poll():
                _read_answer(by_fd[fd])
                answered += 1
                if time.monotonic() < until:
                    by_fd[fd].sendall(next(source))
                else:
                    del by_fd[fd]  # its last answer is here
    return answered


def _read_answer(client: socket.socket) -> None:
    answer = client.recv(READ_BYTES)
    while not _is_whole(answer):
        chunk = client.recv(READ_BYTES)
        if not chunk:
            raise AnswerError(f"the server closed the connection after {answer!r}")
        answer += chunk


def _is_whole(answer: bytes) -> bool:
    head_end = answer.find(b"\r\n\r\n")
    if head_end < 0:
        return False
    length = CONTENT_LENGTH.search(answer, 0, head_end)
    if not answer.startswith(b"HTTP/1.1 200 ") or length is None:
        raise AnswerError(f"no 200 with a length: {answer!r}")
    return len(answer) == head_end + 4 + int(length[1])

"""The deployment that looks well and has hung."""

import select
import socket
import threading
from pathlib import Path

from peers.black_hole import BlackHole
from peers.upstream import listen_on


def ask(path: Path, request: bytes) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(path))
    client.sendall(request)
    return client


def test_only_checks_are_answered(tmp_path: Path) -> None:
    """A GET gets its 200; a request before it got nothing and was not hung up on."""
    path = tmp_path / "hole.sock"
    threading.Thread(target=BlackHole(listen_on(f"unix:{path}")).serve, daemon=True).start()
    with (
        ask(path, b"POST /score HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}") as waiting,
        ask(path, b"GET / HTTP/1.1\r\n\r\n") as check,
    ):
        assert check.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")
        assert select.select([waiting], [], [], 0)[0] == []

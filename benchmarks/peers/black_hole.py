"""A deployment that looks well and has hung: it answers health checks, and nothing else ever.

One that failed its checks too would be taken out of the choice, and get no copy that could do harm.
"""

import argparse
import select
import socket

from peers.upstream import ANSWER, READ_BYTES, listen_on

KEPT = 2000  # connections; past it the oldest is closed


class BlackHole:
    """A listener and the connections that it keeps waiting."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._epoll = select.epoll()
        self._epoll.register(listener.fileno(), select.EPOLLIN)
        self._kept: dict[int, socket.socket] = {}

    def serve(self) -> None:
        while True:
            for fd, _ in self._epoll.poll():
                if fd == self._listener.fileno():
                    self._accept()
                else:
                    self._look_once(fd)

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        self._kept[connection.fileno()] = connection
        self._epoll.register(connection.fileno(), select.EPOLLIN)
        if len(self._kept) > KEPT:
            self._kept.pop(next(iter(self._kept))).close()

    def _look_once(self, fd: int) -> None:
        """Answer a check; of anything else read no more."""
        connection = self._kept[fd]
        self._epoll.unregister(fd)
        if connection.recv(READ_BYTES).startswith(b"GET "):
            connection.sendall(ANSWER)
            self._kept.pop(fd).close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--listen", required=True, help="host:port or unix:/path")
    BlackHole(listen_on(parser.parse_args().listen)).serve()


if __name__ == "__main__":
    main()

"""Accepts connections and reads what comes, and nothing else: the least that a crowd of clients costs whoever has it.

Run as a program on a port of loopback. It stands for another machine, and runs when nobody else wants a core.
"""

import argparse
import os
import select
import socket

READ_BYTES = 64 * 1024
QUEUE = 1024


class Sink:
    """Reads with one `epoll`, as `faults.crowd` writes."""

    def __init__(self, port: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", port), backlog=QUEUE)
        self._listener.setblocking(False)
        self._epoll = select.epoll()
        self._epoll.register(self._listener, select.EPOLLIN)
        self._connections: dict[int, socket.socket] = {}

    def run(self) -> None:
        while True:
            for fd, _ in self._epoll.poll():
                if fd == self._listener.fileno():
                    self._accept()
                else:
                    self._read(fd)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return  # it is gone again
        connection.setblocking(False)
        self._connections[connection.fileno()] = connection
        self._epoll.register(connection, select.EPOLLIN)

    def _read(self, fd: int) -> None:
        try:
            received = self._connections[fd].recv(READ_BYTES)
        except OSError:
            received = b""
        if not received:
            self._connections.pop(fd).close()


def main() -> None:
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    Sink(parser.parse_args().port).run()


if __name__ == "__main__":
    main()

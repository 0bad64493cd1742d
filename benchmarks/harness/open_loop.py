"""An open loop of requests and the instance that answers them, in one process that never sleeps while it measures.

Both are here because there are two cores and the proxy has one: as two processes they would wait for each other's turn
on the other core, and that wait would be taken for the proxy's. So an answer's way is the generator's send, the proxy,
the instance's answer, the proxy, the generator's read, and on the generator's core nothing is woken up. The loop asks
for events without waiting, a few hundred thousand times per second or more: that is the precision of its clock.

Latency counts from the time when a request was due, not from when it was sent: a system, or a generator, that falls
behind makes those who come later wait, and their wait is part of what they see.

Commands come as JSON, one a line, on standard input; each is answered by one line on standard output.
"""

import argparse
import dataclasses
import gc
import json
import os
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from harness import pace as pacing
from harness.pace import Pace
from harness.wrk import Answers, Target
from peers.upstream import ANSWER_BODY, Upstream, listen_on, request_end

READ_BYTES = 65536
BODY_BYTES = 430
GRACE_S = 10.0  # past the last arrival, for answers that are still due
WAIT_S = 10.0  # for the answer on a new connection
HEAD = (
    "POST {path} HTTP/1.1\r\nHost: {host}\r\n{key}Content-Type: application/json\r\n"
    f"Content-Length: {BODY_BYTES}\r\nx-ms-client-request-id: "
)
BODY = '{{"data": [[0.{number:07d}, {numbers}'
NUMBERS = ", ".join(f"0.0{column * 6173 % 100000:05d}" for column in range(1, 40))


class LoadError(Exception):
    """A connection was closed, or answers stayed out."""


def requests(target: Target, count: int) -> list[bytes]:
    """So many requests, each with an id and a number of its own; made before the run, not while it is timed."""
    url = urlsplit(target.url)
    key = f"Authorization: Bearer {target.key}\r\n" if target.key else ""
    head = HEAD.format(path=url.path, host=url.netloc, key=key)

    def body(number: int) -> str:
        return BODY.format(number=number, numbers=NUMBERS)[: BODY_BYTES - 3].rstrip(" ,.").ljust(BODY_BYTES - 3) + "]]}"

    return [f"{head}{number:07d}\r\n\r\n{body(number)}".encode() for number in range(count)]


class OpenLoop:
    """One run: connections to one target, and what was measured on them."""

    def __init__(self, target: Target, pace: Pace, instance: Upstream, epoll: select.epoll) -> None:
        self._due = pacing.arrivals(pace)
        self._requests = requests(target, len(self._due) + pace.connections)
        self._instance = instance
        self._epoll = epoll
        self._clients = {client.fileno(): client for client in map(_connected, [target] * pace.connections)}
        self._free = deque(self._clients)  # the one that rested longest is used next
        self._due_of: dict[int, int] = {}
        self._unread: dict[int, bytes] = {}
        self._latency_ns: list[int] = []
        self._late_ns: list[int] = []
        self._errors = 0
        self._began = 0
        for fd in self._clients:
            epoll.register(fd, select.EPOLLIN)

    def run(self) -> Answers:
        """Send what is due when it is due, until all is answered.

        Raises:
            LoadError: a connection was closed, or an answer took more than GRACE_S after the last request was due.
        """
        try:
            self._use_each_once()
            self._drive()
        finally:
            self._close()
        return pacing.answers(
            latency_ns=self._latency_ns,
            late_ns=self._late_ns,
            duration_ns=time.perf_counter_ns() - self._began,
            errors=self._errors,
        )

    def _use_each_once(self) -> None:
        """A request on each connection that is not counted: a new one costs more."""
        self._began = time.perf_counter_ns()
        for request in self._requests[len(self._due) :]:
            fd = self._free.popleft()
            self._due_of[fd] = 0
            self._clients[fd].send(request)
            self._step_until(len(self._latency_ns) + 1, self._began + round(WAIT_S * 1e9))
            self._began = time.perf_counter_ns()
        self._latency_ns.clear()
        self._errors = 0

    def _step_until(self, answered: int, deadline: int) -> None:
        while len(self._latency_ns) < answered:
            self._step()
            if time.perf_counter_ns() > deadline:
                raise LoadError("a new connection got no answer")

    def _drive(self) -> None:
        due, requests, free, clients = self._due, self._requests, self._free, self._clients
        clock, sent, count = time.perf_counter_ns, 0, len(self._due)
        self._began = began = clock()
        deadline = due[-1] + round(GRACE_S * 1e9)
        while len(self._latency_ns) < count:
            now = clock() - began
            while sent < count and due[sent] <= now and free:
                fd = free.popleft()
                self._due_of[fd] = due[sent]
                self._late_ns.append(clock() - began - due[sent])
                clients[fd].send(requests[sent])
                sent += 1
            if now > deadline:
                raise LoadError(f"{count - len(self._latency_ns)} of {count} requests were not answered")
            self._step()

    def _step(self) -> None:
        """Read what there is to read; do not wait for it."""
        for fd, _ in self._epoll.poll(0):
            if fd in self._clients:
                self._read(fd)
            else:
                self._instance.ready(fd)

    def _read(self, fd: int) -> None:
        chunk = self._clients[fd].recv(READ_BYTES)
        now = time.perf_counter_ns() - self._began
        if not chunk:
            raise LoadError("a connection was closed")
        answer = self._unread.pop(fd, b"") + chunk
        if not answer.endswith(ANSWER_BODY) and not 0 < request_end(answer) <= len(answer):
            self._unread[fd] = answer
            return
        self._latency_ns.append(now - self._due_of[fd])
        self._errors += not answer.startswith(b"HTTP/1.1 200 ")
        self._free.append(fd)

    def _close(self) -> None:
        for fd, client in self._clients.items():
            self._epoll.unregister(fd)
            client.close()


def _connected(target: Target) -> socket.socket:
    url = urlsplit(target.url)
    client = socket.create_connection((url.hostname or "", url.port or 0))
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def _commands(instance: Upstream, epoll: select.epoll) -> Iterator[Mapping[str, dict[str, object]]]:
    """What standard input says, while the instance answers whoever asks it."""
    commands = sys.stdin.fileno()
    epoll.register(commands, select.EPOLLIN)
    unread = b""
    while True:
        for fd, _ in epoll.poll():
            if fd != commands:
                instance.ready(fd)
            elif chunk := os.read(commands, READ_BYTES):
                *lines, unread = (unread + chunk).split(b"\n")
                epoll.unregister(commands)  # none comes while one is carried out
                yield from map(json.loads, lines)
                epoll.register(commands, select.EPOLLIN)
            else:
                return


def serve(listeners: list[socket.socket]) -> None:
    """Carry out commands until standard input ends."""
    epoll = select.epoll()
    instance = Upstream(*listeners, epoll=epoll)
    print(json.dumps({"listens": [str(listener.getsockname()) for listener in listeners]}), flush=True)
    for command in _commands(instance, epoll):
        target, pace = Target(**command["target"]), Pace(**command["pace"])  # type: ignore[arg-type]
        try:
            print(json.dumps(dataclasses.asdict(OpenLoop(target, pace, instance, epoll).run())), flush=True)
        except (LoadError, OSError) as error:
            print(json.dumps({"error": str(error)}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--listen", nargs="+", required=True, help="host:port or unix:/path, of the instance")
    gc.disable()  # nothing here makes cycles, and a pause would be taken for latency
    serve([listen_on(address) for address in parser.parse_args().listen])


if __name__ == "__main__":
    main()

"""Clients that are a burden, each in its way, in great number; what became of them is printed at the end.

Run as a program; ends on SIGTERM. It says `ready` once all were connected. One that ends is followed by another.

Thousands of them have one core with the router and those whose latency is measured, so nothing is done for each of them
but its own system calls: one `epoll`, no tasks, no timers. The bytes that they send are spread over the second, as with
clients that know nothing of each other; a crowd that sends in step would be felt for its step, not for its size. They
stand for other machines, so they run when nobody else wants a core; what the kernel does for them is in the way anyway.
"""

import argparse
import json
import os
import random
import select
import signal
import socket
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from harness.steady import READY

BYTE_EVERY_S = 1.0
SLOTS = 1000  # of that time, in one of which each client sends
TICK_S = 0.001
CONNECTING_PER_TICK = 5
AGAIN_S = 0.5
SMALL_WINDOW_BYTES = 4096
SLOW_BYTES = 430
ENDED = select.EPOLLHUP | select.EPOLLERR
RESET = "reset"
CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How a client behaves: what it sends at once, what a byte a second, and whether it reads what it gets."""

    at_once: bytes = b""
    slowly: bytes = b""
    reads: bool = True


@dataclass(slots=True, eq=False)
class Guest:
    """One connection. `status` is that of its answer, once there is one."""

    way: Way
    connection: socket.socket
    is_connected: bool = False
    is_gone: bool = False
    sent: int = 0  # of what is sent slowly
    answer: bytearray = field(default_factory=bytearray)


def ways(url: SplitResult, *, is_chunked: bool) -> dict[str, Way]:
    """All of them, by name.

    Args:
        is_chunked: Send bodies in chunks, and an empty line before a slow head: both are the full lane's at once.
    """
    before = b"\r\n" if is_chunked else b""
    slow, short = Request(url, b"x" * SLOW_BYTES, is_chunked), Request(url, b'{"number": 1234}', is_chunked)
    large = Request(url, short.body, is_chunked, pin="large")
    return {
        "slow_head": Way(slowly=before + slow.head + slow.body),
        "slow_body": Way(at_once=slow.head + slow.size, slowly=slow.body),
        "never_reads": Way(at_once=large.whole, reads=False),
        "asks_and_stays": Way(at_once=short.whole),
    }


@dataclass(frozen=True, slots=True)
class Request:
    """One request, its body in one piece: with a length or as a chunk."""

    url: SplitResult
    body: bytes
    is_chunked: bool
    pin: str = ""

    @property
    def head(self) -> bytes:
        pinned = f"azureml-model-deployment: {self.pin}\r\n" if self.pin else ""
        framing = "Transfer-Encoding: chunked" if self.is_chunked else f"Content-Length: {len(self.body)}"
        return (
            f"POST {self.url.path} HTTP/1.1\r\nHost: {self.url.netloc}\r\n{pinned}"
            f"Content-Type: application/json\r\n{framing}\r\n\r\n"
        ).encode()

    @property
    def size(self) -> bytes:
        """What comes between head and body."""
        return b"%x\r\n" % len(self.body) if self.is_chunked else b""

    @property
    def whole(self) -> bytes:
        return self.head + self.size + self.body + (b"\r\n0\r\n\r\n" if self.is_chunked else b"")


class Crowd:
    """Keeps so many clients of each way connected."""

    def __init__(self, address: tuple[str, int], wanted: list[Way]) -> None:
        self.outcomes: Counter[str] = Counter()
        self.connected = 0
        self.is_over = False
        self._address = address
        self._epoll = select.epoll()
        self._guests: dict[int, Guest] = {}
        self._absent = deque((0.0, way) for way in wanted)  # and from when on they come
        self._slow: list[list[Guest]] = [[] for _ in range(SLOTS)]  # by when in each round they send a byte
        self._slot = _slot_at(time.monotonic())  # of all rounds so far; the next one is due

    def run(self, until_connected: int | None = None) -> None:
        """Go on until it is over, or until so many have been connected."""
        while not self.is_over and (until_connected is None or self.connected < until_connected):
            for fd, events in self._epoll.poll(TICK_S):
                self._ready(self._guests[fd], events)
            now = time.monotonic()
            self._admit(now)
            self._drip(now)

    def _admit(self, now: float) -> None:
        for _ in range(CONNECTING_PER_TICK):
            if not self._absent or self._absent[0][0] > now:
                return
            self._connect(self._absent.popleft()[1])

    def _connect(self, way: Way) -> None:
        connection = socket.socket()
        connection.setblocking(False)
        if not way.reads:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_WINDOW_BYTES)
        connection.connect_ex(self._address)
        self._guests[connection.fileno()] = Guest(way, connection)
        self._epoll.register(connection, select.EPOLLOUT)

    def _ready(self, guest: Guest, events: int) -> None:
        if events & select.EPOLLOUT and not events & ENDED:
            self._begin(guest)
        elif guest.way.reads and guest.is_connected:
            self._read(guest)
        else:
            self._end(guest, RESET if guest.is_connected else "refused")

    def _begin(self, guest: Guest) -> None:
        guest.is_connected = True
        self.connected += 1
        self._epoll.modify(guest.connection, select.EPOLLIN if guest.way.reads else 0)
        if guest.way.at_once:
            guest.connection.send(guest.way.at_once)
        if guest.way.slowly:
            random.choice(self._slow).append(guest)

    def _read(self, guest: Guest) -> None:
        try:
            received = guest.connection.recv(4096)
        except ConnectionError:
            received = b""
        guest.answer += received
        if not received:
            self._end(guest, _status(guest.answer) or CLOSED)

    def _drip(self, now: float) -> None:
        due = _slot_at(now)
        for slot in range(max(self._slot, due - SLOTS), due):
            place = slot % SLOTS
            self._slow[place] = [guest for guest in self._slow[place] if self._goes_on(guest)]
        self._slot = due

    def _goes_on(self, guest: Guest) -> bool:
        """Send a byte; return whether there are more."""
        if guest.is_gone:
            return False
        try:
            guest.connection.send(guest.way.slowly[guest.sent : guest.sent + 1])
        except OSError:
            return False  # epoll will say so
        guest.sent += 1
        return guest.sent < len(guest.way.slowly)

    def _end(self, guest: Guest, outcome: str) -> None:
        guest.is_gone = True
        self.outcomes[outcome] += 1
        del self._guests[guest.connection.fileno()]
        guest.connection.close()
        self._absent.append((time.monotonic() + AGAIN_S, guest.way))

    def staying(self) -> Counter[str]:
        """How those that are connected were answered so far."""
        return Counter(status for guest in self._guests.values() if (status := _status(guest.answer)))


def _slot_at(now: float) -> int:
    return int(now / BYTE_EVERY_S * SLOTS)


def _status(answer: bytes | bytearray) -> str:
    return bytes(answer[9:12]).decode()


def main() -> None:
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", type=urlsplit)
    for name in ("slow-head", "slow-body", "never-reads", "asks-and-stays"):
        parser.add_argument(f"--{name}", type=int, default=0, metavar="CLIENTS")
    parser.add_argument("--chunked", action="store_true", help="ask what teal's full lane answers")
    numbers = vars(parser.parse_args())
    url = numbers.pop("url")
    known = ways(url, is_chunked=numbers.pop("chunked"))
    wanted = [known[name] for name, number in numbers.items() for _ in range(number)]
    crowd = Crowd((url.hostname, url.port), wanted)

    def end(*_: object) -> None:
        crowd.is_over = True

    signal.signal(signal.SIGTERM, end)
    crowd.run(until_connected=len(wanted))
    print(READY, flush=True)
    crowd.run()
    print(json.dumps(crowd.outcomes + crowd.staying()), flush=True)


if __name__ == "__main__":
    main()

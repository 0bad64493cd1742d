"""Sends requests to a mirror target at a given rate, as a router does that has nothing else to do; ends on SIGTERM.

A connection for each; one read of the answer, and the connection is given up: the least that a copy takes whose target
talks nonsense or too much. It stands for another machine, and runs when nobody else wants a core.
"""

import argparse
import os
import random
import socket
import time

from harness.steady import BODY, READY

READ_BYTES = 256 * 1024
PATIENCE_S = 5.0


def copy(port: int, request: bytes) -> None:
    """One copy, from its connection to the end of it."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
            connection.sendall(request)
            connection.recv(READ_BYTES)
    except OSError:
        pass  # that is what such targets are like


def main() -> None:
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int)
    parser.add_argument("--rate", type=float, required=True, help="copies per second, with random pauses between them")
    options = parser.parse_args()
    body = BODY % 1_000_000_000
    request = (
        f"POST /score HTTP/1.1\r\nHost: 127.0.0.1:{options.port}\r\nx-teal-mirror: 1\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    print(READY, flush=True)
    due = time.monotonic()
    while True:
        due += random.expovariate(options.rate)
        time.sleep(max(0.0, due - time.monotonic()))
        copy(options.port, request)


if __name__ == "__main__":
    main()

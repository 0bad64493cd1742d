"""What teal's proxy holds on to: idle connections, and growth over many requests and reloads."""

import argparse
import contextlib
import json
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
from harness import systems, teal, wrk
from harness.processes import StartError
from harness.systems import System
from harness.wrk import Load

SYSTEM_CORE, LOAD_CORE = 0, 1


def memory_bytes(system: System) -> int:
    """Memory that only the proxy process has (USS): what it shares with others is not what it holds on to."""
    uss: int = psutil.Process(system.data_path_pids()[0]).memory_full_info().uss
    return uss


def request(key: str, url: str) -> bytes:
    host, _, path = url.removeprefix("http://").partition("/")
    head = f"POST /{path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\nContent-Length: 2\r\n\r\n"
    return head.encode() + b"{}"


@contextlib.contextmanager
def idle_connections(system: System, number: int) -> Iterator[None]:
    """Connections that had one answer each and wait."""
    host, _, port = system.target.url.removeprefix("http://").partition("/")[0].partition(":")
    raw = request(system.target.key or "", system.target.url)
    with contextlib.ExitStack() as stack:
        for _ in range(number):
            connection = stack.enter_context(socket.create_connection((host, int(port))))
            connection.sendall(raw)
            if not connection.recv(4096).startswith(b"HTTP/1.1 200 "):
                raise StartError("an idle connection did not get its answer")
        yield


def reload_often(config: Path, times: int, stop: threading.Event) -> None:
    """Save the config `times` times, each time a little different, until `stop`."""
    text = config.read_text()
    for number in range(times):
        if stop.wait(0.5):
            return
        config.write_text(
            f"# {number}\n"
            + text.replace("blue: 90\n    green: 10", f"blue: {90 - number % 2}\n    green: {10 + number % 2}")
        )


def run(connections: int, requests: int, reloads: int, scratch: Path) -> dict[str, float]:
    upstream = systems.upstream(scratch / "upstream").start(LOAD_CORE)
    proxy = teal.proxy(scratch / "teal", f"unix:{scratch / 'upstream' / 'upstream.sock'}").start(SYSTEM_CORE)
    try:
        wrk.run(proxy.target, Load(connections=32, seconds=3), core=LOAD_CORE)
        before = memory_bytes(proxy)
        with idle_connections(proxy, connections):
            per_connection = (memory_bytes(proxy) - before) / connections
        warm = memory_bytes(proxy)
        stop = threading.Event()
        config = scratch / "teal" / "config" / "teal.yaml"
        reloading = threading.Thread(target=reload_often, args=(config, reloads, stop))
        reloading.start()
        sent = errors = 0
        while sent < requests or reloading.is_alive():
            proxy.process.discard_output()
            answers = wrk.run(proxy.target, Load(connections=32, seconds=5, seed=sent), core=LOAD_CORE)
            sent, errors = sent + answers.requests, errors + answers.errors
        reloading.join()
        time.sleep(1)
        return {
            "idle_connections": connections,
            "bytes_per_idle_connection": round(per_connection),
            "requests": sent,
            "errors": errors,
            "reloads": reloads,
            "memory_before_bytes": warm,
            "growth_bytes": memory_bytes(proxy) - warm,
        }
    finally:
        proxy.stop()
        upstream.stop()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    # The router lets in half as many clients as it has descriptors (`ulimit -n`).
    parser.add_argument("--connections", type=int, default=9_000)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--reloads", type=int, default=100)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="teal-bench-") as scratch:
        try:
            found = run(arguments.connections, arguments.requests, arguments.reloads, Path(scratch))
        except (StartError, wrk.WrkError) as error:
            print(error, file=sys.stderr)
            return 1
    print(json.dumps(found, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

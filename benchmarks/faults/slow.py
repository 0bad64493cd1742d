"""Clients that send next to nothing, or read nothing, in great number: what those feel who behave."""

import contextlib
import os
import resource
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from faults.daemon import Daemon, config, managed
from faults.finding import Finding, Soak, skipped
from faults.gang import Gang
from faults.rig import CALM_RATE, P99_WITHIN_PERCENT, Rig, wait_until
from harness.processes import PinnedProcess, accepts, free_port

SLOW = 10_000
NEVER_READ = 1_000
#: Of the crowd, which takes seconds to come.
ROUNDS, SPELL_S = 5, 4.0
HEALTHY = 60  # and what asks the admin site
PROCESSES = 2
ROOM = 14_000
#: Of each proxy process, which keeps half of them for instances; the crowd needs fewer.
DESCRIPTORS = ROOM
BAD_TARGET = Path(__file__).parent / "bad_target.py"
# What the proxy may hold of a client: a head, or a body that does not come; an answer that is not read.
SLOW_BYTES = 16 * 1024
UNREAD_BYTES = 1024 * 1024


def slow_clients(soak: Soak) -> Finding:
    """10,000 clients that send their head, or their body, a byte a second."""
    half = SLOW // 2
    return _crowded(
        soak,
        "slow-clients",
        gang={"slow_head": half, "slow_body": half},
        limits={"head_timeout_s": 10, "body_timeout_s": 10},
        bytes_each=SLOW_BYTES,
        reasons=("head_timeout", "body_timeout"),
    )


def never_read(soak: Soak) -> Finding:
    """1,000 clients that ask for a gigabyte, and read none of it."""
    return _crowded(
        soak,
        "never-read",
        gang={"never_reads": NEVER_READ},
        limits={"answer_timeout_s": 20},
        settle_s=5.0,  # until what fits into the buffers on the way is there
        bytes_each=UNREAD_BYTES,
        reasons=("client_stalled", "answer_timeout"),
    )


def _crowded(
    soak: Soak,
    name: str,
    *,
    gang: Mapping[str, int],
    limits: Mapping[str, int],
    bytes_each: int,
    reasons: Sequence[str],
    settle_s: float = 0.5,
) -> Finding:
    clients = sum(gang.values())
    room, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if room < DESCRIPTORS:
        return skipped(name, soak.lane, f"needs {DESCRIPTORS} file descriptors, {room} are allowed")
    folder, port = soak.folder(name), free_port()
    daemon = Daemon(config(managed(), processes=PROCESSES), folder)
    daemon.config["limits"] |= {"max_connections": ROOM, "max_connections_per_address": ROOM, **limits}
    daemon.endpoint["deployments"]["large"] = {
        "upstreams": [f"http://127.0.0.1:{port}"],
        "request_settings": {"max_concurrent_requests_per_instance": 2 * NEVER_READ, "request_timeout_ms": 60_000},
    }
    daemon.save()
    crowd = Gang(daemon.url, folder / "crowd.log", **gang)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_flooding(port, folder))
        daemon.start()
        rig = stack.enter_context(Rig(soak, daemon, rate=CALM_RATE))
        stack.callback(crowd.stop)
        come, leave = lambda: _come(crowd, daemon, clients), lambda: _leave(crowd, daemon)
        rig.rounds(come, leave, number=ROUNDS, spell_s=SPELL_S, settle_s=settle_s)
        _come(crowd, daemon, clients)
        are_cut = wait_until(lambda: _timed_out(daemon, reasons) >= clients)
        _leave(crowd, daemon)
        timed_out = _timed_out(daemon, reasons)
        found = rig.finding(name)
        contrast = rig.contrast()
    each = (found.peak_rss_bytes - found.rss_bytes[0]) / clients
    found.check("no request of a healthy client failed", not found.failures, found.failures)
    found.check(f"their p99 within {P99_WITHIN_PERCENT} %", contrast.is_within(P99_WITHIN_PERCENT), contrast)
    found.check(
        f"memory is bounded: at most {bytes_each // 1024} KiB for each", each < bytes_each, f"{each / 1024:.1f} KiB"
    )
    found.check("timeouts fire", are_cut, f"{timed_out} times; clients saw {dict(crowd.outcomes)}")
    return found


def _come(crowd: Gang, daemon: Daemon, clients: int) -> None:
    crowd.start()
    wait_until(lambda: daemon.metric("teal_connections") > clients)


def _leave(crowd: Gang, daemon: Daemon) -> None:
    crowd.stop()
    wait_until(lambda: daemon.metric("teal_connections") <= HEALTHY)


def _timed_out(daemon: Daemon, reasons: Sequence[str]) -> int:
    return int(sum(daemon.metric("teal_request_failures_total", reason=reason) for reason in reasons))


@contextlib.contextmanager
def _flooding(port: int, folder: Path) -> Iterator[None]:
    """An instance that answers with a gigabyte."""
    command = [sys.executable, str(BAD_TARGET), "flood", "--port", str(port)]
    target = PinnedProcess(command, core=None, log=folder / "target.log", env=os.environ, cwd=folder)
    try:
        target.wait_until(lambda: accepts(socket.AF_INET, ("127.0.0.1", port)))
        yield
    finally:
        target.stop()

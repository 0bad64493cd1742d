"""Clients that send next to nothing, or read nothing, in great number: what those feel who behave."""

import contextlib
import os
import resource
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from faults.daemon import Daemon, config, managed
from faults.finding import Finding, Soak, skipped
from faults.gang import Gang
from faults.rig import Rig, Trouble, wait_until
from harness.processes import PinnedProcess, accepts, free_port

SLOW = 10_000
NEVER_READ = 1_000
#: Of the crowd, which takes seconds to come.
ROUNDS, SPELL_S = 6, 6.0
HEALTHY = 60  # and what asks the admin site
PROCESSES = 2
ROOM = 14_000
#: Of each proxy process, which keeps half of them for instances; the crowd needs fewer.
DESCRIPTORS = ROOM
FAULTS = Path(__file__).parent
# What the proxy may hold of a client: a head, or a body that does not come; an answer that is not read.
SLOW_BYTES = 16 * 1024
UNREAD_BYTES = 1024 * 1024


def slow_clients(soak: Soak) -> Finding:
    """10,000 clients that send their head, or their body, a byte a second; as a control, to a process that reads."""
    half = SLOW // 2
    return _Crowded(
        soak=soak,
        name="slow-clients",
        gang={"slow_head": half, "slow_body": half},
        limits={"head_timeout_s": 10, "body_timeout_s": 10},
        settle_s=0.5,
        bytes_each=SLOW_BYTES,
        reasons=("head_timeout", "body_timeout"),
        elsewhere=[str(FAULTS / "sink.py")],
    ).find()


def never_read(soak: Soak) -> Finding:
    """1,000 clients that ask for a gigabyte, and read none of it; as a control, they ask such an instance itself."""
    return _Crowded(
        soak=soak,
        name="never-read",
        gang={"never_reads": NEVER_READ},
        limits={"answer_timeout_s": 20},
        settle_s=5.0,  # until what fits into the buffers on the way is there
        bytes_each=UNREAD_BYTES,
        reasons=("client_stalled", "answer_timeout"),
        elsewhere=[str(FAULTS / "bad_target.py"), "flood"],
    ).find()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Crowded:
    """A crowd and what it is measured by.

    Attributes:
        limits: Fields of the daemon's own.
        settle_s: From when the crowd is there until it is measured.
        bytes_each: What the daemon may hold of each client.
        reasons: Of the failures that are to be counted for them.
        elsewhere: The program that has the crowd in the control.
    """

    soak: Soak
    name: str
    gang: Mapping[str, int]
    limits: Mapping[str, int]
    settle_s: float
    bytes_each: int
    reasons: Sequence[str]
    elsewhere: Sequence[str]

    def find(self) -> Finding:
        room, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if room < DESCRIPTORS:
            return skipped(self.name, self.soak.lane, f"needs {DESCRIPTORS} file descriptors, {room} are allowed")
        folder = self.soak.folder(self.name)
        with contextlib.ExitStack() as stack:
            flood = stack.enter_context(_listening([str(FAULTS / "bad_target.py"), "flood"], folder / "flood.log"))
            daemon = self._daemon(folder, flood)
            daemon.start()
            rig = stack.enter_context(Rig(self.soak, daemon))
            there = _Crowd(self, daemon, stack.enter_context(_listening(self.elsewhere, folder / "elsewhere.log")))
            stack.callback(there.stop)
            rig.rounds(
                Trouble(there.come, there.leave),
                Trouble(there.come_elsewhere, there.leave_elsewhere),
                number=ROUNDS,
                spell_s=SPELL_S,
                settle_s=self.settle_s,
            )
            there.come()
            are_cut = wait_until(lambda: there.timed_out >= there.clients)
            there.leave()
            found = rig.finding(self.name)
            rig.compare(found, "p99 of the others")
            timed_out = there.timed_out
        return self._checked(found, there, are_cut=are_cut, timed_out=timed_out)

    def _daemon(self, folder: Path, flood: int) -> Daemon:
        daemon = Daemon(config(managed(), processes=PROCESSES), folder)
        daemon.config["limits"] |= {"max_connections": ROOM, "max_connections_per_address": ROOM, **self.limits}
        daemon.endpoint["deployments"]["large"] = {
            "upstreams": [f"http://127.0.0.1:{flood}"],
            "request_settings": {"max_concurrent_requests_per_instance": 2 * NEVER_READ, "request_timeout_ms": 60_000},
        }
        daemon.save()
        return daemon

    def _checked(self, found: Finding, crowd: "_Crowd", *, are_cut: bool, timed_out: int) -> Finding:
        each, bound = (found.peak_rss_bytes - found.rss_bytes[0]) / crowd.clients, self.bytes_each
        found.check("no request of a healthy client failed", not found.failures, found.failures)
        found.check(f"memory is bounded: at most {bound // 1024} KiB for each", each < bound, f"{each / 1024:.1f} KiB")
        found.check("timeouts fire", are_cut, f"{timed_out} times; clients saw {dict(crowd.outcomes)}")
        return found


class _Crowd:
    """Comes to the daemon, or to the port of something else."""

    def __init__(self, crowded: _Crowded, daemon: Daemon, port: int) -> None:
        self._daemon = daemon
        self._reasons = crowded.reasons
        self.clients = sum(crowded.gang.values())
        log, is_chunked = daemon.scratch / "crowd.log", crowded.soak.lane == "full"
        self._gang = Gang(daemon.url, log, is_chunked=is_chunked, **crowded.gang)
        there = urlsplit(daemon.url)._replace(netloc=f"127.0.0.1:{port}").geturl()
        self._gang_elsewhere = Gang(there, log, is_chunked=is_chunked, **crowded.gang)

    @property
    def outcomes(self) -> Mapping[str, int]:
        """What became of those at the daemon."""
        return self._gang.outcomes

    @property
    def timed_out(self) -> int:
        """How often the daemon lost its patience with one."""
        failures = "teal_request_failures_total"
        return int(sum(self._daemon.metric(failures, reason=reason) for reason in self._reasons))

    def come(self) -> None:
        self._gang.start()
        wait_until(lambda: self._daemon.metric("teal_connections") > self.clients)

    def leave(self) -> None:
        self._gang.stop()
        wait_until(lambda: self._daemon.metric("teal_connections") <= HEALTHY)

    def come_elsewhere(self) -> None:
        self._gang_elsewhere.start()

    def leave_elsewhere(self) -> None:
        self._gang_elsewhere.stop()

    def stop(self) -> None:
        """Whatever is there."""
        self._gang.stop()
        self._gang_elsewhere.stop()


@contextlib.contextmanager
def _listening(program: Sequence[str], log: Path) -> Iterator[int]:
    """The port on which a Python program listens."""
    port = free_port()
    command = [sys.executable, *program, "--port", str(port)]
    process = PinnedProcess(command, core=None, log=log, env=os.environ, cwd=log.parent)
    try:
        process.wait_until(lambda: accepts(socket.AF_INET, ("127.0.0.1", port)))
        yield port
    finally:
        process.stop()

"""Processes of the router that are killed or stopped while they work."""

import os
import select
import signal
import time
from collections.abc import Iterable, Set
from dataclasses import dataclass

import psutil
from faults.daemon import Daemon, config, managed
from faults.finding import Finding, Soak
from faults.rig import MARGIN_S, PATIENCE_S, Rig, wait_until
from harness.samples import Sample

KILL_EVERY_S = 1.0
KILLS = 60
TIMEOUT_MS = 500
PROBE = {"initial_delay": 0, "period": 2, "timeout": 1, "failure_threshold": 2}
CONCURRENCY = 1
GONE_WITHIN_MS = 5000


@dataclass(frozen=True, slots=True)
class Kill:
    """A process that was stopped, looked at, and killed: `at` is before the first, `gone` after the last.

    Whatever was in flight on it was sent before `gone` and had no answer at `at`. All clocks are one.

    Attributes:
        ports: Of the clients whose connections it had.
    """

    at: float
    gone: float
    ports: Set[int] = frozenset()

    @classmethod
    def of(cls, pid: int, *, serving: int = 0) -> "Kill":
        """Do it; return once its sockets are closed.

        Args:
            serving: The port on which it has clients.
        """
        at = time.monotonic()
        os.kill(pid, signal.SIGSTOP)  # it accepts and answers nothing more, so what it has now is what it dies with
        ports = frozenset(_clients_of(pid, serving)) if serving else frozenset()
        end = os.pidfd_open(pid)
        try:
            os.kill(pid, signal.SIGKILL)
            select.select([end], [], [], GONE_WITHIN_MS / 1000)
        finally:
            os.close(end)
        return cls(at, time.monotonic(), ports)

    def had(self, sample: Sample) -> bool:
        """Whether the request may have been in flight on it, by time alone."""
        return sample.sent <= self.gone and sample.done >= self.at

    def ended(self, sample: Sample) -> bool:
        """Whether the request was lost with its connection: one that had no answer and never got one."""
        return sample.port in self.ports and sample.done >= self.at


def _clients_of(pid: int, port: int) -> Iterable[int]:
    """The ports of those who are connected to this port of the process."""
    for connection in psutil.Process(pid).net_connections("tcp4"):
        if connection.laddr.port == port and connection.raddr:
            yield connection.raddr.port


def strays_of_workers(failed: Iterable[Sample], kills: Iterable[Kill]) -> list[Sample]:
    """Those that no kill explains; each explains as many as a worker has in flight, whose time fits."""
    room = dict.fromkeys(kills, CONCURRENCY)
    strays = []
    for sample in failed:
        kill = next((kill for kill, left in room.items() if left and kill.had(sample)), None)
        if kill is None:
            strays.append(sample)
        else:
            room[kill] -= 1
    return strays


def strays_of_proxies(failed: Iterable[Sample], kills: Iterable[Kill]) -> list[Sample]:
    """Those whose connection no killed process had; a connection explains one, the one that it ended with."""
    open_at = {(kill, port) for kill in kills for port in kill.ports}
    strays = []
    for sample in failed:
        end = next(((kill, port) for kill, port in open_at if port == sample.port and kill.ended(sample)), None)
        if end is None:
            strays.append(sample)
        else:
            open_at.remove(end)
    return strays


def kill_workers(soak: Soak, *, is_idempotent: bool) -> Finding:
    """Kill one of two workers each second, for a minute: in turns, and never the last one that is ready."""
    name = "kill-worker-idempotent" if is_idempotent else "kill-worker"
    blue = managed(instance_count=2, request_settings={"max_concurrent_requests_per_instance": CONCURRENCY})
    daemon = Daemon(config(blue, idempotent=is_idempotent), soak.folder(name)).start()
    killed: list[Kill] = []
    with Rig(soak, daemon) as rig:
        rig.quiet()
        with rig.fault():
            late_s = _kill_in_turns(daemon, killed)
        is_back = wait_until(lambda: len(daemon.ready_pids()) == 2)
        rig.quiet()
        found = rig.finding(name)
        failed = rig.failed()
    strays = strays_of_workers(failed, killed)
    found.check("one worker was killed each second", late_s < 1, f"{len(killed)} kills, {late_s:.2f} s late at most")
    if is_idempotent:
        found.no_request_failed()
    else:
        most = len(killed) * CONCURRENCY
        found.check("at most what was in flight failed", found.failed <= most, f"{found.failed} of {most}")
        found.check("and no other request, one for each kill", not strays, f"{len(strays)} others")
        found.check("each with an answer of the status table", set(found.failures) <= {"424"}, found.failures)
    found.check("back at full strength by itself", is_back)
    return found


def _kill_in_turns(daemon: Daemon, killed: list[Kill]) -> float:
    """Kill the older of two workers when it is time, or once both are ready; return by how much that was ever late."""
    began, late_s = time.monotonic(), 0.0
    while len(killed) < KILLS:
        due = began + len(killed) * KILL_EVERY_S
        time.sleep(max(0.0, due - time.monotonic()))
        if not wait_until(lambda: len(daemon.ready_pids()) == 2):
            return PATIENCE_S
        killed.append(Kill.of(_oldest_pid(daemon)))
        late_s = max(late_s, killed[-1].at - due)
    return late_s


def _oldest_pid(daemon: Daemon) -> int:
    """The worker that has been ready for the longest time."""
    oldest: int = min(daemon.deployment()["instances"], key=lambda each: each["since"])["pid"]
    return oldest


def kill_worker(soak: Soak) -> Finding:
    return kill_workers(soak, is_idempotent=False)


def kill_worker_idempotent(soak: Soak) -> Finding:
    return kill_workers(soak, is_idempotent=True)


def stop_worker(soak: Soak) -> Finding:
    """SIGSTOP one of two workers."""
    blue = managed(
        instance_count=2,
        liveness_probe=PROBE,
        request_settings={"request_timeout_ms": TIMEOUT_MS, "max_concurrent_requests_per_instance": 4},
    )
    daemon = Daemon(config(blue), soak.folder("stop-worker")).start()
    with Rig(soak, daemon) as rig:
        rig.quiet()
        victim = psutil.Process(daemon.ready_pids()[0])
        with rig.fault() as until:
            stopped = time.monotonic()
            victim.suspend()
            time.sleep(max(0.0, until - time.monotonic()))
        is_replaced = wait_until(lambda: len(now := daemon.ready_pids()) == 2 and victim.pid not in now)
        rig.quiet()
        found = rig.finding("stop-worker")
        failed, slowest_s = rig.failed(), rig.samples().slowest_s()
    late = [sample for sample in failed if sample.sent > stopped + PROBE["period"] + MARGIN_S]
    found.check("out of the choice within one liveness period", not late, f"{len(late)} failed later")
    found.check("those that waited on it had an answer", set(found.failures) <= {"408", "424"}, found.failures)
    limit_s = TIMEOUT_MS / 1000 + 0.5
    found.check("by their deadline", slowest_s <= limit_s, f"{slowest_s:.2f} s, allowed {limit_s:.2f}")
    found.check("replaced by itself", is_replaced)
    return found


def kill_proxy(soak: Soak) -> Finding:
    """Kill one of two proxy processes, again and again."""
    blue = managed(instance_count=2, request_settings={"max_concurrent_requests_per_instance": 4})
    daemon = Daemon(config(blue, processes=2), soak.folder("kill-proxy")).start()
    killed: list[Kill] = []
    with Rig(soak, daemon) as rig:
        rig.quiet()
        with rig.fault() as until:
            while time.monotonic() < until:
                pids = daemon.proxy_pids()
                if len(pids) == 2 and daemon.is_ready():
                    killed.append(Kill.of(pids[len(killed) % 2], serving=daemon.port))
                time.sleep(KILL_EVERY_S)
        is_back = wait_until(lambda: daemon.is_ready() and len(daemon.proxy_pids()) == 2)
        rig.quiet()
        found = rig.finding("kill-proxy")
        failed = rig.failed()
    strays = strays_of_proxies(failed, killed)
    late = sum(not any(kill.had(sample) for kill in killed) for sample in failed)
    found.check("proxies were killed", killed, f"{len(killed)} kills")
    found.check(
        "only requests on connections of killed proxies were lost, one on each",
        not strays,
        f"{len(failed)} lost, {late} of them sent when it was gone, {len(strays)} on others",
    )
    found.check("each cut or answered, none refused", set(found.failures) <= {"cut", "424"}, found.failures)
    found.check("all proxies are back", is_back)
    return found

"""Processes of the router that are killed or stopped while they work."""

import os
import signal
import time
from collections.abc import Sequence

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


def kill_workers(soak: Soak, *, is_idempotent: bool) -> Finding:
    """Kill one of two workers each second, for a minute: in turns, and never the last one that is ready."""
    name = "kill-worker-idempotent" if is_idempotent else "kill-worker"
    blue = managed(instance_count=2, request_settings={"max_concurrent_requests_per_instance": CONCURRENCY})
    daemon = Daemon(config(blue, idempotent=is_idempotent), soak.folder(name)).start()
    killed: list[float] = []
    with Rig(soak, daemon) as rig:
        rig.quiet()
        with rig.fault():
            late_s = _kill_in_turns(daemon, killed)
        is_back = wait_until(lambda: len(daemon.ready_pids()) == 2)
        rig.quiet()
        found = rig.finding(name)
        failed = rig.failed()
    strays = _not_in_flight(failed, killed)
    found.check("one worker was killed each second", late_s < 1, f"{len(killed)} kills, {late_s:.2f} s late at most")
    if is_idempotent:
        found.no_request_failed()
    else:
        most = len(killed) * CONCURRENCY
        found.check("at most what was in flight failed", found.failed <= most, f"{found.failed} of {most}")
        found.check("and no other request", not strays, f"{len(strays)} others")
        found.check("each with an answer of the status table", set(found.failures) <= {"424"}, found.failures)
    found.check("back at full strength by itself", is_back)
    return found


def _kill_in_turns(daemon: Daemon, killed: list[float]) -> float:
    """Kill the older of two workers when it is time, or once both are ready; return by how much that was ever late."""
    began, late_s = time.monotonic(), 0.0
    while len(killed) < KILLS:
        due = began + len(killed) * KILL_EVERY_S
        time.sleep(max(0.0, due - time.monotonic()))
        if not wait_until(lambda: len(daemon.ready_pids()) == 2):
            return PATIENCE_S
        os.kill(_oldest_pid(daemon), signal.SIGKILL)
        killed.append(time.monotonic())
        late_s = max(late_s, killed[-1] - due)
    return late_s


def _oldest_pid(daemon: Daemon) -> int:
    """The worker that has been ready for the longest time."""
    oldest: int = min(daemon.deployment()["instances"], key=lambda each: each["since"])["pid"]
    return oldest


def _not_in_flight(samples: Sequence[Sample], killed: Sequence[float]) -> list[Sample]:
    """Those that were under way at none of these times."""
    return [s for s in samples if not any(s.sent - MARGIN_S <= at <= s.done for at in killed)]


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
    killed: list[float] = []
    with Rig(soak, daemon) as rig:
        rig.quiet()
        with rig.fault() as until:
            while time.monotonic() < until:
                pids = daemon.proxy_pids()
                if len(pids) == 2 and daemon.is_ready():
                    killed.append(time.monotonic())
                    os.kill(pids[len(killed) % 2], signal.SIGKILL)
                time.sleep(KILL_EVERY_S)
        is_back = wait_until(lambda: daemon.is_ready() and len(daemon.proxy_pids()) == 2)
        rig.quiet()
        found = rig.finding("kill-proxy")
        failed = rig.failed()
    strays = _not_in_flight(failed, killed)
    found.check("proxies were killed", killed, f"{len(killed)} kills")
    found.check("only requests in flight at a kill were lost", not strays, f"{len(failed)} lost, {len(strays)} not so")
    found.check("each cut or answered, none refused", set(found.failures) <= {"cut", "424"}, found.failures)
    found.check("all proxies are back", is_back)
    return found

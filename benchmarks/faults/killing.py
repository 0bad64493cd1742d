"""Processes of the router that are killed or stopped while they work."""

import os
import signal
import time

import psutil
from faults.daemon import Daemon, config, managed
from faults.finding import Finding, Soak
from faults.rig import MARGIN_S, Rig, wait_until

KILL_EVERY_S = 1.0
TIMEOUT_MS = 500
PROBE = {"initial_delay": 0, "period": 2, "timeout": 1, "failure_threshold": 2}
CONCURRENCY = 1


def kill_workers(soak: Soak, *, is_idempotent: bool) -> Finding:
    """Kill one of two workers each second, if both are ready: what dies again is started again only after a pause."""
    name = "kill-worker-idempotent" if is_idempotent else "kill-worker"
    blue = managed(instance_count=2, request_settings={"max_concurrent_requests_per_instance": CONCURRENCY})
    daemon = Daemon(config(blue, idempotent=is_idempotent), soak.folder(name)).start()
    kills = 0
    with Rig(soak, daemon) as rig:
        rig.quiet()
        with rig.fault() as until:
            while time.monotonic() < until:
                if len(ready := daemon.ready_pids()) == 2:
                    os.kill(ready[kills % 2], signal.SIGKILL)
                    kills += 1
                time.sleep(KILL_EVERY_S)
        is_back = wait_until(lambda: len(daemon.ready_pids()) == 2)
        rig.quiet()
        found = rig.finding(name)
    found.check("workers were killed", kills > 0, f"{kills} kills")
    if is_idempotent:
        found.no_request_failed()
    else:
        most = kills * CONCURRENCY
        found.check("at most what was in flight failed", found.failed <= most, f"{found.failed} of {most}")
        found.check("each with an answer of the status table", set(found.failures) <= {"424"}, found.failures)
    found.check("back at full strength", is_back)
    return found


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
    strays = [s for s in failed if not any(s.sent - MARGIN_S <= at <= s.done for at in killed)]
    found.check("proxies were killed", killed, f"{len(killed)} kills")
    found.check("only requests in flight at a kill were lost", not strays, f"{len(failed)} lost, {len(strays)} not so")
    found.check("each cut or answered, none refused", set(found.failures) <= {"cut", "424"}, found.failures)
    found.check("all proxies are back", is_back)
    return found

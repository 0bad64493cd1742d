"""A mirror target that misbehaves, in each way: what the live traffic feels of it."""

import contextlib
import os
import socket
import sys
from pathlib import Path

from faults.daemon import Daemon, config, managed
from faults.finding import MB, Finding, Soak
from faults.rig import CALM_RATE, P99_WITHIN_PERCENT, Rig
from harness.processes import PinnedProcess, accepts, free_port

BAD_TARGET = Path(__file__).parent / "bad_target.py"
GROWTH_BYTES = 64 * MB
PERCENT = 50


def black_hole(soak: Soak) -> Finding:
    return mirror(soak, "black-hole")


def reset(soak: Soak) -> Finding:
    return mirror(soak, "reset")


def garbage(soak: Soak) -> Finding:
    return mirror(soak, "garbage")


def flood(soak: Soak) -> Finding:
    return mirror(soak, "flood")


def mirror(soak: Soak, way: str) -> Finding:
    """Half of the live traffic is copied to a target that misbehaves in this way; in spells between, nothing is."""
    name, port = f"mirror-{way}", free_port()
    daemon = Daemon(config(managed()), soak.folder(name))
    daemon.endpoint["deployments"]["shadow"] = {"upstreams": [f"http://127.0.0.1:{port}"]}
    daemon.save()
    with contextlib.ExitStack() as stack:
        command = [sys.executable, str(BAD_TARGET), way, "--port", str(port)]
        target = PinnedProcess(command, core=None, log=daemon.scratch / "target.log", env=os.environ, cwd=daemon.folder)
        stack.callback(target.stop)
        target.wait_until(lambda: accepts(socket.AF_INET, ("127.0.0.1", port)))
        daemon.start()
        rig = stack.enter_context(Rig(soak, daemon, rate=CALM_RATE))
        rig.rounds(lambda: _copy(daemon, PERCENT), lambda: _copy(daemon, 0))
        copies = daemon.metric("teal_mirror_requests_total")
        sent = daemon.metric("teal_mirror_requests_total", outcome="sent")
        found = rig.finding(name)
        compared = rig.contrast()
        forms = rig.samples().forms()
    found.dropped = int(copies - sent)
    growth = (found.peak_rss_bytes - found.rss_bytes[0]) / MB
    found.no_request_failed()
    found.check("live answers are the same", len(forms) == 1, f"{len(forms)} forms")
    found.check(f"p99 within {P99_WITHIN_PERCENT} %", compared.is_within(P99_WITHIN_PERCENT), compared)
    found.check("memory is bounded", growth < GROWTH_BYTES / MB, f"{growth:.1f} MB more at most")
    found.check("copies that failed or were dropped are counted", found.dropped, f"{found.dropped} of {copies:.0f}")
    return found


def _copy(daemon: Daemon, percent: int) -> None:
    daemon.endpoint["mirror_traffic"] = {"shadow": percent} if percent else {}
    daemon.save()

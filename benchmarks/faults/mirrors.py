"""A mirror target that misbehaves, in each way: what the live traffic feels of it."""

import contextlib
import os
import socket
import sys
import time
from pathlib import Path

from faults.daemon import Daemon, config, managed
from faults.finding import MB, Finding, Soak
from faults.rig import Rig, Trouble
from harness.processes import PinnedProcess, accepts, free_port
from harness.steady import READY
from harness.systems import BENCHMARKS

BAD_TARGET = Path(__file__).parent / "bad_target.py"
GROWTH_BYTES = 64 * MB
PERCENT = 50
#: Whose targets take CPU time of the same cores themselves, so that there is something to compare with.
BUSY_WAYS = ("garbage", "flood")
#: Until what proxies have counted is told.
TOLD_S = 0.3


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
    copies = Copies(daemon, port)
    control = Trouble(copies.begin_elsewhere, copies.end_elsewhere) if way in BUSY_WAYS else None
    with contextlib.ExitStack() as stack:
        command = [sys.executable, str(BAD_TARGET), way, "--port", str(port)]
        target = PinnedProcess(command, core=None, log=daemon.scratch / "target.log", env=os.environ, cwd=daemon.folder)
        stack.callback(target.stop)
        target.wait_until(lambda: accepts(socket.AF_INET, ("127.0.0.1", port)))
        daemon.start()
        rig = stack.enter_context(Rig(soak, daemon))
        stack.callback(copies.end_elsewhere)
        rig.rounds(Trouble(copies.begin, copies.end), control)
        made, sent = copies.made, daemon.metric("teal_mirror_requests_total", outcome="sent")
        found = rig.finding(name)
        forms = rig.samples().forms()
        rig.compare(found)
    found.dropped = int(made - sent)
    growth = (found.peak_rss_bytes - found.rss_bytes[0]) / MB
    found.no_request_failed()
    found.check("live answers are the same", len(forms) == 1, f"{len(forms)} forms")
    found.check("memory is bounded", growth < GROWTH_BYTES / MB, f"{growth:.1f} MB more at most")
    found.check("copies that failed or were dropped are counted", found.dropped, f"{found.dropped} of {made:.0f}")
    return found


class Copies:
    """Copies of live requests by the router, or at the same rate by a process that does nothing else."""

    def __init__(self, daemon: Daemon, port: int) -> None:
        self._daemon = daemon
        self._port = port
        self._began = 0.0
        self._went_out_before = 0.0
        self._per_second = 0.0
        self._elsewhere: PinnedProcess | None = None

    @property
    def made(self) -> float:
        """Of how many requests a copy was to be made."""
        return self._daemon.metric("teal_mirror_requests_total")

    def begin(self) -> None:
        self._went_out_before, self._began = self._went_out(), time.monotonic()
        self._copy(PERCENT)

    def end(self) -> None:
        time.sleep(TOLD_S)
        self._per_second = (self._went_out() - self._went_out_before) / (time.monotonic() - self._began)
        self._copy(0)

    def begin_elsewhere(self) -> None:
        """As many copies as the router let out a second when it last made any, of requests that nobody else makes."""
        log = self._daemon.scratch / "copier.log"
        log.unlink(missing_ok=True)
        command = [sys.executable, "-m", "faults.copier", str(self._port), "--rate", str(max(self._per_second, 0.1))]
        copier = self._elsewhere = PinnedProcess(command, core=None, log=log, env=os.environ, cwd=BENCHMARKS)
        copier.wait_until(lambda: READY in copier.output)

    def end_elsewhere(self) -> None:
        if self._elsewhere is not None:
            self._elsewhere.stop()
            self._elsewhere = None

    def _went_out(self) -> float:
        """Copies that reached their target, whatever it answered."""
        outcomes = ("sent", "failed")
        return sum(self._daemon.metric("teal_mirror_requests_total", outcome=outcome) for outcome in outcomes)

    def _copy(self, percent: int) -> None:
        self._daemon.endpoint["mirror_traffic"] = {"shadow": percent} if percent else {}
        self._daemon.save()

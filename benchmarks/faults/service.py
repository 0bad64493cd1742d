"""teal under a real systemd that reloads, restarts and stops it, and starts it again when it was killed.

The faults here boot a systemd by the command that they are given, and run this module in it, as a program.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

import psutil
from faults.daemon import ENDPOINT, Daemon, config, managed
from faults.finding import Finding, Soak, skipped
from faults.rig import Rig, wait_until
from harness import service
from harness.processes import StartError
from harness.systems import BENCHMARKS

PAUSE_S = 0.5
NO_SYSTEMD = "it needs --with-systemd COMMAND, which runs its arguments as root under a systemd of their own"


class Service(Daemon):
    """`teal serve` as the units run it; systemd holds the socket."""

    def __init__(self, scratch: Path, instances: int = 1) -> None:
        service.install()
        blue = managed(instance_count=instances)
        super().__init__(
            config(blue, auth_mode="key"), scratch, folder=service.CONFIG.parent, state_dir=service.STATE_DIR
        )
        service.drop_in("teal.socket", f"[Socket]\nListenStream=\nListenStream=127.0.0.1:{self.port}\n")

    def start(self) -> Self:
        service.run("systemctl", "start", "teal.socket", "teal.service")
        return self

    def stop(self) -> None:
        service.run("systemctl", "stop", "teal.socket", "teal.service")

    @property
    def pid(self) -> int:
        return service.main_pid()

    def pids(self) -> list[int]:
        return [self.pid, *sorted(service.pids() - {self.pid})]

    @property
    def keys(self) -> Mapping[str, str]:
        """The endpoint's, which are state that lasts."""
        keys: Mapping[str, str] = json.loads(self.ask("GET", f"/v1/endpoints/{ENDPOINT}/credentials")[1])
        return keys

    @property
    def files_applied(self) -> int:
        """How many, since the process started."""
        return int(self.metric("teal_config_reloads_total", outcome="applied"))

    def is_up(self) -> bool:
        return service.is_active() and self.is_ready()


class Trial:
    """A service under load to which something is done again and again."""

    def __init__(self, soak: Soak, name: str) -> None:
        self._soak = soak
        self._name = name
        self.service = Service(soak.folder(name)).start()
        self.done_at: list[float] = []
        self.files_applied = 0
        self.orphans = 0
        self.replaced = 0
        self.is_back = True

    def run(self, act: Callable[[], object]) -> Finding:
        """Act so many times, each time when the service is up; the figures, and the checks that all of them share."""
        keys = self.service.keys
        with Rig(self._soak, self.service, key=keys["primaryKey"]) as rig:
            rig.quiet(PAUSE_S)
            with rig.fault():
                for _ in range(self._soak.times):
                    self._once(act)
            rig.quiet(PAUSE_S)
            found = rig.finding(self._name)
            self.files_applied = self.service.files_applied
            same_keys = self.service.keys == keys
        found.check("it was up again each time", self.is_back, f"{len(self.done_at)} times")
        found.check("no connection was refused", "refused" not in found.failures, found.failures)
        found.check("no process of before was left", not self.orphans, f"{self.orphans} left")
        found.check("no state was lost", same_keys)
        return found

    def _once(self, act: Callable[[], object]) -> None:
        before = {pid: psutil.Process(pid) for pid in service.pids()}
        pid = self.service.pid
        self.done_at.append(time.monotonic())
        act()
        self.is_back = wait_until(self.service.is_up) and self.is_back
        if self.service.pid != pid:
            self.replaced += 1
            self.orphans += sum(process.is_running() for process in before.values())
        time.sleep(PAUSE_S)


def reload(soak: Soak) -> Finding:
    """`systemctl reload`, each time with a file that has changed."""
    trial = Trial(soak, "systemd-reload")
    before = trial.service.files_applied

    def act() -> None:
        trial.service.endpoint["tags"] = {"version": str(len(trial.done_at))}
        trial.service.save()
        service.run("systemctl", "reload", "teal")
        wait_until(lambda: trial.service.files_applied >= before + len(trial.done_at))

    found = trial.run(act)
    found.no_request_failed()
    found.check("the process stayed", not trial.replaced)
    found.check("each file came into force", trial.files_applied - before == soak.times, trial.files_applied - before)
    return found


def restart(soak: Soak) -> Finding:
    """`systemctl restart`: requests that come meanwhile wait in the socket."""
    trial = Trial(soak, "systemd-restart")
    found = trial.run(lambda: service.run("systemctl", "restart", "teal.service"))
    found.no_request_failed()
    found.check("each time by another process", trial.replaced == soak.times, trial.replaced)
    return found


def stop(soak: Soak) -> Finding:
    """`systemctl stop` of the service; the next request starts it by the socket."""
    trial = Trial(soak, "systemd-stop")
    found = trial.run(lambda: service.run("systemctl", "stop", "teal.service"))
    found.no_request_failed()
    found.check("each time another process came", trial.replaced == soak.times, trial.replaced)
    return found


def kill(soak: Soak) -> Finding:
    """`kill -9` of the control process: its proxies and workers finish what they have, and the rest waits."""
    trial = Trial(soak, "systemd-kill")

    def act() -> None:
        os.kill(trial.service.pid, signal.SIGKILL)

    found = trial.run(act)
    found.no_request_failed()
    found.check("systemd started it again each time", trial.replaced == soak.times, trial.replaced)
    return found


FAULTS = {"systemd-reload": reload, "systemd-restart": restart, "systemd-stop": stop, "systemd-kill": kill}


def reload_outside(soak: Soak) -> Finding:
    return _played(soak, "systemd-reload")


def restart_outside(soak: Soak) -> Finding:
    return _played(soak, "systemd-restart")


def stop_outside(soak: Soak) -> Finding:
    return _played(soak, "systemd-stop")


def kill_outside(soak: Soak) -> Finding:
    return _played(soak, "systemd-kill")


def _played(soak: Soak, name: str) -> Finding:
    """What a fault of this module found, under a systemd of its own."""
    if not soak.systemd:
        return skipped(name, soak.lane, NO_SYSTEMD)
    command = [*soak.systemd, sys.executable, "-m", "faults.service", name, "--lane", soak.lane]
    command += ["--seconds", str(soak.seconds), "--times", str(soak.times)]
    played = subprocess.run(command, cwd=BENCHMARKS, capture_output=True, text=True, check=False)
    if played.returncode:
        raise StartError(f"{name}: exit {played.returncode}\n{played.stdout}{played.stderr}")
    return Finding.read(json.loads(played.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fault", choices=FAULTS)
    parser.add_argument("--lane", choices=("fast", "full"), required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--times", type=int, required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="teal-soak-") as scratch:
        soak = Soak(scratch=Path(scratch), lane=options.lane, seconds=options.seconds, times=options.times)
        print(json.dumps(FAULTS[options.fault](soak).record()))


if __name__ == "__main__":
    main()

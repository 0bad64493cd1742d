"""The machine runs out of something: file descriptors, disk, somebody who reads the log."""

import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from faults.daemon import ENDPOINT, Daemon, config, managed
from faults.finding import MB, Finding, Soak, skipped
from faults.gang import Gang
from faults.rig import Rig, wait_until
from harness.hanging_disk import HangingDisk, NoHangingDisk

WITH_256_DESCRIPTORS = ("sh", "-c", 'ulimit -n 256 && exec "$0" "$@"')
CROWD = 400
DISK = "16m"
#: More than 16 MiB in a spell, of which that much may wait for the disk.
PRINTS = """
import json

def init():
    pass

def run(data):
    print("x" * 3000, flush=True)
    return {"number": json.loads(data)["number"], "version": "1"}
"""
OUTPUT_GROWTH_BYTES = 40 * MB
STOP_WITHIN_S = 5 + 25  # `limits.drain_timeout_s`, and what README adds to it
LOG_GROWTH_BYTES = 24 * MB  # 8 MiB of lines may wait
DROPS_WITHIN_S = 40.0


def descriptors(soak: Soak) -> Finding:
    """With `ulimit -n 256`, more clients and more callers of the admin socket than that; a worker dies meanwhile."""
    blue = managed(instance_count=2)
    folder = soak.folder("descriptors")
    daemon = Daemon(config(blue, idempotent=True), folder, wrapper=WITH_256_DESCRIPTORS).start()
    gang = Gang(daemon.url, folder / "crowd.log", asks_and_stays=CROWD)
    with Rig(soak, daemon) as rig:
        rig.quiet()
        victim = daemon.ready_pids()[0]
        with rig.fault() as until:
            gang.start()
            with _callers(daemon.state_dir / "run" / "admin.sock"):
                os.kill(victim, signal.SIGKILL)
                time.sleep(max(0.0, until - time.monotonic()))
            gang.stop()
        is_back = wait_until(lambda: len(daemon.ready_pids()) == 2)
        is_free = wait_until(lambda: daemon.metric("teal_connections") <= 60)
        applies = _reloads(daemon)
        rig.quiet()
        found = rig.finding("descriptors")
    refused = {outcome: number for outcome, number in gang.outcomes.items() if outcome != "200"}
    found.check("no request on an open connection failed", not found.failures, found.failures)
    found.check("clients beyond that get 503, or are closed", refused and set(refused) <= {"503", "closed"}, refused)
    found.check("the killed worker is replaced", is_back)
    found.check("no descriptor stays taken", is_free and found.fds[1] < found.fds[0] + 10)
    found.check("the file is followed again", applies)
    return found


@contextlib.contextmanager
def _callers(path: Path) -> Iterator[None]:
    """More idle connections to a Unix socket than a process with 256 descriptors can have."""
    with contextlib.ExitStack() as stack:
        for _ in range(CROWD):
            caller = stack.enter_context(socket.socket(socket.AF_UNIX))
            caller.setblocking(False)
            with contextlib.suppress(OSError):  # its backlog is full
                caller.connect(str(path))
        yield


def _reloads(daemon: Daemon) -> bool:
    """Whether a save comes into force."""
    before = daemon.metric("teal_config_reloads_total", outcome="applied")
    daemon.endpoint["tags"] = {"saved": str(time.monotonic())}
    daemon.save()
    return wait_until(lambda: daemon.metric("teal_config_reloads_total", outcome="applied") > before, seconds=15)


class FullDisk:
    """A small file system for the state, or where that may not be mounted, a limit of what teal may write."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        mounting = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)]
        self.is_mounted = subprocess.run(mounting, capture_output=True, check=False).returncode == 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.is_mounted:
            subprocess.run(["umount", "-l", str(self.folder)], check=True)

    def fill(self, daemon: Daemon) -> None:
        if self.is_mounted:
            with contextlib.suppress(OSError), (self.folder / "filler").open("wb", buffering=0) as filler:
                while True:
                    filler.write(bytes(65536))
            with contextlib.suppress(OSError), (self.folder / "filler").open("ab", buffering=0) as filler:
                while True:
                    filler.write(b"x")
        else:
            _limit_writing(daemon, "0")

    def free(self, daemon: Daemon) -> None:
        if self.is_mounted:
            (self.folder / "filler").unlink()
        else:
            _limit_writing(daemon, "unlimited")


def _limit_writing(daemon: Daemon, size: str) -> None:
    for pid in daemon.pids():
        subprocess.run(["prlimit", "--pid", str(pid), f"--fsize={size}:"], check=True)


def disk(soak: Soak) -> Finding:
    """The state directory's disk is full: commands, saves and a killed worker meet it, requests do not."""
    folder = soak.folder("disk")
    with FullDisk(folder / "disk") as full:
        state = full.folder / "state"
        daemon = Daemon(config(managed(instance_count=2), idempotent=True), folder, state_dir=state).start()
        with Rig(soak, daemon) as rig:
            rig.quiet()
            with rig.fault() as until:
                full.fill(daemon)
                refused = _regenerate(daemon)
                _add_endpoint(daemon)
                os.kill(daemon.ready_pids()[0], signal.SIGKILL)
                is_back = wait_until(lambda: len(daemon.ready_pids()) == 2)
                time.sleep(max(0.0, until - time.monotonic()))
                problems = str(daemon.status()["config_problems"])
            full.free(daemon)
            resumes = wait_until(lambda: len(daemon.status()["endpoints"]) == 2, seconds=30)
            accepted = _regenerate(daemon)
            rig.quiet()
            found = rig.finding("disk")
        integrity = _integrity(state / "state.db")
    found.no_request_failed()
    found.check("a command is refused, and says why", refused[0] >= 400 and "state.db" in refused[1], refused)
    found.check("a killed worker is replaced all the same", is_back)
    found.check(
        "a save that needs the disk is refused, and says why, or came into force", problems or resumes, problems
    )
    found.check("the saved file comes into force by itself afterwards", resumes)
    found.check("commands work again", accepted[0] == 204, accepted)
    found.check("the database is whole", integrity == "ok", integrity)
    return found


def _regenerate(daemon: Daemon) -> tuple[int, str]:
    return daemon.ask("POST", f"/v1/endpoints/{ENDPOINT}/keys", {"key_type": "primary"})


def _add_endpoint(daemon: Daemon) -> None:
    """Save a second endpoint, whose keys have to be stored."""
    second: dict[str, Any] = {"traffic": {"blue": 100}, "deployments": {"blue": managed()}}
    daemon.config["endpoints"]["second"] = second
    daemon.save()


def _integrity(database: Path) -> str:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])


def hung_disk(soak: Soak) -> Finding:
    """The disk of the logs does not answer any more: a worker is killed, a save is made, the daemon is stopped."""
    folder = soak.folder("hung-disk")
    try:
        with HangingDisk(folder / "disk", folder / "below") as hanging:
            return _hung_disk(soak, folder, hanging)
    except NoHangingDisk as reason:
        return skipped("hung-disk", soak.lane, str(reason))


def _hung_disk(soak: Soak, folder: Path, hanging: HangingDisk) -> Finding:
    (folder / "state").mkdir()
    (folder / "state" / "logs").symlink_to(hanging.mount)
    daemon = Daemon(config(managed(instance_count=2), idempotent=True), folder)
    (daemon.folder / "v1" / "score.py").write_text(PRINTS)
    daemon.start()
    with Rig(soak, daemon) as rig:
        rig.quiet()
        with rig.fault() as until:
            hanging.hang()
            os.kill(daemon.ready_pids()[0], signal.SIGKILL)
            is_back = wait_until(lambda: len(daemon.ready_pids()) == 2)
            time.sleep(max(0.0, until - time.monotonic()))
        applies = _reloads(daemon)
        found = rig.finding("hung-disk")
        began = time.monotonic()
        rig.stop()
        stop_s = time.monotonic() - began
    growth = (found.peak_rss_bytes - found.rss_bytes[0]) / MB
    found.no_request_failed()
    found.check("a killed worker is replaced", is_back)
    found.check("a save applies", applies)
    found.check("memory is bounded", growth < OUTPUT_GROWTH_BYTES / MB, f"{growth:.1f} MB more at most")
    found.check("output that is dropped is told of", "worker.output_dropped" in daemon.output())
    found.check(
        "a stop drains, and ends", "daemon.stopped" in daemon.output() and stop_s < STOP_WITHIN_S, f"{stop_s:.1f} s"
    )
    return found


class LogPipe:
    """A named pipe whose reader can stand still."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.last_line = b""
        self.is_stalled = threading.Event()
        os.mkfifo(path)
        self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        os.set_blocking(self._fd, True)
        self._holder = os.open(path, os.O_WRONLY)  # so that the end of one writer is not the end of all
        self._thread = threading.Thread(target=self._read, name="log", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while received := os.read(self._fd, 65536):
            if lines := received.rpartition(b"\n")[0].splitlines():
                self.last_line = lines[-1]
            while self.is_stalled.is_set():
                time.sleep(0.05)

    def close(self) -> None:
        self.is_stalled.clear()
        os.close(self._holder)


def log(soak: Soak) -> Finding:
    """Nobody reads the log, until lines are dropped."""
    folder = soak.folder("log")
    pipe = LogPipe(folder / "output.pipe")
    daemon = Daemon(config(managed()), folder, log=pipe.path).start()
    with contextlib.closing(pipe), Rig(soak, daemon) as rig:
        rig.quiet()
        with rig.fault() as until:
            pipe.is_stalled.set()
            drops = wait_until(lambda: daemon.metric("teal_access_log_dropped_total"), DROPS_WITHIN_S)
            time.sleep(max(0.0, until - time.monotonic()))
        pipe.is_stalled.clear()
        stale = pipe.last_line
        flows = wait_until(lambda: pipe.last_line != stale and b"request.done" in pipe.last_line, seconds=10)
        time.sleep(1.0)  # counters are told several times a second
        dropped = daemon.metric("teal_access_log_dropped_total")
        rig.quiet()
        still = daemon.metric("teal_access_log_dropped_total")
        applies = _reloads(daemon)
        found = rig.finding("log")
    growth = (found.peak_rss_bytes - found.rss_bytes[0]) / MB
    found.no_request_failed()
    found.check("memory is bounded", growth < LOG_GROWTH_BYTES / MB, f"{growth:.1f} MB more at most")
    found.check("lines come again", flows)
    found.check("dropped lines are counted", drops, f"{dropped:.0f} dropped")
    found.check("afterwards none is dropped", still == dropped, f"{still - dropped:.0f} more")
    found.check("the file is followed", applies)
    return found

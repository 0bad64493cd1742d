"""Starts processes on one core, waits until they answer, and counts the CPU time that they used."""

import http.client
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import psutil

START_TIMEOUT_S = 60.0  # Ray Serve takes 20 on one core
STOP_TIMEOUT_S = 10.0
POLL_S = 0.05


class StartError(Exception):
    """A process ended or stayed silent instead of getting ready; the text ends with its log's last lines."""


def pinned(command: Sequence[str], core: int | None) -> list[str]:
    """`command`, run on `core` alone together with everything that it starts; on any if None."""
    if core is None:
        return list(command)
    return ["taskset", "--cpu-list", str(core), *command]


def free_port() -> int:
    """A TCP port on loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class PinnedProcess:
    """A child on one core, or on any, its output in a file."""

    def __init__(
        self, command: Sequence[str], *, core: int | None, log: Path, env: Mapping[str, str], cwd: Path
    ) -> None:
        self._command = command
        self._log = log
        with log.open("ab") as sink:  # appending, so that the file can be emptied while it is written to
            self._child = subprocess.Popen(
                pinned(command, core), stdout=sink, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=env, cwd=cwd
            )

    def __repr__(self) -> str:
        return f"<PinnedProcess {self._child.pid} {self._command[0]}>"

    @property
    def output(self) -> str:
        return self._log.read_text(errors="replace")

    def discard_output(self) -> None:
        """Empty the log: with one line per request it would fill the disk."""
        os.truncate(self._log, 0)

    @property
    def pid(self) -> int:
        return self._child.pid

    def pids(self) -> list[int]:
        """The process and all its descendants, itself first."""
        process = psutil.Process(self._child.pid)
        return [process.pid, *(child.pid for child in process.children(recursive=True))]

    def wait_until(self, is_ready: Callable[[], bool]) -> None:
        """Return once `is_ready`.

        Raises:
            StartError: the process ended first, or took longer than START_TIMEOUT_S.
        """
        deadline = time.monotonic() + START_TIMEOUT_S
        while not is_ready():
            if (status := self._child.poll()) is not None:
                raise StartError(f"{self._command[0]} ended with status {status}\n{self._last_lines()}")
            if time.monotonic() > deadline:
                raise StartError(f"{self._command[0]} not ready after {START_TIMEOUT_S:.0f} s\n{self._last_lines()}")
            time.sleep(POLL_S)

    def stop(self) -> None:
        """Ask it to end, then insist."""
        self._child.terminate()
        try:
            self._child.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def _last_lines(self, count: int = 15) -> str:
        return "\n".join(self.output.splitlines()[-count:])


def answers_http(port: int, path: str) -> bool:
    """Whether `GET path` on a loopback port is answered with 200."""
    return http_text(port, path) is not None


def http_text(port: int, path: str) -> str | None:
    """What `GET path` on a loopback port is answered with; None if that is not a 200 within a second."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.read().decode() if answer.status == http.HTTPStatus.OK else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def accepts(family: socket.AddressFamily, address: str | tuple[str, int]) -> bool:
    """Whether somebody listens on a socket address."""
    with socket.socket(family) as probe:
        try:
            probe.connect(address)
        except OSError:
            return False
    return True


def cpu_ns(pids: Iterable[int]) -> int:
    """Nanoseconds on a CPU of all living threads of `pids`, as the scheduler counted them.

    /proc/PID/schedstat speaks of the main thread only, so its threads are summed; utime and stime in /proc/PID/stat
    come in ticks of 10 ms, too coarse for a run of a few seconds.
    """
    return sum(_task_ns(task) for pid in pids for task in Path(f"/proc/{pid}/task").iterdir())


def _task_ns(task: Path) -> int:
    try:
        return int((task / "schedstat").read_text().split()[0])
    except (FileNotFoundError, ProcessLookupError):  # the thread ended between the listing and now
        return 0

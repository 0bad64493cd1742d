"""A `teal serve` to break: its file, its processes, what it says of itself."""

import contextlib
import http.client
import json
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import psutil
import yaml
from harness.processes import PinnedProcess, StartError, free_port

ENDPOINT = "soak"
SCORE = """
import json
import os

def init():
    if os.environ.get("FAILS"):
        raise RuntimeError("this version is broken")

def run(data):
    return {"number": json.loads(data)["number"], "version": os.environ.get("VERSION", "1")}
"""
ADMIN_TIMEOUT_S = 5.0


class AdminConnection(http.client.HTTPConnection):
    """HTTP over the daemon's Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("teal", timeout=ADMIN_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(ADMIN_TIMEOUT_S)
        self.sock.connect(str(self._path))


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What some processes hold together: resident memory, and file descriptors."""

    rss_bytes: int
    fds: int

    @classmethod
    def by(cls, pids: Sequence[int]) -> "Held":
        processes = [psutil.Process(pid) for pid in pids]
        return cls(
            rss_bytes=sum(process.memory_info().rss for process in processes),
            fds=sum(process.num_fds() for process in processes),
        )


class Daemon:
    """One endpoint, `soak`, scored on a port of its own.

    Args:
        wrapper: The command that `teal serve` is run by.
        log: Where its output goes; a file of its own by default.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        scratch: Path,
        *,
        wrapper: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        folder: Path | None = None,
        state_dir: Path | None = None,
        log: Path | None = None,
    ) -> None:
        self.scratch = scratch
        self.folder = folder or scratch / "config"  # nothing else is written there: teal watches it
        self.state_dir = state_dir or scratch / "state"
        self.path = self.folder / "teal.yaml"
        self.port = free_port()
        self.config: dict[str, Any] = {
            "listen": f"127.0.0.1:{self.port}", "admin": {"http": None}, "state_dir": str(self.state_dir), **config
        }  # fmt: skip
        self._wrapper = wrapper
        self._env = {**os.environ, **(env or {})}
        self._log = log or scratch / "output.log"
        self._process: PinnedProcess | None = None
        for name in ("v1", "v2"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
            (self.folder / name / "score.py").write_text(SCORE)
        self.save()

    def start(self) -> Self:
        """Return when it is ready.

        Raises:
            StartError: it does not come up.
        """
        teal = str(Path(sys.executable).parent / "teal")
        command = [*self._wrapper, teal, "serve", "--config", str(self.path)]
        self._process = PinnedProcess(command, core=None, log=self._log, env=self._env, cwd=self.folder)
        try:
            self._process.wait_until(self.is_ready)
        except StartError:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/v1/endpoint/{ENDPOINT}/score"

    @property
    def endpoint(self) -> dict[str, Any]:
        """The endpoint in the file, to be changed and saved."""
        endpoint: dict[str, Any] = self.config["endpoints"][ENDPOINT]
        return endpoint

    def save(self) -> None:
        """Write the config as editors do: a new file takes the old one's place."""
        self.save_text(yaml.safe_dump(self.config, sort_keys=False))

    def save_text(self, text: str) -> None:
        self.path.with_suffix(".new").write_text(text)
        self.path.with_suffix(".new").replace(self.path)

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, str]:
        """Ask the admin API; returns status and body."""
        with contextlib.closing(AdminConnection(self.state_dir / "run" / "admin.sock")) as connection:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"Content-Type": "application/json"} if text else {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def is_ready(self) -> bool:
        try:
            return self.ask("GET", "/readyz")[0] == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False

    def status(self) -> Any:
        return json.loads(self.ask("GET", "/status")[1])

    def deployment(self, name: str = "blue") -> Any:
        """A deployment, as the status shows it."""
        return next(each for each in self.status()["endpoints"][0]["deployments"] if each["name"] == name)

    def ready_pids(self, name: str = "blue") -> list[int]:
        """The processes of its ready instances."""
        return [each["pid"] for each in self.deployment(name)["instances"] if each["state"] == "ready"]

    def metrics(self) -> str:
        """The page that Prometheus reads."""
        return self.ask("GET", "/metrics")[1]

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples with these labels."""
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        lines = (line for line in self.metrics().splitlines() if not line.startswith("#"))
        samples = (line.rpartition(" ") for line in lines)
        return sum(
            float(value) for sample, _, value in samples
            if sample.partition("{")[0] == name and all(label in sample for label in wanted)
        )  # fmt: skip

    @property
    def pid(self) -> int:
        """The control process."""
        return self._running.pid

    def proxy_pids(self) -> list[int]:
        return [proxy["pid"] for proxy in self.status()["proxies"] if proxy["pid"]]

    @property
    def request_path(self) -> str:
        """Whether the proxies that run now run machine code, as they say themselves."""
        return " and ".join(sorted({proxy["request_path"] for proxy in self.status()["proxies"]}))

    def pids(self) -> list[int]:
        """The control process and all that it started."""
        return self._running.pids()

    def own_pids(self) -> list[int]:
        """The control process and the proxies; workers come and go."""
        return [self.pid, *self.proxy_pids()]

    def held(self) -> Held:
        """What the control process and the proxies hold."""
        return Held.by(self.own_pids())

    def output(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def _running(self) -> PinnedProcess:
        if self._process is None:
            raise StartError("teal was not started")
        return self._process


def managed(version: str = "1", **fields: Any) -> dict[str, Any]:
    """A deployment that teal runs, whose answers carry the number of the request."""
    return {
        "code_configuration": {"code": "v1", "scoring_script": "score.py"},
        "environment_variables": {"VERSION": version},
        **fields,
    }


def config(blue: Mapping[str, Any], *, processes: int = 1, **endpoint: Any) -> dict[str, Any]:
    """A file with one endpoint that needs no key."""
    return {
        "proxy": {"processes": processes},
        "limits": {"drain_timeout_s": 5},
        "endpoints": {
            ENDPOINT: {"auth_mode": "none", "traffic": {"blue": 100}, "deployments": {"blue": dict(blue)}, **endpoint}
        },
    }

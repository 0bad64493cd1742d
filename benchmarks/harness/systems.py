"""What is compared: how each system is started, where it is asked, and which of its processes carry requests."""

import getpass
import grp
import os
import re
import shutil
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import yaml
from harness.processes import PinnedProcess, StartError, accepts, answers_http, free_port
from harness.wrk import Target

BENCHMARKS = Path(__file__).parent.parent
ROOT = BENCHMARKS.parent
SPIN90 = BENCHMARKS / "scripts" / "spin90"
NGINX_CONF = BENCHMARKS / "peers" / "nginx.conf"
NGINX_KEY = "nginx-has-a-key-of-the-same-length-as-teal-s"
ENDPOINT = "bench"
BEARER = re.compile(r"Bearer ([^'\"\s]+)")


@dataclass(kw_only=True)
class System:
    """One system under test. `start` returns when it answers; `scratch` is a folder of its own for its files."""

    name: str
    command: Sequence[str]
    target: Target
    is_ready: Callable[[], bool]
    scratch: Path
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path = BENCHMARKS
    _process: PinnedProcess | None = None

    def start(self, core: int | None) -> Self:
        self.scratch.mkdir(parents=True, exist_ok=True)
        self._process = PinnedProcess(
            self.command,
            core=core,
            log=self.scratch / "output.log",
            env={**os.environ, **self.env},
            cwd=self.cwd,
        )
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
    def process(self) -> PinnedProcess:
        if self._process is None:
            raise StartError(f"{self.name} was not started")
        return self._process

    def pids(self) -> list[int]:
        return self.process.pids()

    def data_path_pids(self) -> list[int]:
        """The processes that a request passes through; here all of them."""
        return self.pids()


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a proxy does for each request, beside forwarding it: `mirror_percent` is copied to a second deployment."""

    mirror_percent: int = 0
    has_access_log: bool = True

    @property
    def blue_percent(self) -> int:
        """Live weight of the first deployment: a mirror's target has none."""
        return 100 if self.mirror_percent else 90


@dataclass(kw_only=True)
class TealDaemon(System):
    """`teal serve --try`, whose children are proxies: its deployments are upstreams, so there are no workers."""

    def start(self, core: int | None) -> Self:
        super().start(core)
        self.target = Target(url=self.target.url, key=self._printed_key())
        return self

    def data_path_pids(self) -> list[int]:
        return self.pids()[1:]

    def _printed_key(self) -> str:
        # The line is printed once the router serves, which may be a moment after `/readyz` says so.
        self.process.wait_until(lambda: BEARER.search(self.process.output) is not None)
        key: str = BEARER.findall(self.process.output)[0]
        return key


class NginxServer(System):
    """nginx: a master process that carries no request, and its worker."""

    def data_path_pids(self) -> list[int]:
        return self.pids()[1:]


def upstream(scratch: Path) -> System:
    """The cheap upstream, on a Unix socket."""
    path = scratch / "upstream.sock"
    return System(
        name="upstream",
        command=[sys.executable, str(BENCHMARKS / "peers" / "upstream.py"), "--listen", f"unix:{path}"],
        target=Target(url="http://upstream/score"),
        is_ready=lambda: accepts(socket.AF_UNIX, str(path)),
        scratch=scratch,
    )


def bare_upstream(scratch: Path) -> System:
    """The same upstream on TCP, asked without a proxy: the ceiling of this load generator and upstream on one core."""
    port = free_port()
    return System(
        name="ceiling (no proxy)",
        command=[sys.executable, str(BENCHMARKS / "peers" / "upstream.py"), "--listen", f"127.0.0.1:{port}"],
        target=Target(url=f"http://127.0.0.1:{port}/score"),
        is_ready=lambda: accepts(socket.AF_INET, ("127.0.0.1", port)),
        scratch=scratch,
    )


def aiohttp_proxy(scratch: Path, upstream_address: str) -> System:
    port = free_port()
    script = str(BENCHMARKS / "peers" / "aiohttp_proxy.py")
    return System(
        name="aiohttp proxy",
        command=[sys.executable, script, "--listen", f"127.0.0.1:{port}", "--upstream", upstream_address],
        target=Target(url=f"http://127.0.0.1:{port}/score"),
        is_ready=lambda: accepts(socket.AF_INET, ("127.0.0.1", port)),
        scratch=scratch,
    )


def teal_proxy(scratch: Path, upstream_address: str, work: Work = Work()) -> System:
    """teal with one proxy process: key auth, 90/10 split, access log to a file that nobody keeps."""
    port, admin_port = free_port(), free_port()
    # A folder that nothing else is written to: teal watches the config's folder, and the log would wake it.
    folder = scratch / "config"
    folder.mkdir(parents=True)
    config, request = folder / "teal.yaml", folder / "request.json"
    request.write_text("{}")
    config.write_text(yaml.safe_dump(teal_config(scratch, upstream_address, port, admin_port, work)))
    teal = Path(sys.executable).parent / "teal"
    return TealDaemon(
        name="teal proxy",
        command=[str(teal), "serve", "--config", str(config), "--try", str(request)],
        target=Target(url=f"http://127.0.0.1:{port}/api/v1/endpoint/{ENDPOINT}/score"),
        is_ready=lambda: answers_http(admin_port, "/readyz"),
        scratch=scratch,
    )


def has_nginx() -> bool:
    return shutil.which("nginx") is not None


def nginx(scratch: Path, upstream_address: str, work: Work = Work()) -> System:
    """nginx with one worker process and the same work, as far as it can say it."""
    port = free_port()
    scratch.mkdir(parents=True, exist_ok=True)
    words = {
        "USER": f"{getpass.getuser()} {grp.getgrgid(os.getgid()).gr_name}",
        "SCRATCH": str(scratch),
        "PORT": str(port),
        "KEY": NGINX_KEY,
        "UPSTREAM": upstream_address,
        "ACCESS_LOG": "/dev/stdout requests buffer=64k flush=1s" if work.has_access_log else "off",
        "BLUE_PERCENT": str(work.blue_percent - (work.blue_percent == 100) * 0.01),
        "MIRROR_PERCENT": str(work.mirror_percent or 1),
        "MIRROR": "mirror /copy;" if work.mirror_percent else "",
    }
    text = NGINX_CONF.read_text()
    for word, value in words.items():
        text = text.replace(f"@{word}@", value)
    config = scratch / "nginx.conf"
    config.write_text(text)
    return NginxServer(
        name="nginx",
        command=["nginx", "-c", str(config), "-e", str(scratch / "error.log")],
        target=Target(url=f"http://127.0.0.1:{port}/api/v1/endpoint/{ENDPOINT}/score", key=NGINX_KEY),
        is_ready=lambda: accepts(socket.AF_INET, ("127.0.0.1", port)),
        scratch=scratch,
    )


def teal_config(scratch: Path, upstream_address: str, port: int, admin_port: int, work: Work) -> dict[str, object]:
    deployment = {
        "upstreams": [upstream_address],
        "scoring_path": "/score",
        "request_settings": {"max_concurrent_requests_per_instance": 256},
    }
    endpoint = {
        "auth_mode": "key",
        "traffic": {"blue": work.blue_percent, "green": 100 - work.blue_percent},
        "deployments": {"blue": deployment, "green": dict(deployment)},
    }
    if work.mirror_percent:
        endpoint["mirror_traffic"] = {"green": work.mirror_percent}
        # As nginx does: no copy is dropped.
        endpoint["mirror"] = {"rate_bytes_per_s": 10**10, "burst_bytes": 10**10, "max_in_flight": 1000}
    return {
        "listen": f"127.0.0.1:{port}",
        "admin": {"http": f"127.0.0.1:{admin_port}"},
        "state_dir": str(scratch / "state"),
        "proxy": {"processes": 1},
        "access_log": work.has_access_log,
        "endpoints": {ENDPOINT: endpoint},
    }


def teal_worker(scratch: Path) -> System:
    """teal's worker alone, without the router, serving spin90."""
    port = free_port()
    options = ["--script", "score.py", "--code-dir", str(SPIN90), "--listen", f"127.0.0.1:{port}"]
    return System(
        name="teal worker",
        command=[sys.executable, "-m", "workers", *options],
        target=Target(url=f"http://127.0.0.1:{port}/score"),
        is_ready=lambda: answers_http(port, "/"),
        scratch=scratch,
        env={"PYTHONPATH": str(ROOT)},
        cwd=ROOT,
    )


def azure_server(scratch: Path, azmlinfsrv: Path) -> System:
    """Azure's inference server (gunicorn, one worker) serving spin90."""
    port = free_port()
    options = ["--entry_script", str(SPIN90 / "score.py"), "--port", str(port), "--health_port", str(free_port())]
    return System(
        name="azmlinfsrv",
        command=[str(azmlinfsrv), *options, "--worker_count", "1"],
        target=Target(url=f"http://127.0.0.1:{port}/score"),
        is_ready=lambda: answers_http(port, "/"),
        scratch=scratch,
        cwd=SPIN90,
    )

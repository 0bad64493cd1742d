"""A system under test: how it is started, where it is asked, and which of its processes carry requests."""

import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from harness.certificate import Certificate
from harness.processes import PinnedProcess, StartError, accepts, free_port
from harness.wrk import Target

BENCHMARKS = Path(__file__).parent.parent
ROOT = BENCHMARKS.parent
ENDPOINT = "bench"
SCORING_PATH = f"/api/v1/endpoint/{ENDPOINT}/score"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pauses:
    """The longest time that a proxy stood still, in the last minute: None where it does not say."""

    gc_ms: float | None = None
    loop_lag_ms: float | None = None


UNTOLD = Pauses()


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

    def pauses(self) -> Pauses:
        """What it says of its own pauses; most say nothing."""
        return UNTOLD


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a proxy does for each request, beside forwarding it: `mirror_percent` is copied to a second deployment.

    `black_hole` is the address of that second deployment if it never answers. With a `certificate` clients speak TLS.
    """

    mirror_percent: int = 0
    has_access_log: bool = True
    processes: int = 1
    black_hole: str | None = None
    certificate: Certificate | None = None

    @property
    def blue_percent(self) -> int:
        """Live weight of the first deployment: a mirror's target has none."""
        return 100 if self.mirror_percent else 90

    @property
    def scheme(self) -> str:
        return "https" if self.certificate else "http"


PLAIN = Work()


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
    return _on_tcp("ceiling (no proxy)", "upstream.py", [], scratch)


def black_hole(scratch: Path) -> System:
    """A deployment that looks well and never answers a request, on a Unix socket."""
    path = scratch / "hole.sock"
    return System(
        name="black hole",
        command=[sys.executable, "-m", "peers.black_hole", "--listen", f"unix:{path}"],
        target=Target(url="http://hole/score"),
        is_ready=lambda: accepts(socket.AF_UNIX, str(path)),
        scratch=scratch,
    )


def aiohttp_proxy(scratch: Path, upstream_address: str) -> System:
    return _on_tcp("aiohttp proxy", "aiohttp_proxy.py", ["--upstream", upstream_address], scratch)


def _on_tcp(name: str, script: str, options: Sequence[str], scratch: Path) -> System:
    port = free_port()
    return System(
        name=name,
        command=[sys.executable, str(BENCHMARKS / "peers" / script), "--listen", f"127.0.0.1:{port}", *options],
        target=Target(url=f"http://127.0.0.1:{port}/score"),
        is_ready=lambda: accepts(socket.AF_INET, ("127.0.0.1", port)),
        scratch=scratch,
    )

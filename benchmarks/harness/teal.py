"""teal as a system under test: the router before upstreams, the router with a worker of its own, the worker alone."""

import os
import re
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import yaml
from harness.processes import answers_http, free_port, http_text
from harness.systems import ENDPOINT, PLAIN, ROOT, SCORING_PATH, UNTOLD, Pauses, System, Work
from harness.wrk import Target

from router.compiled import INTERPRETED, Compiled

PEAK_S = 60.0  # for how long a proxy remembers its longest pause, at most
BEARER = re.compile(r"Bearer ([^'\"\s]+)")


@dataclass(kw_only=True)
class TealDaemon(System):
    """`teal serve --try`: a control process, which carries no request, and its proxies and workers."""

    admin_port: int
    _started_at: float = 0.0

    def start(self, core: int | None) -> Self:
        super().start(core)
        self._started_at = time.monotonic()
        self.target = Target(url=self.target.url, key=self._printed_key())
        return self

    def data_path_pids(self) -> list[int]:
        return self.pids()[1:]

    def pauses(self) -> Pauses:
        """As its metrics have them; nothing while the pauses of its start may be among them."""
        if time.monotonic() < self._started_at + PEAK_S:
            return UNTOLD
        text = http_text(self.admin_port, "/metrics") or ""
        return Pauses(
            gc_ms=longest_ms(text, "teal_gc_pause_max_seconds"),
            loop_lag_ms=longest_ms(text, "teal_event_loop_lag_max_seconds"),
        )

    def _printed_key(self) -> str:
        # The line is printed once the router serves, which may be a moment after `/readyz` says so.
        self.process.wait_until(lambda: BEARER.search(self.process.output) is not None)
        key: str = BEARER.findall(self.process.output)[0]
        return key


def is_compiled() -> bool:
    """Whether the proxies that are started here run machine code (`python -m router.compiled`)."""
    return Compiled().fits and not os.environ.get(INTERPRETED)


def proxy(scratch: Path, upstream_address: str, work: Work = PLAIN, *, name: str = "teal proxy") -> System:
    """The router before an upstream: key auth, 90/10 split, access log to a file that nobody keeps."""
    return _daemon(name, scratch, work, _upstreams(upstream_address, work))


def interpreted_proxy(scratch: Path, upstream_address: str) -> System:
    """The same, run from its Python sources even where it is compiled."""
    system = proxy(scratch, upstream_address, name="teal interpreted")
    system.env = {INTERPRETED: "1"}
    return system


def endpoint(scratch: Path, code: Path) -> System:
    """The router and one worker that it runs: `code/score.py` behind an endpoint."""
    deployment = {"code_configuration": {"code": str(code), "scoring_script": "score.py"}, "instance_count": 1}
    endpoint = {"auth_mode": "key", "traffic": {"blue": 100}, "deployments": {"blue": deployment}}
    return _daemon("teal endpoint", scratch, PLAIN, endpoint)


def worker(scratch: Path, code: Path) -> System:
    """teal's worker alone, without the router."""
    port = free_port()
    options = ["--script", "score.py", "--code-dir", str(code), "--listen", f"127.0.0.1:{port}"]
    return System(
        name="teal worker",
        command=[sys.executable, "-m", "workers", *options],
        target=Target(url=f"http://127.0.0.1:{port}/score"),
        is_ready=lambda: answers_http(port, "/"),
        scratch=scratch,
        env={"PYTHONPATH": str(ROOT)},
        cwd=ROOT,
    )


def _daemon(name: str, scratch: Path, work: Work, endpoint: Mapping[str, object]) -> System:
    port, admin_port = free_port(), free_port()
    # Teal watches the config's folder and the one above it; the log, which is written beside them, would wake it.
    folder = scratch / "etc" / "teal"
    folder.mkdir(parents=True)
    config, request = folder / "teal.yaml", folder / "request.json"
    request.write_text("{}")
    document = {
        "listen": f"127.0.0.1:{port}",
        "admin": {"http": f"127.0.0.1:{admin_port}"},
        "state_dir": str(scratch / "state"),
        "proxy": {"processes": work.processes},
        "access_log": work.has_access_log,
        "endpoints": {ENDPOINT: endpoint},
    }
    if work.certificate:
        document["tls"] = {"certificate": str(work.certificate.chain), "key": str(work.certificate.key)}
    config.write_text(yaml.safe_dump(document))
    return TealDaemon(
        name=name,
        command=[str(Path(sys.executable).parent / "teal"), "serve", "--config", str(config), "--try", str(request)],
        target=Target(url=f"{work.scheme}://127.0.0.1:{port}{SCORING_PATH}"),
        is_ready=lambda: answers_http(admin_port, "/readyz"),
        scratch=scratch,
        admin_port=admin_port,
    )


def longest_ms(metrics: str, name: str) -> float | None:
    """The largest value of a gauge of seconds among the proxies, of a metrics page; None if it has none."""
    found = re.findall(rf'^{name}{{process="proxy-\d+"}} (\S+)$', metrics, re.MULTILINE)
    return max(map(float, found)) * 1e3 if found else None


def _upstreams(address: str, work: Work) -> dict[str, object]:
    def deployment(at: str) -> dict[str, object]:
        limits = {"max_concurrent_requests_per_instance": 256}
        return {"upstreams": [at], "scoring_path": "/score", "request_settings": limits}

    made: dict[str, object] = {
        "auth_mode": "key",
        "traffic": {"blue": work.blue_percent, "green": 100 - work.blue_percent},
        "deployments": {"blue": deployment(address), "green": deployment(work.black_hole or address)},
    }
    if work.mirror_percent:
        made["mirror_traffic"] = {"green": work.mirror_percent}
    if work.mirror_percent and not work.black_hole:
        # As nginx does: no copy is dropped. Before a black hole the limits are what is measured.
        made["mirror"] = {"rate_bytes_per_s": 10**10, "burst_bytes": 10**10, "max_in_flight": 1000}
    return made

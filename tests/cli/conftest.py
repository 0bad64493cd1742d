"""A daemon's admin site on a real socket, a fake of the admin API, and the `teal` command in a process of its own."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from router.control.admin import AdminAddresses, AdminSite
from router.control.admin_socket import socket_path
from router.control.metrics import MetricsSource
from router.control.states import InstanceStatus
from router.control.status import DeploymentView, EndpointView, Latency, ProxyStatus, RouterStatus, latency
from router.core.stats import BUCKETS_S, Totals
from router.core.table import TableSpec
from tests.cli.fake_daemon import FakeDaemon

Teal = Callable[..., Awaitable[subprocess.CompletedProcess[str]]]


def latency_of(*, bucket: int, count: int) -> Latency:
    counts = [0] * (len(BUCKETS_S) + 1)
    counts[bucket] = count
    return latency(counts)


def deployment(name: str, **fields: object) -> DeploymentView:
    plain: dict[str, object] = {
        "endpoint": "churn",
        "name": name,
        "kind": "managed",
        "provisioning_state": "Succeeded",
        "reason": "",
        "log_tail": (),
        "log_dir": "",
        "weight": 0.0,
        "mirror_percent": 0.0,
        "instances": (),
        "ejected": (),
        "in_flight": 0,
        "queued": 0,
        "live": {},
        "pinned": {},
        "model": {},
        "mirrored": {},
        "failures": {},
        "latency": latency_of(bucket=0, count=0),
        "mirror_latency": latency_of(bucket=0, count=0),
    }
    return DeploymentView(**{**plain, **fields})  # type: ignore[arg-type]


def router_status(*deployments: DeploymentView, started: float = 1000.0) -> RouterStatus:
    return RouterStatus(
        version="0.1.0",
        pid=4711,
        started=started,
        config_path="config/teal.yaml",
        generation=7,
        config_problems=("config/teal.yaml:14: churn.traffic: weights add up to 90, expected 0 or 100",),
        base_url="http://127.0.0.1:8080",
        proxies=(ProxyStatus(name="proxy-0", pid=4712, generation=7, connections=3),),
        endpoints=(
            EndpointView(
                name="churn",
                auth_mode="key",
                scoring_uri="http://127.0.0.1:8080/api/v1/endpoint/churn/score",
                traffic={"blue": 90.0, "green": 10.0},
                mirror_traffic={},
                mirror={"sent": 5, "no_budget": 2},
                refused={401: 3},
                deployments=deployments,
            ),
        ),
        unknown_endpoint={},
    )


BLUE = deployment(
    "blue",
    weight=90.0,
    live={200: 95, 424: 5},
    in_flight=2,
    latency=latency_of(bucket=2, count=100),
    instances=(
        InstanceStatus(name="0", address="unix:/0", state="ready"),
        InstanceStatus(name="1", address="unix:/1", state="ready"),
    ),
    ejected=("1",),
)
GREEN = deployment(
    "green",
    weight=10.0,
    provisioning_state="Failed",
    reason="init() raised",
    log_dir="/var/lib/teal/logs/churn/green",
    log_tail=("Traceback (most recent call last):", "ValueError: [no] model"),
)


@pytest.fixture
def status() -> RouterStatus:
    """A router whose blue deployment serves and whose green one has failed."""
    return router_status(BLUE, GREEN)


@pytest.fixture
async def state_dir(status: RouterStatus, tmp_path: Path) -> AsyncIterator[Path]:
    """The state directory of a daemon that answers."""
    site = AdminSite(
        AdminAddresses(socket=socket_path(tmp_path / "state")),
        status=lambda: status,
        metrics=lambda: MetricsSource(version="0.1.0", table=TableSpec(generation=7), totals=Totals()),
        readiness=list,
        reload=lambda: None,
    )
    await site.start()
    yield tmp_path / "state"
    await site.stop()


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """What a command may know of the machine."""
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])}


@pytest.fixture
def teal(environment: dict[str, str], tmp_path: Path) -> Teal:
    """Runs `teal` in an empty folder, without a terminal."""

    async def run(*arguments: str, **further: str) -> subprocess.CompletedProcess[str]:
        return await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "router.cli.main", *arguments],
            cwd=tmp_path,
            env=environment | further,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run


@pytest.fixture
async def daemon(tmp_path: Path, environment: dict[str, str]) -> AsyncIterator[FakeDaemon]:
    """The daemon that `teal` finds; it knows nothing until it is told."""
    daemon = FakeDaemon(tmp_path / "state")
    await daemon.start()
    environment["TEAL_STATE_DIR"] = str(daemon.state_dir)
    yield daemon
    await daemon.stop()

"""Disks that do not answer: requests are answered, workers replaced, and a stop comes to its end all the same."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchmarks.harness.hanging_disk import HangingDisk, NoHangingDisk
from tests.e2e.conftest import Load
from tests.e2e.project import Project, ask

PRINTS = """
def init():
    pass

def run(data):
    print("scored " * 100, flush=True)
    return {}
"""
CLIENTS = 4


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[HangingDisk]:
    try:
        with HangingDisk(tmp_path / "disk", tmp_path / "below") as disk:
            yield disk
    except NoHangingDisk as reason:
        pytest.skip(str(reason))


def lay_out(state_dir: Path, disk: HangingDisk, *names: str) -> None:
    """Have these folders of the state on the disk.

    Not its database: SQLite maps a file into memory, and with FUSE, unlike other file systems, no process that has done
    so can end before that is written.
    """
    state_dir.mkdir()
    for name in names:
        (disk.mount / name).mkdir()
        (state_dir / name).symlink_to(disk.mount / name)


async def pid_of(teal: Any) -> int:
    return int((await teal.deployment("blue"))["instances"][0]["pid"])


async def test_a_hung_disk_of_logs_delays_nothing(serve, project: Project, disk: HangingDisk, tmp_path: Path) -> None:
    """What workers print waits; a killed one is replaced, a save applies, and the stop writes what it still can."""
    lay_out(tmp_path / "state", disk, "logs")
    project.deployments["blue"] = project.worker("blue", PRINTS)
    project.endpoint["idempotent"] = True
    teal = await serve(project.save())
    load = Load(await teal.url(), think_s=0.01)
    load.start(CLIENTS)
    await load.more(20)
    disk.hang()
    await load.more(100)
    victim = psutil.Process(await pid_of(teal))
    await teal.after(victim.kill, '"worker.ready"')
    await teal.edit("drain_timeout_s: 10", "drain_timeout_s: 1")
    await load.settle()
    await load.more(50)
    await load.stop()
    assert load.failures == []
    proxy = psutil.Process((await teal.status())["proxies"][0]["pid"])
    await teal.after(proxy.kill, '"proxy.started"')
    assert (await ask(await teal.url())).status == 200
    assert await teal.stop() == 0
    assert set(load.statuses()) <= {200, 424}
    assert teal.events("daemon.stopped")


async def test_a_hung_disk_of_the_state_delays_no_request(
    serve, project: Project, disk: HangingDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does it the look at processes: what stands still or dies is noticed, and a stop drains and ends.

    Sockets are in the runtime directory, as systemd gives one; where there is none, proxies find workers on this disk.
    """
    (tmp_path / "memory").mkdir()
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "memory"))
    lay_out(tmp_path / "state", disk, "logs", "run", "runtime", "work")
    teal = await serve(project.save())
    load = Load(await teal.url(), think_s=0.01)
    load.start(CLIENTS)
    await load.more(20)
    worker = psutil.Process(await pid_of(teal))
    disk.hang()
    await load.more(100)
    await teal.after(worker.suspend, '"worker.unready"')
    await teal.after(worker.resume, '"worker.recovered"')
    await load.settle()
    await load.more(50)
    await teal.after(worker.kill, '"worker.exited"')
    await load.settle()
    await load.stop()
    assert load.failures == []
    assert {status for status, _, _ in load.answers} <= {200, 408, 424}  # 408: of the stopped worker
    assert await teal.stop() == 0
    assert teal.events("daemon.stopped")

"""Proxy processes in their slots: real ones, that accept on real sockets."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from structlog.testing import capture_logs

from router.control.listeners import bind
from router.control.proxies import Proxies
from router.core.patience import Patience
from router.core.table import DeploymentSpec, EndpointSpec, TableSpec
from router.core.wire import Applied, Drain, ProxyLimits, frame

KEPT = {"churn": {"blue"}}
LOOPS_AT_SIGUSR1 = """
import signal

def loop(number, frame):
    while True:
        pass

signal.signal(signal.SIGUSR1, loop)
"""
#: A proxy that applies its first table, says so, and says no more until it is drained.
SAYS_ONE_WORD = f"""
import argparse, socket

parser = argparse.ArgumentParser()
parser.add_argument("--link-fd", type=int)
link = socket.socket(fileno=parser.parse_known_args()[0].link_fd)
link.sendall({frame(Applied(1))!r})
for received in iter(lambda: link.recv(1_000_000), b""):
    if {frame(Drain())!r} in received:
        break
"""


def table(generation: int, *names: str) -> TableSpec:
    endpoints = tuple(
        EndpointSpec(
            name=name,
            auth_mode="none",
            traffic=(("blue", 100.0),),
            deployments=(DeploymentSpec(name="blue"),),
        )
        for name in names
    )
    return TableSpec(generation=generation, endpoints=endpoints)


class Bench:
    """Slots on one port."""

    def __init__(self, slots: int = 2, **options: Any) -> None:
        self._sockets = bind([("127.0.0.1", 0)], slots=slots)
        self.port = self._sockets[0][0].getsockname()[1]
        self.news = asyncio.Event()
        self.proxies = Proxies(self._sockets, ["--log-level", "error"], self.news.set, **options)

    @classmethod
    @asynccontextmanager
    async def running(cls, slots: int = 2, **options: Any) -> AsyncIterator["Bench"]:
        """One whose processes have applied a table."""
        bench = cls(slots, **options)
        bench.push(1, "churn")
        bench.proxies.start()
        await bench.proxies.applied(1)
        yield bench
        await bench.stop()

    def push(self, generation: int, *names: str) -> None:
        self.proxies.push(table(generation, *names), ProxyLimits(drain_timeout_s=5, access_log=False))

    async def status(self, endpoint: str = "churn") -> int:
        """What a client gets on a connection of its own; there is no instance, so 424 at best."""
        url = f"http://127.0.0.1:{self.port}/api/v1/endpoint/{endpoint}/score"
        async with aiohttp.ClientSession() as session, session.post(url, data=b"{}") as answer:
            return answer.status

    def counted(self, endpoint: str = "churn") -> int:
        stats = self.proxies.totals().endpoints.get(endpoint)
        return sum(stats.deployment("blue").live.values()) if stats else 0

    def process(self, slot: int) -> psutil.Process:
        return psutil.Process(self.proxies.statuses()[slot].pid)

    def duplicates(self, slot: int, *, of: int) -> int:
        """How many descriptors the process in a slot has of another slot's socket; one is inherited."""
        listener = os.fstat(self._sockets[of][0].fileno()).st_ino
        found = 0
        for fd in Path(f"/proc/{self.process(slot).pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # a client's, which has just been closed
                found += fd.stat().st_ino == listener
        return found

    async def kill_and_hold(self, slot: int) -> psutil.Process:
        """End a process; return the one that takes its place, stopped before it could accept."""
        killed = self.process(slot)
        killed.kill()
        while self.proxies.statuses()[slot].pid in {None, killed.pid}:  # noqa: ASYNC110 - its start is no news
            await asyncio.sleep(0.001)
        self.process(slot).suspend()
        return self.process(slot)

    async def kill(self, slot: int) -> None:
        """End a process, and return when another has taken its place."""
        status = self.proxies.statuses()[slot]
        assert status.pid is not None
        os.kill(status.pid, signal.SIGKILL)
        await self.replaced(slot, status.restarts)

    async def replaced(self, slot: int, restarts: int = 0) -> None:
        """Return when a process has taken the place of one that ended after so many restarts."""
        while self.proxies.statuses()[slot].restarts == restarts:
            self.news.clear()
            await self.news.wait()
            await asyncio.sleep(0)
        await self.proxies.applied(self.proxies.generation)

    async def stop(self, hurry: asyncio.Event | None = None) -> None:
        await self.proxies.stop(20, hurry or asyncio.Event())
        for listener in (listener for sockets in self._sockets for listener in sockets):
            listener.close()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with Bench.running() as bench:
        yield bench


async def test_every_slot_follows_the_newest_table(bench: Bench) -> None:
    """Both processes have applied it when `applied` returns."""
    bench.push(2, "churn", "other")
    assert not bench.proxies.have_applied
    await bench.proxies.applied(2)
    assert bench.proxies.have_applied
    assert [status.generation for status in bench.proxies.statuses()] == [2, 2]
    assert {await bench.status("other") for _ in range(8)} == {424}


async def test_a_killed_process_is_replaced_and_its_counts_stay(bench: Bench) -> None:
    """What it counted is part of the totals, as long as the table knows the names."""
    bench.proxies.forget(KEPT)
    assert [await bench.status() for _ in range(20)] == [424] * 20
    while bench.counted() < 20:  # noqa: ASYNC110 - statistics come several times a second
        await asyncio.sleep(0.01)
    with capture_logs() as events:
        await bench.kill(0)
        await bench.kill(1)
    assert [event["exit_status"] for event in events if event["event"] == "proxy.exited"] == [-9, -9]
    assert bench.counted() == 20
    assert [status.restarts for status in bench.proxies.statuses()] == [1, 1]
    assert await bench.status() == 424

    bench.proxies.forget({})
    assert bench.counted() == 0


async def test_clients_of_an_empty_slot_are_met_by_the_other(bench: Bench) -> None:
    """Nobody waits for the next process to start; then it accepts for itself again."""
    next_one = await bench.kill_and_hold(0)
    assert [await bench.status() for _ in range(20)] == [424] * 20
    assert bench.duplicates(1, of=0) == 2
    next_one.resume()
    await bench.proxies.applied(1)
    assert [await bench.status() for _ in range(20)] == [424] * 20
    while bench.duplicates(1, of=0) > 1:  # noqa: ASYNC110 - it is told to, and tells nobody when it has
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("slots", [1, 2])
async def test_a_process_that_stands_still_is_replaced(slots: int) -> None:
    """Clients that come meanwhile wait in the queue of its socket, and nobody is refused."""
    async with Bench.running(slots) as bench:
        pid = bench.proxies.statuses()[0].pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        with capture_logs() as events:
            statuses = await asyncio.gather(*(bench.status() for _ in range(40)))
            await bench.replaced(0)
        assert statuses == [424] * 40
        told = [event for event in events if event["log_level"] == "error"]
        assert [event["event"] for event in told] == ["proxy.stalled", "proxy.exited"]
        assert (told[0]["slot"], told[0]["pid"], told[0]["is_stopped"]) == (0, pid, True)
        assert (told[1]["slot"], told[1]["exit_status"]) == (0, -9)
        assert [(status.restarts, status.stalls) for status in bench.proxies.statuses()] == [(1, 1), (0, 0)][:slots]


async def test_a_process_in_an_endless_loop_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel lets it run, and yet it says nothing; here it is borne with for a second."""
    (tmp_path / "sitecustomize.py").write_text(LOOPS_AT_SIGUSR1)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with capture_logs() as events:
        async with Bench.running(1, patience=Patience(silent_s=1.0)) as bench:
            pid = bench.process(0).pid
            os.kill(pid, signal.SIGUSR1)
            await bench.replaced(0)
            assert await bench.status() == 424
    stalled = next(event for event in events if event["event"] == "proxy.stalled")
    assert (stalled["pid"], stalled["is_stopped"]) == (pid, False)


async def test_a_process_that_is_silent_once_it_has_applied_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients rely on it then, so that the longer patience with one that starts is over."""
    package = tmp_path / "router"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "proxy.py").write_text(SAYS_ONE_WORD)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    async with Bench.running(1, patience=Patience(start_s=600.0, silent_s=0.1)) as bench:
        await bench.replaced(0)
        assert bench.proxies.statuses()[0].stalls >= 1


async def test_an_address_that_nobody_needs_is_drained(bench: Bench) -> None:
    """As of the table that was pushed last, in every process."""
    bench.push(2, "churn")
    async with asyncio.timeout(20):
        await bench.proxies.drained("unix:/nowhere")
    assert [status.generation for status in bench.proxies.statuses()] == [2, 2]


async def test_a_stop_ends_every_process(bench: Bench) -> None:
    """They drain, and nothing is started in their place."""
    pids = [status.pid for status in bench.proxies.statuses()]
    with capture_logs() as events:
        await bench.stop()
    assert None not in pids
    assert [status.pid for status in bench.proxies.statuses()] == [None, None]
    assert [event["event"] for event in events if event["log_level"] != "info"] == []

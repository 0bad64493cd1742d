"""What clients can use up is bounded, in a whole daemon."""

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from tests.e2e.cli import Cli
from tests.e2e.conftest import READY_S, Teal, running
from tests.e2e.project import Project, Upstream, ask, until

WITH_256_DESCRIPTORS = ("sh", "-c", 'ulimit -n 256 && exec "$0" "$@"')
REQUEST = b"POST /score HTTP/1.1\r\nHost: teal\r\nContent-Length: 2\r\n\r\n{}"


Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connected(teal: Teal) -> Client:
    url = urlsplit(await teal.url())
    return await asyncio.open_connection(url.hostname, url.port)


async def status_of(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
    """Status of a request on a connection; 0 if it was closed without an answer."""
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        writer.write(REQUEST)
        return int((await reader.readuntil(b"\r\n\r\n")).split()[1])
    return 0


async def asked_in_turn(teal: Teal, clients: list[Client], number: int) -> list[int]:
    """Connect so many more clients, each after the one before it was answered; the statuses of their requests."""
    statuses = []
    for _ in range(number):
        clients.append(await connected(teal))
        statuses.append(await status_of(*clients[-1]))
    return statuses


async def close(clients: list[Client]) -> None:
    for _, writer in clients:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_only_teals_own_processes_raise_their_limit_of_descriptors(project: Project, tmp_path: Path) -> None:
    """Control and proxy take all that they may have; a worker, which may use `select`, what teal was started with."""
    with_soft_limit = ("sh", "-c", 'ulimit -S -n 300 && ulimit -H -n 900 && exec "$0" "$@"')
    async with running(project.save(), tmp_path / "state", under=with_soft_limit) as teal:
        async with asyncio.timeout(READY_S):
            await teal.said('"daemon.serving"')
        pids = {name: teal.events(f"{name}.started")[0]["pid"] for name in ("daemon", "proxy", "worker")}
        limits = {name: psutil.Process(pid).rlimit(psutil.RLIMIT_NOFILE) for name, pid in pids.items()}
        assert limits == {"daemon": (900, 900), "proxy": (900, 900), "worker": (300, 900)}
        assert teal.events("daemon.started")[0]["max_files"] == 900


async def test_few_descriptors_are_no_reason_to_fail(
    project: Project, upstreams: list[Upstream], tmp_path: Path
) -> None:
    """With `ulimit -n 256`: 96 clients are let in and served, more are refused, and afterwards all is as before."""
    project.endpoint["deployments"]["blue"] = {"upstreams": [upstreams[0].address]}
    async with running(project.save(), tmp_path / "state", under=WITH_256_DESCRIPTORS) as teal:
        async with asyncio.timeout(READY_S):
            await teal.said('"daemon.serving"')
        await teal.counted("teal_max_connections", 96)
        clients = [await connected(teal) for _ in range(400)]
        await teal.counted('teal_connections_refused_total{reason="too_many_connections"}', 304)
        statuses = await asyncio.gather(*(status_of(*client) for client in clients))
        assert statuses[:96] == [200] * 96
        assert set(statuses[96:]) <= {0, 503}
        await close(clients)

        async def all_have_gone() -> bool:
            return (await teal.metrics())["teal_connections"] == 0

        await until(all_have_gone)
        assert (await ask(await teal.url())).status == 200
        assert await teal.stop() == 0


async def test_limits_follow_the_file(serve, project: Project, upstreams: list[Upstream]) -> None:
    """Two proxies share them; a save changes them for connections from then on."""
    project.endpoint["deployments"]["blue"] = {"upstreams": [upstreams[0].address]}
    project.data["proxy"] = {"processes": 2}
    project.data["limits"]["max_connections"] = 1000
    teal = await serve(project.save())
    await teal.counted("teal_max_connections", 1000)
    await teal.edit("max_connections: 1000", "max_connections: 2")

    async def is_lowered() -> bool:
        return (await teal.metrics())["teal_max_connections"] == 2

    await until(is_lowered)
    clients: list[Client] = []
    assert await asked_in_turn(teal, clients, 20) == [200] * 2 + [503] * 18
    await close(clients)


async def test_the_room_of_a_killed_proxy_is_free(serve, project: Project, upstreams: list[Upstream]) -> None:
    """Two clients have all the room of two proxies; after both were killed, others may have it."""
    project.endpoint["deployments"]["blue"] = {"upstreams": [upstreams[0].address]}
    project.data["proxy"] = {"processes": 2}
    project.data["limits"]["max_connections"] = 2
    teal = await serve(project.save())
    await teal.said(r'"proxy\.serving".*"proxy-0"')
    await teal.said(r'"proxy\.serving".*"proxy-1"')
    clients: list[Client] = []
    assert await asked_in_turn(teal, clients, 3) == [200, 200, 503]
    for pid in [started["pid"] for started in teal.events("proxy.started")]:
        os.kill(pid, signal.SIGKILL)
    for reader, _ in clients:
        await reader.read()  # until the end
    assert await asked_in_turn(teal, clients, 3) == [200, 200, 503]
    await close(clients)


async def test_callers_of_the_admin_socket_keep_nobody_from_it(
    project: Project, upstreams: list[Upstream], tmp_path: Path
) -> None:
    """With `ulimit -n 256` and 400 who never finish a request: commands work, and a killed worker is replaced."""
    project.endpoint["deployments"]["blue"] = project.worker("blue")
    state_dir = tmp_path / "state"
    async with running(project.save(), state_dir, under=WITH_256_DESCRIPTORS) as teal, Crowd(state_dir, 400):
        async with asyncio.timeout(READY_S):
            await teal.said('"daemon.serving"')
        said = await Cli(state_dir, tmp_path).done("status -o json")
        assert said.data["endpoints"][0]["name"] == "churn"
        seen = len(teal.lines)
        os.kill(teal.events("worker.started")[0]["pid"], signal.SIGKILL)
        await teal.said(r'"worker\.ready"', after=seen)
        assert (await ask(f"{said.data['base_url']}/api/v1/endpoint/churn/score")).text == '"blue"'
        assert psutil.Process(teal.process.pid).num_fds() < 128
        assert teal.events("worker.not_watched") == []
        assert await teal.stop() == 0


class Crowd:
    """Callers of the admin socket who begin a request and never finish it; who is cut comes again."""

    def __init__(self, state_dir: Path, number: int) -> None:
        self._path = state_dir / "run" / "admin.sock"
        self._number = number
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> None:
        self._tasks = [asyncio.create_task(self._call(), name=f"caller-{each}") for each in range(self._number)]

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _call(self) -> None:
        while True:
            with contextlib.suppress(OSError):  # no place in its queue; or nobody is there, yet or any more
                reader, writer = await asyncio.open_unix_connection(self._path)
                try:
                    writer.write(b"GET /status HTTP/1.1\r\nHost: teal\r\nX-More: ")
                    await reader.read()
                finally:
                    writer.close()
            await asyncio.sleep(0.1)

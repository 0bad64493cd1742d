"""Starts: those that cannot be are refused in a sentence, all others serve."""

import asyncio
import json
import re
import resource
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from router import __version__, compiled
from router.control.history import ConfigHistory
from router.control.state import State
from tests.e2e.conftest import running
from tests.e2e.project import Project, ask


@dataclass(frozen=True, slots=True)
class Refusal:
    """How a daemon ended that did not start."""

    code: int | None
    errors: list[str]


async def refused(config: Path, state_dir: Path | None = None) -> Refusal:
    """Start a daemon that is expected to end by itself."""
    command = [sys.executable, "-m", "router.cli.main", "serve", "--config", str(config)]
    command += ["--state-dir", str(state_dir)] if state_dir else []
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _, errors = await process.communicate()
    return Refusal(process.returncode, errors.decode().splitlines())


def listener(*options: int) -> socket.socket:
    taken = socket.socket()
    for option in options:
        taken.setsockopt(socket.SOL_SOCKET, option, 1)
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    return taken


def remember(project: Project) -> None:
    """Leave behind what a daemon leaves that had applied the config and was stopped."""
    with closing(State.open(project.folder / "state")) as state:
        ConfigHistory(state).record(project.text().encode())


def keys(state_dir: Path) -> list[tuple[str, ...]]:
    """Every key in the database."""
    with sqlite3.connect(state_dir / "state.db") as database:
        return database.execute("SELECT endpoint, primary_key, secondary_key, token_secret FROM credentials").fetchall()


@pytest.mark.parametrize("options", [(), (socket.SO_REUSEADDR, socket.SO_REUSEPORT)], ids=["other", "teal-like"])
async def test_a_scoring_port_in_use_is_refused(project: Project, options: tuple[int, ...]) -> None:
    """One sentence and exit code 1, even if the other one would share the port."""
    with listener(*options) as taken:
        port = taken.getsockname()[1]
        project.data["listen"] = f"127.0.0.1:{port}"
        refusal = await refused(project.save())
    sentence = "is another daemon running? Stop it, or change `listen` in the config"
    assert refusal == Refusal(1, [f"teal: cannot listen on 127.0.0.1:{port}: the port is in use; {sentence}"])


async def test_an_admin_port_in_use_is_refused(project: Project) -> None:
    """One sentence and exit code 1."""
    with listener() as taken:
        port = taken.getsockname()[1]
        project.data["admin"] = {"http": f"127.0.0.1:{port}"}
        refusal = await refused(project.save())
    sentence = "is in use by another program; stop it, or choose another address"
    assert refusal == Refusal(1, [f"teal: admin.http: 127.0.0.1:{port} {sentence}"])


async def test_a_second_daemon_on_the_same_state_directory_is_refused(serve, project: Project) -> None:
    """One sentence with the first one's pid, and exit code 1; the first one serves on."""
    teal = await serve(project.save())
    refusal = await refused(project.path, teal.state_dir)
    sentence = f"uses the state directory {teal.state_dir}; stop it, or choose another directory"
    assert refusal == Refusal(1, [f"teal: another teal (pid {teal.process.pid}) {sentence}"])
    assert (await ask(await teal.url())).text == '"blue"'


@pytest.mark.parametrize("below", ["", "deeper"], ids=["is-a-file", "below-a-file"])
async def test_a_state_directory_that_cannot_be_made_is_refused(project: Project, below: str) -> None:
    """One sentence that names the directory, and exit code 1."""
    occupied = project.folder / "occupied"
    occupied.write_text("")
    refusal = await refused(project.save(), occupied / below)
    assert refusal.code == 1
    assert len(refusal.errors) == 1
    assert refusal.errors[0].startswith(f"teal: cannot use the state directory {occupied / below}: ")


async def test_a_broken_file_at_the_first_start_is_refused_with_all_its_problems(project: Project) -> None:
    """Every problem with file and line, then that there is nothing else to serve; exit code 1."""
    project.endpoint["traffic"] = {"blue": 90}
    project.data["endpoints"]["other"] = {"auth_mod": "key"}
    project.save()
    lines = project.path.read_text().splitlines()
    traffic = lines.index("      blue: 90")
    other = lines.index("    auth_mod: key") + 1
    refusal = await refused(project.path)
    assert refusal.code == 1
    assert refusal.errors[0].startswith(f"{project.path}:{traffic}: ")
    assert "weights add up to 90, expected 0 or 100" in refusal.errors[0]
    assert refusal.errors[1].startswith(f"{project.path}:{other}: ")
    assert "auth_mod" in refusal.errors[1]
    assert refusal.errors[2:] == ["teal: nothing to serve: no config was ever applied that could take its place"]


async def test_a_missing_file_at_the_first_start_is_refused(project: Project) -> None:
    """Its path and what is wrong with it; exit code 1."""
    refusal = await refused(project.path)
    assert refusal.code == 1
    assert refusal.errors[0] == f"{project.path}: No such file or directory"
    assert not (project.folder / ".teal").exists()


async def test_a_broken_file_at_a_later_start_leaves_what_was_applied_last(serve, project: Project) -> None:
    """It serves, every problem is logged once and counted, and the repaired file is applied once it is saved."""
    remember(project)
    project.endpoint["traffic"] = {"blue": 90}
    teal = await serve(project.save())
    assert (await ask(await teal.url())).text == '"blue"'
    assert len(teal.events("config.refused")) == 1
    assert "weights add up to 90, expected 0 or 100" in teal.events("config.refused")[0]["problems"][0]
    assert len((await teal.status())["config_problems"]) == 1
    assert (await teal.metrics())['teal_config_reloads_total{outcome="refused"}'] == 1

    project.endpoint["traffic"] = {"blue": 100}
    project.endpoint["description"] = "repaired"
    await teal.apply(project.save)
    assert len(teal.events("config.refused")) == 1
    assert (await teal.status())["config_problems"] == []


async def test_a_missing_file_at_a_later_start_leaves_what_was_applied_last(serve, project: Project) -> None:
    """It serves, says what is missing, and follows the file once it is back."""
    remember(project)
    teal = await serve(project.path)
    assert (await ask(await teal.url())).text == '"blue"'
    assert len(teal.events("config.refused")) == 1
    await teal.after(project.save, '"config.repaired"')
    assert (await teal.status())["config_problems"] == []


@pytest.mark.parametrize("processes", [2, "auto"])
async def test_several_proxies_serve_one_port(serve, project: Project, processes: object) -> None:
    """Every one runs the current generation, and answers arrive from all connections."""
    project.data["proxy"] = {"processes": processes}
    teal = await serve(project.save())
    proxies = (await teal.status())["proxies"]
    assert len(proxies) >= (2 if processes == 2 else 1)
    assert {proxy["generation"] for proxy in proxies} == {(await teal.status())["generation"]}
    url = await teal.url()
    replies = await asyncio.gather(*(ask(url) for _ in range(20)))
    assert {reply.text for reply in replies} == {'"blue"'}


async def test_port_0_takes_a_free_port(serve, project: Project) -> None:
    """Also for the admin address; the log says which."""
    project.data["admin"] = {"http": "127.0.0.1:0"}
    teal = await serve(project.save())
    started = teal.events("daemon.started")[0]
    assert re.fullmatch(r"http://127\.0\.0\.1:[1-9]\d*", started["listening"][0])
    assert re.fullmatch(r"http://127\.0\.0\.1:[1-9]\d*", started["admin"])
    assert (await ask(await teal.url())).status == 200


async def test_the_first_line_says_how_it_serves(serve, project: Project) -> None:
    """Version, paths, addresses, and what holds: all that an operator asks first, and each proxy says the same."""
    project.data |= {"proxy": {"processes": 2}, "listen": ["127.0.0.1:0", "[::1]:0"]}
    project.data["limits"]["max_connections"] = 100
    teal = await serve(project.save())
    (started,) = teal.events("daemon.started")
    assert [re.sub(r"\d+$", "PORT", url) for url in started.pop("listening")] == [
        "http://127.0.0.1:PORT",
        "http://[::1]:PORT",
    ]
    del started["timestamp"]
    request_path = "compiled" if compiled.is_usable() else "interpreted"
    assert started == {
        "level": "info",
        "event": "daemon.started",
        "process": "control",
        "version": __version__,
        "pid": teal.process.pid,
        "config": str(project.path),
        "state_dir": str(teal.state_dir),
        "sockets_from": "config",
        "tls": False,
        "admin": None,
        "admin_socket": str(teal.state_dir / "run" / "admin.sock"),
        "proxies": 2,
        "request_path": request_path,
        "loop": "uvloop",
        "max_connections": 100,
        "max_connections_per_address": 10_000,
        "max_files": resource.getrlimit(resource.RLIMIT_NOFILE)[1],
    }
    for name in ("proxy-0", "proxy-1"):
        await teal.said(rf'"proxy\.serving".*"{name}"')  # it has the table, as the daemon knows, and opens its door
    told = [(each["process"], each["request_path"], each["max_connections"]) for each in teal.events("proxy.serving")]
    assert sorted(told) == [("proxy-0", request_path, 100), ("proxy-1", request_path, 100)]
    await teal.counted("teal_max_connections", 100)  # both have reported
    assert [proxy["request_path"] for proxy in (await teal.status())["proxies"]] == [request_path, request_path]


async def test_a_stop_is_told_step_by_step(serve, project: Project) -> None:
    """Every process says when it begins to drain, and when it is done; the daemon has the last word."""
    teal = await serve(project.save())
    assert await teal.stop() == 0
    events = [(line["process"], line["event"]) for line in map(json.loads, teal.lines) if "process" in line]
    told = {"daemon.draining", "proxy.draining", "proxy.stopped", "daemon.stopped"}
    drained = [event for event in events if event[1] in told]
    assert drained == [
        ("control", "daemon.draining"),
        ("proxy-0", "proxy.draining"),
        ("proxy-0", "proxy.stopped"),
        ("control", "daemon.stopped"),
    ]


async def test_keys_are_private_and_outlive_the_daemon(serve, project: Project) -> None:
    """Their files are the owner's only, and a restart finds the same keys."""
    project.endpoint["auth_mode"] = "key"
    teal = await serve(project.save())
    modes = {path.name: path.stat().st_mode & 0o777 for path in teal.state_dir.glob("state.db*")}
    assert modes == {"state.db": 0o600, "state.db-wal": 0o600, "state.db-shm": 0o600}
    before = keys(teal.state_dir)
    assert (await ask(await teal.url(), key=before[0][1])).status == 200
    assert (await ask(await teal.url(), key="wrong")).status == 401
    assert await teal.stop() == 0

    teal = await serve(project.path)
    assert keys(teal.state_dir) == before
    assert (await ask(await teal.url(), key=before[0][2])).status == 200


async def test_a_daemon_that_is_stopped_while_it_starts_ends_well(project: Project) -> None:
    """SIGTERM while init() still runs: exit code 0, and no long wait."""
    project.deployments["blue"] = project.worker("blue", "import time\ndef init(): time.sleep(60)\ndef run(data): ...")
    async with running(project.save(), project.folder / "state") as teal:
        await teal.said('"worker.started"')
        assert await teal.stop() == 0
        assert json.loads(teal.lines[-1])["event"] == "daemon.stopped"

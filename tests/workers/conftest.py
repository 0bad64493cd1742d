"""Real workers: a child process per script text, its notifications, and an HTTP client on its socket."""

import asyncio
import contextlib
import io
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from multidict import CIMultiDictProxy

DEADLINE_S = 60.0
PACKAGE = Path(__file__).parents[2] / "workers"

# A full environment with its fast lane, and one that has nothing but aiohttp.
ENVIRONMENTS = ((), ("httptools", "orjson", "uvloop"))

# A run() that calls gate.wait() says that it is there, and stays until the test opens the gate.
GATE_MODULE = """
import os
def wait():
    open(os.path.join(os.environ["GATE"], "entered"), "w").close()
    open(os.path.join(os.environ["GATE"], "leave")).close()
"""


@dataclass(frozen=True)
class Reply:
    """One whole answer."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes


class Gate:
    """Two FIFOs on which a run() in a worker and its test meet."""

    def __init__(self, place: Path) -> None:
        self.place = place
        os.mkfifo(place / "entered")
        os.mkfifo(place / "leave")

    async def entered(self) -> None:
        """Return once a run() is at the gate."""
        await asyncio.to_thread((self.place / "entered").read_text)

    async def open(self) -> None:
        """Let the run() at the gate go on."""
        await asyncio.to_thread((self.place / "leave").write_text, "")


@dataclass
class Worker:
    """A worker process that was told to start; `ready` or `ended` says how that went."""

    process: subprocess.Popen[bytes]
    socket_path: Path
    code_dir: Path
    log_dir: Path
    gate: Gate
    notify: socket.socket
    listener: socket.socket  # kept open, as a supervisor does
    heard: list[str] = field(default_factory=list)

    def hear(self, line: str) -> "Worker":
        """Return once the worker notified exactly `line`."""
        self.notify.settimeout(DEADLINE_S)
        while line not in self.heard:
            self.heard += self.notify.recv(65536).decode().split("\n")
        return self

    def ended(self) -> int:
        """Return the exit status; negative for a signal."""
        return self.process.wait(DEADLINE_S)

    def terminate(self) -> None:
        """Send SIGTERM and return once the worker drains."""
        self.process.send_signal(signal.SIGTERM)
        self.hear("STOPPING=1")

    def statuses(self) -> list[str]:
        """Return every STATUS that is there, the oldest first."""
        self.notify.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                self.heard += self.notify.recv(65536).decode().split("\n")
        return [line.removeprefix("STATUS=") for line in self.heard if line.startswith("STATUS=")]

    def client(self) -> aiohttp.ClientSession:
        """Return a client of this worker; the caller closes it."""
        return aiohttp.ClientSession("http://worker", connector=aiohttp.UnixConnector(str(self.socket_path)))

    async def request(self, method: str, target: str, **options: object) -> Reply:
        """Send one request on a connection of its own and return the whole answer."""
        async with self.client() as client, client.request(method, target, **options) as response:
            return Reply(response.status, response.headers, await response.read())

    async def score(self, body: str | bytes | io.BytesIO = b"", **headers: str) -> Reply:
        """POST a body to /score; underscores in header names stand for dashes."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.request("POST", "/score", data=body, headers=named)

    @property
    def stdout(self) -> str:
        """What the worker printed so far."""
        return (self.log_dir / "stdout").read_text()

    @property
    def stderr(self) -> str:
        """What the worker logged so far."""
        return (self.log_dir / "stderr").read_text()


class Launcher:
    """Starts workers for one test and ends them with it."""

    def __init__(self, place: Path, missing: tuple[str, ...] = ()) -> None:
        self._place = place
        self._missing = missing  # packages that the workers' environment lacks
        self._workers: list[Worker] = []

    def launch(
        self, script: str, *arguments: str, files: dict[str, str] | None = None, env: dict[str, str] | None = None
    ) -> Worker:
        """Start a worker on a script text with further arguments; return at once."""
        place = self._place / f"worker-{len(self._workers)}"
        code_dir = place / "code"
        code_dir.mkdir(parents=True)
        (place / "path").mkdir()
        (place / "path" / "workers").symlink_to(PACKAGE)
        for name in self._missing:
            (place / "path" / f"{name}.py").write_text("raise ImportError")
        for name, text in {"score.py": script, "gate.py": GATE_MODULE, **(files or {})}.items():
            (code_dir / name).write_text(textwrap.dedent(text))
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify.bind(str(place / "notify"))
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(place / "http"))
        listener.listen()
        worker = Worker(
            process=_spawn(place, listener, arguments, env or {}),
            socket_path=place / "http",
            code_dir=code_dir,
            log_dir=place,
            gate=Gate(place),
            notify=notify,
            listener=listener,
        )
        self._workers.append(worker)
        return worker

    def close(self) -> None:
        """End what is still there."""
        for worker in self._workers:
            worker.process.kill()
            worker.process.wait()
            worker.notify.close()
            worker.listener.close()


def _spawn(
    place: Path, listener: socket.socket, arguments: tuple[str, ...], env: dict[str, str]
) -> subprocess.Popen[bytes]:
    command = (
        *(sys.executable, "-m", "workers", "--script", "score.py", "--code-dir", str(place / "code")),
        *("--fd", str(listener.fileno())),
    )
    own = {"PYTHONPATH": str(place / "path"), "NOTIFY_SOCKET": str(place / "notify"), "GATE": str(place)}
    with (place / "stdout").open("wb") as stdout, (place / "stderr").open("wb") as stderr:
        return subprocess.Popen(
            (*command, *arguments),
            env={**os.environ, **own, **env},
            cwd=place / "code",
            pass_fds=[listener.fileno()],
            stdout=stdout,
            stderr=stderr,
        )


@pytest.fixture
def launcher(tmp_path: Path) -> Iterator[Launcher]:
    """Start workers that may fail to start."""
    launcher = Launcher(tmp_path)
    yield launcher
    launcher.close()


@pytest.fixture
def start(launcher: Launcher) -> Callable[..., Worker]:
    """Start a worker and return once it is ready."""
    return lambda script, *arguments, **options: launcher.launch(script, *arguments, **options).hear("READY=1")


@pytest.fixture(params=ENVIRONMENTS, ids=["fast", "bare"])
def start_each(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., Worker]]:
    """Start a worker in a full environment, and in one that has nothing but aiohttp."""
    launcher = Launcher(tmp_path, request.param)
    yield lambda script, *arguments, **options: launcher.launch(script, *arguments, **options).hear("READY=1")
    launcher.close()


@pytest.fixture(scope="module")
def start_shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Worker]]:
    """Start a worker that all tests of a module share, because none of them changes it."""
    launcher = Launcher(tmp_path_factory.mktemp("shared"))
    yield lambda script, *arguments: launcher.launch(script, *arguments).hear("READY=1")
    launcher.close()


@pytest.fixture(scope="module", params=ENVIRONMENTS, ids=["fast", "bare"])
def start_shared_each(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Worker]]:
    """Start a worker for all tests of a module in each environment."""
    launcher = Launcher(tmp_path_factory.mktemp("shared"), request.param)
    yield lambda script, *arguments: launcher.launch(script, *arguments).hear("READY=1")
    launcher.close()

"""Python environments of deployments: each distinct recipe is built once by uv, then shared.

Rules:
    - An environment is a folder named after all that it is made from. It is built under another name and renamed when
      complete, so what bears the final name is whole; what a crash left is swept by the next build.
    - Whoever builds holds a file lock, in this process or another. The others wait and find the work done.
    - A finished environment whose interpreter has gone (a system upgrade) is built again.
    - The worker's own needs are resolved together with the user's, so the two cannot contradict each other unseen.
    - Content of local packages (`./wheels/x.whl`, `-e ./src`) is not looked at: a change there rebuilds nothing.
"""

import asyncio
import contextlib
import fcntl
import os
import re
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from router.control.conda import OLDEST_PYTHON
from router.control.recipe import Recipe, RecipeError, read_conda_recipe, read_requirements_recipe
from router.control.threads import Threads
from router.control.uv_process import UvFailed, installed_pythons, python_search_path, run_uv
from router.control.worker_package import publish_worker_package

WORKER_NEEDS = ("aiohttp>=3.9", "httptools", "uvloop", "orjson")

_MOST_THREADS = 500
_LOCK_POLL_S = 0.05
_PROBE_TIMEOUT_S = 60.0
_PROBE = "import sys; print('%d.%d' % sys.version_info[:2]); sys.stdout.flush(); import aiohttp"

Report = Callable[[str], None]


class EnvironmentFailed(Exception):
    """A deployment's environment cannot be had; the message says what of it and why.

    Attributes:
        detail: The last lines of uv's output, or `""`.
    """

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentSpec:
    """What a deployment runs in: at most one of the three; none of them means teal's own interpreter."""

    conda_file: Path | None = None
    requirements: Path | None = None
    python: Path | None = None

    def __post_init__(self) -> None:
        if sum(path is not None for path in (self.conda_file, self.requirements, self.python)) > 1:
            raise ValueError("an environment is one of conda_file, requirements and python")


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """What starts a worker: `python` with `python_path` as its `PYTHONPATH`, then `-m workers`."""

    python: Path
    python_path: Path


class Environments:
    """The environments below `root`, and the copies of `workers` below `runtime_root`."""

    def __init__(self, root: Path, runtime_root: Path) -> None:
        self._root = root.absolute()
        self._runtime_root = runtime_root.absolute()
        self._threads = Threads("environment", limit=_MOST_THREADS, busy=f"{_MOST_THREADS} builds hang in their disk")

    async def prepare(self, spec: EnvironmentSpec, report: Report) -> Interpreter:
        """The interpreter of an environment, which is built first if it is not there.

        May be cancelled at any time: uv is killed and nothing half-built stays.

        Args:
            report: Gets each line of progress.

        Raises:
            EnvironmentFailed: It cannot be built, or the given interpreter cannot run a worker.
            Unavailable: Too many that were begun before hang in their disk.
        """
        python = await self._python(spec, report)
        python_path = await self._threads.run(publish_worker_package, self._runtime_root)
        return Interpreter(python=python, python_path=python_path)

    async def _python(self, spec: EnvironmentSpec, report: Report) -> Path:
        if spec.python is not None:
            await self._threads.run(_touch, spec.python)
            return await _checked(spec.python.absolute())
        recipe = await self._threads.run(_recipe, spec)
        if recipe is None:
            return Path(sys.executable)
        for note in recipe.notes:
            report(note)
        return await self._built(recipe, report)

    async def _built(self, recipe: Recipe, report: Report) -> Path:
        home = self._root / recipe.digest
        python = home / "bin" / "python"
        await self._threads.run(_touch, python)
        if await interpreter_problem(python) is None:
            return python
        async with self._lock(recipe, report):
            if await interpreter_problem(python) is not None:
                await self._build(recipe, home, report)
        return python

    @asynccontextmanager
    async def _lock(self, recipe: Recipe, report: Report) -> AsyncIterator[None]:
        """Be the only one, in any process, to build this recipe."""
        with await self._threads.run(_open_lock, self._root / f".{recipe.digest}.lock") as lock:
            waiting = False
            while not await self._threads.run(_take, lock):
                if not waiting:
                    report("waiting for the same environment, which is being built")
                waiting = True
                await asyncio.sleep(_LOCK_POLL_S)
            yield

    async def _build(self, recipe: Recipe, home: Path, report: Report) -> None:
        building = await self._threads.run(_fresh_folder, home)
        try:
            await _create(recipe, building, report)
            await _install(recipe, building, report)
            await self._threads.run(_replace, home, building)
        finally:
            await self._threads.run(shutil.rmtree, building, ignore_errors=True)


async def interpreter_problem(python: Path) -> str | None:
    """Why a worker cannot run on this interpreter; None if it can."""
    try:
        process = await asyncio.create_subprocess_exec(
            *(python, "-E", "-c", _PROBE),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        return f"{python} cannot be run: {error.strerror}"
    try:
        async with asyncio.timeout(_PROBE_TIMEOUT_S):
            said, complained = await process.communicate()
    except TimeoutError:
        return f"{python} did not answer within {_PROBE_TIMEOUT_S:.0f} s"
    finally:
        if process.returncode is None:
            # A wrapper's child too: it would hold our pipes open, and outlive the wrapper.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    return _judge(python, said.decode(errors="replace"), complained.decode(errors="replace"), process.returncode == 0)


def _judge(python: Path, said: str, complained: str, has_aiohttp: bool) -> str | None:
    version = re.match(r"(\d+)\.(\d+)$", said.strip())
    if version is None:
        last_line = complained.strip().rpartition("\n")[2] or "it printed no version"
        return f"{python} is not a Python interpreter: {last_line}"
    if (int(version[1]), int(version[2])) < OLDEST_PYTHON:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        return f"{python} is Python {version[0]}, and teal's worker needs {oldest} or later"
    if not has_aiohttp:
        command = shlex.join([str(python), "-m", "pip", "install", *WORKER_NEEDS])
        return f"{python} cannot import aiohttp, which teal's worker needs; install it with: {command}"
    return None


async def _checked(python: Path) -> Path:
    problem = await interpreter_problem(python)
    if problem is not None:
        raise EnvironmentFailed(problem)
    return python


def _touch(python: Path) -> None:
    """Read a little of it: where its disk hangs, a thread does here, and not the event loop when it starts it."""
    with contextlib.suppress(OSError), python.open("rb") as file:
        file.read(4096)


def _recipe(spec: EnvironmentSpec) -> Recipe | None:
    try:
        if spec.conda_file is not None:
            return read_conda_recipe(spec.conda_file.absolute(), WORKER_NEEDS)
        if spec.requirements is not None:
            return read_requirements_recipe(spec.requirements.absolute(), WORKER_NEEDS)
    except RecipeError as error:
        raise EnvironmentFailed(str(error)) from error
    return None


async def _create(recipe: Recipe, folder: Path, report: Report) -> None:
    arguments = ["venv", "--relocatable", "--allow-existing", "--python", recipe.interpreter, str(folder)]
    environ = {"PATH": python_search_path()}
    try:
        await run_uv(arguments, cwd=recipe.source.parent, report=report, environ=environ)
    except UvFailed as error:
        if recipe.python is None:
            raise EnvironmentFailed(f"{recipe.source}: {error.reason}", error.detail) from error
        here = ", ".join(await installed_pythons()) or "none"
        message = f"{recipe.source} asks for Python {recipe.python}, which cannot be had ({error.reason}); here: {here}"
        raise EnvironmentFailed(message, error.detail) from error


async def _install(recipe: Recipe, folder: Path, report: Report) -> None:
    arguments = ["pip", "install", "--python", str(folder / "bin" / "python"), *recipe.files, "-r", "-", *WORKER_NEEDS]
    try:
        await run_uv(arguments, cwd=recipe.source.parent, report=report, stdin="\n".join(recipe.lines) + "\n")
    except UvFailed as error:
        reason = error.reason
        if any(need in reason for need in WORKER_NEEDS if need != _bare(need)):
            reason += f"; teal's worker, which runs in this environment, needs {', '.join(WORKER_NEEDS)}"
        raise EnvironmentFailed(f"{recipe.source} cannot be installed: {reason}", error.detail) from error


def _bare(requirement: str) -> str:
    """The name alone, which also stands in complaints that have nothing to do with the worker."""
    return re.split(r"[<>=!~]", requirement)[0]


def _open_lock(path: Path) -> IO[bytes]:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("wb")


def _take(lock: IO[bytes]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _fresh_folder(home: Path) -> Path:
    """An empty folder beside `home`, after sweeping those that earlier builds of it left."""
    prefix = f".{home.name}.building-"
    for left in home.parent.glob(f"{prefix}*"):
        shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=prefix, dir=home.parent))


def _replace(home: Path, building: Path) -> None:
    if home.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{home.name}.building-", dir=home.parent))
        home.replace(old)
        shutil.rmtree(old, ignore_errors=True)
    building.replace(home)

"""Environments, built by the real uv from the package index."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import uv

from router.control.environments import (
    WORKER_NEEDS,
    EnvironmentFailed,
    Environments,
    EnvironmentSpec,
    Interpreter,
    interpreter_problem,
)
from router.control.recipe import read_requirements_recipe
from router.control.uv_process import installed_pythons

OWN = f"{sys.version_info[0]}.{sys.version_info[1]}"
CREATED = "Creating virtual environment"


@pytest.fixture(scope="session")
def uv_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("uv-cache")


@pytest.fixture(autouse=True)
def uv_settings(uv_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One cache for all builds, and no interpreter from the network."""
    monkeypatch.setenv("UV_CACHE_DIR", str(uv_cache))
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "environments"


@pytest.fixture
def environments(root: Path, tmp_path: Path) -> Environments:
    return Environments(root, tmp_path / "runtime")


@pytest.fixture
def requirements(tmp_path: Path) -> Path:
    return requirements_file(tmp_path / "requirements.txt", "six==1.17.0\n")


@pytest.fixture
def lines() -> list[str]:
    return []


def requirements_file(file: Path, text: str) -> Path:
    file.write_text(text)
    return file


def conda_file(folder: Path, text: str) -> EnvironmentSpec:
    file = folder / "conda.yaml"
    file.write_text(text)
    return EnvironmentSpec(conda_file=file)


def said_by(interpreter: Interpreter, code: str) -> str:
    return output_of(interpreter.python, "-c", code, PYTHONPATH=str(interpreter.python_path))


def output_of(program: Path, *arguments: str, **environ: str) -> str:
    command = [str(program), *arguments]
    done = subprocess.run(command, env=environ, cwd="/", capture_output=True, text=True, check=True)
    return done.stdout.strip()


def kept(root: Path) -> list[str]:
    return sorted(entry.name for entry in root.iterdir() if entry.is_dir())


async def test_default_is_teals_own_interpreter(environments: Environments, lines: list[str]) -> None:
    """A deployment that names no environment runs on the interpreter that runs teal."""
    interpreter = await environments.prepare(EnvironmentSpec(), lines.append)
    assert interpreter.python == Path(sys.executable)
    assert [entry.name for entry in interpreter.python_path.iterdir()] == ["workers"]
    assert lines == []


async def test_conda_file_is_built(environments: Environments, tmp_path: Path, lines: list[str]) -> None:
    """An Azure-style file gives an interpreter with its packages, the included ones, and the worker's needs."""
    (tmp_path / "more.txt").write_text("idna\n")
    text = f"dependencies: [python={OWN}, pip, libgcc-ng, 'six=1.17', {{pip: [toolz, '-r more.txt']}}]"
    interpreter = await environments.prepare(conda_file(tmp_path, text), lines.append)
    imports = "import aiohttp, idna, orjson, pip, six, toolz, uvloop, workers"
    assert said_by(interpreter, f"{imports}; print(six.__version__)") == "1.17.0"
    assert lines[0] == "left out libgcc-ng: not a Python package, wheels bring what they need of it"
    assert any(line.startswith("Installed ") for line in lines)


async def test_requirements_file_is_built(environments: Environments, requirements: Path, lines: list[str]) -> None:
    """A requirements file gives an interpreter with its packages, the worker's needs, and nothing of the router."""
    interpreter = await environments.prepare(EnvironmentSpec(requirements=requirements), lines.append)
    code = "import importlib.util, aiohttp, six, workers; print(six.__version__, importlib.util.find_spec('router'))"
    assert said_by(interpreter, code) == "1.17.0 None"


async def test_scripts_of_an_environment_run(environments: Environments, tmp_path: Path, lines: list[str]) -> None:
    """Installed commands work at the final place, although they were built elsewhere."""
    interpreter = await environments.prepare(conda_file(tmp_path, "dependencies: [pip]"), lines.append)
    assert str(interpreter.python.parent.parent) in output_of(interpreter.python.with_name("pip"), "--version")


async def test_finished_environment_is_used_again(
    environments: Environments, requirements: Path, root: Path, lines: list[str]
) -> None:
    """The same content is built once, whatever the file is called."""
    first = await environments.prepare(EnvironmentSpec(requirements=requirements), lines.append)
    lines.clear()
    renamed = requirements_file(requirements.with_name("other.txt"), "six==1.17.0\n")
    assert await environments.prepare(EnvironmentSpec(requirements=renamed), lines.append) == first
    assert lines == []
    assert len(kept(root)) == 1


async def test_concurrent_builds_of_the_same_are_one(root: Path, tmp_path: Path, requirements: Path) -> None:
    """Of two that want the same environment at once, one builds and the other waits."""
    lines: list[str] = []
    spec = EnvironmentSpec(requirements=requirements)
    both = [Environments(root, tmp_path / "runtime") for _ in range(2)]
    first, second = await asyncio.gather(*(each.prepare(spec, lines.append) for each in both))
    assert first == second
    assert len([line for line in lines if line.startswith(CREATED)]) == 1
    assert lines.count("waiting for the same environment, which is being built") == 1


async def test_half_built_environment_is_swept(
    environments: Environments, root: Path, requirements: Path, lines: list[str]
) -> None:
    """What a crash left of an earlier build is removed by the next, and is never used."""
    digest = read_requirements_recipe(requirements, WORKER_NEEDS).digest
    (root / f".{digest}.building-left" / "bin").mkdir(parents=True)
    await environments.prepare(EnvironmentSpec(requirements=requirements), lines.append)
    assert kept(root) == [digest]


async def test_environment_whose_interpreter_has_gone_is_built_again(
    environments: Environments, root: Path, requirements: Path, lines: list[str]
) -> None:
    """After an upgrade of the system's Python an environment's links dangle; it is built anew."""
    spec = EnvironmentSpec(requirements=requirements)
    interpreter = await environments.prepare(spec, lines.append)
    interpreter.python.unlink()
    interpreter.python.symlink_to("/nonexistent/python")
    assert await environments.prepare(spec, lines.append) == interpreter
    assert said_by(interpreter, "import six; print(six.__version__)") == "1.17.0"
    assert len(kept(root)) == 1


async def test_unknown_package_is_named(environments: Environments, tmp_path: Path, root: Path) -> None:
    """A package that the index does not have is named, uv's words are at hand, and nothing stays behind."""
    spec = conda_file(tmp_path, "dependencies: [six, teal-test-no-such-package]")
    with pytest.raises(EnvironmentFailed) as failed:
        await environments.prepare(spec, print)
    assert str(failed.value) == (
        f"{tmp_path}/conda.yaml cannot be installed: teal-test-no-such-package was not found in the package registry "
        "and you require teal-test-no-such-package"
    )
    assert "No solution found" in failed.value.detail
    assert kept(root) == []


async def test_reason_is_whole_whatever_the_width_of_the_terminal(
    environments: Environments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shell may have told how wide it is, and uv breaks its lines there."""
    monkeypatch.setenv("COLUMNS", "40")
    with pytest.raises(EnvironmentFailed, match=r"registry and you require teal-test-no-such-package$"):
        await environments.prepare(conda_file(tmp_path, "dependencies: [teal-test-no-such-package]"), print)


async def test_unknown_version_is_named(environments: Environments, tmp_path: Path) -> None:
    """A version that the index does not have is named."""
    requirements = requirements_file(tmp_path / "requirements.txt", "six==99\n")
    with pytest.raises(EnvironmentFailed, match="no version of six==99"):
        await environments.prepare(EnvironmentSpec(requirements=requirements), print)


async def test_contradiction_with_the_workers_needs_is_said(environments: Environments, tmp_path: Path) -> None:
    """A pin that the worker cannot live with is explained by what the worker needs."""
    requirements = requirements_file(tmp_path / "requirements.txt", "aiohttp==3.6.3\n")
    with pytest.raises(EnvironmentFailed) as failed:
        await environments.prepare(EnvironmentSpec(requirements=requirements), print)
    assert "aiohttp==3.6.3" in str(failed.value)
    assert "teal's worker, which runs in this environment, needs aiohttp>=3.9, httptools, uvloop, orjson" in str(
        failed.value
    )


async def test_failure_to_read_a_file_is_an_environment_failure(environments: Environments, tmp_path: Path) -> None:
    """A file that is not there fails the environment, by name."""
    with pytest.raises(EnvironmentFailed, match=r"gone\.yaml cannot be read: No such file or directory"):
        await environments.prepare(EnvironmentSpec(conda_file=tmp_path / "gone.yaml"), print)


async def test_asked_for_python_is_honoured(environments: Environments, tmp_path: Path) -> None:
    """`python=3.12` gives that interpreter, where the machine has it."""
    if not any(version.startswith("3.12.") for version in await installed_pythons()):
        pytest.skip("no Python 3.12 on this machine")
    interpreter = await environments.prepare(conda_file(tmp_path, "dependencies: [python=3.12, six]"), print)
    assert said_by(interpreter, "import six, sys; print('%d.%d' % sys.version_info[:2])") == "3.12"


async def test_missing_python_is_named_with_those_that_are_there(environments: Environments, tmp_path: Path) -> None:
    """A version that cannot be had is named, and so are the ones on the machine."""
    with pytest.raises(EnvironmentFailed) as failed:
        await environments.prepare(conda_file(tmp_path, "dependencies: [python=3.47]"), print)
    message = str(failed.value)
    assert message.startswith(f"{tmp_path}/conda.yaml asks for Python 3.47, which cannot be had")
    assert "No interpreter found for Python 3.47" in message
    assert f" {OWN}." in message.rpartition("; here:")[2]


async def test_given_interpreter_is_used_as_it_is(environments: Environments, tmp_path: Path) -> None:
    """`python: PATH` is taken without resolving its links, as a virtual environment needs."""
    link = tmp_path / "bin" / "python"
    link.parent.mkdir()
    link.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    link.chmod(0o755)
    assert (await environments.prepare(EnvironmentSpec(python=link), print)).python == link


async def test_given_interpreter_without_aiohttp_gets_the_remedy(environments: Environments, tmp_path: Path) -> None:
    """The error is a command away from a working deployment."""
    output_of(Path(uv.find_uv_bin()), "venv", "-q", "--python", sys.executable, str(tmp_path / "bare"))
    python = tmp_path / "bare" / "bin" / "python"
    with pytest.raises(EnvironmentFailed) as failed:
        await environments.prepare(EnvironmentSpec(python=python), print)
    assert str(failed.value) == (
        f"{python} cannot import aiohttp, which teal's worker needs; "
        f"install it with: {python} -m pip install 'aiohttp>=3.9' httptools uvloop orjson"
    )


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("#!/bin/sh\necho 3.8\n", "is Python 3.8, and teal's worker needs 3.9 or later"),
        ("#!/bin/sh\necho no such option >&2; exit 1\n", "is not a Python interpreter: no such option"),
    ],
)
async def test_given_program_that_is_no_use_is_refused(
    environments: Environments, tmp_path: Path, script: str, problem: str
) -> None:
    """What cannot run a worker is refused with the reason, before a worker is started."""
    program = tmp_path / "python"
    program.write_text(script)
    program.chmod(0o755)
    with pytest.raises(EnvironmentFailed, match=problem):
        await environments.prepare(EnvironmentSpec(python=program), print)


async def test_given_file_that_is_not_executable_is_refused(environments: Environments, requirements: Path) -> None:
    """A file that the system will not run is refused by name."""
    with pytest.raises(EnvironmentFailed, match=r"requirements\.txt cannot be run: Permission denied"):
        await environments.prepare(EnvironmentSpec(python=requirements), print)


async def test_given_interpreter_that_is_not_there_is_refused(environments: Environments, tmp_path: Path) -> None:
    """A path to nothing is refused by name."""
    with pytest.raises(EnvironmentFailed, match="gone cannot be run: No such file or directory"):
        await environments.prepare(EnvironmentSpec(python=tmp_path / "gone"), print)


def test_environment_is_one_of_three() -> None:
    """A file and an interpreter together have no meaning."""
    with pytest.raises(ValueError, match="one of conda_file, requirements and python"):
        EnvironmentSpec(conda_file=Path("conda.yaml"), python=Path("python"))


@pytest.fixture
def endless_package(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A local package whose build never ends, and a pipe that is open as long as the build lives."""
    folder = tmp_path / "endless"
    folder.mkdir()
    os.mkfifo(folder / "pipe")
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "endless"\nversion = "1"\n'
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    (folder / "backend.py").write_text(
        f"import signal\npipe = open({str(folder / 'pipe')!r}, 'w')\n"
        "pipe.write('building')\npipe.flush()\nsignal.pause()\n"
    )
    requirements = tmp_path / "endless.txt"
    requirements.write_text("./endless\n")
    reader = os.open(folder / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    yield requirements, reader
    os.close(reader)


async def read_from_pipe(descriptor: int) -> bytes:
    arrived: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().add_reader(descriptor, lambda: arrived.set_result(os.read(descriptor, 100)))
    try:
        return await arrived
    finally:
        asyncio.get_running_loop().remove_reader(descriptor)


async def test_cancelling_ends_uv_and_what_it_started(
    environments: Environments, root: Path, endless_package: tuple[Path, int]
) -> None:
    """A cancelled build leaves neither processes nor folders."""
    requirements, pipe = endless_package
    build = asyncio.create_task(
        environments.prepare(EnvironmentSpec(requirements=requirements), print), name="endless build"
    )
    assert await read_from_pipe(pipe) == b"building"
    build.cancel()
    with pytest.raises(asyncio.CancelledError):
        await build
    assert await read_from_pipe(pipe) == b""
    assert kept(root) == []


def is_dead(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def test_a_wrapper_that_hangs_is_given_up_with_its_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that holds the pipes of a killed wrapper delays nothing, and does not outlive it."""
    monkeypatch.setattr("router.control.environments._PROBE_TIMEOUT_S", 0.5)
    wrapper = tmp_path / "python"
    wrapper.write_text(f"#!/bin/sh\nsleep 600 &\necho $! > {tmp_path}/child\nwait\n")
    wrapper.chmod(0o755)
    assert "did not answer within" in str(await interpreter_problem(wrapper))
    child = int((tmp_path / "child").read_text())
    while not is_dead(child):  # noqa: ASYNC110 - a signal is sent before it is felt; the test's own timeout is the limit
        await asyncio.sleep(0.01)

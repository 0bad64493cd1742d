"""Copies of files and folders on their way to the daemon."""

import asyncio
import io
import os
import signal
import subprocess
import sys
import tarfile
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from router.cli.client import find_daemon
from router.cli.notes import Notes, Transfer
from router.cli.uploads import upload
from router.control.assets.content import Content, ContentError
from tests.cli.fake_daemon import FakeDaemon


@pytest.fixture
def notes() -> Notes:
    return Notes(SimpleNamespace(cli_ctx=SimpleNamespace(only_show_errors=False)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with something to copy, and something not to."""
    folder = tmp_path / "code"
    (folder / "__pycache__").mkdir(parents=True)
    (folder / "__pycache__" / "score.pyc").write_bytes(b"x")
    (folder / "score.py").write_text("def init(): ...\n")
    (folder / "big.bin").write_bytes(os.urandom(3 * 2**20))
    return folder


async def sent(daemon: FakeDaemon, notes: Notes, path: Path) -> str:
    return await asyncio.to_thread(upload, find_daemon(str(daemon.state_dir)), notes, "model.path", path)


async def test_folder_goes_as_a_tar(daemon: FakeDaemon, notes: Notes, folder: Path) -> None:
    """Under its own name, without what Python leaves behind, and whole."""
    digest = await sent(daemon, notes, folder)
    assert digest == Content.of(folder).digest
    with tarfile.open(fileobj=io.BytesIO(daemon.contents[digest])) as tar:
        assert sorted(tar.getnames()) == ["code", "code/big.bin", "code/score.py"]
        big = tar.extractfile("code/big.bin")
        assert big is not None
        assert big.read() == (folder / "big.bin").read_bytes()


async def test_what_the_daemon_has_is_not_sent(daemon: FakeDaemon, notes: Notes, folder: Path) -> None:
    """It is asked first."""
    digest = Content.of(folder).digest
    daemon.contents[digest] = b"as it was"
    assert await sent(daemon, notes, folder) == digest
    assert daemon.contents == {digest: b"as it was"}


async def test_missing_path_is_no_content(daemon: FakeDaemon, notes: Notes, tmp_path: Path) -> None:
    """The caller says where the path stands."""
    with pytest.raises(ContentError, match="nope: No such file or directory"):
        await sent(daemon, notes, tmp_path / "nope")


def create(model: Path) -> list[str]:
    """A command that copies a model."""
    command = "online-deployment create -n blue -e churn --set"
    return [sys.executable, "-m", "router.cli.main", *command.split(), f"model.path={model}"]


def interrupt_once_open(command: list[str], environment: dict[str, str], path: Path) -> tuple[int, str]:
    """Press Ctrl-C as soon as a command has a file open; its exit code and standard error."""
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            while process.poll() is None and not has_open(process.pid, path):
                pass
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=30)
        finally:
            process.kill()
    return process.returncode, err


def has_open(pid: int, path: Path) -> bool:
    with suppress(OSError):  # it may be about to open or close one
        return path in [descriptor.readlink() for descriptor in Path(f"/proc/{pid}/fd").iterdir()]
    return False


async def test_interrupt_of_an_upload_is_said(daemon: FakeDaemon, environment: dict[str, str], folder: Path) -> None:
    """Ctrl-C: what was not done, and exit code 130."""
    content = f"/v1/content/{Content.of(folder).digest}"
    daemon.answer("PUT", content, None)
    daemon.keep_waiting(content)
    process = await asyncio.create_subprocess_exec(
        *create(folder), env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    await daemon.is_kept_waiting.wait()
    process.send_signal(signal.SIGINT)
    out, err = await process.communicate()
    expected = f"interrupted before {folder} was copied to the daemon; nothing was changed\n"
    assert (process.returncode, out, err.decode()) == (130, b"", expected)
    assert [asked.method for asked in daemon.asked] == ["HEAD", "PUT"]


async def test_interrupt_while_it_is_read_is_said(
    daemon: FakeDaemon, environment: dict[str, str], tmp_path: Path
) -> None:
    """A large model is read once before anything is sent."""
    model = tmp_path / "model.bin"
    with model.open("wb") as file:
        file.truncate(2**42)
    code, err = await asyncio.to_thread(interrupt_once_open, create(model), environment, model)
    expected = f"interrupted before {model} was copied to the daemon; nothing was changed\n"
    assert (code, err, daemon.asked) == (130, expected, [])


def test_small_transfer_is_not_told(notes: Notes, capsys: pytest.CaptureFixture[str]) -> None:
    """It is over before anybody could read it."""
    transfer = Transfer(notes, "model.pkl", 1000)
    transfer.add(1000)
    transfer.end()
    assert capsys.readouterr().err == ""


def test_large_transfer_is_told_twice(notes: Notes, capsys: pytest.CaptureFixture[str]) -> None:
    """In a log, that it has begun and that it is done."""
    transfer = Transfer(notes, "model.pkl", 50_000_000)
    for _ in range(10):
        transfer.add(5_000_000)
    transfer.end()
    assert capsys.readouterr().err == "uploading model.pkl: 50 MB\nuploading model.pkl: done\n"


def test_transfer_that_is_broken_off_leaves_its_line(
    notes: Notes, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal, the reason stands below it."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    transfer = Transfer(notes, "model.pkl", 50_000_000)
    transfer.add(25_000_000)
    transfer.break_off()
    assert capsys.readouterr().err.endswith("\r\x1b[Kuploading model.pkl: broken off at 50 %\n")

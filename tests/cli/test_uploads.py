"""Copies of files and folders on their way to the daemon."""

import asyncio
import io
import os
import tarfile
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

"""Folders are removed however deep they are, and nothing outside of them is."""

import os
import subprocess
from pathlib import Path

import pytest

from router.control.assets.removal import remove


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with files and folders in it."""
    top = tmp_path / "top"
    (top / "a" / "b").mkdir(parents=True)
    (top / "a" / "b" / "file").touch(mode=0o444)
    (top / "empty").mkdir()
    (top / "file").touch()
    return top


def test_folder_goes_with_all_that_is_in_it(folder: Path) -> None:
    """Read-only files, too."""
    remove(folder)
    assert list(folder.parent.iterdir()) == []


def test_depth_does_not_matter(folder: Path) -> None:
    """Python's stack is not as deep as a folder may be."""
    subprocess.run(["mkdir", "-p", folder / "/".join("a" * 1500)], check=True)
    remove(folder)
    assert not folder.exists()


def test_folder_may_have_been_given_a_longer_name(folder: Path) -> None:
    """Then the paths of what is in it may be longer than the system takes."""
    room = 4000 - len(os.fsencode(folder))
    subprocess.run(["mkdir", "-p", folder / "/".join("a" * (room // 2))], check=True)
    longer = folder.rename(folder.with_name("top-" * 40))
    remove(longer)
    assert not longer.exists()


def test_links_go_and_what_they_lead_to_stays(folder: Path, tmp_path: Path) -> None:
    """To folders, files and nowhere."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    (folder / "to-folder").symlink_to(tmp_path / "other")
    (folder / "a" / "to-file").symlink_to(tmp_path / "other" / "file")
    (folder / "a" / "to-nowhere").symlink_to("nowhere")
    remove(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["other"]
    assert (tmp_path / "other" / "file").exists()


def test_pipes_go_unread(folder: Path) -> None:
    """Nobody waits for somebody to write into them."""
    os.mkfifo(folder / "pipe")
    remove(folder)
    assert not folder.exists()


def test_link_is_no_folder(folder: Path) -> None:
    """What it leads to is somebody else's."""
    link = folder.with_name("link")
    link.symlink_to(folder)
    with pytest.raises(NotADirectoryError):
        remove(link)
    assert (folder / "a" / "b" / "file").exists()


def test_missing_folder_is_an_error(tmp_path: Path) -> None:
    """Whoever expects it not to be there says so."""
    with pytest.raises(FileNotFoundError):
        remove(tmp_path / "gone")

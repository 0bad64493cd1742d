"""What the kernel tells of folders."""

import errno
import os
import select
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from router.control.config.inotify import FolderEvents


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a file and a folder in it."""
    (tmp_path / "below").mkdir()
    (tmp_path / "teal.yaml").write_text("old")
    return tmp_path


@pytest.fixture
def events(folder: Path) -> Iterator[FolderEvents]:
    with closing(FolderEvents([folder])) as events:
        yield events


def is_readable(events: FolderEvents) -> bool:
    return bool(select.select([events.fileno()], [], [], 0)[0])


def test_nothing_is_told_while_nothing_happens(events: FolderEvents, folder: Path) -> None:
    """To read a file, as whoever looks at it does, is nothing; neither is what happens further below."""
    assert (folder / "teal.yaml").read_text() == "old"
    assert len(list(folder.iterdir())) == 2
    (folder / "below" / "deep.yaml").write_text("new")
    assert not is_readable(events)
    assert events.read() == set()


def test_changes_are_told_by_name(events: FolderEvents, folder: Path) -> None:
    """Whatever is done to what is in the folder."""
    (folder / "teal.yaml").write_text("new")
    (folder / "teal.yaml").rename(folder / "moved.yaml")
    (folder / "link").symlink_to("moved.yaml")
    (folder / "below").chmod(0o700)
    assert is_readable(events)
    names = {"teal.yaml", "moved.yaml", "link", "below"}
    assert events.read() == {folder / name for name in names}
    assert not is_readable(events)


def test_the_end_of_the_folder_is_told(tmp_path: Path) -> None:
    """As a change of itself."""
    gone = tmp_path / "gone"
    gone.mkdir()
    with closing(FolderEvents([gone])) as events:
        gone.rmdir()
        assert events.read() == {gone}


def test_each_folder_tells_its_own_names(tmp_path: Path) -> None:
    """Of several, and of a name that is no text."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    with closing(FolderEvents([first, second])) as events:
        odd = second / os.fsdecode(b"caf\xe9")
        (first / "a").touch()
        odd.touch()
        assert events.read() == {first / "a", odd}


def test_more_than_the_kernel_counts_is_told_as_a_change_of_all(folder: Path) -> None:
    """So nothing is taken for unchanged that may have changed."""
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    one, other = folder / "one", folder / "other"
    one.touch()
    other.touch()
    with closing(FolderEvents([folder, folder / "below"])) as events:
        for _ in range(most // 2 + 1):
            one.chmod(0o600)
            other.chmod(0o600)
        changed: set[Path] = set()
        while is_readable(events):
            changed |= events.read()
    assert changed == {one, other, folder, folder / "below"}


def test_a_folder_that_is_not_there_is_said_to_be(tmp_path: Path) -> None:
    """And nothing stays open."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(FileNotFoundError) as caught:
        FolderEvents([tmp_path, tmp_path / "nothing"])
    assert caught.value.errno == errno.ENOENT
    assert len(list(Path("/proc/self/fd").iterdir())) == before

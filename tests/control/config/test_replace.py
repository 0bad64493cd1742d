"""A file replaced in one step: what somebody else has written is never lost, and what fails has changed nothing."""

import ctypes
import errno
import os
import resource
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from router.control.config import replace
from router.control.config.replace import ContentChanged, ReplaceError, replace_content

AS_ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not AS_ROOT, reason="mounts a file system, or gives files away: only root may")
needs_no_root = pytest.mark.skipif(AS_ROOT, reason="root may write everywhere")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "teal.yaml"
    path.write_bytes(b"old\n")
    return path


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    mounted = subprocess.run(command, check=False, capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount a small disk here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def system_calls(monkeypatch: pytest.MonkeyPatch) -> "SystemCalls":
    """The call that exchanges files, with something that happens before it."""
    calls = SystemCalls(replace._renameat2)
    monkeypatch.setattr(replace, "_renameat2", calls)
    return calls


class SystemCalls:
    """Stands where the C library's `renameat2` stands."""

    def __init__(self, real: Callable[..., int]) -> None:
        self._real = real
        self.before: list[Callable[[], object]] = []
        self.is_unknown = False

    def __call__(self, *arguments: object) -> int:
        if self.is_unknown:
            ctypes.set_errno(errno.EINVAL)
            return -1
        if self.before:
            self.before.pop(0)()
        return self._real(*arguments)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def save(path: Path, content: bytes) -> None:
    """As editors do: a new file takes the name."""
    new = path.with_name("editor's file")
    new.write_bytes(content)
    new.rename(path)


def test_content_is_replaced(file: Path) -> None:
    """And nothing else is left in the folder."""
    replace_content(file, b"new\n", expected=b"old\n")
    assert file.read_bytes() == b"new\n"
    assert names(file.parent) == ["teal.yaml"]


def test_file_that_does_not_exist_is_made(tmp_path: Path) -> None:
    """If none is expected."""
    replace_content(tmp_path / "teal.yaml", b"new\n", expected=None)
    assert (tmp_path / "teal.yaml").read_bytes() == b"new\n"
    assert names(tmp_path) == ["teal.yaml"]


def test_relative_path_is_replaced(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It starts at the working directory, as everywhere."""
    monkeypatch.chdir(file.parent)
    replace_content(Path("teal.yaml"), b"new\n", expected=b"old\n")
    assert file.read_bytes() == b"new\n"


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o444])
def test_mode_is_kept(file: Path, mode: int) -> None:
    """Whoever could read it can, and nobody else."""
    file.chmod(mode)
    replace_content(file, b"new\n", expected=b"old\n")
    assert stat.S_IMODE(file.stat().st_mode) == mode


@needs_root
def test_owner_is_kept(file: Path) -> None:
    """A person's file stays that person's when the daemon runs as root."""
    os.chown(file, 1234, 2345)
    file.chmod(0o640)
    replace_content(file, b"new\n", expected=b"old\n")
    status = file.stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (1234, 2345, 0o640)


@pytest.mark.parametrize("expected", [b"other\n", None])
def test_other_content_than_expected_is_left(file: Path, expected: bytes | None) -> None:
    """Whatever it is."""
    with pytest.raises(ContentChanged):
        replace_content(file, b"new\n", expected=expected)
    assert file.read_bytes() == b"old\n"
    assert names(file.parent) == ["teal.yaml"]


def test_file_that_is_gone_has_changed(file: Path) -> None:
    """It does not come back by itself."""
    file.unlink()
    with pytest.raises(ContentChanged):
        replace_content(file, b"new\n", expected=b"old\n")
    assert names(file.parent) == []


# What happens in the instant before the files change places


def test_save_at_the_last_moment_is_given_back(file: Path, system_calls: SystemCalls) -> None:
    """What came out is not what was expected, so it goes back in."""
    system_calls.before = [lambda: save(file, b"by hand\n")]
    with pytest.raises(ContentChanged):
        replace_content(file, b"new\n", expected=b"old\n")
    assert file.read_bytes() == b"by hand\n"
    assert names(file.parent) == ["teal.yaml"]


def test_save_while_another_is_given_back_stays(file: Path, system_calls: SystemCalls) -> None:
    """The last of those who save wins, as if nothing else had happened."""
    system_calls.before = [
        lambda: save(file, b"first\n"),
        lambda: save(file, b"second\n"),
        lambda: save(file, b"third\n"),
    ]
    with pytest.raises(ContentChanged):
        replace_content(file, b"new\n", expected=b"old\n")
    assert file.read_bytes() == b"third\n"
    assert names(file.parent) == ["teal.yaml"]


def test_file_that_somebody_is_about_to_write_is_given_back(file: Path, system_calls: SystemCalls) -> None:
    """What is written into the file that was replaced would be lost with it."""
    writers = []
    system_calls.before = [lambda: writers.append(file.open("r+b"))]
    with pytest.raises(ContentChanged):
        replace_content(file, b"new\n", expected=b"old\n")
    with writers[0] as writer:
        writer.write(b"by hand\n")
    assert file.read_bytes() == b"by hand\n"
    assert names(file.parent) == ["teal.yaml"]


def test_file_that_is_removed_at_the_last_moment_has_changed(file: Path, system_calls: SystemCalls) -> None:
    """It does not come back by itself."""
    system_calls.before = [file.unlink]
    with pytest.raises(ContentChanged):
        replace_content(file, b"new\n", expected=b"old\n")
    assert names(file.parent) == []


def test_file_that_comes_at_the_last_moment_stays(tmp_path: Path, system_calls: SystemCalls) -> None:
    """If none was expected."""
    system_calls.before = [lambda: (tmp_path / "teal.yaml").write_bytes(b"by hand\n")]
    with pytest.raises(ContentChanged):
        replace_content(tmp_path / "teal.yaml", b"new\n", expected=None)
    assert (tmp_path / "teal.yaml").read_bytes() == b"by hand\n"
    assert names(tmp_path) == ["teal.yaml"]


def test_file_moved_away_while_it_is_given_back_is_put_back(file: Path, system_calls: SystemCalls) -> None:
    """Content that somebody saved has a name in the end."""
    away = file.with_name("away")
    system_calls.before = [lambda: save(file, b"by hand\n"), lambda: file.rename(away)]
    with pytest.raises(ContentChanged):
        replace_content(file, b"new\n", expected=b"old\n")
    assert file.read_bytes() == b"by hand\n"
    assert names(file.parent) == ["away", "teal.yaml"]


# A file system that cannot exchange files


def test_file_system_that_cannot_exchange(file: Path, system_calls: SystemCalls) -> None:
    """The file is looked at and renamed, as well as can be."""
    system_calls.is_unknown = True
    replace_content(file, b"new\n", expected=b"old\n")
    assert file.read_bytes() == b"new\n"
    assert names(file.parent) == ["teal.yaml"]


def test_file_system_that_cannot_rename_without_replacing(tmp_path: Path, system_calls: SystemCalls) -> None:
    """A new file gets its name by a hard link, which does not replace either."""
    system_calls.is_unknown = True
    replace_content(tmp_path / "teal.yaml", b"new\n", expected=None)
    assert (tmp_path / "teal.yaml").read_bytes() == b"new\n"
    assert names(tmp_path) == ["teal.yaml"]


# Links


def test_link_stays_and_its_target_is_replaced(tmp_path: Path) -> None:
    """Where the file really is."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "teal.yaml").write_bytes(b"old\n")
    link = tmp_path / "teal.yaml"
    link.symlink_to("real/teal.yaml")
    replace_content(link, b"new\n", expected=b"old\n")
    assert link.is_symlink()
    assert (tmp_path / "real" / "teal.yaml").read_bytes() == b"new\n"
    assert names(tmp_path / "real") == ["teal.yaml"]


@pytest.fixture
def mounted(tmp_path: Path) -> Path:
    """A folder as Kubernetes mounts a ConfigMap: `teal.yaml` leads through `..data`, which an update turns."""
    for name, content in (("..first", b"old\n"), ("..second", b"updated\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "teal.yaml").write_bytes(content)
    (tmp_path / "..data").symlink_to("..first")
    (tmp_path / "teal.yaml").symlink_to("..data/teal.yaml")
    return tmp_path


def turn(folder: Path) -> None:
    """As the kubelet does."""
    (folder / "..new").symlink_to("..second")
    (folder / "..new").rename(folder / "..data")


def test_links_of_kubernetes_stay(mounted: Path) -> None:
    """The file in the folder that `..data` leads to is replaced."""
    replace_content(mounted / "teal.yaml", b"new\n", expected=b"old\n")
    assert (mounted / "teal.yaml").readlink() == Path("..data/teal.yaml")
    assert (mounted / "..data").readlink() == Path("..first")
    assert (mounted / "..first" / "teal.yaml").read_bytes() == b"new\n"


def test_link_that_is_turned_is_a_change(mounted: Path, system_calls: SystemCalls) -> None:
    """What the path leads to now is not what was expected, and what it led to is as it was."""
    system_calls.before = [lambda: turn(mounted)]
    with pytest.raises(ContentChanged):
        replace_content(mounted / "teal.yaml", b"new\n", expected=b"old\n")
    assert (mounted / "teal.yaml").read_bytes() == b"updated\n"
    assert (mounted / "..first" / "teal.yaml").read_bytes() == b"old\n"
    assert names(mounted / "..first") == ["teal.yaml"]


# What cannot be written


def test_missing_folder_is_named(tmp_path: Path) -> None:
    """With what to do."""
    with pytest.raises(ReplaceError) as refused:
        replace_content(tmp_path / "gone" / "teal.yaml", b"new\n", expected=None)
    assert str(refused.value) == (
        f"{tmp_path}/gone/teal.yaml cannot be written: the folder {tmp_path}/gone does not exist; make it"
    )


def test_folder_in_its_place_is_named(tmp_path: Path) -> None:
    """A folder is no file."""
    with pytest.raises(ReplaceError, match=r"cannot be written: it is a folder; expected a file$"):
        replace_content(tmp_path, b"new\n", expected=b"old\n")


def test_target_of_a_link_is_named(tmp_path: Path) -> None:
    """The folder that is missing may be one that nobody has written down here."""
    (tmp_path / "teal.yaml").symlink_to("gone/file")
    with pytest.raises(ReplaceError) as refused:
        replace_content(tmp_path / "teal.yaml", b"new\n", expected=None)
    assert str(refused.value) == (
        f"{tmp_path}/teal.yaml, which leads to {tmp_path}/gone/file, cannot be written: "
        f"the folder {tmp_path}/gone does not exist; make it"
    )


@needs_root
def test_full_disk_is_named(small_disk: Path) -> None:
    """The old file is whole, and nothing is left behind to fill the disk further."""
    file = small_disk / "teal.yaml"
    file.write_bytes(b"old\n")
    with pytest.raises(ReplaceError) as refused:
        replace_content(file, b"x" * 100_000, expected=b"old\n")
    assert str(refused.value) == f"{file} cannot be written: the disk is full; make room on it and try again"
    assert file.read_bytes() == b"old\n"
    assert names(small_disk) == ["teal.yaml"]


@needs_root
def test_read_only_disk_is_named(small_disk: Path) -> None:
    """With both ways to change it."""
    file = small_disk / "teal.yaml"
    file.write_bytes(b"old\n")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(ReplaceError) as refused:
        replace_content(file, b"new\n", expected=b"old\n")
    assert str(refused.value) == (
        f"{file} cannot be written: {small_disk} is mounted read-only; "
        "mount it for writing, or add it to ReadWritePaths= of the service"
    )
    assert file.read_bytes() == b"old\n"


@needs_no_root
def test_folder_that_may_not_be_written_is_named(file: Path) -> None:
    """With whose permission is missing."""
    file.parent.chmod(0o555)
    with pytest.raises(ReplaceError, match=r"no permission for the folder .*; let the user that teal runs as write in"):
        replace_content(file, b"new\n", expected=b"old\n")
    file.parent.chmod(0o755)
    assert names(file.parent) == ["teal.yaml"]


CHILD = """
import os, resource, sys
from pathlib import Path
from router.control.config.replace import ReplaceError, replace_content
if os.geteuid() == 0 and sys.argv[3] == "nobody":
    os.setgid(65534)
    os.setuid(65534)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    replace_content(Path(sys.argv[1]), b"x" * 10_000, expected=b"old\\n")
except ReplaceError as error:
    print(error)
"""


def in_a_child(file: Path, *, file_size: int = resource.RLIM_INFINITY, user: str = "") -> str:
    """What a process with less rights says."""
    command = [sys.executable, "-c", CHILD, str(file), str(file_size), user]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def test_limit_on_files_is_named(file: Path) -> None:
    """What fits in part is not written in part."""
    assert in_a_child(file, file_size=5000) == (
        f"{file} cannot be written: it is larger than a file may be here; "
        "raise the limit on the size of files (ulimit -f)"
    )
    assert file.read_bytes() == b"old\n"
    assert names(file.parent) == ["teal.yaml"]


@needs_root
def test_folder_of_somebody_else_is_named(file: Path) -> None:
    """With whose permission is missing."""
    for folder in (file.parent, *file.parent.parents[:2]):
        folder.chmod(0o755)
    file.chmod(0o666)
    assert in_a_child(file, user="nobody") == (
        f"{file} cannot be written: no permission for the folder {file.parent}; "
        "let the user that teal runs as write in it"
    )
    assert file.read_bytes() == b"old\n"


# Somebody who saves all the time

WRITER = """
import os, sys
path = sys.argv[1]
print("ready", flush=True)
for number in range(int(sys.argv[2])):
    content = f"{number}\\n" * 50
    if number % 2:
        with open(path + ".editor", "w") as file:
            file.write(content)
        os.rename(path + ".editor", path)
    else:
        with open(path, "w") as file:
            file.write(content)
print("done", flush=True)
"""


@pytest.mark.parametrize("saves", [3000, 3001], ids=["last by renaming", "last in place"])
def test_nobody_who_saves_all_the_time_loses_anything(file: Path, saves: int) -> None:
    """The last save is in the file, unless it was read as a whole before it was replaced."""
    command = [sys.executable, "-c", WRITER, str(file), str(saves)]
    taken = b""
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        while writer.poll() is None:
            seen = file.read_bytes()
            try:
                replace_content(file, b"new\n", expected=seen)
            except ContentChanged:
                continue
            if seen != b"new\n":
                taken = seen
    last = f"{saves - 1}\n".encode() * 50
    assert last in {file.read_bytes(), taken}
    assert names(file.parent) == ["teal.yaml"]

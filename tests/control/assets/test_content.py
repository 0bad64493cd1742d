"""A file or folder by what is in it: one digest for equal content, one tar for equal content, clear refusals."""

import hashlib
import io
import os
import socket
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from router.control.assets import content as module
from router.control.assets.content import Content, ContentError, tar_chunks, text_of, write_tar

IS_ROOT = os.geteuid() == 0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as a scoring script has it."""
    top = tmp_path / "src"
    (top / "lib").mkdir(parents=True)
    (top / "score.py").write_text("def init(): ...\n")
    (top / "lib" / "features.py").write_text("X = 1\n")
    (top / "run.sh").write_text("#!/bin/sh\n")
    (top / "run.sh").chmod(0o755)
    return top


def names(content: Content) -> list[str]:
    return [entry.fingerprint.name for entry in content.entries]


def packed(content: Content) -> bytes:
    buffer = io.BytesIO()
    write_tar(content, buffer)
    return buffer.getvalue()


def test_digest_of_a_file_is_that_of_the_rules(tmp_path: Path) -> None:
    """The digest is what the rules in the module say, so that other clients can compute it."""
    (tmp_path / "m.pkl").write_bytes(b"abc")
    inner = hashlib.sha256(b"abc").hexdigest()
    expected = hashlib.sha256(b"teal content 1\0file\0\0" + inner.encode() + b"\0m.pkl\0").hexdigest()
    assert Content.of(tmp_path / "m.pkl").digest == expected


def test_digest_of_a_folder_is_that_of_the_rules(tmp_path: Path) -> None:
    """Folders and files count in the order of their names' bytes, the top one first."""
    (tmp_path / "m" / "a").mkdir(parents=True)
    (tmp_path / "m" / "a" / "x").write_bytes(b"1")
    (tmp_path / "m" / "a-b").write_bytes(b"2")
    (tmp_path / "m" / "a-b").chmod(0o755)
    one, two = (hashlib.sha256(text).hexdigest().encode() for text in (b"1", b"2"))
    parts = [
        b"teal content 1\0",
        b"folder\0\0\0m\0",
        b"folder\0\0\0m/a\0",
        b"file\0x\0" + two + b"\0m/a-b\0",
        b"file\0\0" + one + b"\0m/a/x\0",
    ]
    assert Content.of(tmp_path / "m").digest == hashlib.sha256(b"".join(parts)).hexdigest()


def test_equal_content_elsewhere_has_the_same_digest_and_tar(folder: Path, tmp_path: Path) -> None:
    """Neither the place nor the times nor the order of creation count."""
    other = tmp_path / "other" / "src"
    (other / "lib").mkdir(parents=True)
    (other / "run.sh").write_text("#!/bin/sh\n")
    (other / "run.sh").chmod(0o700)
    (other / "lib" / "features.py").write_text("X = 1\n")
    (other / "score.py").write_text("def init(): ...\n")
    os.utime(other / "score.py", (1, 1))
    one, two = Content.of(folder), Content.of(other)
    assert (one.digest, packed(one)) == (two.digest, packed(two))


@pytest.mark.parametrize("change", ["bytes", "name", "exec", "new file", "empty folder", "top name", "kind"])
def test_digest_follows_everything_that_counts(folder: Path, change: str) -> None:
    """A change of bytes, of a name, of the executable bit, or of what there is, is another content."""
    before = Content.of(folder).digest
    match change:
        case "bytes":
            (folder / "score.py").write_text("def init(): pass\n")
        case "name":
            (folder / "score.py").rename(folder / "other.py")
        case "exec":
            (folder / "run.sh").chmod(0o644)
        case "new file":
            (folder / "more.py").touch()
        case "empty folder":
            (folder / "data").mkdir()
        case "top name":
            folder = folder.rename(folder.with_name("code"))
        case _:
            (folder / "run.sh").unlink()
            (folder / "run.sh").mkdir()
    assert Content.of(folder).digest != before


def test_pycache_stays_behind(folder: Path) -> None:
    """What Python writes beside a script is not the script."""
    before = Content.of(folder).digest
    (folder / "lib" / "__pycache__").mkdir()
    (folder / "lib" / "__pycache__" / "features.cpython-311.pyc").touch()
    assert Content.of(folder).digest == before


def test_state_directory_stays_behind(folder: Path) -> None:
    """Keys and the copies themselves never get into a copy."""
    before = Content.of(folder).digest
    state_dir = folder / ".teal"
    (state_dir / "assets").mkdir(parents=True)
    (state_dir / "state.db").touch()
    (state_dir / "lock").touch()
    assert Content.of(folder).digest == before


def test_amlignore_wins_over_gitignore(folder: Path) -> None:
    """As at Azure: `.amlignore` if it is there, `.gitignore` otherwise, both in the folder on top."""
    (folder / ".gitignore").write_text("*.py\n")
    (folder / ".amlignore").write_text("# shell\n*.sh\n/lib/\n")
    assert names(Content.of(folder)) == ["src", "src/.amlignore", "src/.gitignore", "src/score.py"]


def test_gitignore_serves_without_an_amlignore(folder: Path) -> None:
    """A folder whose files all stay behind stays behind too."""
    (folder / ".gitignore").write_text("lib/*\n.gitignore\n")
    assert names(Content.of(folder)) == ["src", "src/run.sh", "src/score.py"]


def test_ignored_folder_may_have_a_file_that_is_named_again(folder: Path) -> None:
    """The last pattern that matches a file decides, as in Azure's client."""
    (folder / ".amlignore").write_text("lib/\n!lib/keep.py\n.amlignore\n")
    (folder / "lib" / "keep.py").touch()
    assert names(Content.of(folder)) == ["src", "src/lib", "src/lib/keep.py", "src/run.sh", "src/score.py"]


def test_bad_ignore_file_is_named(folder: Path) -> None:
    """A pattern that is none is no reason to take everything along."""
    (folder / ".amlignore").write_text("\\\n")
    with pytest.raises(ContentError, match=rf"^{folder}/\.amlignore cannot be read: Invalid git pattern"):
        Content.of(folder)


def test_link_has_what_it_points_to(folder: Path, tmp_path: Path) -> None:
    """Caches of models are folders of links; the copy has files, wherever these were."""
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "1f3a").write_bytes(b"weights")
    (folder / "model.bin").symlink_to("../blobs/1f3a")
    (folder / "blobs").symlink_to(tmp_path / "blobs")
    content = Content.of(folder)
    assert names(content)[1:4] == ["src/blobs", "src/blobs/1f3a", "src/lib"]
    with tarfile.open(fileobj=io.BytesIO(packed(content))) as tar:
        assert tar.getmember("src/model.bin").isreg()


def test_link_on_top_keeps_its_own_name(folder: Path) -> None:
    """`current -> src` is copied as `current`."""
    link = folder.with_name("current")
    link.symlink_to("src")
    assert Content.of(link).name == "current"


def test_link_to_nowhere_is_refused_by_name(folder: Path) -> None:
    """What cannot be copied is not left out in silence."""
    (folder / "model.bin").symlink_to("gone.bin")
    with pytest.raises(ContentError) as refused:
        Content.of(folder)
    assert str(refused.value) == (
        f"{folder}/model.bin is a link to gone.bin, which cannot be followed (No such file or directory); "
        "to leave it behind, name it in .amlignore"
    )


def test_link_that_is_ignored_may_lead_nowhere(folder: Path) -> None:
    """What stays behind need not be there."""
    (folder / "model.bin").symlink_to("gone.bin")
    (folder / ".amlignore").write_text("model.bin\n")
    assert "src/model.bin" not in names(Content.of(folder))


def test_link_to_a_folder_above_is_refused(folder: Path) -> None:
    """A folder that contains itself has no end."""
    (folder / "lib" / "self").symlink_to("..")
    with pytest.raises(ContentError) as refused:
        Content.of(folder)
    assert str(refused.value) == (
        f"{folder}/lib/self is a link to a folder that it is in itself; to leave it behind, name it in .amlignore"
    )


def test_link_to_itself_is_refused(folder: Path) -> None:
    """A circle of links is refused, not followed."""
    (folder / "a").symlink_to("b")
    (folder / "b").symlink_to("a")
    with pytest.raises(ContentError, match="Too many levels of symbolic links"):
        Content.of(folder)


def test_named_pipe_is_refused(folder: Path) -> None:
    """A pipe is refused without being opened, which would wait for ever."""
    os.mkfifo(folder / "pipe")
    with pytest.raises(ContentError, match=rf"^{folder}/pipe is a named pipe; only files and folders can be copied"):
        Content.of(folder)


def test_socket_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket is refused by name."""
    monkeypatch.chdir(folder)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s.sock")
        with pytest.raises(ContentError, match=r"/s\.sock is a socket; "):
            Content.of(folder)


def test_device_is_refused() -> None:
    """A device is refused by name."""
    with pytest.raises(ContentError, match=r"^/dev/null is a device; "):
        Content.of(Path("/dev/null"))


@pytest.mark.parametrize("path", ["/proc/version", "/proc/kmsg", "/proc", "/sys/kernel"])
def test_what_the_kernel_makes_up_is_refused(path: str) -> None:
    """A read of it may wait for ever, or take away what others want to see."""
    with pytest.raises(ContentError, match=f"^{path} is in /(proc|sys), which has no files that can be copied"):
        Content.of(Path(path))


def test_link_to_what_the_kernel_makes_up_is_refused(folder: Path) -> None:
    """However it is reached."""
    (folder / "version").symlink_to("/proc/version")
    with pytest.raises(ContentError, match=f"^{folder}/version is in /proc, which has no files"):
        Content.of(folder)


@pytest.mark.parametrize("place", ["/proc/version", "/sys/kernel/uevent_seqnum"])
def test_file_of_another_size_than_it_says_is_refused(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """What says that it is empty and has bytes may have them without end; other file systems have such files too."""
    monkeypatch.setattr(module, "_made_up", dict)
    with pytest.raises(ContentError, match=f"^{place} changed while it was being copied, or has not the [0-9]+ bytes"):
        Content.of(Path(place))


def test_text_ends_its_lines_as_on_unix(tmp_path: Path) -> None:
    """Whoever wrote the file, and with a byte order mark or not."""
    (tmp_path / "r.txt").write_bytes(b"\xef\xbb\xbfsix\r\nidna\rpip\n")
    assert text_of(tmp_path / "r.txt") == "six\nidna\npip\n"


def test_text_that_is_none_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders, other encodings, and what does not fit into memory."""
    monkeypatch.setattr(module, "MAX_TEXT_BYTES", 3)
    (tmp_path / "latin").write_bytes(b"\xe9")
    (tmp_path / "large").write_bytes(b"1234")
    with pytest.raises(ContentError, match=f"^{tmp_path} cannot be read: Is a directory$"):
        text_of(tmp_path)
    with pytest.raises(ContentError, match=f"^{tmp_path}/latin is not UTF-8 text$"):
        text_of(tmp_path / "latin")
    with pytest.raises(ContentError, match=f"^{tmp_path}/large has 4 bytes; expected a text of at most 3$"):
        text_of(tmp_path / "large")


@pytest.mark.skipif(IS_ROOT, reason="root may read everything")
@pytest.mark.parametrize("name", ["score.py", "lib"])
def test_unreadable_file_is_named(folder: Path, name: str) -> None:
    """What may not be read is refused by name, not left out."""
    (folder / name).chmod(0)
    with pytest.raises(ContentError) as refused:
        Content.of(folder)
    assert str(refused.value) == f"{folder}/{name} cannot be read: Permission denied"


def test_missing_path_is_named(tmp_path: Path) -> None:
    """There is nothing there."""
    with pytest.raises(ContentError) as refused:
        Content.of(tmp_path / "gone")
    assert str(refused.value) == f"{tmp_path}/gone: No such file or directory"


def test_folder_without_files_is_refused(tmp_path: Path) -> None:
    """A mistyped path is seldom an empty folder on purpose."""
    (tmp_path / "empty" / "inner").mkdir(parents=True)
    with pytest.raises(ContentError) as refused:
        Content.of(tmp_path / "empty")
    assert (
        str(refused.value) == f"{tmp_path}/empty has no files, or none that its .amlignore or .gitignore lets through"
    )


def test_folder_of_which_everything_is_ignored_is_refused(folder: Path) -> None:
    """The same with files that all stay behind."""
    (folder / ".amlignore").write_text("*\n")
    with pytest.raises(ContentError, match=r"has no files, or none that its \.amlignore"):
        Content.of(folder)


def test_too_many_files_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home directory that was given by mistake is noticed."""
    monkeypatch.setattr(module, "MAX_ENTRIES", 3)
    with pytest.raises(ContentError) as refused:
        Content.of(folder)
    assert str(refused.value) == f"{folder} has more than 3 files and folders; is it the right one?"


def test_too_deep_a_folder_is_refused(tmp_path: Path) -> None:
    """Nesting has a bound."""
    (tmp_path / "m" / "/".join("d" * 101)).mkdir(parents=True)
    with pytest.raises(ContentError, match="is nested more than 100 folders deep"):
        Content.of(tmp_path / "m")


def test_current_folder_has_its_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`.` and `..` are called what they are."""
    monkeypatch.chdir(folder / "lib")
    assert (Content.of(Path()).name, Content.of(Path("..")).name) == ("lib", "src")


def test_name_that_is_no_text_is_refused_on_top(tmp_path: Path) -> None:
    """The name on top stands in the config file, which is UTF-8."""
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/m\xff.pkl"))
    path.touch()
    with pytest.raises(ContentError, match="its name is not UTF-8 text"):
        Content.of(path)


def test_name_that_is_no_text_can_be_told(folder: Path) -> None:
    """A message is always text."""
    Path(os.fsdecode(os.fsencode(folder) + b"/m\xff.pkl")).symlink_to("gone")
    with pytest.raises(ContentError, match=r"/m\\udcff\.pkl is a link to gone"):
        Content.of(folder)


def test_name_that_is_no_text_goes_along_further_down(folder: Path) -> None:
    """Files that a script opens by such a name are there."""
    Path(os.fsdecode(os.fsencode(folder) + b"/m\xff.pkl")).write_bytes(b"1")
    with tarfile.open(fileobj=io.BytesIO(packed(Content.of(folder))), errors="surrogateescape") as tar:
        assert os.fsencode(tar.getnames()[-3]) == b"src/m\xff.pkl"


def test_tar_can_be_read_by_others(folder: Path, tmp_path: Path) -> None:
    """The tar is one that the system's `tar` unpacks."""
    long_name = "long-" * 40
    (folder / long_name).write_bytes(b"x" * 5000)
    (tmp_path / "t.tar").write_bytes(packed(Content.of(folder)))
    (tmp_path / "out").mkdir()
    subprocess.run(["tar", "xf", tmp_path / "t.tar", "-C", tmp_path / "out"], check=True)
    assert Content.of(tmp_path / "out" / "src").digest == Content.of(folder).digest


def test_tar_of_a_large_file_comes_in_pieces(tmp_path: Path) -> None:
    """No file is in memory as a whole."""
    (tmp_path / "m.bin").write_bytes(bytes(3 * 2**20 + 1))
    sizes = [len(chunk) for chunk in tar_chunks(Content.of(tmp_path / "m.bin"))]
    assert sizes == [512, 2**20, 2**20, 2**20, 1, 511, 1024]


@pytest.mark.parametrize("text", ["", "longer than it was"])
def test_file_that_changes_its_size_is_noticed(tmp_path: Path, text: str) -> None:
    """A tar never has another length than its headers say."""
    file = tmp_path / "m.pkl"
    file.write_text("as it was")
    content = Content.of(file)
    file.write_text(text)
    with pytest.raises(ContentError, match=rf"^{file} changed while it was being copied"):
        packed(content)


def test_size_and_files_are_those_of_the_files(folder: Path) -> None:
    """What a progress bar needs."""
    content = Content.of(folder)
    assert (content.size, len(content.files), len(content.entries)) == (32, 3, 5)


def test_nothing_heavy_is_imported_without_an_ignore_file(folder: Path) -> None:
    """The command line is started for every command."""
    code = (
        "import sys; from pathlib import Path; from router.control.assets.content import Content; "
        f"Content.of(Path({str(folder)!r})); print(sorted({{'pydantic', 'aiohttp', 'pathspec'}} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

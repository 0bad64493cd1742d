"""Copies are whole or not there, whoever sends them, however they come, and whatever the disk does."""

import asyncio
import io
import os
import resource
import stat
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from router.control.assets import store as module
from router.control.assets import unpacking
from router.control.assets.content import Content, ContentError, write_tar
from router.control.assets.store import GRACE_S, ContentStore
from router.control.refusal import Invalid, NotFound, NotWritten, StorageFull, Unavailable

OTHER = "0" * 64


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ContentStore]:
    opened = ContentStore(tmp_path / "state" / "assets")
    yield opened
    opened.close()


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


def packed(content: Content) -> bytes:
    buffer = io.BytesIO()
    write_tar(content, buffer)
    return buffer.getvalue()


async def pieces(data: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    """The data as a network brings it."""
    for start in range(0, len(data), size):
        await asyncio.sleep(0)
        yield data[start : start + size]


def member(name: str, data: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data


def tar_of(*members: tuple[tarfile.TarInfo, bytes]) -> io.BytesIO:
    """A tar with just these members, good or not."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return io.BytesIO(buffer.getvalue())


def kept(store: ContentStore) -> list[str]:
    """All that is below the store, half made or not."""
    return sorted(path.name for path in store.root.iterdir()) if store.root.exists() else []


# What is kept


async def test_folder_arrives_as_it_was(store: ContentStore, folder: Path) -> None:
    """An uploaded folder lies below its digest, under its own name, with bytes and executable bits."""
    content = Content.of(folder)
    path = await store.receive(content.digest, pieces(packed(content)))
    assert path == store.root / content.digest / "src"
    assert Content.of(path).digest == content.digest
    assert (path / "score.py").read_text() == "def init(): ...\n"
    assert kept(store) == [content.digest]


async def test_file_arrives_as_it_was(store: ContentStore, tmp_path: Path) -> None:
    """An uploaded file lies below its digest, under its own name."""
    (tmp_path / "model.pkl").write_bytes(bytes(range(256)) * 10_000)
    content = Content.of(tmp_path / "model.pkl")
    path = await store.receive(content.digest, pieces(packed(content), size=65_536))
    assert path == store.root / content.digest / "model.pkl"
    assert path.read_bytes() == bytes(range(256)) * 10_000


def test_local_path_is_copied(store: ContentStore, folder: Path) -> None:
    """What the daemon can read itself becomes the same copy as an upload."""
    digest = store.add(folder)
    assert digest == Content.of(folder).digest
    assert Content.of(store.path(digest)).digest == digest


def test_text_is_kept_as_a_file(store: ContentStore, tmp_path: Path) -> None:
    """A text becomes the same copy as a file with it."""
    (tmp_path / "conda.yaml").write_text("dependencies: []\n")
    digest = store.keep_text("conda.yaml", "dependencies: []\n")
    assert digest == Content.of(tmp_path / "conda.yaml").digest
    assert store.path(digest).read_text() == "dependencies: []\n"


def test_files_are_read_only(store: ContentStore, folder: Path) -> None:
    """A script does not alter by accident what other deployments run too; it can still be executed."""
    path = store.path(store.add(folder))
    assert stat.S_IMODE((path / "score.py").stat().st_mode) == 0o444
    assert stat.S_IMODE((path / "run.sh").stat().st_mode) == 0o555


def test_copy_does_not_follow_its_source(store: ContentStore, folder: Path) -> None:
    """Saving a file again changes no copy."""
    path = store.path(store.add(folder))
    (folder / "score.py").write_text("changed")
    assert (path / "score.py").read_text() == "def init(): ...\n"


def test_same_content_is_kept_once(store: ContentStore, folder: Path) -> None:
    """Adding again gives the same copy, which is not touched."""
    path = store.path(store.add(folder))
    inode = path.stat().st_ino
    assert store.path(store.add(folder)).stat().st_ino == inode
    assert len(kept(store)) == 1


async def test_same_content_may_come_several_times_at_once(store: ContentStore, folder: Path) -> None:
    """Whoever is second finds the copy there; nothing else is left."""
    content = Content.of(folder)
    data = packed(content)
    uploads = [store.receive(content.digest, pieces(data, size)) for size in (100, 300, 500, 700)]
    assert set(await asyncio.gather(*uploads)) == {store.root / content.digest / "src"}
    assert kept(store) == [content.digest]


def test_two_threads_may_unpack_the_same_content(store: ContentStore, folder: Path) -> None:
    """Both write a whole copy; the first to finish gives it its name."""
    content = Content.of(folder)
    meeting = threading.Barrier(2)
    paths: list[Path] = []

    class Meeting(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() == 0:
                meeting.wait(10)
            return super().read(size)

    threads = [
        threading.Thread(target=lambda: paths.append(store.unpack(content.digest, Meeting(packed(content)))))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert paths == [store.root / content.digest / "src"] * 2
    assert kept(store) == [content.digest]


def test_missing_copy_is_named(store: ContentStore) -> None:
    """There is no path of what is not there."""
    assert not store.has(OTHER)
    with pytest.raises(NotFound, match=f"^there is no copy of the content {OTHER}; send it again$"):
        store.path(OTHER)


@pytest.mark.parametrize("digest", ["", "..", "../" + OTHER, OTHER[:-1], OTHER.upper()[:-1] + "A", "é" * 64])
def test_what_is_no_digest_is_refused(store: ContentStore, digest: str) -> None:
    """A digest never leads anywhere else."""
    with pytest.raises(Invalid, match="is no digest; expected 64 hexadecimal digits in lower case"):
        store.has(digest)


# What is not kept


def test_content_of_another_digest_is_refused(store: ContentStore, folder: Path) -> None:
    """A file that changed while it was sent makes another content."""
    with pytest.raises(Invalid, match="did not arrive as a whole, or changed while it was being read; send it again"):
        store.unpack(OTHER, io.BytesIO(packed(Content.of(folder))))
    assert kept(store) == []


@pytest.mark.parametrize("length", [0, 1, 511, 512, 700, 1024, 2048, 2500])
def test_part_of_a_tar_is_refused(store: ContentStore, folder: Path, length: int) -> None:
    """Wherever a stream ends too early, nothing is left of it."""
    content = Content.of(folder)
    with pytest.raises(Invalid):
        store.unpack(content.digest, io.BytesIO(packed(content)[:length]))
    assert kept(store) == []


@pytest.mark.parametrize("data", [b"PK\3\4 something else", b"\0" * 10240, b"x" * 512, b"\x1f\x8b\x08" + bytes(600)])
def test_what_is_no_tar_is_refused(store: ContentStore, data: bytes) -> None:
    """Zip files, zeros and compressed tars are refused with a reason."""
    with pytest.raises(Invalid, match=r"the content is (no tar stream|an empty tar)"):
        store.unpack(OTHER, io.BytesIO(data))
    assert kept(store) == []


DIRECTORY, LINK, HARD_LINK = {"type": tarfile.DIRTYPE}, {"type": tarfile.SYMTYPE}, {"type": tarfile.LNKTYPE}


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([member("../x", b"1")], "'../x' is no name that can be taken"),
        ([member("/x", b"1")], "'/x' is no name that can be taken"),
        ([member("a", **DIRECTORY), member("a/../../x", b"1")], "'a/../../x' is no name that can be taken"),
        ([member("..", **DIRECTORY)], "'..' is no name that can be taken"),
        ([member(".", **DIRECTORY), member("./x", b"1")], "'.' is no name that can be taken"),
        ([member("a", **DIRECTORY), member("a//x", b"1")], "'a//x' is no name that can be taken"),
        ([member("", b"1")], "'' is no name that can be taken"),
        ([member("a", **DIRECTORY), member("a/l", linkname="/etc", **LINK)], "'a/l' is neither a file nor a folder"),
        ([member("a", linkname="/tmp", **LINK), member("a/x", b"1")], "'a' is neither a file nor a folder"),
        ([member("a", b"1"), member("b", linkname="a", **HARD_LINK)], "'b' is neither a file nor a folder"),
        ([member("a", linkname="/etc/passwd", **HARD_LINK)], "'a' is neither a file nor a folder"),
        ([member("a", type=tarfile.CHRTYPE, devmajor=1, devminor=3)], "'a' is neither a file nor a folder"),
        ([member("a", type=tarfile.BLKTYPE)], "'a' is neither a file nor a folder"),
        ([member("a", type=tarfile.FIFOTYPE)], "'a' is neither a file nor a folder"),
        ([member("a", **DIRECTORY), member("a/x", b"1"), member("a/x", b"2")], "'a/x' comes twice"),
        ([member("a", **DIRECTORY), member("a", **DIRECTORY)], "'a' comes twice"),
        ([member("a/x", b"1")], "'a/x' comes without its folder"),
        ([member("a", b"1"), member("a/x", b"1")], "'a/x' comes without its folder"),
        ([member("a", b"1"), member("b", b"1")], "'b' comes beside 'a'"),
        ([member("n" * 256, b"1")], "is no name that this machine can have: File name too long"),
    ],
)  # fmt: skip
def test_hostile_member_is_refused(
    store: ContentStore, tmp_path: Path, members: list[tuple[tarfile.TarInfo, bytes]], reason: str
) -> None:
    """Nothing is written outside of the store, nothing is left in it, and the answer is a 422 that says why."""
    before = {path for path in tmp_path.rglob("*") if store.root not in {path, *path.parents}}
    with pytest.raises(Invalid) as refused:
        store.unpack(OTHER, tar_of(*members))
    assert (refused.value.status, reason in str(refused.value)) == (422, True), str(refused.value)
    assert kept(store) == []
    after = {path for path in tmp_path.rglob("*") if store.root not in {path, *path.parents}}
    assert after - before == {store.root.parent}


@pytest.mark.parametrize("depth", [101, 1200, 2999])
def test_folders_that_are_nested_too_deep_are_refused(store: ContentStore, depth: int) -> None:
    """As they are when they are packed; nothing is left of what came before."""
    folders = [member("/".join("a" * count), **DIRECTORY) for count in range(1, depth + 1)]
    with pytest.raises(Invalid, match=r"'(a/){49}a/' is nested more than 100 folders deep"):
        store.unpack(OTHER, tar_of(*folders))
    assert kept(store) == []


def test_folders_as_deep_as_they_may_be_are_kept(store: ContentStore, tmp_path: Path) -> None:
    """What can be packed can be unpacked, and removed."""
    deepest = tmp_path.joinpath(*"d" * 100)
    deepest.mkdir(parents=True)
    (deepest / "m.pkl").touch()
    content = Content.of(tmp_path / "d")
    store.unpack(content.digest, io.BytesIO(packed(content)))
    assert store.sweep(set(), now=time.time() + GRACE_S + 1) == [content.digest]
    assert kept(store) == []


def test_too_many_entries_are_refused(store: ContentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tar of a million empty files does not fill the disk with inodes."""
    monkeypatch.setattr(unpacking, "MAX_ENTRIES", 3)
    members = [member("a", **DIRECTORY), *(member(f"a/{number}") for number in range(1000))]
    with pytest.raises(Invalid, match="the content has more than 3 files and folders"):
        store.unpack(OTHER, tar_of(*members))
    assert kept(store) == []


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_header_that_claims_gigabytes_is_refused(store: ContentStore, kind: bytes) -> None:
    """A long name is read as a whole, so it may not be long."""
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, 4 * 2**30
    with pytest.raises(Invalid, match="the content has a header of 4294967296 bytes, expected at most 65536"):
        store.unpack(OTHER, io.BytesIO(info.tobuf(tarfile.GNU_FORMAT) + bytes(10240)))
    assert kept(store) == []


@pytest.mark.parametrize("style", ["gnu", "pax"])
@pytest.mark.parametrize("length", [None, 2048])
def test_file_with_holes_is_refused(store: ContentStore, tmp_path: Path, style: str, length: int | None) -> None:
    """A small tar does not become a large file, and a map of holes that is cut off does not end in waiting."""
    with (tmp_path / "holes").open("wb") as file:
        file.truncate(10_000_000)
    made = subprocess.run(
        ["tar", "c", "--sparse", f"--format={style}", "-C", tmp_path, "holes"], capture_output=True, check=True
    )
    with pytest.raises(Invalid, match="holes' is neither a file nor a folder"):
        store.unpack(OTHER, io.BytesIO(made.stdout[:length]))
    assert kept(store) == []


def test_headers_without_end_are_refused(store: ContentStore) -> None:
    """A thousand headers before a member are a thousand calls inside each other."""
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 11
    header = info.tobuf(tarfile.GNU_FORMAT) + b"11 path=ab\n".ljust(512, b"\0")
    with pytest.raises(Invalid, match="the content is no tar stream, or only a part of one"):
        store.unpack(OTHER, io.BytesIO(header * 5000))
    assert kept(store) == []


async def test_sender_that_goes_away_leaves_nothing(store: ContentStore, folder: Path) -> None:
    """The stream's own error is what the caller sees, and there is no half of a copy."""
    content = Content.of(folder)

    async def broken() -> AsyncIterator[bytes]:
        yield packed(content)[:2000]
        raise ConnectionResetError("peer went away")

    with pytest.raises(ConnectionResetError, match="peer went away"):
        await store.receive(content.digest, broken())
    assert kept(store) == []


async def test_upload_that_is_given_up_leaves_nothing(store: ContentStore, folder: Path) -> None:
    """A cancelled upload ends its thread too."""
    content = Content.of(folder)
    is_waiting = asyncio.Event()

    async def stalled() -> AsyncIterator[bytes]:
        yield packed(content)[:2000]
        is_waiting.set()
        await asyncio.Event().wait()

    upload = asyncio.create_task(store.receive(content.digest, stalled()))
    await is_waiting.wait()
    upload.cancel()
    with pytest.raises(asyncio.CancelledError):
        await upload
    await asyncio.to_thread(store.close)
    assert kept(store) == []


async def test_upload_that_stands_still_is_refused(
    store: ContentStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that neither sends nor goes away holds nothing for ever."""
    monkeypatch.setattr(module, "_SILENCE_S", 0.01)
    content = Content.of(folder)

    async def stalled() -> AsyncIterator[bytes]:
        yield packed(content)[:2000]
        await asyncio.Event().wait()

    with pytest.raises(Invalid, match=r"nothing of the content came for 0\.01 s; send it again"):
        await store.receive(content.digest, stalled())
    assert kept(store) == []


async def test_slow_uploads_leave_the_daemon_its_threads(store: ContentStore, folder: Path) -> None:
    """However many clients dawdle, other work in threads goes on."""
    content = Content.of(folder)
    go_on = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        await go_on.wait()
        yield packed(content)

    uploads = [asyncio.create_task(store.receive(content.digest, slow())) for _ in range(40)]
    assert await asyncio.to_thread(store.has, OTHER) is False
    go_on.set()
    await asyncio.gather(*uploads)
    assert kept(store) == [content.digest]


async def test_stalled_uploads_do_not_hold_up_others(store: ContentStore, folder: Path) -> None:
    """However long they stand still, until there are so many that further ones are refused at once."""
    content = Content.of(folder)
    go_on = asyncio.Event()
    stalled = 0
    are_stalled = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        nonlocal stalled
        yield b"abc"
        stalled += 1
        if stalled in {12, 64}:
            are_stalled.set()
        await go_on.wait()

    uploads = [asyncio.create_task(store.receive(OTHER, slow())) for _ in range(12)]
    await are_stalled.wait()
    assert await store.receive(content.digest, pieces(packed(content))) == store.root / content.digest / "src"
    are_stalled.clear()
    uploads += [asyncio.create_task(store.receive(OTHER, slow())) for _ in range(52)]
    await are_stalled.wait()
    with pytest.raises(Unavailable, match=r"^64 uploads are under way, and no more are taken at a time"):
        await store.receive(OTHER, pieces(b"abc"))
    go_on.set()
    ended = await asyncio.gather(*uploads, return_exceptions=True)
    assert {type(error) for error in ended} == {Invalid}
    assert kept(store) == [content.digest]


async def test_upload_of_what_is_there_is_read_to_its_end(store: ContentStore, folder: Path) -> None:
    """An answer before the end of the request would reset the connection."""
    content = Content.of(folder)
    store.add(folder)
    stream = pieces(packed(content))
    await store.receive(content.digest, stream)
    assert [chunk async for chunk in stream] == []


def test_file_that_changes_while_it_is_copied_is_noticed(store: ContentStore, tmp_path: Path) -> None:
    """Equal size, other bytes: the digest tells."""
    (tmp_path / "m.pkl").write_bytes(b"one")
    content = Content.of(tmp_path / "m.pkl")
    (tmp_path / "m.pkl").write_bytes(b"two")
    with pytest.raises(ContentError, match=f"^{tmp_path}/m.pkl changed while it was being copied"):
        store.keep(content)
    assert kept(store) == []


# Disks


def in_child(code: str, limit: Callable[[], None] | None = None) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, preexec_fn=limit, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_file_that_may_not_grow_leaves_nothing(store: ContentStore, tmp_path: Path) -> None:
    """A limit on the size of files is a refusal, as a full disk is."""
    (tmp_path / "m.bin").write_bytes(bytes(300_000))
    code = f"""
from pathlib import Path
from router.control.assets.store import ContentStore
from router.control.refusal import StorageFull
store = ContentStore(Path({str(store.root)!r}))
try:
    store.add(Path({str(tmp_path / "m.bin")!r}))
except StorageFull as error:
    print(error.status, error, list(store.root.iterdir()))
"""
    said = in_child(code, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)))
    reason = "File too large; make room there, or choose another state_dir"
    assert said == f"507 there is no room for it in {store.root}: {reason} []\n"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], check=False)
    if mounted.returncode:
        pytest.skip("mounting takes more rights")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting takes root")
async def test_full_disk_is_a_refusal_that_leaves_nothing(small_disk: Path, tmp_path: Path) -> None:
    """What does not fit is refused, what was there stays, and what fits afterwards is taken."""
    store = ContentStore(small_disk / "assets")
    for name, size in (("small.bin", 100_000), ("large.bin", 3_000_000), ("other.bin", 200_000)):
        (tmp_path / name).write_bytes(bytes(size))
    first = store.add(tmp_path / "small.bin")
    large = Content.of(tmp_path / "large.bin")
    with pytest.raises(StorageFull, match="No space left on device"):
        store.keep(large)
    with pytest.raises(StorageFull, match="No space left on device"):
        await store.receive(large.digest, pieces(packed(large), size=65_536))
    second = store.add(tmp_path / "other.bin")
    assert kept(store) == sorted([first, second])


def test_store_that_cannot_be_made_is_a_refusal(tmp_path: Path, folder: Path) -> None:
    """A file in the place of the folder is named."""
    (tmp_path / "state").touch()
    with pytest.raises(NotWritten) as refused:
        ContentStore(tmp_path / "state" / "assets").add(folder)
    assert str(refused.value) == f"it cannot be kept in {tmp_path}/state/assets: Not a directory"


# What goes


def test_crash_leaves_nothing_after_the_next_start(store: ContentStore, folder: Path) -> None:
    """What was half made and half removed goes; what is whole stays."""
    digest = store.add(folder)
    for left in (".coming-x1y2", f".going-{OTHER}"):
        (store.root / left / "src").mkdir(parents=True)
        (store.root / left / "src" / "score.py").touch(mode=0o444)
    ContentStore(store.root).tidy()
    assert kept(store) == [digest]


def deep_folder(top: Path) -> None:
    """A folder in a folder in a folder, too deep for functions that call themselves."""
    subprocess.run(["mkdir", "-p", top / "/".join("a" * 1200)], check=True)


def test_start_and_sweep_remove_folders_of_any_depth(store: ContentStore) -> None:
    """A stack of calls is not as deep as a folder may be."""
    for name in (".coming-x1y2", f".going-{OTHER}", OTHER):
        deep_folder(store.root / name)
    store.tidy()
    assert kept(store) == [OTHER]
    assert store.sweep(set(), now=time.time() + GRACE_S + 1) == [OTHER]
    assert kept(store) == []


def test_links_are_removed_and_not_followed(store: ContentStore, folder: Path) -> None:
    """A script may have made some beside itself."""
    path = store.path(store.add(folder))
    (path / "out").symlink_to(folder)
    (path / "gone").symlink_to("nowhere")
    store.sweep(set(), now=time.time() + GRACE_S + 1)
    assert kept(store) == []
    assert sorted(found.name for found in folder.iterdir()) == ["lib", "run.sh", "score.py"]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting takes root")
def test_start_and_sweep_go_on_with_what_they_can_remove(store: ContentStore, folder: Path) -> None:
    """What something is mounted on stays, with a line in the log."""
    digest = store.add(folder)
    busy = [store.root / ".coming-busy" / "src", store.root / OTHER / "src"]
    for place in busy:
        place.mkdir(parents=True)
        if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], check=False).returncode:
            pytest.skip("mounting takes more rights")
    (store.root / ".coming-idle").mkdir()
    try:
        with capture_logs() as logs:
            store.tidy()
            assert store.sweep(set(), now=time.time() + GRACE_S + 1) == [digest]
        assert kept(store) == [".coming-busy", f".going-{OTHER}"]
        assert [entry["event"] for entry in logs] == ["content.not_removed", "content.not_removed", "content.removed"]
    finally:
        for place in (busy[0], store.root / f".going-{OTHER}" / "src"):
            subprocess.run(["umount", place], check=True)


def test_crash_while_content_is_written_leaves_no_copy(store: ContentStore, folder: Path) -> None:
    """A process that is killed between writing and renaming has left nothing that bears a digest."""
    code = f"""
import os
from pathlib import Path
from router.control.assets import store as module
module.tree_digest = lambda found: os._exit(0)
store = module.ContentStore(Path({str(store.root)!r}))
store.keep_text("a.txt", "text")
"""
    in_child(code)
    assert len(kept(store)) == 1
    store.tidy()
    assert kept(store) == []


def test_tidying_needs_no_store(store: ContentStore) -> None:
    """Before the first copy there is no folder."""
    store.tidy()
    assert store.sweep(set()) == []


def test_sweep_removes_what_nobody_refers_to(store: ContentStore, folder: Path, tmp_path: Path) -> None:
    """After the time of grace what is not in use goes."""
    (tmp_path / "m.pkl").touch()
    unused, used = store.add(folder), store.add(tmp_path / "m.pkl")
    assert store.sweep({used}, now=time.time() + GRACE_S + 1) == [unused]
    assert kept(store) == [used]


def test_sweep_spares_what_was_just_asked_for(store: ContentStore, folder: Path) -> None:
    """Between an upload, or the answer that there is no need for one, and its use nothing refers to a copy."""
    digest = store.add(folder)
    long_ago = time.time() - 10 * GRACE_S
    os.utime(store.root / digest, (long_ago, long_ago))
    assert store.has(digest)
    assert store.sweep(set()) == []
    assert kept(store) == [digest]


def test_sweep_leaves_alone_what_is_no_copy(store: ContentStore, folder: Path) -> None:
    """Uploads that are under way, and what people put there, stay."""
    store.add(folder)
    (store.root / ".coming-abc").mkdir()
    (store.root / "notes.txt").touch()
    store.sweep(set(), now=time.time() + GRACE_S + 1)
    assert kept(store) == [".coming-abc", "notes.txt"]


def test_sweep_copes_with_what_scripts_wrote(store: ContentStore, folder: Path) -> None:
    """Compiled modules beside a script go with it."""
    path = store.path(store.add(folder))
    (path / "__pycache__").mkdir()
    (path / "__pycache__" / "score.cpython-311.pyc").touch()
    store.sweep(set(), now=time.time() + GRACE_S + 1)
    assert kept(store) == []

"""Every way in which a file changes, with real files. A long poll shows that events are what noticed the change."""

import asyncio
import os
import shutil
import subprocess
import sys
import textwrap
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from router.control.config.watch import Changed, FileEvent, Gone, Look, Stillness, Unreadable, watch

OLD, NEW = b"listen: 127.0.0.1:1\n", b"listen: 127.0.0.1:2\n"
NEVER_S = 60.0  # longer than any test


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "conf"
    folder.mkdir()
    file = folder / "teal.yaml"
    file.write_bytes(OLD)
    return file


async def following(events: AsyncGenerator[FileEvent, None]) -> FileEvent:
    async with asyncio.timeout(20):
        return await anext(events)


def write_in_place(path: Path) -> None:
    path.write_bytes(NEW)


def rename_over(path: Path) -> None:
    beside = path.with_suffix(".tmp")
    beside.write_bytes(NEW)
    beside.replace(path)


def move_in_from_elsewhere(path: Path) -> None:
    elsewhere = path.parent.parent / "new.yaml"
    elsewhere.write_bytes(NEW)
    subprocess.run(["mv", elsewhere, path], check=True)


def save_as_vim_does(path: Path) -> None:
    backup = path.with_name("teal.yaml~")
    path.rename(backup)
    path.write_bytes(NEW)
    backup.unlink()


def edit_with_sed(path: Path) -> None:
    subprocess.run(["sed", "-i", "s/:1$/:2/", path], check=True)


def truncate_then_write(path: Path) -> None:
    with path.open("wb") as file:
        os.fsync(file.fileno())
        file.write(NEW)


def delete_and_recreate(path: Path) -> None:
    path.unlink()
    path.write_bytes(NEW)


def replace_the_folder(path: Path) -> None:
    folder = path.parent
    other = folder.with_name("conf.new")
    other.mkdir()
    (other / path.name).write_bytes(NEW)
    folder.rename(folder.with_name("conf.old"))
    other.rename(folder)


def delete_and_recreate_the_folder(path: Path) -> None:
    shutil.rmtree(path.parent)
    path.parent.mkdir()
    path.write_bytes(NEW)


def save(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def touch(path: Path) -> None:
    path.touch()


def delete(path: Path) -> None:
    path.unlink()


EDITS: list[Callable[[Path], None]] = [
    write_in_place,
    rename_over,
    move_in_from_elsewhere,
    save_as_vim_does,
    edit_with_sed,
    truncate_then_write,
    delete_and_recreate,
    replace_the_folder,
    delete_and_recreate_the_folder,
]


@pytest.mark.parametrize("edit", EDITS)
async def test_an_edit_is_noticed_by_its_event(path: Path, edit: Callable[[Path], None]) -> None:
    """However a file is saved, its new content is yielded without waiting for the poll."""
    async with aclosing(watch(path, poll_s=NEVER_S)) as events:
        assert await following(events) == Changed(OLD)
        edit(path)
        assert await following(events) == Changed(NEW)


@pytest.mark.parametrize("edit", EDITS)
async def test_an_edit_is_noticed_by_the_poll_alone(path: Path, edit: Callable[[Path], None]) -> None:
    """Where no events come, as on some mounts, the poll notices the same edits."""
    async with aclosing(watch(path, poll_s=0.02, events=False)) as events:
        assert await following(events) == Changed(OLD)
        edit(path)
        assert await following(events) == Changed(NEW)


@pytest.mark.parametrize("edit", [rename_over, write_in_place, delete_and_recreate])
async def test_a_second_edit_of_the_same_kind_is_noticed(path: Path, edit: Callable[[Path], None]) -> None:
    """Not only the first replacement of a file is seen."""
    async with aclosing(watch(path, seen=OLD, poll_s=NEVER_S)) as events:
        edit(path)
        assert await following(events) == Changed(NEW)
        path.with_suffix(".tmp").write_bytes(OLD)
        path.with_suffix(".tmp").replace(path)
        assert await following(events) == Changed(OLD)
        edit(path)
        assert await following(events) == Changed(NEW)


def mount_like_kubernetes(folder: Path, version: str, content: bytes) -> Path:
    """A config map's volume: the file is a link through `..data`, which is swapped by rename."""
    (folder / version).mkdir()
    (folder / version / "teal.yaml").write_bytes(content)
    beside = folder / "..data_tmp"
    beside.symlink_to(version)
    beside.replace(folder / "..data")
    file = folder / "teal.yaml"
    if not file.is_symlink():
        file.symlink_to("..data/teal.yaml")
    return file


def swap_like_kubernetes(folder: Path, old: str, new: str, content: bytes) -> None:
    mount_like_kubernetes(folder, new, content)
    shutil.rmtree(folder / old)


async def test_a_swapped_data_link_is_noticed_each_time(tmp_path: Path) -> None:
    """Kubernetes swaps the link `..data` and deletes what it pointed to; the file's own name never changes."""
    file = mount_like_kubernetes(tmp_path, "..1", OLD)
    async with aclosing(watch(file, poll_s=NEVER_S)) as events:
        assert await following(events) == Changed(OLD)
        swap_like_kubernetes(tmp_path, "..1", "..2", NEW)
        assert await following(events) == Changed(NEW)
        swap_like_kubernetes(tmp_path, "..2", "..3", OLD)
        assert await following(events) == Changed(OLD)


async def test_an_edit_of_a_links_target_is_noticed(path: Path, tmp_path: Path) -> None:
    """The folder that a link leads to is watched as well."""
    link = tmp_path / "elsewhere" / "link.yaml"
    link.parent.mkdir()
    link.symlink_to(path)
    async with aclosing(watch(link, poll_s=NEVER_S)) as events:
        assert await following(events) == Changed(OLD)
        rename_over(path)
        assert await following(events) == Changed(NEW)


async def test_the_last_of_many_quick_saves_is_yielded(path: Path) -> None:
    """Of a burst of 100 saves the last one counts."""
    contents = [b"save: %d\n" % number for number in range(100)]
    async with aclosing(watch(path, seen=OLD, poll_s=NEVER_S)) as events:
        for content in contents:
            save(path, content)
        event = await following(events)
        while event != Changed(contents[-1]):
            event = await following(events)


async def test_permanent_saving_does_not_hold_changes_back(path: Path) -> None:
    """While a file is saved without a pause, changes are yielded all the same."""
    stop = threading.Event()
    contents = {b"save: %03d\n" % number for number in range(1000)}

    def save_for_ever() -> None:
        while not stop.is_set():
            for content in contents:
                path.with_suffix(".tmp").write_bytes(content)
                path.with_suffix(".tmp").replace(path)

    saver = threading.Thread(target=save_for_ever)
    async with aclosing(watch(path, seen=OLD, poll_s=NEVER_S, patience_s=0.1)) as events:
        saver.start()
        try:
            event = await following(events)
        finally:
            stop.set()
            saver.join()
    assert isinstance(event, Changed)
    assert event.content in contents


async def test_flapping_between_two_contents_is_yielded_each_time(path: Path) -> None:
    """A change back to an earlier content is a change."""
    async with aclosing(watch(path, seen=OLD, poll_s=NEVER_S)) as events:
        save(path, NEW)
        assert await following(events) == Changed(NEW)
        save(path, OLD)
        assert await following(events) == Changed(OLD)
        save(path, NEW)
        assert await following(events) == Changed(NEW)


async def test_unchanged_content_is_not_yielded_again(path: Path) -> None:
    """Saving the same content, or touching the file, is no change."""
    async with aclosing(watch(path, seen=OLD, poll_s=0.02)) as events:
        awaited = asyncio.create_task(following(events))
        save(path, OLD)
        touch(path)
        done, _ = await asyncio.wait([awaited], timeout=0.3)
        assert not done
        save(path, NEW)
        assert await awaited == Changed(NEW)


async def test_an_empty_file_is_given_time_to_be_filled(path: Path) -> None:
    """Between truncating and writing a file is empty; that moment is never yielded."""
    async with aclosing(watch(path, seen=OLD, poll_s=0.02, patience_s=NEVER_S)) as events:
        save(path, b"")
        awaited = asyncio.create_task(following(events))
        done, _ = await asyncio.wait([awaited], timeout=0.3)
        assert not done
        save(path, NEW)
        assert await awaited == Changed(NEW)


async def test_a_file_that_stays_empty_is_yielded(path: Path) -> None:
    """A file that was emptied on purpose is told to the caller, who refuses it."""
    async with aclosing(watch(path, seen=OLD, poll_s=NEVER_S, patience_s=0.1)) as events:
        save(path, b"")
        assert await following(events) == Changed(b"")


def look(content: bytes, mtime_ns: int) -> Look:
    return Look(Changed(content), (1, 1), len(content), mtime_ns)


def still_after(first: Look, *later: tuple[float, Look]) -> list[bool]:
    stillness = Stillness(first, 0.0, quiet_s=0.05, patience_s=0.5)
    return [stillness.is_reached(seen, now) for now, seen in later]


def test_a_file_counts_once_it_is_still_for_the_quiet_time() -> None:
    """Two equal looks, far enough apart."""
    assert still_after(look(OLD, 1), (0.04, look(OLD, 1)), (0.05, look(OLD, 1))) == [False, True]


def test_a_file_that_is_being_saved_counts_when_patience_ends() -> None:
    """A file that differs at every look is taken after the patience all the same."""
    assert still_after(look(OLD, 1), (0.49, look(NEW, 2)), (0.5, look(OLD, 3))) == [False, True]


def test_a_growing_file_is_waited_for_past_the_patience() -> None:
    """A half-written file is not taken while its writer goes on."""
    growing = [(0.4, look(NEW[:2], 2)), (0.8, look(NEW[:3], 3)), (1.2, look(NEW, 4)), (1.25, look(NEW, 4))]
    assert still_after(look(NEW[:1], 1), *growing) == [False, False, False, True]


def test_an_empty_file_counts_after_the_patience_only() -> None:
    """Emptiness is what a save begins with, so the quiet time is not enough for it."""
    assert still_after(look(b"", 1), (0.49, look(b"", 1)), (0.5, look(b"", 1))) == [False, True]


def test_a_missing_file_counts_after_the_patience_only() -> None:
    """Some editors delete a file before they write it again."""
    assert still_after(Look(Gone()), (0.49, Look(Gone())), (0.5, Look(Gone()))) == [False, True]


async def test_a_file_that_is_gone_is_told_once_and_its_return_is_noticed(path: Path) -> None:
    """A deleted file is one event; the next one is its new content."""
    async with aclosing(watch(path, seen=OLD, poll_s=0.02, patience_s=0.1)) as events:
        delete(path)
        assert await following(events) == Gone()
        awaited = asyncio.create_task(following(events))
        done, _ = await asyncio.wait([awaited], timeout=0.3)
        assert not done
        save(path, OLD)
        assert await awaited == Changed(OLD)


async def test_a_folder_that_comes_later_is_noticed(tmp_path: Path) -> None:
    """Watching may start before the file and its folder are there."""
    path = tmp_path / "later" / "teal.yaml"
    async with aclosing(watch(path, poll_s=NEVER_S, patience_s=0.1)) as events:
        assert await following(events) == Gone()
        path.parent.mkdir()
        save(path, NEW)
        assert await following(events) == Changed(NEW)


def put_a_folder_there(path: Path) -> None:
    path.mkdir()


def put_a_pipe_there(path: Path) -> None:
    os.mkfifo(path)


def put_a_link_to_itself_there(path: Path) -> None:
    path.symlink_to(path.name)


def put_a_large_file_there(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(10**12)


@pytest.mark.parametrize(
    ("put", "reason"),
    [
        (put_a_folder_there, "not a regular file"),
        (put_a_pipe_there, "not a regular file"),
        (
            put_a_large_file_there,
            "it has 1,000,000,000,000 bytes, and at most 4,194,304 (4 MiB) are read; see that it is the file you mean",
        ),
        (put_a_link_to_itself_there, "Too many levels of symbolic links"),
    ],
)
async def test_what_cannot_be_read_is_told_with_the_reason(
    path: Path, put: Callable[[Path], None], reason: str
) -> None:
    """Something else in the file's place neither hangs the watcher nor ends it."""
    async with aclosing(watch(path, seen=OLD, poll_s=NEVER_S)) as events:
        delete(path)
        put(path)
        assert await following(events) == Unreadable(reason)


def test_without_events_it_says_so_once_and_polls(path: Path) -> None:
    """On a machine that has no inotify instance left the poll does the work."""
    program = textwrap.dedent(
        """
        import asyncio, os, resource, sys
        from pathlib import Path
        from router.control.config.watch import watch

        async def main(path):
            asyncio.get_running_loop().set_default_executor(__import__("concurrent.futures").futures.ThreadPoolExecutor(1))
            free = os.dup(0)
            os.close(free)
            # One descriptor is left: enough to read the file, not for inotify and its companions.
            resource.setrlimit(resource.RLIMIT_NOFILE, (free + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
            events = watch(path, seen=path.read_bytes(), poll_s=0.02)
            awaited = asyncio.create_task(anext(events))
            while "config.watch_failed" not in sys.stdout.text:
                await asyncio.sleep(0.01)
            path.write_bytes(b"new")
            print((await awaited).content)
            await events.aclose()

        class Tee:
            text = ""
            def write(self, text):
                self.text += text
                sys.__stdout__.write(text)
            def flush(self):
                sys.__stdout__.flush()

        sys.stdout = Tee()
        asyncio.run(main(Path(sys.argv[1])))
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", program, path], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.count("config.watch_failed") == 1, done.stderr
    assert done.stdout.endswith("b'new'\n")

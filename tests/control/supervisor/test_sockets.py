"""Sockets for workers: short paths, never twice the same, closed to others."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from router.control.supervisor.disk_thread import DiskThread
from router.control.supervisor.sockets import SocketFolder, run_dir_of


@pytest.fixture
def disk() -> Iterator[DiskThread]:
    disk = DiskThread()
    yield disk
    disk.close(10)


def test_no_path_is_used_twice(tmp_path: Path, disk: DiskThread) -> None:
    """The address of a process is not that of any other."""
    folder = SocketFolder(tmp_path / "run", disk)
    first, first_path = folder.listener()
    first.close()
    first_path.unlink()
    second, second_path = folder.listener()
    second.close()
    assert first_path != second_path


def test_a_folder_that_was_removed_is_made_again(tmp_path: Path, disk: DiskThread) -> None:
    """A clean-up beneath a running daemon costs no worker its next start."""
    folder = SocketFolder(tmp_path / "run", disk)
    folder.path.rmdir()
    listener, path = folder.listener()
    listener.close()
    assert path.is_socket()


def test_folder_is_closed_to_others(tmp_path: Path, disk: DiskThread) -> None:
    """Only this user can connect to a worker."""
    (tmp_path / "run").mkdir(mode=0o755)
    assert SocketFolder(tmp_path / "run", disk).path.stat().st_mode & 0o777 == 0o700


def test_what_a_killed_process_left_is_swept(tmp_path: Path, disk: DiskThread) -> None:
    """Stale sockets do not stay in the way."""
    stale = tmp_path / "w1.sock"
    stale.touch()
    SocketFolder(tmp_path, disk)
    assert not stale.exists()


def test_a_socket_that_is_still_served_is_left_alone(tmp_path: Path, disk: DiskThread) -> None:
    """A worker of a process that was killed has requests to finish; no new socket has its name."""
    earlier, path = SocketFolder(tmp_path, disk).listener()
    with earlier, socket.socket(socket.AF_UNIX) as client:
        listener, other = SocketFolder(tmp_path, disk).listener()
        listener.close()
        assert other != path
        client.connect(str(path))


def test_path_too_long_for_a_socket_is_replaced_by_a_short_one(tmp_path: Path, disk: DiskThread) -> None:
    """However deep the state folder lies, its workers can be connected to; two states never share a folder."""
    deep = SocketFolder(tmp_path / ("d" * 120), disk)
    other = SocketFolder(tmp_path / ("e" * 120), disk)
    listener, path = deep.listener()
    with listener, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    path.unlink()
    deep.path.rmdir()
    other.path.rmdir()
    assert deep.path != other.path


def test_foreign_thing_in_place_of_the_folder_is_refused(tmp_path: Path, disk: DiskThread) -> None:
    """A link that somebody else could turn around is not followed."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PermissionError, match="is not a folder of this user"):
        SocketFolder(tmp_path / "run", disk)


def test_notifications_are_read_without_waiting(tmp_path: Path, disk: DiskThread) -> None:
    """Every message that is there, as its assignments; text that is none of them does no harm."""
    notifications = SocketFolder(tmp_path, disk).notifications()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as worker:
        worker.connect(str(notifications.path))
        worker.send(b"READY=1\nSTATUS=a=b")
        worker.send(b"\xff")
    assert notifications.read() == [{"READY": "1", "STATUS": "a=b"}, {"\ufffd": ""}]
    assert notifications.read() == []
    notifications.close()


def test_a_pair_that_is_closed_leaves_nothing(tmp_path: Path, disk: DiskThread) -> None:
    """Both paths go, but not while anybody waits: their disk may hang."""
    pair = SocketFolder(tmp_path, disk).pair()
    assert len(list(tmp_path.iterdir())) == 2
    pair.close()
    assert disk.wait(10)
    assert list(tmp_path.iterdir()) == []


def test_half_a_pair_is_not_left_behind(tmp_path: Path, disk: DiskThread) -> None:
    """Where only one of the two can be made."""
    folder = SocketFolder(tmp_path, disk)
    first = folder.pair()
    number = int(first.notifications.path.stem[1:])
    (tmp_path / f"n{number + 2}.sock").touch()  # where the next one's would be
    with pytest.raises(OSError, match="Address already in use"):
        folder.pair()
    assert sorted(path.stem for path in tmp_path.iterdir()) == sorted((first.path.stem, f"n{number}", f"n{number + 2}"))
    first.close()


def test_pairs_that_are_made_at_the_same_time_differ(tmp_path: Path, disk: DiskThread) -> None:
    """Workers start together, each in a thread of its own."""
    folder = SocketFolder(tmp_path, disk)
    with ThreadPoolExecutor(16) as threads:
        pairs = list(threads.map(lambda _: folder.pair(), range(200)))
    assert len({path for pair in pairs for path in (pair.path, pair.notifications.path)}) == 400
    for pair in pairs:
        pair.close()


def test_sockets_are_where_systemd_gives_room_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two states that are given the same folder, the first of a list, do not meet there."""
    given = tmp_path / "given"
    given.mkdir()
    monkeypatch.setenv("RUNTIME_DIRECTORY", f"{given}:/elsewhere")
    one, other = run_dir_of(tmp_path / "one"), run_dir_of(tmp_path / "other")
    assert one.parent == other.parent == given
    assert one != other
    assert one == run_dir_of(tmp_path / "one")


def test_sockets_are_in_the_state_where_nothing_else_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is a folder taken that is not there, as in the environment of a service that ended."""
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "gone"))
    assert run_dir_of(tmp_path) == tmp_path / "run"
    monkeypatch.delenv("RUNTIME_DIRECTORY")
    assert run_dir_of(tmp_path) == tmp_path / "run"

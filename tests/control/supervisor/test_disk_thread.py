"""What a disk hangs in waits for it, and nothing else does."""

import os
import threading
from pathlib import Path

import psutil
import structlog

from router.control.supervisor.disk_thread import DiskThread


def test_work_is_done_in_order() -> None:
    """One after the other."""
    disk, done = DiskThread(), list[int]()
    for number in range(100):
        disk.do(lambda number=number: done.append(number))
    disk.close(10)
    assert done == list(range(100))


def test_what_waits_is_bounded_until_there_is_room_again() -> None:
    """In bytes; what takes none always finds room."""
    disk, goes_on = DiskThread(max_bytes=100), threading.Event()
    disk.do(goes_on.wait)
    assert [disk.do(int, 60), disk.do(int, 60), disk.do(int, 40), disk.do(int, 0)] == [True, False, True, True]
    goes_on.set()
    assert disk.wait(10)
    assert disk.do(int, 100)
    disk.close(10)


def test_a_stall_is_told_once() -> None:
    """However much is dropped; the next one is told again."""
    disk = DiskThread(max_bytes=100)
    with structlog.testing.capture_logs() as events:
        for _ in range(2):
            goes_on = threading.Event()
            disk.do(goes_on.wait)
            disk.do(int, 100)
            disk.do(int, 100)
            disk.do(int, 100)
            goes_on.set()
            assert disk.wait(10)
    disk.close(10)
    assert [(event["event"], event["waiting_bytes"]) for event in events] == [("worker.output_dropped", 100)] * 2


def test_nobody_waits_longer_than_they_said() -> None:
    """Neither for what was given to it nor for its end; afterwards it takes nothing."""
    disk, goes_on = DiskThread(), threading.Event()
    disk.do(goes_on.wait)
    assert not disk.wait(0.01)
    disk.close(0.01)
    assert not disk.do(int)
    goes_on.set()


def test_files_are_not_handed_on_to_processes(tmp_path: Path) -> None:
    """The process has none that was opened there, so that whoever starts another one need not close it."""
    disk, opened = DiskThread(), list[Path]()

    def open_one() -> None:
        fd = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
        opened.append(Path(f"/proc/thread-self/fd/{fd}").readlink())

    disk.do(open_one)
    assert disk.wait(10)
    ours = [file.path for file in psutil.Process().open_files()]
    disk.close(10)
    assert (opened, str(tmp_path / "log") in ours) == ([tmp_path / "log"], False)

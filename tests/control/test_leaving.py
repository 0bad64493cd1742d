"""A process that has stopped also ends."""

import contextlib
import os
import subprocess
import sys

HANGS = """
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from router.control.leaving import end_threads

threads = ThreadPoolExecutor()
reader, writer = os.pipe()
print("before")
has_begun = threading.Event()
threads.submit(lambda: (has_begun.set(), os.read(reader, 1)))
has_begun.wait()
if {answers}:
    os.write(writer, b"x")
end_threads(threads, patience_s={patience_s}, exit_code=3)
print("after")
"""


def run(*, answers: bool, patience_s: float) -> subprocess.CompletedProcess[str]:
    """A process with a thread that waits to read, and may get what it waits for."""
    code = HANGS.format(answers=answers, patience_s=patience_s)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)


def test_a_thread_that_hangs_is_not_waited_for() -> None:
    """The process ends with the code that it would have ended with, and what it had printed is out."""
    ended = run(answers=False, patience_s=0.1)
    assert (ended.returncode, ended.stdout) == (3, "before\n")
    assert "a thread that hangs" in ended.stderr


def test_a_thread_that_ends_is_waited_for() -> None:
    """Then the process goes on."""
    assert run(answers=True, patience_s=60).stdout == "before\nafter\n"


LATE = """
import os
from router.control.leaving import end_at_latest

reader, writer = os.pipe()
print("before")
end_at_latest(0.1, exit_code=3)
os.read(reader, 1)
"""


def test_a_stop_that_takes_too_long_is_cut() -> None:
    """Though the main thread itself waits for what never comes."""
    ended = subprocess.run([sys.executable, "-c", LATE], capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stdout) == (3, "before\n")
    assert "a stop that was not done in 0.1 s" in ended.stderr


def test_a_reader_that_stalls_does_not_keep_it() -> None:
    """It says why it leaves so, where anybody listens; if not, it leaves all the same."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(4096))
    os.set_blocking(writer, True)
    ended = subprocess.run(
        [sys.executable, "-c", LATE], stdout=subprocess.DEVNULL, stderr=writer, check=False, timeout=30
    )
    assert ended.returncode == 3
    os.close(reader)
    os.close(writer)

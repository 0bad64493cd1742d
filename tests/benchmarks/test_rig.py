"""What is watched while a fault is made."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import psutil
import pytest
from faults.rig import PeakMemory, rss_bytes

WAITS = "print(flush=True); input()"


@pytest.fixture
def still() -> Iterator[int]:
    """A process whose memory does not change."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", WAITS], stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        yield process.pid
        process.kill()


def test_memory_is_what_a_process_has_resident(still: int) -> None:
    """In bytes."""
    assert rss_bytes(still) == psutil.Process(still).memory_info().rss


def test_once_a_process_is_gone_it_is_asked_again_which_there_are(still: int) -> None:
    """Those that replace it count, and nothing is said of what is not there."""
    answers = iter([[2**22 + 1], [still]])
    is_told = threading.Event()

    def pids() -> list[int]:
        if (answer := next(answers)) == [still]:
            is_told.set()
        return answer

    with PeakMemory(pids) as peak:
        assert is_told.wait(10)
        while not peak.rss_bytes:
            threading.Event().wait(0.01)
    assert peak.rss_bytes == rss_bytes(still)

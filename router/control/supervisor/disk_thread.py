"""A thread for what a disk may hang in, so that the event loop never does.

Rules
- What is to be done is done in the order in which it came, one after the other.
- Nobody waits for it without a bound, the exit of the process included; what waits itself is bounded in bytes.
- Files that it opens are its own: a process that another thread starts would close them first, and hang in that where
  the file system writes what is left at each close, as NFS does.
"""

import ctypes
import os
import threading
from collections.abc import Callable
from queue import SimpleQueue

import structlog

log = structlog.get_logger()

#: More than one instance may print at once, twice over.
MAX_BYTES = 16 * 2**20
_CLONE_FILES = 0x400
_STANDARD_FDS = 3


class DiskThread:
    """Does what it is given, which must not raise.

    Args:
        max_bytes: That may wait.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._waiting_bytes = 0
        self._is_full = False
        self._is_closed = False
        self._lock = threading.Lock()
        self._work: SimpleQueue[tuple[int, Callable[[], object]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="disk", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"DiskThread({self._waiting_bytes} bytes waiting)"

    def do(self, work: Callable[[], object], size: int = 0) -> bool:
        """Have `work` done, which holds `size` bytes; False if there is no room for them. Returns at once."""
        with self._lock:
            if self._is_closed:
                return False
            has_room = self._waiting_bytes + size <= self._max_bytes
            if has_room:
                self._waiting_bytes += size
                self._work.put((size, work))
            is_news = not has_room and not self._is_full
            self._is_full = self._is_full or not has_room
        if is_news:
            log.warning("worker.output_dropped", waiting_bytes=self._waiting_bytes, hint="the disk of the logs hangs")
        return has_room

    def wait(self, timeout_s: float) -> bool:
        """Return when all that came before is done, or after `timeout_s`; whether it is. Not for the event loop."""
        is_done = threading.Event()
        return self.do(is_done.set) and is_done.wait(timeout_s)

    def close(self, timeout_s: float) -> None:
        """Take no more, and give what was taken at most `timeout_s`."""
        with self._lock:
            self._is_closed = True
            self._work.put(None)
        self._thread.join(timeout_s)

    def _run(self) -> None:
        _part_from_descriptors()
        while (next_one := self._work.get()) is not None:
            size, work = next_one
            work()
            with self._lock:
                self._waiting_bytes -= size
                self._is_full = self._is_full and self._waiting_bytes > 0


def _part_from_descriptors() -> None:
    """Give this thread a table of descriptors of its own, with nothing in it but the standard ones."""
    if ctypes.CDLL(None).unshare(_CLONE_FILES) == 0:
        os.closerange(_STANDARD_FDS, os.sysconf("SC_OPEN_MAX"))

"""Lines written to a file descriptor by a thread of their own: a slow reader costs lines, never time."""

import os
import select
import stat
import threading
import time
from collections.abc import Sequence

# Up to this many bytes a pipe takes a write whole or not at all, so lines of several processes never mix in one.
_PIPE_BATCH_BYTES = select.PIPE_BUF
# A Unix stream socket (systemd's journal) carries this much in one buffer; to files it is just a good size.
_BATCH_BYTES = 16 * 1024
# Lines that come within this time share a wake-up of the thread, and with it one fight for the interpreter.
_GATHER_S = 0.02
_POLL_S = 0.1  # how soon the thread notices that it is being closed


class LineWriter:
    """Queues lines for a descriptor that it does not own, and counts those that nobody took.

    Lines are dropped, newest first, while `max_bytes` are queued, and when the descriptor refuses them.

    Args:
        fd: Blocking or not; it is only written to when it has room.
        max_bytes: Bytes that may wait.
    """

    def __init__(self, fd: int, max_bytes: int = 1_000_000) -> None:
        self.dropped = 0
        self._fd = fd
        self._max_bytes = max_bytes
        self._batch_bytes = _PIPE_BATCH_BYTES if _is_pipe(fd) else _BATCH_BYTES
        self._lines: list[bytes] = []
        self._queued_bytes = 0
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._deadline = float("inf")
        # A daemon thread: the exit of the process shall not wait for a reader that stalls.
        self._thread = threading.Thread(target=self._run, name="line-writer", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"LineWriter(fd {self._fd}, {self._queued_bytes} bytes queued, {self.dropped} lines dropped)"

    def write(self, line: bytes) -> bool:
        """Queue a line, which ends with its newline; False if it was dropped. Never waits for the reader."""
        return self.write_lines((line,))

    def write_lines(self, lines: Sequence[bytes]) -> bool:
        """Queue lines, all of them or none."""
        size = sum(map(len, lines))
        # In one piece they cost the thread, which holds up everybody while it works, as little as one line.
        pieces = (b"".join(lines),) if size <= self._batch_bytes else lines
        with self._lock:
            if self._queued_bytes + size > self._max_bytes or self._closing.is_set():
                self.dropped += len(lines)
                return False
            was_empty = not self._lines
            self._lines += pieces
            self._queued_bytes += size
            if was_empty:
                self._wake.set()
            return True

    def close(self, timeout_s: float) -> None:
        """Write what is queued, for at most `timeout_s`; what is left then counts as dropped."""
        self._deadline = time.monotonic() + timeout_s
        with self._lock:
            self._closing.set()
        self._wake.set()
        self._thread.join(timeout_s + 2 * _POLL_S)

    def _run(self) -> None:
        while not self._closing.is_set():
            self._wake.wait()
            self._closing.wait(_GATHER_S)
            self._wake.clear()
            self._flush()
        self._flush()

    def _flush(self) -> None:
        with self._lock:
            lines, self._lines = self._lines, []
        for batch in _batches(lines, self._batch_bytes):
            unwritten = self._write_all(batch)
            with self._lock:
                self._queued_bytes -= len(batch)
                self.dropped += unwritten.count(b"\n")

    def _write_all(self, batch: bytes) -> bytes:
        """Write the batch; return what the descriptor refused, or did not take before the deadline."""
        rest = batch
        while rest and self._has_room():
            try:
                rest = rest[os.write(self._fd, rest[: self._batch_bytes]) :]
            except BlockingIOError:
                continue
            except OSError:  # closed, gone or full: there is nowhere left to say so
                return rest
        return rest

    def _has_room(self) -> bool:
        """Wait until the descriptor takes a write; False when the deadline passes first."""
        poller = select.poll()
        poller.register(self._fd, select.POLLOUT)
        left_s = 1.0
        while left_s > 0:
            left_s = self._deadline - time.monotonic()
            if poller.poll(max(0.0, min(_POLL_S, left_s)) * 1000):
                return True
        return False


def _is_pipe(fd: int) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(fd).st_mode)
    except OSError:  # closed; every write will say so too
        return False


def _batches(lines: list[bytes], max_bytes: int) -> list[bytes]:
    """The lines joined to as few pieces as possible, none above `max_bytes` unless it is a single line."""
    batches: list[list[bytes]] = []
    size = max_bytes
    for line in lines:
        if size + len(line) > max_bytes:
            batches.append([])
            size = 0
        batches[-1].append(line)
        size += len(line)
    return [b"".join(batch) for batch in batches]

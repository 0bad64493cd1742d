"""Lines written to a file descriptor without ever waiting for it: a slow reader costs lines, never time.

Rules
- A pipe or a socket says whether it has room, and is written to at once while it has. A thread for that would cost more
  than all the rest of a line: after each write it fights with the event loop for the interpreter.
- A file always says so, and its disk may be slow all the same: it is written to by a thread, in large pieces.
- What finds no room is queued for the thread, and what comes later queues behind it.
- A line that had to be given up in its middle ends there: the next one, perhaps of another process, begins a new line.
"""

import contextlib
import fcntl
import os
import select
import socket
import stat
import struct
import termios
import threading
import time
from collections.abc import Sequence
from typing import Literal

# Up to this many bytes a pipe takes a write whole or not at all, so lines of several processes never mix in one.
_PIPE_BATCH_BYTES = select.PIPE_BUF
# A Unix stream socket (systemd's journal) carries this much in one buffer.
_SOCKET_BATCH_BYTES = 16 * 1024
# Each write by the thread costs the event loop some turns of waiting for the interpreter.
_FILE_BATCH_BYTES = 256 * 1024
# That one system call takes (IOV_MAX).
_BATCH_PIECES = 1024
# Lines that come within this time share a wake-up of the thread, and with it one fight for the interpreter.
_GATHER_S = 0.02
_BATCH_BYTES = {"pipe": _PIPE_BATCH_BYTES, "socket": _SOCKET_BATCH_BYTES, "other": _FILE_BATCH_BYTES}
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
        kind = _kind(fd)
        self._batch_bytes = _BATCH_BYTES[kind]
        self._direct = _without_waiting(fd, kind)
        self._lines: list[bytes] = []
        self._queued_bytes = 0
        self._queued_lines = 0
        self._is_mid_line = False  # the last write ended within a line
        self._is_abandoned = False  # what is queued counts as dropped already
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
        """Write or queue lines, all of them or none."""
        size = sum(map(len, lines))
        # In one piece they cost as little as one line.
        pieces = [b"".join(lines)] if size <= self._batch_bytes else list(lines)
        with self._lock:
            if self._queued_bytes + size > self._max_bytes or self._closing.is_set():
                self.dropped += len(lines)
                return False
            if self._direct is not None and not self._queued_bytes:
                pieces = self._write_now(pieces)
            if pieces:
                self._queue(pieces)
            return True

    def close(self, timeout_s: float) -> None:
        """Write what is queued, for at most `timeout_s`; what is left then counts as dropped."""
        self._deadline = time.monotonic() + timeout_s
        with self._lock:
            self._closing.set()
        self._wake.set()
        self._thread.join(timeout_s + 2 * _POLL_S)
        with self._lock:
            if self._thread.is_alive() and not self._is_abandoned:  # in a disk that hangs
                self._is_abandoned = True
                self.dropped += self._queued_lines
        if self._direct is not None and not self._thread.is_alive():
            self._direct.close()
            self._direct = None

    def _write_now(self, pieces: list[bytes]) -> list[bytes]:
        """Write what there is room for; return the rest."""
        assert self._direct is not None
        pieces = [b"".join(batch) for batch in _batches(pieces, self._batch_bytes)]
        for number, piece in enumerate(pieces):
            if len(piece) > self._batch_bytes:
                return pieces[number:]
            try:
                taken = self._direct.write(piece)
            except OSError:  # no room; or closed, which the thread finds out as well, and counts
                return pieces[number:]
            if taken < len(piece):
                self._is_mid_line = piece[taken - 1 : taken] != b"\n"
                return [piece[taken:], *pieces[number + 1 :]]
        return []

    def _queue(self, pieces: list[bytes]) -> None:
        was_empty = not self._lines
        self._lines += pieces
        self._queued_bytes += sum(map(len, pieces))
        self._queued_lines += _count(pieces)
        if was_empty:
            self._wake.set()

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
                self._queued_bytes -= sum(map(len, batch))
                self._queued_lines -= _count(batch)
                self.dropped += 0 if self._is_abandoned else _count(unwritten)

    def _write_all(self, batch: list[bytes]) -> list[bytes]:
        """Write the batch; return what the descriptor refused, or did not take before the deadline."""
        rest = batch
        while rest and self._has_room():
            try:
                taken = self._write_some(rest)
            except BlockingIOError:
                continue
            except OSError:  # closed, gone or full: there is nowhere left to say so
                break
            rest = _without(rest, taken)
        if rest and self._is_mid_line:
            self._end_line()
        return rest

    def _write_some(self, pieces: list[bytes]) -> int:
        """Write what there is room for, or wait for a file; return how much."""
        direct = self._direct
        if direct is None:
            taken = os.writev(self._fd, pieces if len(pieces) > 1 else (pieces[0][: self._batch_bytes],))
        else:
            taken = direct.write(b"".join(pieces))
        self._is_mid_line = _byte_before(pieces, taken) != b"\n"
        return taken

    def _end_line(self) -> None:
        if self._direct is not None:
            with contextlib.suppress(OSError):  # no room even for that
                self._direct.write(b"\n")
        self._is_mid_line = False

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


class _Pipe:
    """A description of our own of a pipe, since waiting or not is a property of the description.

    Raises:
        OSError: it belongs to somebody else.
    """

    def __init__(self, fd: int) -> None:
        self._fd = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK)

    def write(self, piece: bytes) -> int:
        """Write all of at most `PIPE_BUF` bytes, or raise `BlockingIOError`; of more, perhaps only a part."""
        if len(piece) > _PIPE_BATCH_BYTES and not self._has_room_for(len(piece)):
            # A part that leaves room for a byte in its page: the kernel adds a newline there, though the pipe be full.
            piece = piece[: _PIPE_BATCH_BYTES - 1]
        return os.write(self._fd, piece)

    def close(self) -> None:
        os.close(self._fd)

    def _has_room_for(self, size: int) -> bool:
        """Whether it surely takes so much in one write, between which and its end nobody else's comes."""
        (unread,) = struct.unpack("i", fcntl.ioctl(self._fd, termios.FIONREAD, bytes(4)))
        # What is unread may lie in nearly empty pages, so that only an empty pipe has room for what its size says.
        return unread == 0 and size <= fcntl.fcntl(self._fd, fcntl.F_GETPIPE_SZ) - _PIPE_BATCH_BYTES


class _Socket:
    """A socket as it is, asked not to wait at each call."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=os.dup(fd))

    def write(self, piece: bytes) -> int:
        """Write what there is room for, or raise `BlockingIOError`."""
        return self._socket.send(piece, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)

    def close(self) -> None:
        self._socket.close()


def _without_waiting(fd: int, kind: str) -> _Pipe | _Socket | None:
    """The descriptor as something that never waits; None where only a thread can do without waiting."""
    try:
        return _Pipe(fd) if kind == "pipe" else _Socket(fd) if kind == "socket" else None
    except OSError:
        return None


def _kind(fd: int) -> Literal["pipe", "socket", "other"]:
    try:
        mode = os.fstat(fd).st_mode
    except OSError:  # closed; every write will say so too
        return "other"
    return "pipe" if stat.S_ISFIFO(mode) else "socket" if stat.S_ISSOCK(mode) else "other"


def _batches(lines: Sequence[bytes], max_bytes: int) -> list[list[bytes]]:
    """The lines by what one write takes: at most `max_bytes` unless it is a single line."""
    batches: list[list[bytes]] = []
    size = max_bytes
    for line in lines:
        if size + len(line) > max_bytes or len(batches[-1]) == _BATCH_PIECES:
            batches.append([])
            size = 0
        batches[-1].append(line)
        size += len(line)
    return batches


def _count(pieces: Sequence[bytes]) -> int:
    """Lines that end in these pieces."""
    return sum(piece.count(b"\n") for piece in pieces)


def _byte_before(pieces: Sequence[bytes], place: int) -> bytes:
    """The last of the first `place` bytes."""
    for piece in pieces:
        if place <= len(piece):
            return piece[place - 1 : place]
        place -= len(piece)
    return b""


def _without(pieces: list[bytes], taken: int) -> list[bytes]:
    """What is left of `pieces` without their first `taken` bytes."""
    for number, piece in enumerate(pieces):
        if taken < len(piece):
            return [piece[taken:], *pieces[number + 1 :]]
        taken -= len(piece)
    return []

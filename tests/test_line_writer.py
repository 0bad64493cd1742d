"""Lines reach the reader whole and in order, and a reader that stalls never holds the writer up."""

import contextlib
import fcntl
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from router.line_writer import LineWriter


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Read and write end."""
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)
    os.close(writer)


def read_until(fd: int, end: bytes) -> bytes:
    received = b""
    while not received.endswith(end):
        received += os.read(fd, 65536)
    return received


def test_lines_arrive_in_order(pipe: tuple[int, int]) -> None:
    """What is written comes out as it went in."""
    writer = LineWriter(pipe[1])
    assert writer.write(b"one\n")
    assert writer.write(b"two\n")
    assert read_until(pipe[0], b"two\n") == b"one\ntwo\n"
    writer.close(timeout_s=5)
    assert writer.dropped == 0


def test_close_writes_what_is_queued(pipe: tuple[int, int]) -> None:
    """A clean exit loses no line."""
    writer = LineWriter(pipe[1])
    writer.write(b"last words\n")
    writer.close(timeout_s=5)
    assert os.read(pipe[0], 100) == b"last words\n"


def test_stalled_reader_costs_lines_not_time(pipe: tuple[int, int]) -> None:
    """With nobody reading, writes return at once, lines above the bound are dropped and each one is counted."""
    writer = LineWriter(pipe[1], max_bytes=10_000)
    taken = sum(writer.write(b"x" * 999 + b"\n") for _ in range(1000))
    assert 10 <= taken < 1000
    assert writer.dropped == 1000 - taken
    writer.close(timeout_s=0)


def test_every_line_is_either_read_or_counted(pipe: tuple[int, int]) -> None:
    """After a stall and a close that gives up, lines in the pipe and lines dropped add up to those written."""
    writer = LineWriter(pipe[1], max_bytes=500_000)
    for _ in range(1000):
        writer.write(b"x" * 999 + b"\n")
    writer.close(timeout_s=0)
    os.set_blocking(pipe[0], False)
    assert os.read(pipe[0], 1_000_000).count(b"\n") + writer.dropped == 1000


def test_stalled_pipe_is_left_with_whole_lines(pipe: tuple[int, int]) -> None:
    """A pipe that fills up never ends in half a line, so another process may write to it too."""
    writer = LineWriter(pipe[1])
    for _ in range(500):
        writer.write(b"y" * 998 + b"\n")
    writer.close(timeout_s=0)
    os.set_blocking(pipe[0], False)
    assert os.read(pipe[0], 1_000_000).endswith(b"\n")


def test_writes_after_a_stall_come_through(pipe: tuple[int, int]) -> None:
    """A reader that comes back gets later lines."""
    writer = LineWriter(pipe[1], max_bytes=200_000)
    while writer.write(b"z" * 999 + b"\n"):
        pass
    received = bytearray()
    reader = threading.Thread(target=lambda: received.extend(read_until(pipe[0], b"the end\n")))
    reader.start()
    while not writer.write(b"the end\n"):
        pass
    reader.join(timeout=30)
    writer.close(timeout_s=5)
    assert received.endswith(b"z\nthe end\n")


def test_line_over_the_batch_size_arrives_whole(pipe: tuple[int, int]) -> None:
    """A line longer than a pipe's atomic write is still one line."""
    writer = LineWriter(pipe[1])
    line = b"w" * 300_000 + b"\n"
    writer.write(line)
    assert read_until(pipe[0], b"\n") == line
    writer.close(timeout_s=5)


def test_full_non_blocking_socket_takes_the_rest_later() -> None:
    """Partial writes are continued where they stopped."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        writer = LineWriter(ours.fileno())
        line = b"v" * 200_000 + b"\n"
        writer.write(line)
        assert read_until(theirs.fileno(), b"\n") == line
        writer.close(timeout_s=5)


def test_closed_reader_drops_and_counts() -> None:
    """A broken pipe is no reason to die."""
    reader, fd = os.pipe()
    os.close(reader)
    writer = LineWriter(fd)
    writer.write(b"nobody\n")
    writer.close(timeout_s=5)
    os.close(fd)
    assert writer.dropped == 1


def test_line_after_close_is_dropped(pipe: tuple[int, int]) -> None:
    """A closed writer takes nothing, and says so."""
    writer = LineWriter(pipe[1])
    writer.close(timeout_s=5)
    assert not writer.write(b"too late\n")
    assert writer.dropped == 1


def test_a_pipe_with_room_is_written_to_at_once(pipe: tuple[int, int]) -> None:
    """No thread has to wake up for it: when `write` returns, the line is there."""
    writer = LineWriter(pipe[1])
    writer.write(b"there\n")
    os.set_blocking(pipe[0], False)
    assert os.read(pipe[0], 100) == b"there\n"
    writer.close(timeout_s=5)


def test_the_pipe_of_others_stays_as_it_was(pipe: tuple[int, int]) -> None:
    """Whether a write waits belongs to the pipe's description, which other processes share."""
    writer = LineWriter(pipe[1])
    assert os.get_blocking(pipe[1])
    writer.close(timeout_s=5)
    assert os.get_blocking(pipe[1])


def test_lines_behind_a_stall_keep_their_order(pipe: tuple[int, int]) -> None:
    """What finds no room is queued, and nothing overtakes it when there is room again."""
    writer = LineWriter(pipe[1], max_bytes=1_000_000)
    lines = [b"%06d %s\n" % (number, b"x" * 992) for number in range(200)]
    for line in lines:
        assert writer.write(line)
    assert read_until(pipe[0], lines[-1]) == b"".join(lines)
    writer.close(timeout_s=5)


def test_a_blocking_socket_without_a_reader_never_holds_the_writer_up() -> None:
    """Lines that it does not take at once wait in the queue."""
    ours, theirs = socket.socketpair()
    writer = LineWriter(ours.fileno(), max_bytes=5_000_000)
    lines = [b"%06d %s\n" % (number, b"x" * 9992) for number in range(300)]
    for line in lines:
        assert writer.write(line)
    assert read_until(theirs.fileno(), lines[-1]) == b"".join(lines)
    writer.close(timeout_s=5)
    ours.close()
    theirs.close()


@pytest.fixture
def full(pipe: tuple[int, int]) -> tuple[int, int]:
    """The pipe with no room left."""
    os.set_blocking(pipe[1], False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(pipe[1], b"f" * 4095 + b"\n")
    os.set_blocking(pipe[1], True)
    return pipe


def test_a_line_that_is_given_up_in_its_middle_ends_there(pipe: tuple[int, int]) -> None:
    """The next line in the pipe, of whatever process, begins a new one; this one counts as dropped."""
    fcntl.fcntl(pipe[1], fcntl.F_SETPIPE_SZ, 65536)
    writer = LineWriter(pipe[1])
    writer.write(b"g" * 300_000 + b"\n")
    writer.close(timeout_s=0.3)
    received = os.read(pipe[0], 1_000_000)
    assert (received[-2:], received.count(b"\n"), writer.dropped) == (b"g\n", 1, 1)


def test_a_line_for_which_there_is_no_room_at_all_leaves_nothing(full: tuple[int, int]) -> None:
    """It is not begun."""
    writer = LineWriter(full[1])
    writer.write(b"h" * 9_000 + b"\n")
    writer.close(timeout_s=0.1)
    assert b"h" not in os.read(full[0], 1_000_000)
    assert writer.dropped == 1


def test_long_lines_of_two_writers_do_not_mix(pipe: tuple[int, int]) -> None:
    """While the reader keeps up, each goes into the pipe in one piece."""
    fcntl.fcntl(pipe[1], fcntl.F_SETPIPE_SZ, 1_000_000)
    writers = [LineWriter(pipe[1]), LineWriter(pipe[1])]
    lines = [b"a" * 20_000 + b"\n", b"b" * 20_000 + b"\n"]
    for _ in range(20):
        for writer, line in zip(writers, lines, strict=True):
            writer.write(line)
        received = b""
        while len(received) < 40_002:
            received += os.read(pipe[0], 1_000_000)
        assert sorted(received.splitlines(keepends=True)) == lines
    for writer in writers:
        writer.close(timeout_s=5)


def test_what_a_hung_disk_holds_counts_as_dropped_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also what the thread has in its hands, and once only."""
    goes_on, hangs = threading.Event(), threading.Event()

    def hang(fd: int, pieces: list[bytes]) -> int:
        hangs.set()
        goes_on.wait()
        return sum(map(len, pieces))

    with (tmp_path / "log").open("wb") as file:
        monkeypatch.setattr(os, "writev", hang)
        writer = LineWriter(file.fileno())
        writer.write(b"one\n")
        assert hangs.wait(10)
        writer.write_lines([b"two\n", b"three\n"])
        writer.close(timeout_s=0)
        assert writer.dropped == 3
        goes_on.set()
        writer.close(timeout_s=10)
        assert writer.dropped == 3

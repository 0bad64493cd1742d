"""A connection that is lent to the run thread of a real worker: it is served as any other, and nobody waits for it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

SCRIPT = """
import gc, gate
def init(): pass
def run(raw_data):
    if raw_data == "wait":
        gate.wait()
    if raw_data == "lent":
        return any(type(known).__name__ == "FastConnection" and known.is_lent for known in gc.get_objects())
    return raw_data * int(raw_data) if raw_data.isdigit() else raw_data
"""
ENOUGH = 100  # requests in a row until it is lent, at the very most


class Connection:
    """One connection to the worker, and requests on it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, *bodies: bytes) -> None:
        """Send requests in one piece."""
        self.writer.write(b"".join(_request(body) for body in bodies))

    async def answer(self) -> tuple[bytes, bytes]:
        """The next answer's head and body."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        return head, await self.reader.readexactly(length)

    async def score(self, body: bytes) -> bytes:
        """The answer to one request."""
        self.send(body)
        return (await self.answer())[1]


@contextlib.asynccontextmanager
async def lent(worker) -> AsyncIterator[Connection]:
    """A connection that its run thread reads."""
    connection = Connection(*await asyncio.open_unix_connection(worker.socket_path))
    try:
        for _ in range(ENOUGH):
            if await connection.score(b"lent") == b"true":
                break
        else:
            pytest.fail("the connection was not lent")
        yield connection
    finally:
        connection.writer.close()


@pytest.fixture(scope="module")
def echo(start_shared):
    """A worker that all tests share which leave it as it was."""
    return start_shared(SCRIPT)


async def test_each_request_gets_its_own_answer(echo):
    """As many as come."""
    async with lent(echo) as connection:
        assert [await connection.score(b"%d" % size) for size in (1, 2, 3)] == [b'"1"', b'"22"', b'"333"']
        assert await connection.score(b"lent") == b"true"


async def test_a_worker_with_two_run_threads_lends_nothing(start):
    """They would wait for each other's connections."""
    worker = start(SCRIPT, "--concurrency", "2")
    with pytest.raises(pytest.fail.Exception, match="not lent"):
        async with lent(worker):
            pass


async def test_another_client_does_not_wait_for_it(echo):
    """It is given back as soon as somebody else asks, and both go on."""
    async with lent(echo) as connection:
        assert (await echo.score("other")).body == b'"other"'
        assert await connection.score(b"lent") == b"false"
        assert (await echo.score("other")).body == b'"other"'
        assert await connection.score(b"one") == b'"one"'


async def test_it_is_lent_again(echo):
    """Once it is the only one that asks again."""
    async with lent(echo):
        pass
    async with lent(echo) as connection:
        assert await connection.score(b"one") == b'"one"'


async def test_a_probe_and_another_client_are_served_around_a_long_run(start):
    """The probe at once, the other client next."""
    worker = start(SCRIPT)
    async with lent(worker) as connection:
        connection.send(b"wait")
        await worker.gate.entered()
        assert (await worker.request("GET", "/")).body == b"Healthy"
        other = asyncio.create_task(worker.score("other"), name="other")
        await worker.gate.open()
        assert (await connection.answer())[1] == b'"wait"'
        assert (await other).body == b'"other"'


async def test_a_client_that_leaves_during_a_long_run_is_noticed(start):
    """Within a heartbeat; then the worker says that it is of no use, until run() returns."""
    worker = start(SCRIPT)
    async with lent(worker) as connection:
        connection.send(b"wait")
        await worker.gate.entered()
    while (await worker.request("GET", "/")).status == 200:
        pass  # the worker has yet to see that the client left
    await worker.gate.open()
    while (await worker.request("GET", "/")).status == 503:
        pass  # run() has yet to return
    assert (await worker.score("next")).body == b'"next"'


async def test_what_is_sent_during_a_long_run_is_answered_after_it(start):
    """Whether the heartbeat has ended the loan meanwhile or not."""
    worker = start(SCRIPT)
    async with lent(worker) as connection:
        for _ in range(2):
            connection.send(b"wait")
            await worker.gate.entered()
            connection.send(b"next")
            worker.heard.clear()
            worker.hear("WATCHDOG=1")
            await worker.gate.open()
            assert [(await connection.answer())[1], (await connection.answer())[1]] == [b'"wait"', b'"next"']


@pytest.mark.parametrize(
    ("request_bytes", "answers"),
    [
        (b"GET / HTTP/1.1\r\nHost: w\r\n\r\n", [b"Healthy"]),
        (b"POST /score HTTP/1.1\r\nHost: w\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", [b'"x"']),
        (
            b"POST /score HTTP/1.1\r\nHost: w\r\nContent-Length: 300000\r\n\r\n" + b"x" * 300_000,
            [b'"' + b"x" * 300_000 + b'"'],
        ),
        (
            b"POST /score HTTP/1.1\r\nHost: w\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000,
            [b'"' + b"x" * 100_000 + b'"'],
        ),
        (b"POST /score HTTP/1.1\r\nHost: w\r\nContent-Length: 1\r\n\r\nx" * 3, [b'"x"'] * 3),
        (
            b"POST /score HTTP/1.1\r\nHost: w\r\nContent-Length: 1\r\n\r\nxGET / HTTP/1.1\r\nHost: w\r\n\r\n",
            [b'"x"', b"Healthy"],
        ),
    ],
    ids=["probe", "chunked", "above the bound", "in several reads", "pipelined", "pipelined with a probe"],
)
async def test_it_may_send_anything(echo, request_bytes, answers):
    """What is unusual goes the usual way, and so does what comes after it."""
    async with lent(echo) as connection:
        connection.writer.write(request_bytes)
        assert [(await connection.answer())[1] for _ in answers] == answers
        assert await connection.score(b"after") == b'"after"'


async def test_garbage_is_a_400_and_a_close(echo):
    """As on any connection."""
    async with lent(echo) as connection:
        connection.writer.write(b"nonsense\r\n\r\n")
        assert (await connection.reader.read()).split()[1] == b"400"


async def test_a_request_in_many_pieces_is_one_request(echo):
    """Also while it takes back and forth between the threads in its midst."""
    async with lent(echo) as connection:
        for byte in _request(b"abc"):
            connection.writer.write(bytes((byte,)))
            await connection.writer.drain()
            if byte in b"\n":
                assert (await echo.score("other")).body == b'"other"'
        assert (await connection.answer())[1] == b'"abc"'


async def test_an_answer_larger_than_the_socket_takes_arrives_whole(echo):
    """And then the next ones."""
    async with lent(echo) as connection:
        connection.send(b"1000000")
        assert (await echo.request("GET", "/")).status == 200  # by then the worker has read it
        connection.send(b"2")
        assert len((await connection.answer())[1]) == 7_000_002
        assert (await connection.answer())[1] == b'"22"'


async def test_a_client_that_ends_its_side_is_closed(echo):
    """The run thread sees it first."""
    async with lent(echo) as connection:
        connection.writer.write_eof()
        assert await connection.reader.read() == b""
    assert (await echo.score("next")).body == b'"next"'


async def test_it_does_not_keep_an_idle_worker(start):
    """SIGTERM finds a run thread that waits for a client."""
    worker = start(SCRIPT)
    async with lent(worker) as connection:
        worker.terminate()
        assert (worker.ended(), await connection.reader.read(), worker.stderr) == (0, b"", "")


async def test_what_is_in_flight_is_answered_after_sigterm(start):
    """The answer tells the client to close, and the worker ends with 0."""
    worker = start(SCRIPT)
    async with lent(worker) as connection:
        connection.send(b"wait")
        await worker.gate.entered()
        worker.terminate()
        await worker.gate.open()
        head, body = await connection.answer()
        assert (b"Connection: close\r\n" in head, body) == (True, b'"wait"')
        assert (worker.ended(), worker.stderr) == (0, "")


async def test_a_request_after_sigterm_is_answered(start):
    """The connection looked idle, but its next request was on the way."""
    worker = start(SCRIPT)
    async with lent(worker) as connection:
        busy = asyncio.create_task(worker.score("wait"), name="busy")
        await worker.gate.entered()
        worker.terminate()
        connection.send(b"last")
        await worker.gate.open()
        head, body = await connection.answer()
        assert (b"Connection: close\r\n" in head, body) == (True, b'"last"')
        assert (await busy).body == b'"wait"'
        assert worker.ended() == 0


def _request(body: bytes) -> bytes:
    return b"POST /score HTTP/1.1\r\nHost: w\r\nContent-Length: %d\r\n\r\n" % len(body) + body

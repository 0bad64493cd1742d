"""Connections, probes, concurrency and the drain of a real worker."""

import asyncio
import signal
import socket

import pytest

AT_THE_GATE = """
import gate
def init(): pass
def run(raw_data):
    if raw_data == "wait":
        gate.wait()
    return raw_data
"""

ASYNC_AT_THE_GATE = AT_THE_GATE.replace("def run", "async def run")

NOT_ALLOWED = b'{"message":"Method not allowed; here are GET, OPTIONS, POST"}'


@pytest.fixture(scope="module")
def echo(start_shared_each):
    """A worker whose run() returns the body, for tests that leave it as it was."""
    return start_shared_each(AT_THE_GATE)


BOTH = pytest.mark.parametrize("script", [AT_THE_GATE, ASYNC_AT_THE_GATE], ids=["def", "async"])


@BOTH
async def test_a_probe_is_answered_while_run_blocks(start_each, script):
    """One busy run() at concurrency 1 delays no liveness probe."""
    worker = start_each(script)
    busy = asyncio.create_task(worker.score("wait"), name="busy")
    await worker.gate.entered()
    probe = await worker.request("GET", "/")
    assert (probe.status, probe.body, busy.done()) == (200, b"Healthy", False)
    await worker.gate.open()
    assert (await busy).body == b'"wait"'


async def test_the_heartbeat_goes_on_while_run_blocks(start_each):
    """The watchdog is fed by the event loop, which run() does not hold."""
    worker = start_each(AT_THE_GATE)
    busy = asyncio.create_task(worker.score("wait"), name="busy")
    await worker.gate.entered()
    worker.statuses()
    worker.heard.clear()
    worker.hear("WATCHDOG=1")
    await worker.gate.open()
    assert (await busy).status == 200


@BOTH
async def test_a_probe_fails_while_run_goes_on_for_nobody(start_each, script):
    """With its only place held by a call whose client left, a worker says that it is of no use; not for longer."""
    worker = start_each(script)
    busy = asyncio.create_task(worker.score("wait"), name="busy")
    await worker.gate.entered()
    busy.cancel()
    while (probe := await worker.request("GET", "/")).status == 200:
        pass  # the worker has yet to see that the client left
    assert (probe.status, probe.body) == (503, b"run() goes on for requests that nobody waits for")
    await worker.gate.open()
    while (await worker.request("GET", "/")).status == 503:
        pass  # run() has yet to return
    assert (await worker.score("quick")).body == b'"quick"'


async def test_concurrency_is_how_many_run_at_a_time(start_each):
    """With two run threads, one at the gate leaves one for others."""
    worker = start_each(AT_THE_GATE, "--concurrency", "2")
    busy = asyncio.create_task(worker.score("wait"), name="busy")
    await worker.gate.entered()
    assert (await worker.score("quick")).body == b'"quick"'
    await worker.gate.open()
    assert (await busy).body == b'"wait"'


async def test_async_runs_overlap_up_to_the_concurrency(start_each):
    """Two `async def run` meet: neither could end alone."""
    worker = start_each(
        """
        import asyncio
        waiting = []
        def init(): pass
        async def run(raw_data):
            waiting.append(asyncio.Event())
            if len(waiting) == 2:
                for event in waiting: event.set()
            await waiting[0].wait()
            return len(waiting)
        """,
        *("--concurrency", "2"),
    )
    replies = await asyncio.gather(worker.score(), worker.score())
    assert [reply.body for reply in replies] == [b"2", b"2"]


@BOTH
async def test_a_request_whose_client_left_before_its_turn_never_runs(start_each, script):
    """Work that nobody waits for must not delay those who wait."""
    worker = start_each(script.replace("if raw", "print(raw_data)\n    if raw"))
    busy = asyncio.create_task(worker.score("wait"), name="busy")
    await worker.gate.entered()
    reader, writer = await asyncio.open_unix_connection(worker.socket_path)
    writer.write(b"POST /score HTTP/1.1\r\nHost: w\r\nContent-Length: 4\r\n\r\ngone")
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()
    assert (await worker.request("GET", "/")).status == 200
    await worker.gate.open()
    await busy
    assert (await worker.score("next")).body == b'"next"'
    assert worker.stdout == "wait\nnext\n"


async def test_a_client_that_leaves_during_run_harms_nobody(start_each):
    """The result is discarded, and the worker says nothing about it."""
    worker = start_each(AT_THE_GATE)
    _, writer = await asyncio.open_unix_connection(worker.socket_path)
    writer.write(b"POST /score HTTP/1.1\r\nHost: w\r\nContent-Length: 4\r\n\r\nwait")
    await writer.drain()
    await worker.gate.entered()
    writer.close()
    await writer.wait_closed()
    await worker.gate.open()
    assert (await worker.score("next")).body == b'"next"'
    assert worker.stderr == ""


async def test_connections_are_kept_alive(echo):
    """Many requests on one connection."""
    reader, writer = await asyncio.open_unix_connection(echo.socket_path)
    assert await _score_on(reader, writer, b"1") == b'"1"'
    assert await _score_on(reader, writer, b"2") == b'"2"'
    writer.close()


async def test_pipelined_requests_are_answered_in_order(echo):
    """Two requests in one segment are two answers."""
    reader, writer = await asyncio.open_unix_connection(echo.socket_path)
    one = b"POST /score HTTP/1.1\r\nHost: w\r\nContent-Length: 1\r\n\r\n"
    writer.write(one + b"1" + one + b"2")
    assert [await _read_answer(reader), await _read_answer(reader)] == [b'"1"', b'"2"']
    writer.close()


async def test_a_request_in_many_pieces_is_one_request(echo):
    """Byte by byte, as a slow client sends it."""
    reader, writer = await asyncio.open_unix_connection(echo.socket_path)
    for byte in b"POST /score HTTP/1.1\r\nHost: w\r\nContent-Length: 3\r\n\r\nabc":
        writer.write(bytes((byte,)))
        await writer.drain()
    assert await _read_answer(reader) == b'"abc"'
    writer.close()


@pytest.mark.parametrize(
    ("head", "body", "answer"),
    [
        (b"POST /score HTTP/1.1\r\nHost: w\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n0\r\n\r\n", b'"x"'),
        (b"POST /score?a=1 HTTP/1.1\r\nHost: w\r\nContent-Length: 1\r\n\r\n", b"x", b'"x"'),
        (b"POST /score HTTP/1.1\r\nHost: w\r\nContent-Length: 1\r\nUpgrade: h2c\r\n\r\n", b"x", b'"x"'),
        (
            b"POST /score HTTP/1.1\r\nHost: w\r\nContent-Length: 300000\r\n\r\n",
            b"x" * 300_000,
            b'"' + b"x" * 300_000 + b'"',
        ),
        (b"GET /score?a=1 HTTP/1.1\r\nHost: w\r\n\r\n", b"", b'"{\\"a\\": 1}"'),
        (b"GET / HTTP/1.1\r\nHost: w\r\n\r\n", b"", b"Healthy"),
        (b"PUT /score HTTP/1.1\r\nHost: w\r\nContent-Length: 1\r\n\r\n", b"x", NOT_ALLOWED),
    ],
)
async def test_a_connection_changes_lanes_between_requests(echo, head, body, answer):
    """A simple request, an unusual one, and a simple one again: each gets its own answer."""
    reader, writer = await asyncio.open_unix_connection(echo.socket_path)
    assert await _score_on(reader, writer, b"1") == b'"1"'
    writer.write(head)
    await writer.drain()
    writer.write(body)
    assert await _read_answer(reader) == answer
    assert await _score_on(reader, writer, b"2") == b'"2"'
    writer.close()


async def test_a_request_sent_before_the_answer_waits(start_each):
    """What a client sends while run() is at work is answered after it."""
    worker = start_each(AT_THE_GATE)
    reader, writer = await asyncio.open_unix_connection(worker.socket_path)
    writer.write(b"POST /score HTTP/1.1\r\nHost: w\r\nContent-Length: 4\r\n\r\nwait")
    await worker.gate.entered()
    writer.write(b"POST /score HTTP/1.1\r\nHost: w\r\nContent-Length: 4\r\n\r\nnext")
    await writer.drain()
    assert (await worker.request("GET", "/")).status == 200  # by then the worker has read it
    await worker.gate.open()
    assert [await _read_answer(reader), await _read_answer(reader)] == [b'"wait"', b'"next"']
    writer.close()


async def test_requests_that_are_sent_ahead_are_answered_in_order(echo):
    """Each in a segment of its own, whether the answer before it is out already or not."""
    reader, writer = await asyncio.open_unix_connection(echo.socket_path)
    for number in range(300):
        writer.write(b"POST /score HTTP/1.1\r\nHost: w\r\nContent-Length: 3\r\n\r\n%03d" % number)
        await asyncio.sleep(0)
    assert [await _read_answer(reader) for _ in range(300)] == [b'"%03d"' % number for number in range(300)]
    writer.close()


async def test_an_answer_larger_than_the_socket_takes_arrives_whole(start_each):
    """A client that reads nothing yet gets all of it once it does, and then the next answers."""
    worker = start_each("def init(): pass\ndef run(raw_data): return raw_data * int(raw_data)")
    reader, writer = await asyncio.open_unix_connection(worker.socket_path, limit=2**16)
    for times in (b"4000000", b"3", b"2000000", b"2"):
        writer.write(b"POST /score HTTP/1.1\r\nHost: w\r\nContent-Length: %d\r\n\r\n" % len(times) + times)
        await writer.drain()
        assert (await worker.request("GET", "/")).status == 200  # by then the worker has read it
    for times in (b"4000000", b"3", b"2000000", b"2"):
        assert await _read_answer(reader) == b'"' + times * int(times) + b'"'
    writer.close()


async def test_a_client_that_leaves_a_large_answer_unread_harms_nobody(start_each):
    """What was left to send is discarded without a word."""
    worker = start_each("def init(): pass\ndef run(raw_data): return raw_data * 1_000_000")
    for _ in range(3):
        _, writer = await asyncio.open_unix_connection(worker.socket_path)
        writer.write(b"POST /score HTTP/1.1\r\nHost: w\r\nContent-Length: 4\r\n\r\ngone")
        await writer.drain()
        writer.transport.abort()
    assert len((await worker.score("next")).body) == 4_000_002
    assert (worker.stderr, worker.process.poll()) == ("", None)


async def test_a_client_that_asks_to_close_is_closed(echo):
    """`Connection: close` is answered in kind."""
    reader, writer = await asyncio.open_unix_connection(echo.socket_path)
    writer.write(b"POST /score HTTP/1.1\r\nHost: w\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx")
    answer = await reader.read()
    assert b"Connection: close\r\n" in answer
    assert answer.endswith(b'\r\n\r\n"x"')
    writer.close()


async def test_a_client_that_expects_100_gets_it(echo):
    """The body is sent only after the go-ahead."""
    reader, writer = await asyncio.open_unix_connection(echo.socket_path)
    writer.write(b"POST /score HTTP/1.1\r\nHost: w\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"x")
    assert await _read_answer(reader) == b'"x"'
    writer.close()


async def test_an_http_1_0_client_is_answered_and_closed(echo):
    """HTTP/1.0 knows no kept connection here."""
    reader, writer = await asyncio.open_unix_connection(echo.socket_path)
    writer.write(b"POST /score HTTP/1.0\r\nContent-Length: 1\r\n\r\nx")
    answer = await reader.read()
    assert b"Connection: close\r\n" in answer
    assert answer.endswith(b'\r\n\r\n"x"')
    writer.close()


async def test_garbage_is_a_400_in_one_line_of_log(echo):
    """What is no HTTP ends its own connection only."""
    reader, writer = await asyncio.open_unix_connection(echo.socket_path)
    writer.write(b"GET / HTTP/1.1\r\nbad header\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.0 400 ")
    writer.close()
    assert echo.stderr.count("\n") <= 1
    assert (await echo.score("next")).status == 200


async def test_head_of_a_probe_has_no_body(echo):
    """HEAD is GET without the body."""
    reply = await echo.request("HEAD", "/")
    assert (reply.status, reply.headers["Content-Length"], reply.body) == (200, "7", b"")


async def test_an_idle_worker_stops_with_0(start_each):
    """SIGTERM, STOPPING, exit status 0, not a word."""
    worker = start_each(AT_THE_GATE)
    worker.terminate()
    assert (worker.ended(), worker.stderr) == (0, "")


@BOTH
async def test_what_is_in_flight_is_answered_after_sigterm(start_each, script):
    """The answer tells the client to close, and the worker ends with 0."""
    worker = start_each(script)
    busy = asyncio.create_task(worker.score("wait"), name="busy")
    await worker.gate.entered()
    worker.terminate()
    await worker.gate.open()
    reply = await busy
    assert (reply.body, reply.headers["Connection"]) == (b'"wait"', "close")
    assert (worker.ended(), worker.stderr) == (0, "")


async def test_a_request_on_an_open_connection_is_answered_after_sigterm(start_each):
    """A kept connection that is used while the worker drains gets its answer, then ends."""
    worker = start_each(AT_THE_GATE)
    reader, writer = await asyncio.open_unix_connection(worker.socket_path)
    assert await _score_on(reader, writer, b"1") == b'"1"'
    busy = asyncio.create_task(worker.score("wait"), name="busy")
    await worker.gate.entered()
    worker.terminate()
    writer.write(b"GET / HTTP/1.1\r\nHost: w\r\n\r\n")
    answer = await reader.read()
    assert b"Connection: close\r\n" in answer
    assert answer.endswith(b"Healthy")
    await worker.gate.open()
    await busy
    assert worker.ended() == 0
    writer.close()


async def test_idle_connections_do_not_keep_a_worker(start_each):
    """A client that says nothing is closed, not waited for."""
    worker = start_each(AT_THE_GATE)
    reader, writer = await asyncio.open_unix_connection(worker.socket_path)
    assert await _score_on(reader, writer, b"1") == b'"1"'
    worker.terminate()
    assert (worker.ended(), await reader.read(), worker.stderr) == (0, b"", "")
    writer.close()


async def test_the_drain_timeout_cuts_and_counts(start_each):
    """Exit status 0 all the same, and a line with the number."""
    worker = start_each(AT_THE_GATE, "--drain-timeout", "0.1")
    _, writer = await asyncio.open_unix_connection(worker.socket_path)
    writer.write(b"POST /score HTTP/1.1\r\nHost: w\r\nContent-Length: 4\r\n\r\nwait")
    await worker.gate.entered()
    worker.terminate()
    assert (worker.ended(), worker.stderr) == (0, "teal worker: drain timeout: 1 requests cut after 0.1 s\n")
    writer.close()


async def test_a_second_sigterm_ends_at_once(start_each):
    """Even while run() blocks."""
    worker = start_each(AT_THE_GATE)
    _, writer = await asyncio.open_unix_connection(worker.socket_path)
    writer.write(b"POST /score HTTP/1.1\r\nHost: w\r\nContent-Length: 4\r\n\r\nwait")
    await worker.gate.entered()
    worker.terminate()
    worker.process.send_signal(signal.SIGTERM)
    assert worker.ended() == 0
    writer.close()


async def test_the_listening_socket_outlives_the_worker(start_each):
    """It is shared with the supervisor: the next worker finds the connections that wait on it."""
    worker = start_each(AT_THE_GATE)
    worker.terminate()
    assert worker.ended() == 0
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(worker.socket_path))
        worker.listener.accept()[0].close()


async def _score_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes) -> bytes:
    writer.write(b"POST /score HTTP/1.1\r\nHost: w\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    return await _read_answer(reader)


async def _read_answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
    return await reader.readexactly(length)

"""A load that notes what became of every request, and goes on."""

import asyncio
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from harness.samples import Samples
from harness.steady import RECORD, Load, next_turn, run

NUMBER = re.compile(rb'"number": (\d+)')


def answer(body: bytes, head: str = "HTTP/1.1 200 OK") -> bytes:
    return f"{head}\r\nDate: now\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def load_on(port: int, *, is_chunked: bool = False) -> Load:
    return Load(f"http://127.0.0.1:{port}/score", key="k", is_chunked=is_chunked, interval_s=0.01)


async def outcomes(
    tmp_path: Path, reply: Callable[[bytes], bytes], requests: int, *, is_chunked: bool = False
) -> Samples:
    """Load a server that answers a request's number with these bytes, and closes if there are none."""
    enough = asyncio.Event()
    numbers: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while found := NUMBER.search(await until_body_ends(reader)):
            numbers.append(found[1])
            if len(numbers) >= requests:
                enough.set()
            writer.write(reply(found[1]))
            if not reply(found[1]):
                break
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        load = load_on(port, is_chunked=is_chunked)
        await run(load, 2, enough)
    (tmp_path / "records").write_bytes(load.records)
    assert len(set(numbers)) == len(numbers)
    return Samples.read(tmp_path / "records")


async def until_body_ends(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b'"}')
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_answers_that_differ_in_what_must_differ_have_one_form(tmp_path: Path, is_chunked: bool) -> None:
    """Each request has a number of its own, which its answer has to carry."""
    samples = await outcomes(tmp_path, lambda number: answer(b"so " + number), 10, is_chunked=is_chunked)
    assert samples.failures() == Counter()
    assert samples.forms() == {0}
    assert len(samples) >= 10
    assert len({sample.port for sample in samples}) == 2  # each of two clients stays on its connection


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (lambda number: answer(b"", "HTTP/1.1 424 Failed Dependency"), "424"),
        (lambda number: answer(b"something"), "wrong"),
        (lambda number: answer(number) + b"surplus", "wrong"),
        (lambda number: b"", "cut"),
    ],
)
async def test_what_is_not_the_answer_is_noted_and_the_load_goes_on(
    tmp_path: Path, reply: Callable[[bytes], bytes], expected: str
) -> None:
    """A failure is no end: the client connects again, and asks again."""
    samples = await outcomes(tmp_path, reply, 6)
    assert set(samples.failures()) == {expected}
    assert len(samples) >= 6


async def test_a_server_that_is_not_there_is_asked_again(tmp_path: Path) -> None:
    """Each attempt counts as refused."""
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
    stopping = asyncio.Event()
    load = load_on(port)
    asking = asyncio.create_task(run(load, 1, stopping))
    while len(load.records) < 3 * RECORD.size:  # noqa: ASYNC110 - the load tells nobody what it notes
        await asyncio.sleep(0.01)
    stopping.set()
    await asking
    (tmp_path / "records").write_bytes(load.records)
    assert set(Samples.read(tmp_path / "records").failures()) == {"refused"}


@pytest.mark.parametrize(
    ("earliest", "expected"),
    [(10.25, 10.5), (10.5, 10.5), (10.75, 11.0), (13.0, 13.0), (13.25, 13.5)],
)
def test_a_late_client_misses_turns_and_keeps_its_place_among_the_others(earliest: float, expected: float) -> None:
    """Its last turn was at 10.0, and it has one each half second."""
    assert next_turn(10.0, 0.5, earliest) == expected

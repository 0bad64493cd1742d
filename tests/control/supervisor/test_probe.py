"""Answers in a row turn a verdict."""

import asyncio
import socket
import time

import pytest

from router.control.supervisor.probe import Verdict, check
from router.control.supervisor.spec import Probe

PROBE = Probe(success_threshold=2, failure_threshold=3)


@pytest.mark.parametrize(
    ("before", "answers", "turns"),
    [
        (None, "+", [True]),
        (None, "-", [True]),
        (True, "+++", [False, False, False]),
        (True, "---", [False, False, True]),
        (True, "--+--", [False, False, False, False, False]),
        (False, "++", [False, True]),
        (False, "+-+-", [False, False, False, False]),
        (False, "++---", [False, True, False, False, True]),
    ],
)
def test_verdict_turns_after_enough_answers_in_a_row(before: bool | None, answers: str, turns: list[bool]) -> None:
    """Thresholds count what speaks against the verdict, without a break; the very first answer decides alone."""
    verdict = Verdict(is_healthy=before)
    assert [verdict.count(answer == "+", PROBE) for answer in answers] == turns


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()
    writer.close()


async def test_a_check_that_is_late_because_we_stood_still_is_made_again() -> None:
    """Its time was over before the answer could be read: that is not held against the instance."""
    server = await asyncio.start_server(_answer, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    checking = asyncio.create_task(check(address, "/", 0.2), name="check")
    await asyncio.sleep(0)
    time.sleep(0.5)  # noqa: ASYNC251 - it stands still
    assert await checking == ""
    server.close()
    await server.wait_closed()


async def test_a_check_that_is_not_answered_fails_in_time() -> None:
    """A server that accepts and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert await check(address, "/", 0.05) == "GET / was not answered in 0.05 s"

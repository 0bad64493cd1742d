"""Waiting for what a test cannot be told of."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from tests.proxy.peers import Conversation, Script


async def until(is_so: Callable[[], object]) -> None:
    """Let the loop run until `is_so` is true; the test's own timeout is the limit."""
    while not is_so():  # noqa: ASYNC110 - peers and counters have no event for this
        await asyncio.sleep(0)


async def until_read(sent_over: asyncio.StreamWriter) -> None:
    """Let the loop run until the other end has read all that was sent, as the kernel's queues tell."""
    ports = [sent_over.get_extra_info(name)[1] for name in ("sockname", "peername")]
    await until(lambda: not any(_queued_bytes(*pair) for pair in (ports, reversed(ports))))


async def until_left(sent_over: asyncio.StreamWriter) -> int:
    """Let the loop run until all that was sent has come; how many bytes of it are left to the kernel."""
    ports = [sent_over.get_extra_info(name)[1] for name in ("sockname", "peername")]
    await until(lambda: not _queued_bytes(*ports))
    for _ in range(3):  # turns, in which it would be read
        await asyncio.sleep(0)
    return _queued_bytes(*reversed(ports))


def _queued_bytes(local_port: int, remote_port: int) -> int:
    """Bytes that one end of a loopback connection has not sent or its program has not read; 0 where it has closed."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, queues, *_ = line.split()
        if [int(one.partition(":")[2], 16) for one in (local, remote)] == [local_port, remote_port]:
            return sum(int(queue, 16) for queue in queues.split(":"))
    return 0


async def until_still(amount: Callable[[], int]) -> int:
    """The amount once it has stopped growing."""
    last, unchanged = -1, 0
    while unchanged < 30:
        await asyncio.sleep(0.01)
        unchanged = unchanged + 1 if amount() == last else 0
        last = amount()
    return last


def answer_when(gate: asyncio.Event) -> Script:
    """An instance that answers each request once the gate is open."""

    async def script(conversation: Conversation) -> None:
        while True:
            await conversation.request()
            await gate.wait()
            await conversation.answer()

    return script


def answer_in_turn(turns: asyncio.Queue[bytes]) -> Script:
    """An instance that answers each request with the next of `turns`."""

    async def script(conversation: Conversation) -> None:
        while True:
            await conversation.request()
            await conversation.answer(await turns.get())

    return script


def watch_end(ended: asyncio.Event, *, answers: bytes = b"") -> Script:
    """An instance that sends `answers` to a request and tells when the proxy has closed the connection."""

    async def script(conversation: Conversation) -> None:
        try:
            await conversation.request()
            await conversation.send(answers)
            await conversation.closed()
        finally:
            ended.set()

    return script

"""Work that hangs holds up neither other work nor the end of the process."""

import asyncio
import contextvars
import subprocess
import sys
import threading

import pytest

from router.control.refusal import Unavailable
from router.control.threads import Threads


@pytest.fixture
def threads() -> Threads:
    return Threads("work", limit=2, busy="two are working; try again in a moment")


async def test_result_comes_from_another_thread(threads: Threads) -> None:
    """The loop goes on meanwhile."""
    assert await threads.run(threading.get_ident) != threading.get_ident()


async def test_error_reaches_whoever_waits(threads: Threads) -> None:
    """As if the function had been called."""
    with pytest.raises(ValueError, match=r"^invalid literal for int\(\) with base 10: 'x'$"):
        await threads.run(int, "x")


async def test_context_goes_along(threads: Threads) -> None:
    """What is bound to a request is bound to its lines in the log."""
    variable = contextvars.ContextVar("variable", default="")
    variable.set("bound")
    assert await threads.run(variable.get) == "bound"


async def test_number_at_a_time_is_bounded(threads: Threads) -> None:
    """Also where whoever waited has gone: the thread is still there. What has ended makes room."""
    go_on = threading.Event()
    waiting = [asyncio.create_task(threads.run(go_on.wait)) for _ in range(2)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting[0]
    with pytest.raises(Unavailable, match=r"^two are working; try again in a moment$"):
        await threads.run(int)
    go_on.set()
    assert await waiting[1] is True
    threads.join(10)
    assert await threads.run(int) == 0


def test_process_ends_while_work_hangs() -> None:
    """Whether anybody still waits for it or not."""
    code = """
import asyncio, os
from router.control.threads import Threads
async def main():
    threads = Threads("work", limit=2, busy="")
    forever, _ = os.pipe()
    hung = asyncio.create_task(threads.run(os.read, forever, 1))
    print(await threads.run(int))
    threads.join(0.01)
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert (done.stdout, done.stderr) == ("0\n", "")

"""Time that passes while the process stands still is not counted."""

import asyncio
import time

import pytest

from router.awake import AwakeTimeout


async def test_the_time_is_over_when_the_loop_has_run_for_so_long() -> None:
    """`TimeoutError`, as of `asyncio.timeout`."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(TimeoutError):
        async with AwakeTimeout(0.08):
            await asyncio.Event().wait()
    assert loop.time() - began >= 0.07


async def test_what_is_done_in_time_is_not_disturbed() -> None:
    """No timer is left behind to cancel what comes later."""
    async with AwakeTimeout(0.02):
        await asyncio.sleep(0)
    await asyncio.sleep(0.05)


async def test_an_error_inside_goes_through() -> None:
    """It is not taken for the end of the time."""
    with pytest.raises(ConnectionRefusedError):
        async with AwakeTimeout(1.0):
            raise ConnectionRefusedError


async def test_a_standstill_is_not_counted() -> None:
    """What came during it is seen, though the time is over by the clock."""
    done = asyncio.Event()
    async with AwakeTimeout(0.2):
        await asyncio.sleep(0)
        time.sleep(0.6)  # noqa: ASYNC251 - it stands still
        asyncio.get_running_loop().call_later(0.01, done.set)
        await done.wait()


async def test_a_loop_that_is_always_late_comes_to_an_end() -> None:
    """After twice as many looks as there would have been."""
    looks = 0

    async def stand_still() -> None:
        nonlocal looks
        while True:
            looks += 1
            time.sleep(0.12)  # noqa: ASYNC251 - it stands still
            await asyncio.sleep(0.001)

    standing = asyncio.create_task(stand_still(), name="stand-still")
    with pytest.raises(TimeoutError):
        async with AwakeTimeout(0.008):
            await asyncio.Event().wait()
    standing.cancel()
    assert 8 <= looks <= 32

"""Waiting for what a test cannot be told of."""

import asyncio
from collections.abc import Callable


async def until(is_so: Callable[[], object]) -> None:
    """Let the loop run until `is_so` is true; the test's own timeout is the limit."""
    while not is_so():  # noqa: ASYNC110 - peers and counters have no event for this
        await asyncio.sleep(0)

"""Settings for all tests: the loop is uvloop, as in production, or asyncio's own with `TEAL_TEST_LOOP=asyncio`."""

import asyncio
import os
from collections.abc import Callable, Mapping

import pytest
import uvloop


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop that every asynchronous test runs on."""
    if os.environ.get("TEAL_TEST_LOOP") == "asyncio":
        return {"asyncio": asyncio.new_event_loop}
    return {"uvloop": uvloop.new_event_loop}

"""Settings for all tests: uvloop and the compiled request path, as in production.

`TEAL_TEST_LOOP=asyncio` has them run on asyncio's own loop, `TEAL_INTERPRETED=1` on the Python sources.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Mapping

import pytest
import uvloop
from hypothesis import HealthCheck, settings

from router import compiled

compiled.use()  # before a test imports what it tests

# How long an example takes says more about what else the machine does than about what is tested.
settings.register_profile("teal", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("teal")

# A shell starts what it runs in the background without it, and so would be what tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop that every asynchronous test runs on."""
    if os.environ.get("TEAL_TEST_LOOP") == "asyncio":
        return {"asyncio": asyncio.new_event_loop}
    return {"uvloop": uvloop.new_event_loop}

"""SIGTERM and SIGINT, noticed while the main thread is inside run().

Python runs a signal handler in the main thread, between two of its bytecodes. There run() may be in a long native call,
so the event loop is also told by the wakeup descriptor, which is written at once. A script may take that descriptor for
a loop of its own, so both are counted, and whichever has seen more signals is right.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from types import FrameType
from typing import NoReturn, Optional

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopSignals:
    """The first signal asks for a drain, the second one ends the process."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        for end in (self._reader, self._writer):
            end.setblocking(False)
        self._handled = 0
        self._woken = 0
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._event: Optional[asyncio.Event] = None

    def install(self) -> None:
        """Take over from the default, which ends the process; main thread only."""
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in STOP_SIGNALS:
            signal.signal(number, self._on_signal)

    async def wait(self) -> None:
        """Return once a stop is asked for."""
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()
        self._loop.add_reader(self._reader.fileno(), self._on_wakeup)
        if self._handled:  # it came before this loop was there
            self._event.set()
        await self._event.wait()

    def _on_signal(self, number: int, frame: Optional[FrameType]) -> None:
        self._handled += 1
        self._act(self._handled)

    def _on_wakeup(self) -> None:
        self._woken += sum(number in STOP_SIGNALS for number in self._reader.recv(4096))
        self._act(self._woken)

    def _act(self, count: int) -> None:
        if count > 1:
            leave_now()
        if count and self._loop and self._event:
            with contextlib.suppress(RuntimeError):  # the loop has ended: the process is about to
                self._loop.call_soon_threadsafe(self._event.set)


def leave_now() -> NoReturn:
    """End the process with status 0, whatever its threads are doing."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(0)

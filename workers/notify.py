"""State of this process for its supervisor, in systemd's notify protocol."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import MutableMapping, Optional

from workers.messages import one_line


class Notifier:
    """Sends datagrams to the supervisor's notify socket; without one, does nothing."""

    def __init__(self, address: Optional[str]) -> None:
        self._address = "\0" + address[1:] if address and address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) if address else None
        if self._socket:
            self._socket.setblocking(False)

    @classmethod
    def from_environment(cls, environ: MutableMapping[str, str]) -> Notifier:
        """Take NOTIFY_SOCKET out of `environ`: what the script starts must not speak for the worker."""
        return cls(environ.pop("NOTIFY_SOCKET", None))

    def status(self, text: str) -> None:
        """Say in one line what the worker is doing."""
        self._send(f"STATUS={one_line(text)}")

    def ready(self) -> None:
        """The worker scores from now on."""
        self._send(f"READY=1\nMAINPID={os.getpid()}")

    def alive(self) -> None:
        """The event loop turns; due every second."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The worker takes no new connections."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if self._socket is None or self._address is None:
            return
        # A supervisor that is gone or slow is no reason to stop scoring; the next heartbeat comes in a second.
        with contextlib.suppress(OSError):
            self._socket.sendto(message.encode(), self._address)

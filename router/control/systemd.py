"""What systemd is told of this service, by datagrams to `NOTIFY_SOCKET` (sd_notify(3))."""

import contextlib
import os
import socket
import time
from collections.abc import Mapping


class ServiceManager:
    """systemd, or whoever set `NOTIFY_SOCKET`; says nothing if nobody did."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._watchdog_us = int(environment.get("WATCHDOG_USEC", "0"))
        if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
            self._watchdog_us = 0

    @property
    def watchdog_every_s(self) -> float | None:
        """How often `alive` is expected, with a margin; None if it is not."""
        return self._watchdog_us / 3e6 if self._watchdog_us else None

    def ready(self, status: str) -> None:
        self._send(f"READY=1\nSTATUS={status}")

    def reloading(self) -> None:
        """A reload began; `ready` ends it."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def alive(self) -> None:
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._send(f"STATUS={text}")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with (
            contextlib.suppress(OSError),  # a manager that is gone is not our problem
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify,
        ):
            notify.settimeout(0.5)
            notify.sendto(message.encode(), address)

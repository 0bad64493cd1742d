"""What systemd hears."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from router.control.systemd import ServiceManager


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """A socket in systemd's place."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        yield listening


def service(tmp_path: Path, **environment: str) -> ServiceManager:
    """The daemon's end."""
    return ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "notify"), **environment})


def test_readiness_comes_with_a_status(manager: socket.socket, tmp_path: Path) -> None:
    """READY=1 and the line for `systemctl status` are one message."""
    service(tmp_path).ready("generation 1")
    assert manager.recv(200) == b"READY=1\nSTATUS=generation 1"


def test_a_reload_says_when_it_began(manager: socket.socket, tmp_path: Path) -> None:
    """RELOADING=1 carries the monotonic clock, which systemd 253 asks for."""
    service(tmp_path).reloading()
    assert manager.recv(200).startswith(b"RELOADING=1\nMONOTONIC_USEC=")


def test_the_watchdog_is_fed_three_times_per_period(tmp_path: Path) -> None:
    """A period of 30 s asks for a sign of life each 10 s."""
    assert service(tmp_path, WATCHDOG_USEC="30000000", WATCHDOG_PID=str(os.getpid())).watchdog_every_s == 10.0


def test_a_watchdog_for_another_process_is_not_ours(tmp_path: Path) -> None:
    """WATCHDOG_PID names who is meant."""
    assert service(tmp_path, WATCHDOG_USEC="30000000", WATCHDOG_PID="1").watchdog_every_s is None


def test_without_systemd_nothing_is_said() -> None:
    """No NOTIFY_SOCKET, no message, no error."""
    ServiceManager({}).ready("generation 1")


def test_a_manager_that_is_gone_is_no_error(tmp_path: Path) -> None:
    """The daemon goes on without one."""
    service(tmp_path).stopping()

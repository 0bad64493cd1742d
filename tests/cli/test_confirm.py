"""Questions before what cannot be taken back, on a terminal."""

import asyncio
import os
import pty
import signal
import sys
from pathlib import Path

import pytest

from tests.cli.fake_daemon import Asked, FakeDaemon

KEYS = "/v1/endpoints/churn/keys"
CHURN = "/v1/endpoints/churn"


async def asked(environment: dict[str, str], command: str) -> tuple[asyncio.subprocess.Process, int]:
    """Run a command on a terminal until it asks; the process, and our end of the terminal."""
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "router.cli.main", *command.split()),
        env=environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    while b"(y/n): " not in shown:
        shown += await asyncio.to_thread(os.read, ours, 65536)
    return process, ours


def wait_until_asleep(pid: int) -> None:
    """Return once a process waits; a signal just before would leave Python's `input` waiting."""
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "S":
        pass


async def answer(environment: dict[str, str], command: str, said: bytes) -> int | None:
    """Run a command on a terminal, where somebody types."""
    process, terminal = await asked(environment, command)
    os.write(terminal, said)
    code = await process.wait()
    os.close(terminal)
    return code


@pytest.mark.parametrize(
    ("said", "code", "done"),
    [(b"y\n", 0, [Asked("DELETE", CHURN)]), (b"n\n", 1, []), (b"\x04", 1, [])],
    ids=["yes", "no", "Ctrl-D"],
)
async def test_answer_counts(
    daemon: FakeDaemon, environment: dict[str, str], said: bytes, code: int, done: list[Asked]
) -> None:
    """Yes does it; no, and no answer at all, do nothing."""
    daemon.obey("DELETE", CHURN)
    assert await answer(environment, "online-endpoint delete -n churn", said) == code
    assert daemon.asked == done


@pytest.mark.parametrize("command", ["delete", "regenerate-keys"])
async def test_interrupt_is_no_answer(daemon: FakeDaemon, environment: dict[str, str], command: str) -> None:
    """Ctrl-C does nothing, and says so below the question; exit code 130."""
    process, terminal = await asked(environment, f"online-endpoint {command} -n churn")
    await asyncio.to_thread(wait_until_asleep, process.pid)
    process.send_signal(signal.SIGINT)
    code = await process.wait()
    shown = os.read(terminal, 65536)
    os.close(terminal)
    assert (code, daemon.asked) == (130, [])
    assert shown.endswith(b"\r\ninterrupted; nothing was done\r\n")


async def test_people_are_asked_before_a_key_is_replaced(daemon: FakeDaemon, environment: dict[str, str]) -> None:
    """Scripts are not, as with `az`."""
    daemon.answer("POST", KEYS, None, 204)
    assert await answer(environment, "online-endpoint regenerate-keys -n churn", b"n\n") == 1
    assert daemon.asked == []

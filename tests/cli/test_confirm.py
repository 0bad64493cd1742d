"""Questions before what cannot be taken back, on a terminal."""

import asyncio
import os
import pty
import sys

import pytest

from tests.cli.fake_daemon import Asked, FakeDaemon

KEYS = "/v1/endpoints/churn/keys"
CHURN = "/v1/endpoints/churn"


async def answer(environment: dict[str, str], command: str, said: bytes) -> int | None:
    """Run a command on a terminal, where somebody types."""
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
    os.write(ours, said)
    code = await process.wait()
    os.close(ours)
    return code


@pytest.mark.parametrize(
    ("said", "code", "asked"),
    [(b"y\n", 0, [Asked("DELETE", CHURN)]), (b"n\n", 1, []), (b"\x04", 1, [])],
    ids=["yes", "no", "Ctrl-D"],
)
async def test_answer_counts(
    daemon: FakeDaemon, environment: dict[str, str], said: bytes, code: int, asked: list[Asked]
) -> None:
    """Yes does it; no, and no answer at all, do nothing."""
    daemon.obey("DELETE", CHURN)
    assert await answer(environment, "online-endpoint delete -n churn", said) == code
    assert daemon.asked == asked


async def test_people_are_asked_before_a_key_is_replaced(daemon: FakeDaemon, environment: dict[str, str]) -> None:
    """Scripts are not, as with `az`."""
    daemon.answer("POST", KEYS, None, 204)
    assert await answer(environment, "online-endpoint regenerate-keys -n churn", b"n\n") == 1
    assert daemon.asked == []

"""The supervisor with the scoring process that it is made for."""

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from router.control.environments import Environments
from tests.control.supervisor.bench import Bench

ECHO = """
import os, pathlib

def init():
    global model
    model = pathlib.Path(os.environ["AZUREML_MODEL_DIR"], "model.txt").read_text()

def run(raw_data):
    return [model, raw_data]
"""


async def score(bench: Bench) -> object:
    """What the first instance in the choice answers."""
    connector = aiohttp.UnixConnector(bench.ready[0].removeprefix("unix:"))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.post("http://localhost/score", data="one") as answer,
    ):
        return await answer.json()


@pytest.fixture
async def real(tmp_path: Path) -> AsyncIterator[Bench]:
    (tmp_path / "model.txt").write_text("weights")
    bench = Bench(tmp_path, Environments(tmp_path / "environments", tmp_path / "runtime"))
    yield bench
    bench.may_drain.set()
    await bench.supervisor.stop(0.0)


async def test_it_scores_with_its_model(real: Bench) -> None:
    """From a spec to an answer."""
    await real.serving(ECHO, model_path=real.root / "model.txt")
    assert await score(real) == ["weights", "one"]


async def test_warm_up_is_part_of_the_start(real: Bench) -> None:
    """A warm-up request that the script cannot score is a failed start."""
    (real.root / "sample.json").write_text("1")
    spec = real.spec(
        real.code("def init(): pass\ndef run(data): return 1 / 0\n"), warmup_request=real.root / "sample.json"
    )
    real.apply(spec)
    await real.until(lambda: real.status.provisioning_state == "Failed")
    assert real.status.worker_exits["init_failed"] >= 1
    assert any("ZeroDivisionError" in line for line in real.status.log_tail)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("import nunpy\n", "ModuleNotFoundError"),
        ("def init(): pass\n", "run"),
        ("def init(): raise ValueError('bad model')\ndef run(data): return data\n", "ValueError: bad model"),
    ],
    ids=["import", "no run", "init"],
)
async def test_script_that_fails_says_why(real: Bench, script: str, reason: str) -> None:
    """Not importable, incomplete, or raising: Failed, with the reason in one line."""
    real.apply(real.spec(real.code(script)))
    await real.until(lambda: real.status.provisioning_state == "Failed")
    assert reason in real.status.reason
    assert "\n" not in real.status.reason


async def test_it_is_rolled_drained_and_stopped(real: Bench) -> None:
    """New first, the old one stops by itself, and a stop ends all within the time that draining takes."""
    await real.serving(ECHO, model_path=real.root / "model.txt")
    old = real.pid()
    real.ready_counts.clear()
    real.apply(real.spec(real.code(ECHO, "next"), model_path=real.root / "model.txt"))
    await real.until(lambda: real.has_settled() and len(real.instances) == 1)
    assert (real.pid() == old, min(real.ready_counts), real.status.worker_exits) == (False, 1, {"ok": 1})
    await real.supervisor.stop(20.0)
    assert real.supervisor.statuses() == ()


async def test_it_returns_after_a_pause(real: Bench) -> None:
    """Stopped for some seconds it leaves the choice; continued, the same process scores again."""
    await real.serving(ECHO, model_path=real.root / "model.txt")
    pid = real.pid()
    os.kill(pid, signal.SIGSTOP)
    await real.until(lambda: real.states == ["unready"])
    os.kill(pid, signal.SIGCONT)
    await real.until(real.has_settled)
    assert (await score(real), real.pid()) == (["weights", "one"], pid)

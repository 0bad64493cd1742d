"""A bench for the supervisor, whose workers run a small program of our own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from router.control.environments import Environments
from router.control.supervisor import Probe
from tests.control.supervisor.bench import Bench, FakeEnvironments

FAKE_WORKER = Path(__file__).parent / "fake_worker.py"


@pytest.fixture
def environments(tmp_path: Path) -> Environments:
    package = tmp_path / "fake" / "workers"
    package.mkdir(parents=True)
    (package / "__main__.py").write_text(FAKE_WORKER.read_text())
    return FakeEnvironments(package.parent)


@pytest.fixture
async def bench(tmp_path: Path, environments: Environments) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path, environments)
    yield bench
    bench.may_drain.set()
    await bench.supervisor.stop(0.0)


@pytest.fixture
def quick() -> Probe:
    """A probe that makes up its mind within a second."""
    return Probe(initial_delay_s=0.2, period_s=0.2, timeout_s=1.0, success_threshold=1, failure_threshold=2)

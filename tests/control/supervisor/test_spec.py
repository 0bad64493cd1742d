"""When workers must be replaced for a new spec, and when not."""

from pathlib import Path

import pytest

from router.control.environments import EnvironmentSpec
from router.control.supervisor import Probe
from tests.control.supervisor.bench import make_spec

SCRIPT = Path("/models/blue/score.py")
BEFORE = make_spec(SCRIPT).fingerprint


@pytest.mark.parametrize(
    "changes",
    [
        {"script": Path("/models/blue/score2.py")},
        {"code_dir": Path("/models/green")},
        {"model_path": Path("/models/blue/model.pkl")},
        {"environment": EnvironmentSpec(python=Path("/usr/bin/python3"))},
        {"environment_variables": {"GREETING": "hello"}},
        {"concurrency": 2},
        {"warmup_request": Path("/models/blue/sample.json")},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_change_of_what_runs_needs_new_workers(changes: dict[str, object]) -> None:
    """Model, code, environment, variables, concurrency and warm-up are read once, by a process that starts."""
    assert make_spec(SCRIPT, **changes).fingerprint != BEFORE


@pytest.mark.parametrize(
    "changes",
    [
        {"instance_count": 5},
        {"liveness": Probe(period_s=1)},
        {"max_memory_bytes": 10**9},
        {"max_tasks": 100},
        {"environment_variables": {}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_change_of_how_they_are_watched_does_not(changes: dict[str, object]) -> None:
    """Count, probes and limits are the supervisor's own business."""
    assert make_spec(SCRIPT, **changes).fingerprint == BEFORE


def test_environment_file_counts_by_its_content(tmp_path: Path) -> None:
    """The same path with other packages in it is another environment; touched only, it is the same."""
    file = tmp_path / "requirements.txt"
    file.write_text("numpy")
    numpy = make_spec(SCRIPT, environment=EnvironmentSpec(requirements=file)).fingerprint
    file.write_text("numpy")
    again = make_spec(SCRIPT, environment=EnvironmentSpec(requirements=file)).fingerprint
    file.write_text("pandas")
    pandas = make_spec(SCRIPT, environment=EnvironmentSpec(requirements=file)).fingerprint
    assert (again == numpy, pandas == numpy) == (True, False)


def test_startup_probe_takes_the_place_of_liveness_for_init() -> None:
    """Azure's defaults allow 310 seconds for init(); a startup probe says otherwise."""
    startup = Probe(initial_delay_s=5, period_s=2, failure_threshold=10)
    assert make_spec(SCRIPT).init_timeout_s == 310
    assert make_spec(SCRIPT, startup=startup).init_timeout_s == 25

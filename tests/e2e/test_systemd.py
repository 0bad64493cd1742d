"""The units, under a real systemd: activation, reload, watchdog, restart, stop."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

STORY = Path(__file__).with_name("systemd_story.py")
BENCHMARKS = STORY.parents[2] / "benchmarks"
LAST = "ok: a stop leaves no process"


@pytest.mark.timeout(240)
@pytest.mark.skipif(
    "TEAL_WITH_SYSTEMD" not in os.environ,
    reason="TEAL_WITH_SYSTEMD is not set: a command that runs its arguments as root under a systemd of their own",
)
def test_teal_runs_as_a_systemd_service() -> None:
    """Socket activation, reload, a killed and a hung main process, restart and stop: as systemd_story.py tells it."""
    boot = shlex.split(os.environ["TEAL_WITH_SYSTEMD"])
    played = subprocess.run(
        [*boot, sys.executable, STORY],
        env={**os.environ, "PYTHONPATH": str(BENCHMARKS)},  # it shares the installation with the soak test
        capture_output=True,
        text=True,
        check=False,
        timeout=230,
    )
    assert played.returncode == 0, played.stdout + played.stderr
    assert played.stdout.splitlines()[-1] == LAST


def test_the_service_is_confined(tmp_path: Path) -> None:
    """`systemd-analyze security` rates the unit at 1.5 or lower."""
    unit = STORY.parents[2] / "systemd" / "teal.service"
    command = ["systemd-analyze", "security", "--offline=1", "--threshold=15", "--no-pager", str(unit)]
    try:
        rated = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except FileNotFoundError:
        pytest.skip("systemd-analyze is not installed")
    assert rated.returncode == 0, rated.stdout[-500:] + rated.stderr

"""The alert rules are ones that Prometheus takes, and fire when they should."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.monitoring.files import ALERTS, ROOT, alerts

CASES = Path(__file__).with_name("alerts_test.yml")


def promtool(*arguments: str | Path) -> str:
    """Output of a run that succeeds; skips the test where Prometheus's tool is not installed."""
    program = shutil.which("promtool", path=f"{ROOT / '.venv' / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}")
    if program is None:
        pytest.skip("promtool is not installed; on Debian and Ubuntu it is in the package prometheus")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_takes_the_rules() -> None:
    """Every one of them."""
    assert f"SUCCESS: {len(alerts())} rules found" in promtool("check", "rules", ALERTS)


def test_alerts_fire_when_they_should_and_only_then() -> None:
    """On series that are made up, some with and some without the trouble."""
    assert "SUCCESS" in promtool("test", "rules", CASES)


def test_every_alert_says_what_it_is_about() -> None:
    """A severity, a summary, a description, and its row in the README."""
    names = [alert["alert"] for alert in alerts()]
    assert len(set(names)) == len(names)
    for alert in alerts():
        assert alert["labels"]["severity"] in {"critical", "warning", "info"}, alert["alert"]
        notes = alert["annotations"]
        assert notes["summary"], alert["alert"]
        assert notes["description"].endswith("."), alert["alert"]
        assert notes["runbook"] == f"README.md#when-something-is-wrong: {alert['alert']}"

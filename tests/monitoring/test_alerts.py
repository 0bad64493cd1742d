"""The alert rules are ones that Prometheus takes, and fire when they should."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.monitoring.files import ALERTS, ROOT, alerts

CASES = sorted(Path(__file__).parent.glob("*_test.yml"))


def promtool(*arguments: str | Path) -> str:
    """Output of a run that succeeds; skips the test where Prometheus's tool is not installed."""
    program = shutil.which("promtool", path=f"{ROOT / '.venv' / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}")
    if program is None:
        pytest.skip("promtool is not installed; on Debian and Ubuntu it is in the package prometheus")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def looks_of(case: dict[str, Any]) -> list[dict[str, Any]]:
    """At which time which alert was looked for, and which were expected."""
    looks: list[dict[str, Any]] = case["alert_rule_test"]
    return looks


def test_prometheus_takes_the_rules() -> None:
    """Every one of them."""
    assert f"SUCCESS: {len(alerts())} rules found" in promtool("check", "rules", ALERTS)


def test_alerts_fire_when_they_should_and_only_then() -> None:
    """On series that are made up, some with and some without the trouble."""
    assert promtool("test", "rules", *CASES).count("SUCCESS") == len(CASES)


def test_every_alert_is_seen_to_fire_and_not_to() -> None:
    """In the cases, on series of its own."""
    looks = [look for file in CASES for case in yaml.safe_load(file.read_text())["tests"] for look in looks_of(case)]
    names = sorted(alert["alert"] for alert in alerts())
    assert sorted({look["alertname"] for look in looks if look.get("exp_alerts")}) == names
    assert sorted({look["alertname"] for look in looks if not look.get("exp_alerts")}) == names


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

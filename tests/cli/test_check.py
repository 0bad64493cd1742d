"""`teal check` and `teal schema`."""

import json
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

Teal = Callable[..., Awaitable[subprocess.CompletedProcess[str]]]
Save = Callable[[str], int]

VALID = """
endpoints:
  churn:
    traffic: {blue: 100}
    deployments:
      blue: {upstreams: [http://127.0.0.1:9100]}
"""
INVALID = """
endpoints:
  churn:
    traffic: {blue: 90}
    mirror_traffic: {green: 60}
    deployments:
      blue: {upstreams: [http://127.0.0.1:9100]}
      green: {upstreams: [http://127.0.0.1:9101]}
"""


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Writes a config to the place where one is looked for by default."""
    (tmp_path / "config").mkdir()
    return (tmp_path / "config" / "teal.yaml").write_text


async def test_valid_file_is_summed_up(teal: Teal, save: Save) -> None:
    """Without an argument the default place is checked."""
    save(VALID)
    outcome = await teal("check")
    assert outcome.returncode == 0
    assert outcome.stdout == "config/teal.yaml: valid; 1 endpoint, 1 deployment\n"


async def test_every_problem_has_its_line(teal: Teal, save: Save) -> None:
    """File, line, field, what is wrong and what would be right; then how many, and that nothing happened."""
    save(INVALID)
    outcome = await teal("check", "config/teal.yaml")
    assert (outcome.returncode, outcome.stdout) == (1, "")
    assert outcome.stderr.splitlines() == [
        "config/teal.yaml:4: churn.traffic: weights add up to 90, expected 0 or 100",
        "config/teal.yaml:5: churn.mirror_traffic: 60 percent, at most 50 (mirror.max_percent)",
        "2 problems; nothing was applied",
    ]


async def test_missing_file_is_one_problem(teal: Teal) -> None:
    """The sum is in the singular."""
    outcome = await teal("check", "nope.yaml")
    assert outcome.returncode == 1
    assert outcome.stderr == "nope.yaml: No such file or directory\n1 problem; nothing was applied\n"


async def test_field_without_effect_is_a_warning(teal: Teal, save: Save) -> None:
    """The file is valid, and the reader knows what it will not do."""
    save(VALID.replace("blue: {", "blue: {instance_type: big, "))
    outcome = await teal("check")
    assert outcome.returncode == 0
    assert outcome.stderr.startswith("config/teal.yaml:6: churn.deployments.blue.instance_type: has no effect")
    assert outcome.stderr.endswith(" (warning)\n")


async def test_file_that_is_named_and_missing_is_a_problem(teal: Teal, save: Save) -> None:
    """A deployment that could not start is found before it is tried."""
    save(VALID.replace("upstreams: [http://127.0.0.1:9100]", "code_configuration: {code: m, scoring_script: s.py}"))
    outcome = await teal("check")
    assert outcome.returncode == 1
    assert "churn.deployments.blue.code_configuration.code:" in outcome.stderr
    assert outcome.stderr.endswith("1 problem; nothing was applied\n")


async def test_schema_is_json(teal: Teal) -> None:
    """An editor can take it as it is printed."""
    outcome = await teal("schema")
    assert outcome.returncode == 0
    assert json.loads(outcome.stdout)["title"] == "teal.yaml"

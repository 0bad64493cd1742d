"""What bad input gets: one answer that says what is wrong and where, and nothing is changed."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

GOOD_SCORE = "def init():\n    pass\n\n\ndef run(data):\n    return 1\n"
CONFIG = """\
listen: 127.0.0.1:0
admin: {http: null}
endpoints:
  churn:
    traffic: {blue: 100}
    deployments:
      blue:
        code_configuration: {code: good, scoring_script: score.py}
      green:
        code_configuration: {code: good, scoring_script: score.py}
"""
FILES = {
    "good/score.py": GOOD_SCORE,
    "broken/score.py": "def init():\n    pass\n\n\ndef run(data:\n    return 1\n",
    "raises/score.py": "def init():\n    raise ValueError('no weights in here')\n\n\ndef run(data):\n    return 1\n",
    "no-yaml.yml": "- just\n- a list\n",
    "other.yml": "apiVersion: v1\nkind: Service\n",
    "broken.yml": "code_configuration:\n  code: broken\n  scoring_script: score.py\n",
    "raises.yml": "code_configuration:\n  code: raises\n  scoring_script: score.py\n",
    "conda.yml": "dependencies:\n  - pip:\n      - there-is-no-such-package-as-teal-needs==1.0\n",
    "conda-deployment.yml": (
        "code_configuration: {code: good, scoring_script: score.py}\nenvironment:\n  conda_file: conda.yml\n"
    ),
    "no-model.yml": ("code_configuration: {code: good, scoring_script: score.py}\nmodel:\n  path: models/none.pkl\n"),
    "no-paths.yml": (
        "code_configuration: {code: nowhere, scoring_script: score.py}\n"
        "model:\n  path: none.pkl\nenvironment:\n  conda_file: none.yml\n"
    ),
    "model.pkl": "one",
    "other.pkl": "two",
}


@dataclass(frozen=True, slots=True)
class Daemon:
    """A daemon for all tests of this module, and the folder that commands are run in."""

    folder: Path
    config: Path

    def teal(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command."""
        return subprocess.run(
            [sys.executable, "-m", "router.cli.main", *arguments],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "TEAL_STATE_DIR": str(self.folder / "state")},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=90,
        )


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Serves `churn` with blue, which has all the traffic, and green."""
    folder = tmp_path_factory.mktemp("daemon")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    config = folder / "teal.yaml"
    config.write_text(CONFIG)
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "router.cli.main",
            "serve",
            "--config",
            str(config),
            "--state-dir",
            str(folder / "state"),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    serving = next((line for line in process.stdout if '"daemon.serving"' in line), "")
    yield Daemon(folder, config)
    process.kill()
    process.communicate()
    assert serving


CREATE = ("online-deployment", "create", "--name", "red", "--endpoint-name", "churn", "--file")
UPDATE = ("online-endpoint", "update", "--name", "churn")
DELETE = ("online-deployment", "delete", "--name", "blue", "--endpoint-name", "churn", "--yes")

REFUSED = {
    "a file that is not there": ((*CREATE, "none.yml"), ["none.yml: No such file or directory"]),
    "a YAML that is a list": ((*CREATE, "no-yaml.yml"), ["no-yaml.yml:1", "expected fields"]),
    "a YAML of something else": ((*CREATE, "other.yml"), ["other.yml:1", "apiVersion: unknown field"]),
    "a script with a syntax error": ((*CREATE, "broken.yml"), ["broken/score.py:5", "was never closed"]),
    "a model that is not there": ((*CREATE, "no-model.yml"), ["no-model.yml:3", "none.pkl: No such file"]),
    "every path that is not there, at once": (
        (*CREATE, "no-paths.yml"),
        ["no-paths.yml:1: code_configuration.code", "no-paths.yml:3: model.path", "no-paths.yml:5: environment.conda"],
    ),
    "an endpoint name with a dot": (
        ("online-endpoint", "create", "--name", "churn.v2"),
        ["churn.v2", "3 to 32 letters, digits and hyphens"],
    ),
    "traffic that does not add up": ((*UPDATE, "--traffic", "blue=90 green=20"), ["traffic", "110", "0 or 100"]),
    "traffic to nobody": ((*UPDATE, "--traffic", "purple=100"), ["purple", "blue, green"]),
    "a mirror over the limit": ((*UPDATE, "--mirror-traffic", "green=60"), ["60 percent, at most 50"]),
    "a mirror of live traffic": ((*UPDATE, "--mirror-traffic", "blue=10"), ["blue", "live weight 100"]),
    "two mirror targets": ((*UPDATE, "--mirror-traffic", "blue=5 green=5"), ["2 targets (blue, green), at most 1"]),
    "no number of instances": (
        ("online-deployment", "update", "-n", "green", "-e", "churn", "--set", "instance_count=two"),
        ["instance_count", "two", "whole number"],
    ),
    "no instances under traffic": (
        ("online-deployment", "update", "-n", "blue", "-e", "churn", "--set", "instance_count=0"),
        ["instance_count", "0 instances under live weight 100"],
    ),
    "a field that does not exist": (
        ("online-deployment", "update", "-n", "green", "-e", "churn", "--set", "instance_cuont=2"),
        ["instance_cuont", "did you mean instance_count?"],
    ),
    "deleting what has traffic": (DELETE, ["blue", "live weight 100", "move its traffic"]),
    "an endpoint that is not there": (("online-endpoint", "show", "--name", "chrun"), ["chrun", "there is churn"]),
    "a deployment that is not there": (
        ("online-deployment", "show", "--name", "gren", "-e", "churn"),
        ["gren", "there is blue, green"],
    ),
    "every broken rule at once": (
        (*UPDATE, "--traffic", "blue=90 green=20", "--mirror-traffic", "green=60"),
        ["add up to 110", "60 percent", "live weight 20"],
    ),
}


@pytest.mark.parametrize(("arguments", "expected"), REFUSED.values(), ids=REFUSED.keys())
def test_bad_input_is_refused_in_words(daemon: Daemon, arguments: tuple[str, ...], expected: list[str]) -> None:
    """Exit code 1, the reason on standard error, nothing on standard output, and the file as it was."""
    said = daemon.teal(*arguments)
    assert (said.returncode, said.stdout, [part for part in expected if part not in said.stderr]) == (1, "", []), said
    assert daemon.config.read_text() == CONFIG
    assert "Traceback" not in said.stderr


def test_a_version_that_is_taken_is_refused(daemon: Daemon) -> None:
    """The same content again is the same version; other content is not."""
    model = ("model", "create", "--name", "weights", "--version", "3", "--path")
    assert daemon.teal(*model, "model.pkl").returncode == 0
    assert daemon.teal(*model, "model.pkl").returncode == 0
    said = daemon.teal(*model, "other.pkl")
    assert (said.returncode, "weights" in said.stderr, "3" in said.stderr) == (1, True, True), said


@pytest.fixture
def restored(daemon: Daemon) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """Runs commands that change something; afterwards the config is as before."""
    yield daemon.teal
    daemon.config.write_text(CONFIG)


def test_a_deployment_that_fails_says_why(restored: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """Exit code 1, and the end of its log."""
    said = restored(*CREATE, "raises.yml")
    assert (said.returncode, "ValueError: no weights in here" in said.stderr, "init()" in said.stderr) == (
        1,
        True,
        True,
    )
    logs = restored("online-deployment", "get-logs", "--name", "red", "--endpoint-name", "churn")
    assert "ValueError: no weights in here" in logs.stdout
    shown = restored("online-deployment", "show", "--name", "red", "--endpoint-name", "churn", "-o", "json")
    assert json.loads(shown.stdout)["provisioning_state"] == "Failed"


def test_a_package_that_does_not_exist_is_named(restored: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """The environment cannot be built, and the deployment fails with uv's words."""
    said = restored(*CREATE, "conda-deployment.yml")
    assert (said.returncode, "there-is-no-such-package-as-teal-needs" in said.stderr) == (1, True), said

"""`teal online-deployment`."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from router.control.assets.content import Content
from tests.cli.conftest import Teal
from tests.cli.fake_daemon import Asked, FakeDaemon, operation, progress

BLUE = "/v1/endpoints/churn/deployments/blue"
RESOURCE: dict[str, Any] = {
    "name": "blue",
    "endpoint_name": "churn",
    "kind": "managed",
    "traffic_percent": 90,
    "mirror_percent": 0,
    "provisioning_state": "Succeeded",
    "reason": "",
    "instances": [{"state": "ready"}, {"state": "starting"}],
}
NOTHING: dict[str, Any] = {
    "definition": None,
    "file": None,
    "content": {},
    "set": {},
    "remove": [],
    "all_traffic": False,
}
DEFINITION = """\
name: blue
endpoint_name: churn
model: {path: ../model/model.pkl}
code_configuration: {code: ../code, scoring_script: score.py}
"""


@pytest.fixture(autouse=True)
def knows_blue(daemon: FakeDaemon) -> None:
    """The daemon has a deployment, and does what it is told."""
    daemon.answer("GET", BLUE, RESOURCE)
    for method in ("PUT", "PATCH", "DELETE"):
        daemon.obey(method, BLUE)


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    """A definition beside what it names, as Azure's samples are laid out."""
    for folder in ("model", "code", "yml"):
        (tmp_path / folder).mkdir()
    (tmp_path / "model" / "model.pkl").write_bytes(b"weights")
    (tmp_path / "code" / "score.py").write_text("def init(): ...\ndef run(data): ...\n")
    (tmp_path / "yml" / "blue.yml").write_text(DEFINITION)
    return tmp_path


async def test_create_uploads_what_the_file_names(teal: Teal, daemon: FakeDaemon, samples: Path) -> None:
    """Model and code go along as content, from the file's folder on; the definition goes as it is."""
    command = "online-deployment create --name blue --endpoint-name churn -f yml/blue.yml --all-traffic"
    outcome = await teal(*command.split())
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert json.loads(outcome.stdout) == RESOURCE
    content = {
        "model.path": Content.of(samples / "model" / "model.pkl").digest,
        "code_configuration.code": Content.of(samples / "code").digest,
    }
    assert set(daemon.contents) == set(content.values())
    assert daemon.bodies("PUT") == [
        NOTHING
        | {"definition": DEFINITION, "file": str(samples / "yml/blue.yml"), "content": content, "all_traffic": True}
    ]


@pytest.mark.parametrize("file", ["-", "/dev/stdin"])
async def test_definition_may_come_from_standard_input(
    daemon: FakeDaemon, environment: dict[str, str], samples: Path, file: str
) -> None:
    """Relative paths start where the command runs."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "router.cli.main", "online-deployment", "create", "-f", file, "--no-wait"),
        cwd=samples / "yml",
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    await process.communicate(DEFINITION.encode())
    assert (process.returncode, daemon.asked[-1].target) == (0, BLUE)
    body = daemon.bodies("PUT")[0]
    assert (body["definition"], body["file"]) == (DEFINITION, f"{samples}/yml/{Path(file).name}")
    assert body["content"]["model.path"] == Content.of(samples / "model" / "model.pkl").digest


async def test_names_may_stand_in_the_file(teal: Teal, daemon: FakeDaemon, samples: Path) -> None:
    """Both of them."""
    outcome = await teal("online-deployment", "create", "-f", "yml/blue.yml", "--no-wait")
    assert (outcome.returncode, daemon.asked[-1].target) == (0, BLUE)


async def test_options_go_before_the_file(teal: Teal, daemon: FakeDaemon, samples: Path) -> None:
    """One file may serve several deployments."""
    green = "/v1/endpoints/fraud/deployments/green"
    daemon.obey("PUT", green)
    await teal("online-deployment", "create", "-n", "green", "-e", "fraud", "-f", "yml/blue.yml", "--no-wait")
    assert daemon.asked[-1].target == green


async def test_missing_path_is_refused_with_its_line(teal: Teal, daemon: FakeDaemon, samples: Path) -> None:
    """Nothing is asked of the daemon that would come to nothing."""
    (samples / "code" / "score.py").unlink()
    (samples / "code").rmdir()
    outcome = await teal("online-deployment", "create", "-f", "yml/blue.yml")
    assert (outcome.returncode, daemon.bodies("PUT")) == (1, [])
    assert outcome.stderr == (f"yml/blue.yml:4: code_configuration.code: {samples}/code: No such file or directory\n")


async def test_problem_of_the_daemon_has_the_file_as_typed(teal: Teal, daemon: FakeDaemon, samples: Path) -> None:
    """The daemon knows its whole path; the user knows what was typed."""
    daemon.refuse("PUT", "/v1/endpoints/churn/deployments/red", 422, "", f"{samples}/yml/blue.yml:3: model: wrong")
    outcome = await teal("online-deployment", "create", "-n", "red", "-f", "yml/blue.yml")
    assert (outcome.returncode, outcome.stderr) == (1, "yml/blue.yml:3: model: wrong\n")


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ("--set instance_count=2", {"set": {"instance_count": 2}}),
        ("--instance-count 2", {"set": {"instance_count": 2}}),
        (
            "--set request_settings.request_timeout_ms=9000 environment_variables.A=x",
            {"set": {"request_settings.request_timeout_ms": 9000, "environment_variables.A": "x"}},
        ),
        ("--set environment_variables.RELEASE=1.10", {"set": {"environment_variables.RELEASE": "1.10"}}),
        ("--remove environment_variables.A", {"remove": ["environment_variables.A"]}),
        ("--all-traffic", {"all_traffic": True}),
    ],
)
async def test_update_sends_what_is_named(
    teal: Teal, daemon: FakeDaemon, options: str, sent: dict[str, object]
) -> None:
    """And nothing else; values have the type that they look like."""
    outcome = await teal(*f"online-deployment update --name blue --endpoint-name churn {options}".split())
    assert outcome.returncode == 0
    assert daemon.asked == [Asked("PATCH", BLUE, NOTHING | sent), Asked("GET", BLUE)]


async def test_update_with_a_file_sends_it(teal: Teal, daemon: FakeDaemon, samples: Path) -> None:
    """What it names is uploaded unless the daemon has it."""
    daemon.contents[Content.of(samples / "code").digest] = b""
    await teal("online-deployment", "update", "-n", "blue", "-e", "churn", "-f", "yml/blue.yml")
    assert [asked.method for asked in daemon.asked] == ["HEAD", "HEAD", "PATCH", "GET"]
    assert daemon.contents[Content.of(samples / "code").digest] == b""
    assert daemon.bodies("PATCH")[0]["definition"] == DEFINITION


async def test_update_of_nothing_is_wrong_usage(teal: Teal, daemon: FakeDaemon) -> None:
    """It says what could be given."""
    outcome = await teal("online-deployment", "update", "-n", "blue", "-e", "churn")
    assert (outcome.returncode, daemon.asked) == (2, [])
    assert outcome.stderr.startswith("nothing to change: give --set, ")


async def test_path_that_is_set_starts_here(teal: Teal, daemon: FakeDaemon, samples: Path) -> None:
    """Without a file there is no other place to start at."""
    await teal("online-deployment", "update", "-n", "blue", "-e", "churn", "--set", "model.path=model/model.pkl")
    body = daemon.bodies("PATCH")[0]
    assert body["content"] == {"model.path": Content.of(samples / "model" / "model.pkl").digest}
    assert body["set"] == {"model.path": "model/model.pkl"}


async def test_show_is_found_by_a_prefix(teal: Teal, daemon: FakeDaemon) -> None:
    """`--endpoint` is what the article writes."""
    outcome = await teal("online-deployment", "show", "--name", "blue", "--endpoint", "churn")
    assert (outcome.returncode, daemon.asked) == (0, [Asked("GET", BLUE)])


async def test_table_counts_the_ready_instances(teal: Teal, daemon: FakeDaemon) -> None:
    """And says how much of the traffic a deployment has."""
    daemon.answer("GET", "/v1/endpoints/churn/deployments", [RESOURCE])
    outcome = await teal("online-deployment", "list", "--endpoint-name", "churn", "-o", "table")
    lines = [line.split() for line in outcome.stdout.splitlines()]
    assert lines[0] == ["Name", "Endpoint", "Kind", "Weight", "Mirror", "Ready", "State", "Reason"]
    assert lines[2] == ["blue", "churn", "managed", "90", "%", "0", "%", "1/2", "Succeeded"]


async def test_delete_of_the_article_works(teal: Teal, daemon: FakeDaemon) -> None:
    """Without being asked, without waiting; the operation is printed."""
    command = "online-deployment delete --name blue --endpoint churn --yes --no-wait"
    outcome = await teal(*command.split())
    assert (outcome.returncode, json.loads(outcome.stdout)) == (0, operation())
    assert daemon.asked == [Asked("DELETE", BLUE)]


async def test_delete_prints_nothing(teal: Teal, daemon: FakeDaemon) -> None:
    """There is nothing any more that could be shown."""
    command = "online-deployment delete -n blue -e churn -y"
    outcome = await teal(*command.split())
    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (0, "", "")


async def test_warnings_and_progress_go_to_standard_error(teal: Teal, daemon: FakeDaemon) -> None:
    """Standard output is the resource, whatever happens on the way."""
    path = "/v1/endpoints/fraud/deployments/blue"
    daemon.answer("GET", path, RESOURCE)
    daemon.obey(
        "PUT", path, warnings=["instance_type: has no effect"], progress=progress("instance 0: starting", "1 of 1")
    )
    outcome = await teal("online-deployment", "create", "-n", "blue", "-e", "fraud")
    assert json.loads(outcome.stdout) == RESOURCE
    assert outcome.stderr == "instance_type: has no effect (warning)\ninstance 0: starting\n1 of 1\n"
    silent = await teal("online-deployment", "create", "-n", "blue", "-e", "fraud", "--only-show-errors")
    assert silent.stderr == ""


LOGS = f"{BLUE}/logs"


@pytest.mark.parametrize(
    ("options", "target"),
    [
        ("", f"{LOGS}?lines=5000"),
        ("--lines 7 --instance 1", f"{LOGS}?lines=7&instance=1"),
        ("-l 7 --follow", f"{LOGS}?lines=7&follow=true"),
        ("--container inference-server", f"{LOGS}?lines=5000"),
    ],
)
async def test_logs_are_printed_as_they_are(teal: Teal, daemon: FakeDaemon, options: str, target: str) -> None:
    """No JSON around them, and as many as Azure gives."""
    daemon.answer("GET", LOGS, "10:00 [0] one\n10:01 [1] two\n")
    outcome = await teal(*f"online-deployment get-logs --name blue --endpoint churn {options}".split())
    assert (outcome.returncode, outcome.stdout) == (0, "10:00 [0] one\n10:01 [1] two\n")
    assert daemon.asked == [Asked("GET", target)]


async def test_logs_of_a_container_that_is_not_there(teal: Teal, daemon: FakeDaemon) -> None:
    """A script for Azure goes on; its reader learns why there is nothing."""
    command = "online-deployment get-logs -n blue -e churn -c storage-initializer"
    outcome = await teal(*command.split())
    assert (outcome.returncode, outcome.stdout, daemon.asked) == (0, "", [])
    assert outcome.stderr.startswith("there is no storage initializer here")


@pytest.mark.parametrize("lines", ["-1", "many", "1.5"])
async def test_number_of_lines_is_a_number(teal: Teal, daemon: FakeDaemon, lines: str) -> None:
    """Wrong usage, in one sentence."""
    outcome = await teal("online-deployment", "get-logs", "-n", "blue", "-e", "churn", f"--lines={lines}")
    assert (outcome.returncode, daemon.asked) == (2, [])
    assert f"'{lines}' is not a whole number from 0 on" in outcome.stderr

"""`teal online-endpoint`."""

import asyncio
import json
import os
import pty
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Teal
from tests.cli.fake_daemon import Asked, FakeDaemon, operation

CHURN = "/v1/endpoints/churn"
RESOURCE: dict[str, Any] = {
    "name": "churn",
    "auth_mode": "key",
    "traffic": {"blue": 90, "green": 10},
    "mirror_traffic": {},
    "provisioning_state": "Succeeded",
    "scoring_uri": "http://127.0.0.1:8080/api/v1/endpoint/churn/score",
}
NOTHING: dict[str, Any] = {
    "definition": None,
    "file": None,
    "content": {},
    "set": {},
    "remove": [],
    "traffic": None,
    "mirror_traffic": None,
}


@pytest.fixture(autouse=True)
def knows_churn(daemon: FakeDaemon) -> None:
    """The daemon has an endpoint, and does what it is told."""
    daemon.answer("GET", CHURN, RESOURCE)
    for method in ("PUT", "PATCH", "DELETE"):
        daemon.obey(method, CHURN)


async def test_create_sends_the_file_as_it_is(teal: Teal, daemon: FakeDaemon, tmp_path: Path) -> None:
    """The text, comments and all, and where it stands; then the resource is printed."""
    text = "# ours\nname: other\nauth_mode: key\n"
    (tmp_path / "endpoint.yml").write_text(text)
    outcome = await teal("online-endpoint", "create", "--name", "churn", "-f", "endpoint.yml")
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert json.loads(outcome.stdout) == RESOURCE
    file = str(tmp_path / "endpoint.yml")
    assert daemon.asked[0] == Asked("PUT", CHURN, NOTHING | {"definition": text, "file": file})


async def test_name_may_stand_in_the_file(teal: Teal, daemon: FakeDaemon, tmp_path: Path) -> None:
    """An option goes before it, but is not needed."""
    (tmp_path / "endpoint.yml").write_text("name: churn\n")
    outcome = await teal("online-endpoint", "create", "--file", "endpoint.yml")
    assert (outcome.returncode, daemon.asked[0].target) == (0, CHURN)


async def test_create_needs_no_file(teal: Teal, daemon: FakeDaemon) -> None:
    """Options say enough; they are read without case where Azure does so."""
    await teal("online-endpoint", "create", "-n", "churn", "--auth-mode", "AML_TOKEN", "--set", "tags.owner=me")
    assert daemon.bodies("PUT") == [NOTHING | {"set": {"tags.owner": "me", "auth_mode": "aml_token"}}]


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        (["--traffic", "blue=90 green=10"], {"traffic": {"blue": 90, "green": 10}}),
        (["--traffic", "blue=0 green=100"], {"traffic": {"blue": 0, "green": 100}}),
        (["--mirror-traffic", "green=10"], {"mirror_traffic": {"green": 10}}),
        (["--mirror-traffic", "green=0"], {"mirror_traffic": {"green": 0}}),
        (["--mirror-traffic", ""], {"mirror_traffic": {}}),
        (["--mirror", "green=10"], {"mirror_traffic": {"green": 10}}),
        (
            ["--set", "tags.stage=test", "mirror.max_percent=60"],
            {"set": {"tags.stage": "test", "mirror.max_percent": 60}},
        ),
        (["--remove", "tags.stage"], {"remove": ["tags.stage"]}),
    ],
)
async def test_update_sends_what_is_named(
    teal: Teal, daemon: FakeDaemon, options: list[str], sent: dict[str, object]
) -> None:
    """And nothing else: what is not named stays as it is."""
    outcome = await teal("online-endpoint", "update", "--name", "churn", *options)
    assert outcome.returncode == 0
    assert daemon.asked == [Asked("PATCH", CHURN, NOTHING | sent), Asked("GET", CHURN)]


async def test_update_of_nothing_is_wrong_usage(teal: Teal, daemon: FakeDaemon) -> None:
    """It says what could be given."""
    outcome = await teal("online-endpoint", "update", "--name", "churn")
    assert (outcome.returncode, daemon.asked) == (2, [])
    assert outcome.stderr.startswith("nothing to change: give --traffic, ")


@pytest.mark.parametrize("verb", ["create", "update"])
async def test_empty_traffic_is_wrong_usage(teal: Teal, daemon: FakeDaemon, verb: str) -> None:
    """It says how to take the endpoint offline, should that be what was meant; nothing is sent."""
    outcome = await teal("online-endpoint", verb, "--name", "churn", "--traffic", "")
    assert (outcome.returncode, daemon.asked) == (2, [])
    assert outcome.stderr == (
        f"teal online-endpoint {verb}: argument --traffic/-r: empty; expected such as "
        f'"blue=90 green=10", or "blue=0" to switch the endpoint off; see teal online-endpoint {verb} -h\n'
    )


async def test_bad_weight_is_wrong_usage(teal: Teal, daemon: FakeDaemon) -> None:
    """One sentence, and nothing is sent."""
    outcome = await teal("online-endpoint", "update", "--name", "churn", "--traffic", "blue:90")
    assert (outcome.returncode, daemon.asked) == (2, [])
    assert outcome.stderr == (
        "teal online-endpoint update: argument --traffic/-r: 'blue:90' is not DEPLOYMENT=PERCENT; expected such as "
        '"blue=90 green=10"; see teal online-endpoint update -h\n'
    )


async def test_missing_name_is_wrong_usage(teal: Teal, daemon: FakeDaemon, tmp_path: Path) -> None:
    """It says where a name could stand."""
    (tmp_path / "endpoint.yml").write_text("auth_mode: key\n")
    outcome = await teal("online-endpoint", "create", "-f", "endpoint.yml")
    assert (outcome.returncode, daemon.asked) == (2, [])
    assert outcome.stderr == "no name: give it with --name, or `name:` in endpoint.yml\n"


@pytest.mark.parametrize(
    ("command", "target"),
    [
        ("show -n churn --query traffic.blue -o tsv", CHURN),
        ("show --name churn --query traffic.blue -o tsv", CHURN),
    ],
)
async def test_show_prints_what_a_query_picks(teal: Teal, daemon: FakeDaemon, command: str, target: str) -> None:
    """JMESPath and tsv, as scripts use them."""
    outcome = await teal("online-endpoint", *command.split())
    assert (outcome.stdout, daemon.asked) == ("90\n", [Asked("GET", target)])


async def test_list_is_json_for_programs(teal: Teal, daemon: FakeDaemon) -> None:
    """Without a terminal, as with `az`."""
    daemon.answer("GET", "/v1/endpoints", [RESOURCE])
    outcome = await teal("online-endpoint", "list")
    assert json.loads(outcome.stdout) == [RESOURCE]


async def test_list_is_a_table_for_people(daemon: FakeDaemon, environment: dict[str, str]) -> None:
    """On a terminal, where nobody asked for anything else."""
    daemon.answer("GET", "/v1/endpoints", [RESOURCE])
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "router.cli.main", "online-endpoint", "list"), env=environment, stdout=theirs
    )
    assert await process.wait() == 0
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert [line.split() for line in shown.splitlines()][::2] == [
        ["Name", "Auth", "Traffic", "Mirror", "State", "ScoringUri"],
        ["churn", "key", "blue=90", "green=10", "Succeeded", RESOURCE["scoring_uri"]],
    ]


async def test_delete_prints_nothing(teal: Teal, daemon: FakeDaemon) -> None:
    """There is nothing any more that could be shown."""
    outcome = await teal("online-endpoint", "delete", "--name", "churn", "--yes")
    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (0, "", "")
    assert daemon.asked == [Asked("DELETE", CHURN)]


async def test_delete_that_does_not_wait_prints_the_operation(teal: Teal, daemon: FakeDaemon) -> None:
    """Its id is what one can wait for later."""
    outcome = await teal("online-endpoint", "delete", "-n", "churn", "-y", "--no-wait")
    assert json.loads(outcome.stdout) == operation()


async def test_delete_asks_first(teal: Teal, daemon: FakeDaemon) -> None:
    """Without a terminal nobody can answer, so nothing is done."""
    outcome = await teal("online-endpoint", "delete", "--name", "churn")
    assert (outcome.returncode, daemon.asked) == (1, [])
    assert outcome.stderr == (
        "Delete endpoint churn and its deployments? There is no terminal to ask on; say so with --yes\n"
    )


async def test_credentials_are_printed(teal: Teal, daemon: FakeDaemon) -> None:
    """Under the names that Azure gives them."""
    daemon.answer("GET", f"{CHURN}/credentials", {"primaryKey": "one", "secondaryKey": "two"})
    outcome = await teal("online-endpoint", "get-credentials", "-n", "churn", "-o", "tsv", "--query", "primaryKey")
    assert outcome.stdout == "one\n"


@pytest.mark.parametrize(
    ("options", "sent"), [([], "primary"), (["--key-type", "secondary"], "secondary"), (["--yes"], "primary")]
)
async def test_key_is_replaced_without_a_word(teal: Teal, daemon: FakeDaemon, options: list[str], sent: str) -> None:
    """A script is not asked, as with `az`, and there is nothing to print."""
    daemon.answer("POST", f"{CHURN}/keys", None, 204)
    outcome = await teal("online-endpoint", "regenerate-keys", "-n", "churn", *options)
    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (0, "", "")
    assert daemon.asked == [Asked("POST", f"{CHURN}/keys", {"key_type": sent})]

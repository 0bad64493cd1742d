"""`teal model` and `teal environment`."""

import json
from pathlib import Path
from typing import Any

import pytest

from router.control.assets.content import Content
from tests.cli.conftest import Teal
from tests.cli.fake_daemon import Asked, FakeDaemon

MODEL: dict[str, Any] = {
    "id": "azureml:churn:1",
    "name": "churn",
    "version": "1",
    "creation_time": "2026-03-01T10:00:00.000Z",
    "is_archived": True,
    "type": "custom_model",
    "description": None,
}
NOTHING: dict[str, Any] = {"definition": None, "file": None, "content": {}, "set": {}, "remove": []}
ONE = "/v1/models/churn/versions/1"


async def test_model_of_a_file_goes_with_its_path(teal: Teal, daemon: FakeDaemon, tmp_path: Path) -> None:
    """The registered version is printed."""
    (tmp_path / "model.pkl").write_bytes(b"weights")
    text = "name: churn\nversion: 1\npath: model.pkl\n"
    (tmp_path / "model.yml").write_text(text)
    daemon.answer("POST", "/v1/models", MODEL, 201)
    outcome = await teal("model", "create", "-f", "model.yml")
    assert (outcome.returncode, json.loads(outcome.stdout)) == (0, MODEL)
    content = {"path": Content.of(tmp_path / "model.pkl").digest}
    assert daemon.asked[-1].body == NOTHING | {
        "definition": text,
        "file": str(tmp_path / "model.yml"),
        "content": content,
    }


async def test_model_needs_no_file(teal: Teal, daemon: FakeDaemon, tmp_path: Path) -> None:
    """Options say the same."""
    (tmp_path / "model.pkl").write_bytes(b"weights")
    daemon.answer("POST", "/v1/models", MODEL)
    options = "-n churn -v 1 -p model.pkl -t custom_model --description ours --tags owner=me stage=test"
    outcome = await teal("model", "create", *options.split())
    assert outcome.returncode == 0
    assert daemon.asked[-1].body["set"] == {
        "name": "churn",
        "version": "1",
        "path": "model.pkl",
        "type": "custom_model",
        "description": "ours",
        "tags": {"owner": "me", "stage": "test"},
    }
    assert daemon.asked[-1].body["content"] == {"path": Content.of(tmp_path / "model.pkl").digest}


async def test_environment_takes_a_conda_file(teal: Teal, daemon: FakeDaemon, tmp_path: Path) -> None:
    """And an image, which has no effect here; the daemon says so."""
    (tmp_path / "conda.yaml").write_text("dependencies: []\n")
    daemon.answer("POST", "/v1/environments", MODEL)
    options = "-n plain -v 7 -c conda.yaml -i mcr/image"
    outcome = await teal("environment", "create", *options.split())
    assert outcome.returncode == 0
    assert daemon.asked[-1].body == NOTHING | {
        "content": {"conda_file": Content.of(tmp_path / "conda.yaml").digest},
        "set": {"name": "plain", "version": "7", "conda_file": "conda.yaml", "image": "mcr/image"},
    }


async def test_model_without_a_name_is_wrong_usage(teal: Teal, daemon: FakeDaemon) -> None:
    """Before anything is uploaded."""
    outcome = await teal("model", "create", "--path", "model.pkl")
    assert (outcome.returncode, daemon.asked) == (2, [])
    assert outcome.stderr.startswith("no name: give it with --name")


async def test_refusal_names_the_file_as_typed(teal: Teal, daemon: FakeDaemon, tmp_path: Path) -> None:
    """The daemon knows its whole path."""
    (tmp_path / "model.yml").write_text("name: churn\nnme: x\n")
    daemon.refuse("POST", "/v1/models", 422, "", f"{tmp_path}/model.yml:2: nme: unknown field")
    outcome = await teal("model", "create", "-f", "model.yml")
    assert (outcome.returncode, outcome.stderr) == (1, "model.yml:2: nme: unknown field\n")


@pytest.mark.parametrize(
    ("options", "target"),
    [
        ("", "/v1/models"),
        ("--name churn", "/v1/models?name=churn"),
        ("--include-archived", "/v1/models?archived=all"),
        ("--archived-only -n churn", "/v1/models?name=churn&archived=only"),
    ],
)
async def test_list_asks_for_what_is_wanted(teal: Teal, daemon: FakeDaemon, options: str, target: str) -> None:
    """Archived versions are left out unless they are asked for."""
    daemon.answer("GET", "/v1/models", [MODEL])
    outcome = await teal("model", "list", *options.split(), "-o", "tsv", "--query", "[].id")
    assert (outcome.stdout, daemon.asked) == ("azureml:churn:1\n", [Asked("GET", target)])


async def test_both_kinds_of_archived_are_wrong_usage(teal: Teal, daemon: FakeDaemon) -> None:
    """They contradict each other."""
    outcome = await teal("environment", "list", "--archived-only", "--include-archived")
    assert (outcome.returncode, outcome.stderr) == (2, "give --archived-only or --include-archived, not both\n")


async def test_table_of_models(teal: Teal, daemon: FakeDaemon) -> None:
    """When it was registered, and whether it is archived."""
    daemon.answer("GET", "/v1/models", [MODEL])
    outcome = await teal("model", "list", "-o", "table")
    header, _, row = (line.split() for line in outcome.stdout.splitlines())
    assert header == ["Name", "Version", "Created", "Archived", "Type", "Description"]
    assert row == ["churn", "1", "2026-03-01", "10:00:00", "yes", "custom_model"]


@pytest.mark.parametrize(
    ("options", "version"), [("--version 1", "1"), ("-v 1", "1"), ("--label latest", "latest"), ("-l latest", "latest")]
)
async def test_version_is_found_by_number_or_label(teal: Teal, daemon: FakeDaemon, options: str, version: str) -> None:
    """As at Azure."""
    target = f"/v1/models/churn/versions/{version}"
    daemon.answer("GET", target, MODEL)
    outcome = await teal("model", "show", "-n", "churn", *options.split())
    assert (json.loads(outcome.stdout), daemon.asked) == (MODEL, [Asked("GET", target)])


@pytest.mark.parametrize("options", ["", "--version 1 --label latest"])
async def test_one_version_is_named(teal: Teal, daemon: FakeDaemon, options: str) -> None:
    """Neither none nor two."""
    outcome = await teal("model", "show", "-n", "churn", *options.split())
    assert (outcome.returncode, daemon.asked) == (2, [])
    assert outcome.stderr == "give --version, or --label latest for the newest that is not archived\n"


@pytest.mark.parametrize("group", ["model", "environment"])
@pytest.mark.parametrize("verb", ["archive", "restore"])
async def test_filing_prints_nothing(teal: Teal, daemon: FakeDaemon, group: str, verb: str) -> None:
    """As with `az`."""
    target = f"/v1/{group}s/churn/versions/1/{verb}"
    daemon.answer("POST", target, MODEL)
    outcome = await teal(group, verb, "-n", "churn", "-v", "1")
    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (0, "", "")
    assert daemon.asked == [Asked("POST", target, {})]


async def test_delete_asks_first(teal: Teal, daemon: FakeDaemon) -> None:
    """Then it deletes one version."""
    daemon.answer("DELETE", ONE, None, 204)
    refused = await teal("model", "delete", "-n", "churn", "-v", "1")
    assert (refused.returncode, daemon.asked) == (1, [])
    assert refused.stderr.startswith("Delete version 1 of model churn? There is no terminal")
    done = await teal("model", "delete", "-n", "churn", "-v", "1", "--yes")
    assert (done.returncode, done.stdout, daemon.asked) == (0, "", [Asked("DELETE", ONE)])

"""What a command is given of a resource."""

import asyncio
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from router.cli.client import find_daemon
from router.cli.definitions import Given, change, given
from router.cli.errors import Refused, WrongUsage
from router.cli.notes import Notes
from router.control.assets.content import Content
from tests.cli.fake_daemon import FakeDaemon

PATHS = ("model.path", "environment.python")


@pytest.fixture
def notes() -> Notes:
    return Notes(SimpleNamespace(cli_ctx=SimpleNamespace(only_show_errors=False)))


async def body(daemon: FakeDaemon, notes: Notes, wanted: Given) -> dict[str, Any]:
    found = find_daemon(str(daemon.state_dir))
    return await asyncio.to_thread(change, found, notes, wanted, PATHS, ["name"])


def save(folder: Path, text: str) -> str:
    path = folder / "blue.yml"
    folder.mkdir(exist_ok=True)
    path.write_text(text)
    return str(path)


def test_options_go_before_set_and_set_before_the_file(tmp_path: Path) -> None:
    """What is nearer to the user's hand counts more."""
    file = save(tmp_path, "instance_count: 1\ntags: {a: file, b: file}\n")
    wanted = given(file, {"instance_count": 2, "tags.b": "set"}, instance_count=3)
    assert wanted.fields == {"instance_count": 3, "tags": {"a": "file", "b": "set"}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1\n", "blue.yml:2: not YAML: column 1: did not find expected ',' or ']', while parsing a flow sequence"),
        ("a: 1\na: 2\n", "blue.yml:2: a: written twice, first in line 1"),
        ("- a\n", "blue.yml:1: expected fields such as `name:` at the top"),
    ],
)
def test_file_that_is_no_mapping_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    """Before anything is sent; the file is called as it was typed."""
    file = save(tmp_path, text)
    with pytest.raises(Refused) as raised:
        given(file)
    assert raised.value.lines == (str(tmp_path / message),)


def test_problem_of_standard_input_has_its_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is called as it was typed, whoever says what is wrong."""
    monkeypatch.chdir(tmp_path)
    wanted = Given(file="-", text="name: blue\n")
    assert wanted.as_typed(f"{tmp_path}/-:3: model: wrong") == "-:3: model: wrong"


@pytest.mark.parametrize("file", ["-", "/dev/stdin", "/dev/fd/63", "/proc/self/fd/0"])
def test_stream_has_no_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, file: str) -> None:
    """Relative paths in it start here."""
    monkeypatch.chdir(tmp_path)
    assert Given(file=file).folder == tmp_path


def test_file_whose_name_is_no_text_can_be_told(tmp_path: Path) -> None:
    """What the daemon is told fits into JSON, and its answer is put back into the name."""
    file = save(tmp_path / "\udcff", "name: blue\n")
    assert given(file).absolute_file == f"{tmp_path}/\\udcff/blue.yml"


def test_missing_file_is_one_sentence() -> None:
    """As the shell's own tools say it."""
    with pytest.raises(Refused) as raised:
        given("deployment.yml")
    assert raised.value.lines == ("deployment.yml: No such file or directory",)


def test_folder_is_no_file(tmp_path: Path) -> None:
    """Nor is it a traceback."""
    with pytest.raises(Refused, match="Is a directory"):
        given(str(tmp_path))


def test_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """The model in place of its definition, say."""
    (tmp_path / "model.pkl").write_bytes(b"\x80\x04")
    with pytest.raises(Refused, match=r"model\.pkl:1: not UTF-8: byte 0x80"):
        given(str(tmp_path / "model.pkl"))


def test_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    """Editors on Windows write one."""
    (tmp_path / "blue.yml").write_bytes(b"\xef\xbb\xbfname: blue\n")
    assert given(str(tmp_path / "blue.yml")).text_of("name", None) == "blue"


def test_name_of_the_option_counts(tmp_path: Path) -> None:
    """As with `az`, the file's name is overridden."""
    assert given(save(tmp_path, "name: blue\n")).text_of("name", "green") == "green"


@pytest.mark.parametrize("text", ["{}", "name: ''\n", "name: null\n"])
def test_name_that_is_nowhere_is_wrong_usage(tmp_path: Path, text: str) -> None:
    """An empty one is none."""
    with pytest.raises(WrongUsage, match=r"no endpoint name: give it with --endpoint-name, or `endpoint_name:` in "):
        given(save(tmp_path, text)).text_of("endpoint_name", None)


async def test_names_are_not_set_again(daemon: FakeDaemon, notes: Notes) -> None:
    """They are in the address already."""
    sent = await body(daemon, notes, given(None, {"name": "blue", "instance_count": 2}))
    assert sent["set"] == {"instance_count": 2}


@pytest.mark.parametrize("path", ["azureml:churn:1", "azureml://registries/r/models/m", "https://host/model.pkl", ""])
async def test_address_is_no_path(daemon: FakeDaemon, notes: Notes, path: str) -> None:
    """It goes to the daemon as it is."""
    sent = await body(daemon, notes, given(None, {"model.path": path}))
    assert (sent["content"], daemon.contents) == ({}, {})


async def test_set_starts_at_the_folder_of_the_file(daemon: FakeDaemon, notes: Notes, tmp_path: Path) -> None:
    """As Azure has it: what is set takes the place of what the file says."""
    (tmp_path / "v2.pkl").write_bytes(b"two")
    sent = await body(daemon, notes, given(save(tmp_path, "model: {path: v1.pkl}"), {"model.path": "v2.pkl"}))
    assert sent["content"] == {"model.path": Content.of(tmp_path / "v2.pkl").digest}


async def test_path_below_what_is_set_is_uploaded(daemon: FakeDaemon, notes: Notes, tmp_path: Path) -> None:
    """However the path was given."""
    (tmp_path / "v2.pkl").write_bytes(b"two")
    sent = await body(daemon, notes, given(None, {"model": {"path": str(tmp_path / "v2.pkl")}}))
    assert sent["content"] == {"model.path": Content.of(tmp_path / "v2.pkl").digest}


async def test_missing_path_that_was_set_has_no_line(daemon: FakeDaemon, notes: Notes, tmp_path: Path) -> None:
    """The file is not to blame."""
    with pytest.raises(Refused) as raised:
        await body(daemon, notes, given(save(tmp_path, "model: {path: v1.pkl}"), {"model.path": "nope"}))
    assert raised.value.lines == (f"model.path: {tmp_path}/nope: No such file or directory",)


async def test_interpreter_stays_where_it_is(daemon: FakeDaemon, notes: Notes) -> None:
    """It is not copied; its path is made one that does not depend on where the command runs."""
    sent = await body(daemon, notes, given(None, {"environment": {"python": "venv/bin/python"}}))
    assert sent["set"]["environment.python"] == os.path.join(os.getcwd(), "venv/bin/python")  # noqa: PTH109, PTH118
    assert sent["content"] == {}


def test_line_of_the_daemon_names_the_file_as_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other lines stay as they are."""
    save(tmp_path, "name: blue\n")
    monkeypatch.chdir(tmp_path)
    wanted = given("./blue.yml")
    assert wanted.as_typed(f"{tmp_path}/blue.yml:3: model: wrong") == "./blue.yml:3: model: wrong"
    assert wanted.as_typed("teal.yaml:3: model: wrong") == "teal.yaml:3: model: wrong"

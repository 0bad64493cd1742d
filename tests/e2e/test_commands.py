"""Commands and the file that they change: beside each other, beside people, across a crash, on a full disk."""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.e2e.cli import Cli
from tests.e2e.conftest import Load, running
from tests.e2e.project import Project, ask, replace, until

WAITS = """
def init():
    open({gate!r}).close()

def run(data):
    return "green"
"""


def tags_of(config: Path) -> dict[str, object]:
    tags: dict[str, object] = yaml.safe_load(config.read_text())["endpoints"]["churn"]["tags"]
    return tags


def listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_commands_at_the_same_time_are_all_carried_out(serve, project: Project) -> None:
    """None reads what another one is about to change."""
    teal = await serve(project.save())
    cli = Cli(teal.state_dir, project.folder)
    update = "online-endpoint update --name churn --set"
    await asyncio.gather(*(cli.done(f"{update} tags.t{number}={number}") for number in range(6)))
    assert tags_of(teal.config) == {f"t{number}": str(number) for number in range(6)}


async def test_what_people_save_meanwhile_is_not_lost(serve, project: Project) -> None:
    """Commands begin with what the file has at that moment, whoever wrote it, and keep its comments."""
    teal = await serve(project.save())
    cli = Cli(teal.state_dir, project.folder)
    text = project.text()
    for number in range(5):
        replace(teal.config, f"# edit {number}\n{teal.config.read_text()}")
        await cli.done(f"online-endpoint update --name churn --set tags.t{number}={number} --no-wait")
    assert teal.config.read_text().startswith("# edit 4\n# edit 3\n# edit 2\n# edit 1\n# edit 0\n" + text[:40])
    assert tags_of(teal.config) == {f"t{number}": str(number) for number in range(5)}


async def test_a_file_that_is_invalid_refuses_commands_and_stays(serve, project: Project) -> None:
    """Its problems are the answer; once it is repaired, commands work again."""
    teal = await serve(project.save())
    cli = Cli(teal.state_dir, project.folder)
    broken = project.text().replace("blue: 100", "blue: 90")
    await teal.after(lambda: replace(teal.config, broken), '"config.refused"')
    said = await cli.run("online-endpoint update --name churn --set tags.a=b")
    assert (said.code, "weights add up to 90, expected 0 or 100" in said.err) == (1, True), said
    assert teal.config.read_text() == broken
    replace(teal.config, project.text())
    await cli.done("online-endpoint update --name churn --set tags.a=b")


async def test_versions_of_the_file_can_be_looked_at_and_brought_back(serve, project: Project) -> None:
    """history, diff and undo, each undo one step further back."""
    teal = await serve(project.save())
    cli = Cli(teal.state_dir, project.folder)
    first = teal.config.read_text()
    await cli.done("online-endpoint update --name churn --set tags.a=1")
    second = teal.config.read_text()
    await cli.done("online-endpoint update --name churn --set tags.a=2")
    sources = [each["source"] for each in (await cli.done("config history -o json")).data]
    assert sources == ["file", "online-endpoint update", "online-endpoint update"]
    assert "+" in (await cli.done("config diff")).out
    await cli.done("config undo --yes")
    assert teal.config.read_text() == second
    await cli.done("config undo --yes")
    assert teal.config.read_text() == first
    assert "tags" not in yaml.safe_load(first)["endpoints"]["churn"]


async def test_an_undo_waits_for_its_effect(serve, project: Project) -> None:
    """A deployment that comes back serves when the command returns; one that fails makes the command fail."""
    project.deployments["green"] = project.worker("green")
    project.deployments["red"] = project.worker("red", "def init(): raise ValueError('no weights')\ndef run(d): pass\n")
    teal = await serve(project.save())
    cli = Cli(teal.state_dir, project.folder)
    await cli.done("online-deployment delete -n green -e churn --yes")
    await cli.done("config undo --yes")
    assert (await ask(await teal.url(), deployment="green")).text == '"green"'
    await cli.done("online-deployment delete -n red -e churn --yes")
    said = await cli.run("config undo --yes")
    assert (said.code, "no weights" in said.err) == (1, True), said


async def test_following_a_log_ends_with_its_deployment(serve, project: Project) -> None:
    """Nothing can come any more."""
    project.deployments["green"] = project.worker("green", "def init(): print('here')\ndef run(data): pass\n")
    teal = await serve(project.save())
    cli = Cli(teal.state_dir, project.folder)
    following = await cli.start("online-deployment", "get-logs", "-n", "green", "-e", "churn", "--follow")
    assert following.stdout is not None
    assert await following.stdout.readline()  # it follows
    await cli.done("online-deployment delete -n green -e churn --yes")
    await following.communicate()
    assert following.returncode == 0


async def test_a_key_that_is_replaced_stops_working_and_the_other_never_blinks(serve, project: Project) -> None:
    """The command returns when the old key opens nothing any more."""
    project.endpoint["auth_mode"] = "key"
    teal = await serve(project.save())
    cli = Cli(teal.state_dir, project.folder)
    keys = (await cli.done("online-endpoint get-credentials -n churn")).data
    load = Load(await teal.url(), keys["secondaryKey"])
    load.start(clients=2)
    await load.more(10)
    await cli.done("online-endpoint regenerate-keys -n churn --key-type primary --yes")
    assert (await ask(await teal.url(), key=keys["primaryKey"])).status == 401
    fresh = (await cli.done("online-endpoint get-credentials -n churn")).data
    assert (await ask(await teal.url(), key=fresh["primaryKey"])).status == 200
    await load.more(10)
    await load.stop()
    assert (load.failures, set(load.statuses()), fresh["secondaryKey"]) == ([], {200}, keys["secondaryKey"])


async def test_an_operation_goes_on_after_the_daemon_died_in_the_middle(project: Project, tmp_path: Path) -> None:
    """The command says that the daemon has gone; after a restart the operation ends as it would have."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    project.script("green", WAITS.format(gate=str(gate)))
    definition = project.folder / "green.yml"
    definition.write_text("code_configuration: {code: code/green, scoring_script: score.py}\n")
    config, state_dir = project.save(), tmp_path / "state"
    cli = Cli(state_dir, project.folder)
    async with running(config, state_dir) as teal:
        await teal.said('"daemon.serving"')
        command = await cli.start(
            "online-deployment", "create", "-n", "green", "-e", "churn", "-f", "green.yml", "--all-traffic"
        )
        await teal.said('"worker.started".*"green"')
        teal.signal(signal.SIGKILL)
        _, err = await command.communicate()
        assert (command.returncode, b"Traceback" in err, err != b"") == (1, False, True)
    async with running(config, state_dir) as teal:
        await teal.said('"worker.started".*"green"')
        # Whoever of the two init()s is there: the first daemon's worker has died with it.
        opened = asyncio.create_task(asyncio.to_thread(gate.write_text, ""))
        ended = json.loads(await teal.said('"operation.ended"'))
        await opened
        assert (ended["status"], ended["command"]) == ("Succeeded", "online-deployment create")
        assert (await ask(await teal.url())).text == '"green"'
        assert (await cli.done("operation list -o json")).data[-1]["status"] == "Succeeded"


async def test_an_operation_whose_deployment_is_deleted_is_cancelled(serve, project: Project, tmp_path: Path) -> None:
    """It says so, and the command that waits for it fails."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    project.script("green", WAITS.format(gate=str(gate)))
    (project.folder / "green.yml").write_text("code_configuration: {code: code/green, scoring_script: score.py}\n")
    teal = await serve(project.save())
    cli = Cli(teal.state_dir, project.folder)
    waiting = await cli.start("online-deployment", "create", "-n", "green", "-e", "churn", "-f", "green.yml")
    await teal.said('"worker.started".*"green"')
    deleting = asyncio.create_task(cli.done("online-deployment delete -n green -e churn --yes"))
    _, err = await waiting.communicate()
    assert (waiting.returncode, b"took its place" in err) == (1, True), err
    await deleting


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of its own that is soon full."""
    if os.getuid() != 0:
        pytest.skip("mounting a small disk needs root")
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], check=False).returncode != 0:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


async def test_a_full_disk_leaves_the_file_as_it_was(small_disk: Path, tmp_path: Path) -> None:
    """The command is refused in one sentence, and works when there is room again."""
    project = Project(small_disk)
    config = project.save()
    before = config.read_text()
    async with running(config, tmp_path / "state") as teal:
        await teal.said('"daemon.serving"')
        cli = Cli(teal.state_dir, tmp_path)
        junk = small_disk / "junk"
        with pytest.raises(OSError, match="No space"):
            junk.write_bytes(b"x" * 2**20)
        said = await cli.run("online-endpoint update --name churn --set tags.a=1")
        assert (said.code, "the disk is full" in said.err, "Traceback" in said.err) == (1, True, False), said
        assert (config.read_text(), listed(small_disk)) == (before, ["code", "junk", "teal.yaml"])
        junk.unlink()
        await cli.done("online-endpoint update --name churn --set tags.a=1")
        assert tags_of(config) == {"a": "1"}


async def test_events_and_operations_are_told(serve, project: Project) -> None:
    """`teal events` shows what happened, `teal status` what is under way and what happened last."""
    teal = await serve(project.save())
    cli = Cli(teal.state_dir, project.folder)
    await cli.done("online-endpoint update --name churn --set tags.a=1")
    assert "config.applied" in (await cli.done("events")).out
    names = [event["event"] for event in (await teal.status())["events"]]
    assert "operation.ended" in names
    assert "last events" in (await cli.done("status --once")).out

    async def is_settled() -> bool:
        return (await teal.status())["operations"] == []

    await until(is_settled)

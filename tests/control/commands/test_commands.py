"""Commands against a real file and a real state; nothing of the config runs."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from router.control.api.messages import Change, Keys, Operation
from router.control.assets.registry import Registry
from router.control.assets.resolve import Resolver
from router.control.assets.store import ContentStore
from router.control.commands.commands import Commands, Force
from router.control.commands.config_file import sha256
from router.control.commands.intake import Intake
from router.control.commands.operations import Operations
from router.control.config.load import Loaded, load_content
from router.control.history import ConfigHistory
from router.control.refusal import Conflict, NotFound, Unavailable
from router.control.state import State, StateError
from tests.control.api.daemon import IdleApplier

EMPTY = "listen: 127.0.0.1:0\n"
CHURN = EMPTY + "endpoints:\n  churn:\n    auth_mode: key\n"


class Applier(IdleApplier):
    """Has in force what it was given, everywhere, at once."""

    def __init__(self, resolve: Resolver) -> None:
        super().__init__({})
        self._resolve = resolve

    def take(self, loaded: Loaded) -> None:
        self._config = loaded.config

    async def wait_until_applied(self) -> None:
        return

    async def read_credentials(self) -> None:
        return


class Daemon:
    """What surrounds the commands: the file, the state, and how a config comes into force."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "teal.yaml"
        self.state = State.open(folder / "state")
        self.history = ConfigHistory(self.state)
        self.operations = Operations(self.state)
        self.is_serving = True
        self.refuses_to_apply = False
        self.registry = Registry(self.state)
        store = ContentStore(folder / "state" / "assets")
        self.intake = Intake(self.registry, store, folder)
        self._applier = Applier(Resolver(self.registry, store))
        self.commands = Commands(
            self.path,
            applier=self._applier,
            operations=self.operations,
            history=self.history,
            state=self.state,
            intake=self.intake,
            force=Force(asyncio.Lock(), self._apply, lambda: self.is_serving),
        )

    async def save(self, text: str) -> None:
        """Save the file by hand, and bring it into force."""
        self.path.write_text(text)
        await self._apply(load_content(text.encode(), self.path), "file", None)

    async def ended(self, operation: Operation) -> Operation:
        """The operation when it is over."""
        while (now := self.operations.get(operation.id)).status == "InProgress":
            await self.operations.wait(operation.id, progress=1000, timeout_s=10)
        return now

    async def _apply(self, loaded: Loaded, source: str, restores: int | None) -> int:
        if self.refuses_to_apply:
            raise StateError("cannot use state.db: disk I/O error")
        self._applier.take(loaded)
        self.history.record(loaded.content, source=source, restores=restores)
        return 7


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    """A daemon that serves an endpoint."""
    daemon = Daemon(tmp_path)
    await daemon.save(CHURN)
    yield daemon
    await daemon.commands.stop()
    daemon.state.close()


def sources(daemon: Daemon) -> list[str]:
    return [version.source for version in daemon.history.versions()]


async def test_a_command_is_an_edit_of_the_file(daemon: Daemon) -> None:
    """It is applied under the command's name, and the operation says from which generation on it holds."""
    operation = await daemon.commands.patch_endpoint("churn", Change(set={"tags.team": "fraud"}))
    assert daemon.path.read_text() == CHURN + "    tags:\n      team: fraud\n"
    assert sources(daemon) == ["file", "online-endpoint update"]
    ended = await daemon.ended(operation)
    assert (ended.status, ended.generation) == ("Succeeded", 7)


async def test_a_share_in_a_definition_is_warned_of(daemon: Daemon) -> None:
    """It is no deployment's to change."""
    change = Change(definition="upstreams: ['http://127.0.0.1:9']\ntraffic_percent: 10\n", file="/own.yml")
    operation = await daemon.commands.put_deployment("churn", "blue", change)
    assert (await daemon.ended(operation)).warnings == (
        "/own.yml:2: traffic_percent: has no effect: it is 0, and follows the endpoint's traffic",
    )


async def test_what_is_refused_leaves_no_operation(daemon: Daemon) -> None:
    """And no edit."""
    with pytest.raises(NotFound, match="there is no endpoint chrun; there is churn"):
        await daemon.commands.patch_endpoint("chrun", Change(set={"tags.team": "fraud"}))
    assert (daemon.operations.all(), daemon.path.read_text()) == ([], CHURN)


async def test_nothing_is_changed_while_the_daemon_starts_or_stops(daemon: Daemon) -> None:
    """Whoever asks is told to try again."""
    daemon.is_serving = False
    with pytest.raises(Unavailable):
        await daemon.commands.delete_endpoint("churn")
    assert daemon.path.read_text() == CHURN


async def test_what_cannot_come_into_force_has_failed(daemon: Daemon) -> None:
    """The file has it, and the operation says why it does not run."""
    daemon.refuses_to_apply = True
    operation = await daemon.commands.patch_endpoint("churn", Change(set={"tags.team": "fraud"}))
    ended = await daemon.ended(operation)
    assert (ended.status, ended.reason) == ("Failed", "cannot use state.db: disk I/O error")


async def test_an_endpoint_that_is_made_again_has_other_keys(daemon: Daemon) -> None:
    """Whoever had the keys of the one that was deleted is a stranger."""
    before = await daemon.commands.credentials("churn")
    await daemon.ended(await daemon.commands.delete_endpoint("churn"))
    await daemon.ended(await daemon.commands.put_endpoint("churn", Change()))
    after = await daemon.commands.credentials("churn")
    assert isinstance(before, Keys)
    assert isinstance(after, Keys)
    assert {before.primary_key, before.secondary_key}.isdisjoint({after.primary_key, after.secondary_key})


async def test_an_endpoint_without_authentication_has_no_credentials(daemon: Daemon) -> None:
    """Asking for them is refused, in words."""
    await daemon.save(CHURN.replace("auth_mode: key", "auth_mode: none"))
    with pytest.raises(Conflict, match="auth_mode none"):
        await daemon.commands.credentials("churn")


async def test_undo_brings_the_version_before_back(daemon: Daemon) -> None:
    """Byte for byte."""
    await daemon.commands.patch_endpoint("churn", Change(set={"tags.team": "fraud"}))
    await daemon.commands.undo(None)
    assert daemon.path.read_text() == CHURN
    assert sources(daemon)[-1] == "config undo"


async def test_undo_keeps_what_was_never_in_force(daemon: Daemon) -> None:
    """A file that was broken by hand is replaced, and can be had back."""
    broken = CHURN + "    trafic: {}\n"
    daemon.path.write_text(broken)
    await daemon.commands.undo(None)
    assert daemon.path.read_text() == CHURN
    kept = [version.number for version in daemon.history.versions() if not version.was_applied]
    assert [daemon.history.text(number) for number in kept] == [broken]


async def test_undo_says_what_is_not_registered_any_more(daemon: Daemon, tmp_path: Path) -> None:
    """A version that names a model which was deleted since would not start; the file stays as it is."""
    (tmp_path / "model.pkl").write_text("weights")
    (tmp_path / "score.py").write_text("def init(): pass\ndef run(data): pass\n")
    model = Change(set={"name": "weights", "version": "1", "path": str(tmp_path / "model.pkl")})
    daemon.intake.register("model", model)
    code = f"code_configuration: {{code: {tmp_path}, scoring_script: score.py}}"
    await daemon.save(f"{CHURN}    deployments:\n      blue:\n        {code}\n        model: azureml:weights:1\n")
    await daemon.save(CHURN)
    daemon.registry.delete("model", "weights", "1", users=[])
    with pytest.raises(Conflict, match=r"not registered any more: churn\.deployments\.blue\.model: .*weights"):
        await daemon.commands.undo(None)
    assert daemon.path.read_text() == CHURN


async def test_a_daemon_that_ended_before_the_edit_has_changed_nothing(daemon: Daemon) -> None:
    """The operation is cancelled, and says so."""
    name = daemon.operations.begin("online-endpoint update", "churn")
    await daemon.operations.will_write(name, sha256(b"what never came"))
    await daemon.commands.resume()
    cancelled = daemon.operations.get(name)
    assert (cancelled.status, "nothing was changed" in cancelled.reason) == ("Canceled", True)


async def test_a_daemon_that_ended_after_the_edit_goes_on(daemon: Daemon) -> None:
    """The version in the history bears the command's name, and the operation ends as it would have."""
    name = daemon.operations.begin("online-endpoint update", "churn")
    edited = CHURN + "    tags: {team: fraud}\n"
    await daemon.operations.will_write(name, sha256(edited.encode()))
    source = await daemon.commands.written_by(edited.encode())
    await daemon.save(edited)
    await daemon.commands.resume()
    assert source == "online-endpoint update"
    assert (await daemon.ended(daemon.operations.get(name))).status == "Succeeded"


async def test_an_older_version_of_the_same_content_is_not_taken_for_the_edit(daemon: Daemon) -> None:
    """The file went from one content to another and was about to go back when the daemon ended."""
    await daemon.save(EMPTY)
    name = daemon.operations.begin("online-endpoint create", "churn")
    await daemon.operations.will_write(name, sha256(CHURN.encode()))
    await daemon.commands.resume()
    assert daemon.operations.get(name).status == "Canceled"

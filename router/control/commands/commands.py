"""Commands: each changes the config file, brings it into force, and is an operation until its effect is there.

Rules
- One command at a time reads and writes the file; all wait for their effects at the same time.
- What is refused has changed nothing and leaves no operation behind.
- A daemon that starts again goes on with the operations whose change was made, and cancels the others.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import structlog

from router.control.api.messages import Change, Keys, Operation, Token
from router.control.applier import Applier
from router.control.commands.config_file import ConfigFile, sha256
from router.control.commands.definitions import Definition, read_definition
from router.control.commands.effects import Effects
from router.control.commands.intake import Intake
from router.control.commands.operations import Operations, Record
from router.control.commands.plans import (
    Target,
    all_traffic_edits,
    deletion_edits,
    deployment_edits,
    endpoint_edits,
    explained,
    given_fields,
    targets_of,
    unheeded_shares,
)
from router.control.config.edit import Edit
from router.control.config.load import Loaded
from router.control.config.problem import Problem
from router.control.config.watch import Changed, FileEvent, Unreadable, current
from router.control.history import ConfigHistory
from router.control.refusal import Conflict, NotWritten, Refusal, Unavailable
from router.control.state import KeyType, State, StateError
from router.core.auth import issue_token

log = structlog.get_logger()


class Force(NamedTuple):
    """How the daemon brings a config into force.

    Attributes:
        lock: Held by whoever reads, writes or applies the file.
        apply: Takes the config, what changed it, and the version that it brings back; returns the first generation
            that reflects it.
        is_serving: Whether the daemon has started and does not stop yet.
    """

    lock: asyncio.Lock
    apply: Callable[[Loaded, str, int | None], Awaitable[int]]
    is_serving: Callable[[], bool]


class _Work(NamedTuple):
    """What a command does.

    Attributes:
        target: What it is about.
        plan: What it makes of the file.
        explain: How problems and warnings read that come of it.
        commit: What is to be stored before the file is written; called in a thread.
        replaces: Nothing is left of what earlier commands made of the target; otherwise the changes add up.
        definition: Of a deployment, whose shares are to be warned of.
    """

    target: Target
    plan: Callable[[Loaded], Sequence[Edit]]
    explain: Callable[[Problem], Problem]
    commit: Callable[[], object] = lambda: None
    replaces: bool = False
    definition: Definition | None = None


class Commands:
    """Everything that the admin API changes."""

    def __init__(
        self,
        path: Path,
        *,
        applier: Applier,
        operations: Operations,
        history: ConfigHistory,
        state: State,
        intake: Intake,
        force: Force,
    ) -> None:
        self.operations = operations
        self._file = ConfigFile(path)
        self._applier = applier
        self._history = history
        self._state = state
        self._intake = intake
        self._force = force
        self._effects = Effects(operations, applier)
        self._tasks: dict[str, asyncio.Task[None]] = {}

    # What is asked for

    async def put_endpoint(self, name: str, change: Change) -> Operation:
        """Create an endpoint, or change what the definition names of it."""
        return await self._change_endpoint("online-endpoint create", name, change, must_exist=False)

    async def patch_endpoint(self, name: str, change: Change) -> Operation:
        """Change what is named of an endpoint.

        Raises:
            NotFound: there is none of this name.
        """
        return await self._change_endpoint("online-endpoint update", name, change, must_exist=True)

    async def delete_endpoint(self, name: str) -> Operation:
        """Take an endpoint and its deployments away."""
        return await self._delete("online-endpoint delete", Target(endpoint=name))

    async def put_deployment(self, endpoint: str, name: str, change: Change) -> Operation:
        """Create a deployment, or put another one in its place."""
        definition = await _definition(change) or Definition(fields={})
        target = Target(endpoint=endpoint, deployment=name)
        return await self._change_deployment("online-deployment create", target, change, definition)

    async def patch_deployment(self, endpoint: str, name: str, change: Change) -> Operation:
        """Change what is named of a deployment; with a definition, put another one in its place.

        Raises:
            NotFound: there is none of this name.
        """
        target = Target(endpoint=endpoint, deployment=name)
        return await self._change_deployment(
            "online-deployment update", target, change, await _definition(change), must_exist=True
        )

    async def delete_deployment(self, endpoint: str, name: str) -> Operation:
        """Take a deployment away that carries no live traffic."""
        return await self._delete("online-deployment delete", Target(endpoint=endpoint, deployment=name))

    async def undo(self, number: int | None) -> Operation:
        """Bring back a version of the config file: the one before the last change, or that of a number."""
        self._check_serving()
        name = self.operations.begin("config undo", "")
        async with self._force.lock:
            try:
                loaded, restored = await self._restore(name, number)
            except (Refusal, StateError) as error:
                await self.operations.forget(name)
                raise _as_refusal(error) from error
            await self._bring_into_force(name, loaded, "config undo", restored)
        self._follow(name, self._effects.all_of(name, self._targets(name)))
        return self.operations.get(name)

    async def credentials(self, endpoint: str) -> Keys | Token:
        """What opens an endpoint.

        Raises:
            Conflict: nothing is needed to open it.
        """
        name, config = self._applier.endpoint(endpoint)
        if config.auth_mode == "none":
            raise Conflict(f"endpoint {name} has auth_mode none: it asks for no credentials")
        credentials = await asyncio.to_thread(self._state.credentials, name)
        if config.auth_mode == "key":
            return Keys(primary_key=credentials.primary, secondary_key=credentials.secondary)
        now = time.time()
        lifetime_s = config.token_lifetime_s
        return Token(
            access_token=issue_token(name, credentials.token_secret, now=now, lifetime_s=lifetime_s),
            expiry_time_utc=int(now) + lifetime_s,
            refresh_after_time_utc=int(now) + lifetime_s // 2,
        )

    async def regenerate(self, endpoint: str, which: KeyType) -> None:
        """Replace one key of an endpoint; return once the old one opens nothing any more."""
        name, _ = self._applier.endpoint(endpoint)
        async with self._force.lock:
            await asyncio.to_thread(self._state.regenerate, name, which)
            await self._applier.read_credentials()
        log.info("credentials.regenerated", endpoint=name, which=which)
        await self._effects.applied_everywhere()

    # Start and stop

    async def written_by(self, content: bytes) -> str:
        """The command that left this content in the file just before the daemon ended; `file` if none did."""
        digest = sha256(content)
        for record in await self.operations.load():
            if record.config_sha256 == digest and not record.is_applied:
                return record.operation.command
        return "file"

    async def resume(self) -> None:
        """Go on with what was under way when the daemon ended."""
        for record in await self.operations.load():
            operation = record.operation
            if record.is_applied or await self._was_written(record):
                self._follow(operation.id, self._again(record))
            else:
                reason = "the daemon ended before the config file was changed; nothing was changed"
                await self.operations.end(operation.id, "Canceled", reason=reason)

    async def stop(self) -> None:
        """Follow nothing any more; what is under way is gone on with after the next start."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # How it is done

    async def _change_endpoint(self, command: str, name: str, change: Change, *, must_exist: bool) -> Operation:
        if change.all_traffic:
            raise Refusal("all_traffic is for deployments")
        definition = await _definition(change)
        target = Target(endpoint=name)

        def plan(loaded: Loaded) -> list[Edit]:
            if must_exist:
                target.spelled(loaded).config(loaded)
            return endpoint_edits(loaded, target, change, definition)

        explain = partial(explained, target=target, change=change, definition=definition)
        operation = await self._run(command, _Work(target, plan, explain))
        self._follow(operation.id, self._effects.traffic(operation.id, target))
        return operation

    async def _change_deployment(
        self, command: str, target: Target, change: Change, definition: Definition | None, *, must_exist: bool = False
    ) -> Operation:
        if change.traffic is not None or change.mirror_traffic is not None:
            raise Refusal("traffic and mirror_traffic are for endpoints")
        self._check_serving()
        take_in = self._intake.of(change, definition)
        # Here, since copying a large model would hold up everybody else who wants to change something.
        await self._intake.threads.run(take_in, given_fields(change, definition))

        def plan(loaded: Loaded) -> list[Edit]:
            if must_exist:
                target.spelled(loaded).config(loaded)
            return deployment_edits(loaded, target, change, definition, take_in)

        explain = partial(explained, target=target, change=change, definition=definition)
        warned_of = None if change.all_traffic else definition
        work = _Work(target, plan, explain, take_in.commit, replaces=definition is not None, definition=warned_of)
        operation = await self._run(command, work, all_traffic=change.all_traffic)
        self._follow(operation.id, self._follow_deployment(operation.id, target, all_traffic=change.all_traffic))
        return operation

    async def _delete(self, command: str, target: Target) -> Operation:
        work = _Work(target, lambda loaded: deletion_edits(loaded, target), _unplaced, replaces=True)
        operation = await self._run(command, work)
        self._follow(operation.id, self._effects.deletion(operation.id, target))
        return operation

    async def _run(self, command: str, work: _Work, *, all_traffic: bool = False) -> Operation:
        """Change the file and bring it into force.

        Raises:
            Refusal: nothing was changed.
        """
        self._check_serving()
        target = work.target
        name = self.operations.begin(command, target.endpoint, target.deployment, all_traffic=all_traffic)
        async with self._force.lock:
            try:
                loaded = await self._file.change(
                    work.plan, explain=work.explain, announce=partial(self._announce, name, work.commit)
                )
                if command == "online-endpoint create" and not self._applier.has_endpoint(target.endpoint):
                    # Whoever had the keys of an endpoint that was deleted has none of its successor.
                    await asyncio.to_thread(self._state.forget_credentials, target.endpoint)
            except (Refusal, StateError) as error:
                await self.operations.forget(name)
                raise _as_refusal(error) from error
            if work.replaces:
                await self._supersede(name, target)
            await self._bring_into_force(name, loaded, command, None, work)
        return self.operations.get(name)

    async def _announce(self, name: str, commit: Callable[[], object], config_sha256: str) -> None:
        await asyncio.to_thread(commit)
        await self.operations.will_write(name, config_sha256)

    async def _bring_into_force(
        self, name: str, loaded: Loaded, source: str, restores: int | None, work: _Work | None = None
    ) -> None:
        try:
            generation = await self._force.apply(loaded, source, restores)
        except StateError as error:
            await self.operations.end(name, "Failed", reason=str(error))
            return
        warnings = _warnings(loaded, work) if work is not None else ()
        await self.operations.applied(name, generation, warnings)

    async def _restore(self, name: str, number: int | None) -> tuple[Loaded, int]:
        found = await asyncio.to_thread(current, self._file.path)
        if isinstance(found, Unreadable):
            raise Conflict(f"{self._file.path} cannot be read, so it is not replaced: {found.reason}")
        on_disk = _content(found)
        text = (on_disk or b"").decode("utf-8", "replace")
        if number is None:
            number = (await asyncio.to_thread(self._history.undo_target, text)).number
        restored = await asyncio.to_thread(self._history.text, number)
        await asyncio.to_thread(self._keep, text)
        approve = partial(self._approve, name)
        return await self._file.restore(restored, expected=on_disk, approve=approve), number

    async def _approve(self, name: str, loaded: Loaded) -> None:
        missing = await asyncio.to_thread(self._applier.unresolved, loaded.config)
        if missing:
            raise Conflict(f"that version names what is not registered any more: {'; '.join(missing)}")
        changed = targets_of(self._applier.config, loaded.config)
        self.operations.waits_for(name, [(target.endpoint, target.deployment) for target in changed])
        await self.operations.will_write(name, sha256(loaded.content))

    def _targets(self, name: str) -> list[Target]:
        targets = self.operations.targets(name)
        return [Target(endpoint=endpoint, deployment=deployment) for endpoint, deployment in targets]

    def _keep(self, text: str) -> None:
        """What was never in force and is about to be replaced can be brought back all the same."""
        digest = sha256(text.encode())
        if text and all(version.sha256 != digest for version in self._history.versions()):
            self._history.keep_replaced(text, digest)

    async def _supersede(self, name: str, target: Target) -> None:
        """What was under way for the target is not wanted any more."""
        for older in self.operations.under_way(target.endpoint, target.deployment or None):
            if older.id == name:
                continue
            await self.operations.end(older.id, "Canceled", reason=f"operation {name} took its place")
            if older.id in self._tasks:
                self._tasks[older.id].cancel()

    async def _was_written(self, record: Record) -> bool:
        """Whether the change that a record announces was made before the daemon ended."""
        versions = await asyncio.to_thread(self._history.versions)
        recent = [version for version in versions if version.applied >= record.began] or versions[-1:]
        return any(version.sha256 == record.config_sha256 for version in recent)

    def _check_serving(self) -> None:
        if not self._force.is_serving():
            raise Unavailable("the daemon is starting or stopping; try again in a moment")

    # What is waited for

    def _follow(self, name: str, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(self._followed(name, work), name=f"operation {name}")
        self._tasks[name] = task
        task.add_done_callback(lambda _: self._tasks.pop(name, None))

    async def _followed(self, name: str, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except (Refusal, StateError) as error:
            await self.operations.end(name, "Failed", reason=str(error))

    def _again(self, record: Record) -> Coroutine[None, None, None]:
        """The waiting that an operation was at when the daemon ended."""
        operation = record.operation
        target = Target(endpoint=operation.endpoint, deployment=operation.deployment)
        match operation.command.rpartition(" "):
            case _, _, "delete":
                return self._effects.deletion(operation.id, target)
            case "online-deployment", _, _:
                return self._follow_deployment(operation.id, target, all_traffic=record.all_traffic)
            case "online-endpoint", _, _:
                return self._effects.traffic(operation.id, target)
            case _:
                return self._effects.all_of(operation.id, self._targets(operation.id))

    async def _follow_deployment(self, name: str, target: Target, *, all_traffic: bool) -> None:
        if all_traffic and await self._effects.is_there(name, target):
            await self._give_all_traffic(name, target)
        elif not all_traffic:
            await self._effects.deployment(name, target)

    async def _give_all_traffic(self, name: str, target: Target) -> None:
        self.operations.tell(name, f"all live traffic goes to {target.deployment}")
        async with self._force.lock:
            loaded = await self._file.change(
                lambda before: all_traffic_edits(before, target), explain=_unplaced, announce=_nothing
            )
            await self._bring_into_force_again(name, loaded)
        await self._effects.traffic(name, target)

    async def _bring_into_force_again(self, name: str, loaded: Loaded) -> None:
        warnings = self.operations.get(name).warnings
        generation = await self._force.apply(loaded, self.operations.get(name).command, None)
        await self.operations.applied(name, generation, warnings)


async def _definition(change: Change) -> Definition | None:
    """The definition that a change brings along; in a thread, since it may be long."""
    if change.definition is None:
        return None
    return await asyncio.to_thread(read_definition, change.definition, change.file)


def _unplaced(problem: Problem) -> Problem:
    """The lines are those of a text that was not written."""
    return Problem(path=None, line=None, field=problem.field, message=problem.message, key=problem.key)


def _warnings(loaded: Loaded, work: _Work) -> tuple[str, ...]:
    path = work.target.spelled(loaded).path
    kept = (
        work.explain(warning)
        for warning in loaded.warnings
        if warning.key[: len(path)] == path and (work.target.deployment or "deployments" not in warning.key)
    )
    unheeded = unheeded_shares(loaded, work.target, work.definition) if work.definition is not None else ()
    return tuple(map(str, (*kept, *unheeded)))


def _as_refusal(error: Refusal | StateError) -> Refusal:
    return error if isinstance(error, Refusal) else NotWritten(str(error))


def _content(event: FileEvent) -> bytes | None:
    return event.content if isinstance(event, Changed) else None


async def _nothing(_: str) -> None:
    """There is nothing to announce."""

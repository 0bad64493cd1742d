"""The supervisor: all workers of all deployments, kept as they are wanted."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path

import structlog

from router.control.environments import Environments
from router.control.lifeline import Lifeline
from router.control.states import DeploymentKey, DeploymentStatus
from router.control.supervisor.deployment import Deployment
from router.control.supervisor.disk_thread import DiskThread
from router.control.supervisor.instance import Surroundings
from router.control.supervisor.sockets import SocketFolder
from router.control.supervisor.spec import WorkerSpec
from router.control.threads import Threads
from router.core.table import InstanceSpec

log = structlog.get_logger()

TICK_S = 0.25
_KILL_GRACE_S = 5.0  # for the kernel to end what was killed
_MOST_STARTS = 500
#: For the last lines to get to the disk; one that hangs holds up neither a reader of the log nor the end.
_LAST_LINES_S = 1.0


class Supervisor:
    """Starts, watches, replaces and drains workers.

    Args:
        run_dir: Sockets, below a folder of the supervisor's own.
        log_dir: What workers print, as `<endpoint>/<deployment>/<instance>.log`.
        work_dir: What each worker is given, such as its model.
        drained: Awaited after an instance has left `instances()`, and before it is asked to stop: returns once no
            proxy needs the address any more, and bounds the time itself.
        on_change: Called, once for any number of changes, when `instances()` or `statuses()` are new.
        lifeline: What workers live on for; without one they end with this process.
    """

    def __init__(
        self,
        *,
        run_dir: Path,
        log_dir: Path,
        work_dir: Path,
        environments: Environments,
        drained: Callable[[str], Awaitable[None]],
        on_change: Callable[[], None],
        lifeline: Lifeline | None = None,
    ) -> None:
        disk = DiskThread()
        self._around = Surroundings(
            sockets=SocketFolder(run_dir.absolute() / "workers", disk),
            disk=disk,
            threads=Threads("worker-start", limit=_MOST_STARTS, busy=f"{_MOST_STARTS} starts hang in their disk"),
            log_dir=log_dir.absolute(),
            work_dir=work_dir.absolute(),
            environments=environments,
            lifeline=lifeline,
            drained=drained,
        )
        self._on_change = on_change
        self._deployments: dict[DeploymentKey, Deployment] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._ticker: asyncio.Task[None] | None = None
        self._is_settling = False
        self._is_stopping = False
        self._all_gone = asyncio.Event()

    def __repr__(self) -> str:
        return f"Supervisor({list(self._deployments.values())})"

    def apply(self, specs: Mapping[DeploymentKey, WorkerSpec], failed: Mapping[DeploymentKey, str]) -> None:
        """From now on these workers are wanted, and no others. Needs a running event loop.

        Args:
            failed: Deployments that cannot be started at all, and why. What is left of them from before stays.
        """
        if self._is_stopping:
            return
        for key in self._deployments.keys() - specs.keys() - failed.keys():
            self._deployments[key].remove()
        for key, reason in failed.items():
            self._deployment(key).refuse(reason)
        for key, spec in specs.items():
            self._deployment(key).want(spec)
        self._ticker = self._ticker or asyncio.create_task(self._tick(), name="supervisor ticker")
        self._reconcile()
        self._changed()

    def instances(self, key: DeploymentKey) -> tuple[InstanceSpec, ...]:
        """What the routing table shall list of a deployment now."""
        deployment = self._deployments.get(key)
        return deployment.listed() if deployment else ()

    def statuses(self) -> tuple[DeploymentStatus, ...]:
        """Every deployment that is there, those that are going included."""
        return tuple(deployment.status() for deployment in self._deployments.values())

    def settle_logs(self) -> None:
        """Return when what was printed is in the files, or after a second. Not for the event loop."""
        self._around.disk.wait(_LAST_LINES_S)

    async def stop(self, deadline_s: float) -> None:
        """Drain everything at the same time and kill what is left after `deadline_s`; nothing is started any more.

        A second call, with an earlier deadline, hurries the first. When it is cancelled everything is killed.
        """
        self._is_stopping = True
        for deployment in self._deployments.values():
            deployment.remove()
        self._reconcile()
        try:
            await self._wait_until_gone(deadline_s)
        finally:
            killed = self._hurry()
        if killed:
            log.warning("supervisor.killed_workers", pids=killed, deadline_s=deadline_s)
            await self._wait_until_gone(_KILL_GRACE_S)
        await self._end_tasks()
        self._around.disk.close(_LAST_LINES_S)

    async def _wait_until_gone(self, deadline_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                await self._all_gone.wait()

    def _deployment(self, key: DeploymentKey) -> Deployment:
        if key not in self._deployments:
            self._deployments[key] = Deployment(key, self._around, self._changed)
        return self._deployments[key]

    def _changed(self) -> None:
        """Something is new: settle it once, however many changes there are in this turn of the loop."""
        if not self._is_settling:
            self._is_settling = True
            asyncio.get_running_loop().call_soon(self._settle)

    def _settle(self) -> None:
        self._is_settling = False  # first: what changes from here on must be settled once more
        self._reconcile()
        # In this order: a drain that `_reconcile` began asks `drained` only after the caller knows of the change.
        self._on_change()

    def _reconcile(self) -> None:
        for deployment in list(self._deployments.values()):
            for instance in deployment.reconcile():
                self._run(instance.join(), f"{instance!r} join")
            if deployment.is_forgettable:
                del self._deployments[deployment.key]
        if self._is_stopping and not self._deployments:
            self._all_gone.set()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            for deployment in list(self._deployments.values()):
                for instance in deployment.instances:
                    try:
                        instance.tick()
                    except OSError as error:  # out of descriptors, say: the others must be looked at all the same
                        log.error("worker.not_watched", instance=repr(instance), error=str(error))

    def _hurry(self) -> list[int]:
        """Kill every process that is left; return their ids."""
        instances = [instance for deployment in self._deployments.values() for instance in deployment.instances]
        return [pid for instance in instances if (pid := instance.hurry()) is not None]

    def _run(self, work: Coroutine[None, None, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _end_tasks(self) -> None:
        tasks = set(self._tasks)
        if self._ticker is not None:
            self._ticker.cancel()
            tasks.add(self._ticker)
        await asyncio.gather(*tasks, return_exceptions=True)

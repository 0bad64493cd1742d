"""One instance of a deployment: the shell that starts, watches and ends what its `Lifecycle` decides."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog

from router.control.environments import EnvironmentFailed, Environments
from router.control.lifeline import Lifeline
from router.control.refusal import Unavailable
from router.control.states import InstanceState, InstanceStatus
from router.control.supervisor.disk_thread import DiskThread
from router.control.supervisor.launch import lay_out_model, worker_command
from router.control.supervisor.logs import RotatedFile, WorkerLog
from router.control.supervisor.probe import Verdict, check, watch
from router.control.supervisor.process import Command, Listener, WorkerProcess
from router.control.supervisor.sockets import SocketFolder, SocketPair
from router.control.supervisor.spec import Probe, WorkerSpec
from router.control.supervisor.usage import Usage, read_usage, usages
from router.control.threads import Threads
from router.core.lifecycle import Action, Ended, ExitReason, Lifecycle, State
from router.core.rollout import Present
from router.core.table import InstanceSpec

log = structlog.get_logger()

HEARTBEAT_TIMEOUT_S = 3.0
USAGE_PERIOD_S = 1.0
STOP_GRACE_S = 5.0  # past the worker's own drain timeout, before it is killed

_SHOWN: Mapping[State, InstanceState] = {
    State.STARTING: "starting",
    State.READY: "ready",
    State.UNREADY: "unready",
    State.FAILING: "stopping",
    State.BACKOFF: "backoff",
    State.DRAINING: "draining",
    State.STOPPING: "stopping",
    State.GONE: "stopping",
}
_LISTED = frozenset((State.STARTING, State.READY, State.UNREADY, State.FAILING, State.BACKOFF))


def _now() -> float:
    return time.monotonic()


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What all instances share.

    Attributes:
        disk: For what nobody waits for.
        threads: For what a start waits for.
    """

    sockets: SocketFolder
    disk: DiskThread
    threads: Threads
    log_dir: Path
    work_dir: Path
    environments: Environments
    lifeline: Lifeline | None  # None: they end with this process
    drained: Callable[[str], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Observer:
    """Who is told of an instance: `changed` on each change of state, `started` and `ended` for each process."""

    changed: Callable[[], None]
    started: Callable[[], None]
    ended: Callable[[Ended], None]


class Instance:
    """One numbered place in a deployment, and the process that fills it now."""

    def __init__(self, number: int, spec: WorkerSpec, surroundings: Surroundings, observer: Observer) -> None:
        self.number = number
        self.spec = spec
        self.version = spec.fingerprint
        self.restarts = 0
        self.lifecycle = Lifecycle()
        self.since = time.time()
        self._around = surroundings
        self._observer = observer
        self._address = ""  # of the last process that there was
        self._status_text = ""  # what it said of itself
        self._process: WorkerProcess | None = None
        self._usage: Usage | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._began_at = self._beat_at = self._ticked_at = self._looked_at = _now()
        self._stopped_at: float | None = None
        parts = (spec.endpoint, spec.deployment)
        self._folder = surroundings.work_dir.joinpath(*parts, str(number))
        log_path = surroundings.log_dir.joinpath(*parts, f"{number}.log")
        self._log = WorkerLog(RotatedFile(log_path), surroundings.disk, now=_now())
        self._event = log.bind(endpoint=spec.endpoint, deployment=spec.deployment, instance=str(number))

    def __repr__(self) -> str:
        return f"Instance({self.spec.endpoint}/{self.spec.deployment}/{self.number}, {self.lifecycle})"

    @property
    def state(self) -> State:
        return self.lifecycle.state

    @property
    def present(self) -> Present:
        """As the rollout sees it."""
        return Present(number=self.number, version=self.version, state=self.state, has_served=self.lifecycle.has_served)

    @property
    def listed(self) -> InstanceSpec | None:
        """As the routing table lists it; a dead one stays in it, not ready, so that requests are refused at once."""
        if not self._address or self.state not in _LISTED:
            return None
        return InstanceSpec(address=self._address, is_ready=self.state is State.READY)

    def status(self) -> InstanceStatus:
        usage = self._usage
        return InstanceStatus(
            name=str(self.number),
            address=self._address,
            state=_SHOWN[self.state],
            pid=self._process.pid if self._process else None,
            restarts=self.restarts,
            since=self.since,
            retry_in_s=self.lifecycle.retry_in_s(_now()),
            rss_bytes=usage.rss_bytes if usage else None,
            cpu_seconds=usage.cpu_seconds if usage else None,
            reason=self.lifecycle.reason or self._status_text,
            last_line="" if self.state is State.READY else "".join(self._log.tail(1)),
        )

    def tail(self, lines: int) -> tuple[str, ...]:
        """The last lines that it printed."""
        return self._log.tail(lines)

    def start(self) -> None:
        """Begin the first process."""
        self._run("start", self._start())

    def drain(self) -> None:
        """It is not wanted any more."""
        self._change(lambda now: self.lifecycle.drain(now, self._stop_timeout_s))

    def hurry(self) -> int | None:
        """Kill its process now if it is to stop, whatever is in flight; return its id, or None if there is none."""
        pid = self._process.pid if self._process else None
        self._change(self.lifecycle.hurry)
        return pid

    def tick(self) -> None:
        """Look at what does not report itself: heartbeats, memory, deadlines. Called several times a second."""
        now = _now()
        if self._process is not None:
            self._process.read_notifications()
        if self._process is not None:
            self._judge_heartbeat(now)
            if now - self._looked_at >= USAGE_PERIOD_S:
                self._looked_at = now
                self._judge_usage(self._process.pid, now)
        self._ticked_at = now
        self._change(self.lifecycle.tick)

    async def join(self) -> None:
        """Wait for what was begun for it, after it has gone."""
        tasks = tuple(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def _stop_timeout_s(self) -> float:
        return self.spec.drain_timeout_s + STOP_GRACE_S

    # What the lifecycle wants done

    def _change(self, happen: Callable[[float], Action]) -> None:
        """Let something happen to the lifecycle, tell of a new state, do what follows from it."""
        before = (self.state, self.lifecycle.reason)
        action = happen(_now())
        self._tell_change(before)
        self._do(action)

    def _tell_change(self, before: tuple[State, str]) -> None:
        """After the state: first the routing table is told, then anything that relies on that begins."""
        if (self.state, self.lifecycle.reason) == before:
            return
        if self.state is not before[0]:
            self.since = time.time()
            self._tell_state(came_from=before[0])
        if self.state is State.GONE:
            self._log.close()
        self._observer.changed()

    def _tell_state(self, came_from: State) -> None:
        """Log the changes that nothing else tells of; a start, READY=1 and an end are logged where they happen."""
        match self.state:
            case State.UNREADY:
                self._event.warning("worker.unready", reason=self.lifecycle.reason)
            case State.FAILING:
                self._event.warning("worker.failing", reason=self.lifecycle.reason)
            case State.READY if came_from is State.UNREADY:
                self._event.info("worker.recovered")
            case State.DRAINING:
                self._event.info("worker.draining")
            case State.STOPPING:
                self._event.info("worker.stopping")

    def _do(self, action: Action) -> None:
        match action:
            case Action.START:
                self.restarts += 1
                self._run("start", self._start())
            case Action.RELEASE:
                self._run("release", self._release())
            case Action.TERMINATE:
                self._terminate()
            case Action.KILL:
                self._signal(signal.SIGKILL)
            case Action.NOTHING:
                pass

    def _run(self, name: str, work: Coroutine[None, None, None]) -> None:
        """Hold a task until it ends. One of each name is enough: the next begins after the last has ended."""
        task = asyncio.create_task(work, name=f"{self.spec.endpoint}/{self.spec.deployment}/{self.number} {name}")
        self._tasks[name] = task
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks = {name: other for name, other in self._tasks.items() if other is not task}
        if not task.cancelled() and (error := task.exception()) is not None:
            self._event.error("worker.task_failed", task=task.get_name(), exc_info=error)

    async def _start(self) -> None:
        self._status_text = "preparing the environment"
        try:
            interpreter = await self._around.environments.prepare(self.spec.environment, self._log.note)
            await self._around.threads.run(lay_out_model, self.spec, self._folder)
            sockets = await self._sockets()
            self._spawn(worker_command(self.spec, interpreter, self._folder, os.environ), sockets)
        except EnvironmentFailed as error:
            self._could_not_start(str(error), error.detail)
        except (OSError, Unavailable) as error:
            self._could_not_start(str(error))

    async def _sockets(self) -> SocketPair:
        """New ones; when this is cancelled nothing of them is left."""
        opening = asyncio.create_task(self._around.threads.run(self._around.sockets.pair), name="sockets")
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(self._drop_sockets)
            raise

    def _drop_sockets(self, opened: asyncio.Task[SocketPair]) -> None:
        if not opened.cancelled() and opened.exception() is None:
            opened.result().close()

    def _could_not_start(self, reason: str, detail: str = "") -> None:
        self._log.note(f"{detail}\n{reason}".strip())
        self._end(lambda now: self.lifecycle.could_not_start(reason, now), None)

    async def _release(self) -> None:
        await self._around.drained(self._address)
        self._change(lambda now: self.lifecycle.drained(now, self._stop_timeout_s))

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.signal(number)

    def _terminate(self) -> None:
        self._signal(signal.SIGTERM)
        if self._process is None:
            for task in self._tasks.values():
                task.cancel()
            self._change(self._gone_before_start)

    def _gone_before_start(self, now: float) -> Action:
        self.lifecycle.exited(0, "", now)
        return Action.NOTHING

    # What comes from the process

    def _spawn(self, command: Command, sockets: SocketPair) -> None:
        listener = Listener(printed=self._printed, notified=self._notified, exited=self._exited)
        self._process = WorkerProcess(command, sockets, listener, self._around.lifeline)
        self._address = self._process.address
        self._status_text = ""
        self._began_at = _now()
        self._stopped_at = None
        self.lifecycle.spawned(self._began_at, self.spec.init_timeout_s)
        self._event.info("worker.started", pid=self._process.pid, address=self._address)
        self._observer.started()
        self._observer.changed()

    def _printed(self, output: bytes) -> None:
        self._log.feed(output, _now())

    def _notified(self, message: Mapping[str, str]) -> None:
        self._beat_at = _now()
        self._status_text = message.get("STATUS", self._status_text)
        if message.get("READY") == "1" and self.state is State.STARTING:
            self._became_ready()
        elif "WATCHDOG" in message:
            self._change(lambda now: self.lifecycle.trust("heartbeat", now))

    def _became_ready(self) -> None:
        self._event.info("worker.ready", took_s=round(_now() - self._began_at, 3))
        self._status_text = ""
        self._run("liveness", self._watch(self._probe_liveness, self._turned_live))
        self._run("readiness", self._watch(self._probe_readiness, self._turned_ready))
        self._change(self.lifecycle.became_ready)

    def _exited(self, code: int) -> None:
        self._process = None
        self._usage = None
        for name in ("liveness", "readiness"):
            if name in self._tasks:
                self._tasks[name].cancel()
        self._log.end()
        self._end(lambda now: self.lifecycle.exited(code, self._status_text, now), code)

    def _end(self, ending: Callable[[float], Ended], code: int | None) -> None:
        """There is no process any more, or none could be started."""
        before = (self.state, self.lifecycle.reason)
        ended = ending(_now())
        retry_in_s = self.lifecycle.retry_in_s(_now())
        tell = self._event.info if ended.reason == "ok" and retry_in_s is None else self._event.warning
        tell("worker.exited", exit_status=code, reason=ended.reason, hint=ended.text, retry_in_s=retry_in_s)
        self._observer.ended(ended)
        self._tell_change(before)
        self._change(self.lifecycle.tick)  # the next start may be due at once

    # What is looked at

    def _judge_heartbeat(self, now: float) -> None:
        if now - self._ticked_at > HEARTBEAT_TIMEOUT_S / 2:
            self._beat_at = now  # we were asleep ourselves, so that silence tells nothing
        if self.state is State.READY and now - self._beat_at > HEARTBEAT_TIMEOUT_S:
            text = f"no heartbeat for {HEARTBEAT_TIMEOUT_S:g} s"
            self._change(lambda now: self.lifecycle.doubt("heartbeat", text, now))

    def _judge_usage(self, pid: int, now: float) -> None:
        self._usage = read_usage(pid)
        self._judge_stopped(self._usage is not None and self._usage.is_stopped, now)
        memory_bytes, tasks = self.spec.max_memory_bytes, self.spec.max_tasks
        if memory_bytes is None and tasks is None:
            return
        all_of_it = list(usages(pid))
        if memory_bytes is not None and (used := sum(one.rss_bytes for one in all_of_it)) > memory_bytes:
            self._fault("memory", f"used {used} bytes of memory, at most {memory_bytes} (max_memory_bytes)")
        if tasks is not None and (used := sum(one.threads for one in all_of_it)) > tasks:
            self._fault("tasks", f"had {used} threads, at most {tasks} (max_tasks)")

    def _judge_stopped(self, is_stopped: bool, now: float) -> None:
        """A process that stands still answers nobody: it is left out at once, and replaced if it stays so."""
        if not is_stopped:
            self._stopped_at = None
            self._change(lambda now: self.lifecycle.trust("stopped", now))
            return
        self._stopped_at = self._stopped_at or now
        self._change(lambda now: self.lifecycle.doubt("stopped", "the process is stopped", now))
        if now - self._stopped_at > self.spec.liveness.period_s:
            self._fault("stopped", f"the process was stopped for over {self.spec.liveness.period_s:g} s")

    def _fault(self, reason: ExitReason, text: str) -> None:
        self._change(lambda now: self.lifecycle.fault(reason, text, now))

    async def _watch(self, probe: Callable[[], Probe], turned: Callable[[bool, str], None]) -> None:
        address = self._address
        await asyncio.sleep(probe().period_s)  # READY=1 was the first good answer
        await watch(lambda timeout_s: check(address, "/", timeout_s), probe, Verdict(is_healthy=True), turned)

    def _probe_liveness(self) -> Probe:
        return self.spec.liveness

    def _probe_readiness(self) -> Probe:
        return self.spec.readiness

    def _turned_live(self, is_healthy: bool, problem: str) -> None:
        if not is_healthy:
            self._fault("liveness", f"liveness probe: {problem}")

    def _turned_ready(self, is_healthy: bool, problem: str) -> None:
        if is_healthy:
            self._change(lambda now: self.lifecycle.trust("readiness", now))
        else:
            self._change(lambda now: self.lifecycle.doubt("readiness", f"readiness probe: {problem}", now))

"""The workers of one deployment: brought, step by step, to what is wanted of them."""

from collections import Counter
from collections.abc import Callable
from typing import Literal

import structlog

from router.control.states import DeploymentKey, DeploymentStatus, ProvisioningState
from router.control.supervisor.instance import Instance, Observer, Surroundings
from router.control.supervisor.spec import WorkerSpec
from router.core.lifecycle import Ended, State
from router.core.rollout import is_settled, next_step
from router.core.table import InstanceSpec

log = structlog.get_logger()

TAIL_LINES = 20

Operation = Literal["Creating", "Updating", "Scaling"]


class Deployment:
    """What is wanted, what is there, and what was last being done about the difference.

    Args:
        changed: Called on each change of an instance, and asks for `reconcile` to be called soon.
    """

    def __init__(self, key: DeploymentKey, surroundings: Surroundings, changed: Callable[[], None]) -> None:
        self.key = key
        self._around = surroundings
        self._changed = changed
        self._spec: WorkerSpec | None = None  # None: nothing is wanted any more, or it never could be
        self._refusal = ""
        self._operation: Operation | None = None
        self._instances: dict[int, Instance] = {}
        self._started = 0
        self._exits: Counter[str] = Counter()
        self._told: tuple[ProvisioningState, str] | None = None
        self._is_removed = False
        endpoint, name = key
        self._event = log.bind(endpoint=endpoint, deployment=name)

    def __repr__(self) -> str:
        return f"Deployment({'/'.join(self.key)}, {self._state()}, {list(self._instances.values())})"

    @property
    def instances(self) -> list[Instance]:
        return list(self._instances.values())

    @property
    def is_forgettable(self) -> bool:
        """Not wanted, and nothing is left of it."""
        return self._is_removed and not self._instances

    def want(self, spec: WorkerSpec) -> None:
        """These are the workers that shall be there."""
        self._operation = self._next_operation(spec)
        self._spec, self._refusal, self._is_removed = spec, "", False
        for instance in self._instances.values():
            if instance.version == spec.fingerprint:
                instance.spec = spec  # probes and limits count at once

    def refuse(self, reason: str) -> None:
        """What is wanted cannot be started at all; what is there stays as it is."""
        self._refusal, self._is_removed = reason, False

    def remove(self) -> None:
        """Nothing shall be there."""
        self._spec, self._refusal, self._is_removed = None, "", True

    def reconcile(self) -> list[Instance]:
        """Take the next step; return the instances that have gone, for the caller to join."""
        gone = [instance for instance in self._instances.values() if instance.state is State.GONE]
        for instance in gone:
            del self._instances[instance.number]
        if self._is_removed:
            self.drain()
        elif self._spec is not None and not self._refusal:
            self._step(self._spec)
        self._tell()
        return gone

    def drain(self) -> None:
        """Drain every instance."""
        for instance in self.instances:
            instance.drain()

    def listed(self) -> tuple[InstanceSpec, ...]:
        """Its instances as the routing table lists them."""
        listed = (self._instances[number].listed for number in sorted(self._instances))
        return tuple(spec for spec in listed if spec is not None)

    def status(self) -> DeploymentStatus:
        state = self._state()
        failed = self._failed() if state == "Failed" else None
        return DeploymentStatus(
            key=self.key,
            kind="managed",
            provisioning_state=state,
            reason=self._reason() if state == "Failed" else self._refusal,
            log_tail=failed.tail(TAIL_LINES) if failed and not self._refusal else (),
            log_dir=str(self._around.log_dir.joinpath(*self.key)),
            instances=tuple(self._instances[number].status() for number in sorted(self._instances)),
            workers_started=self._started,
            worker_exits=dict(self._exits),
        )

    def _step(self, spec: WorkerSpec) -> None:
        present = [instance.present for instance in self._instances.values()]
        step = next_step(spec.fingerprint, spec.instance_count, present)
        for number in step.start:
            self._instances[number] = self._begin(number, spec)
        for number in step.drain:
            self._instances[number].drain()
        if is_settled(spec.fingerprint, spec.instance_count, present) and not step.start:
            self._operation = None

    def _begin(self, number: int, spec: WorkerSpec) -> Instance:
        observer = Observer(changed=self._changed, started=self._count_start, ended=self._count_end)
        instance = Instance(number, spec, self._around, observer)
        instance.start()
        return instance

    def _count_start(self) -> None:
        self._started += 1

    def _count_end(self, ended: Ended) -> None:
        self._exits[ended.reason] += 1

    def _next_operation(self, spec: WorkerSpec) -> Operation | None:
        """What is being done from now on; a roll or a creation that is under way is not called scaling."""
        if self._spec is None:
            return "Creating"
        if self._operation == "Creating":
            return self._operation
        if spec.fingerprint != self._spec.fingerprint:
            return "Updating"
        if spec.instance_count != self._spec.instance_count:
            return self._operation or "Scaling"
        return self._operation

    def _state(self) -> ProvisioningState:
        if self._is_removed:
            return "Deleting"
        if self._refusal or self._failed() is not None:
            return "Failed"
        return self._operation or "Succeeded"

    def _failed(self) -> Instance | None:
        """A wanted instance that does not come up; of several, the one with the lowest number."""
        if self._spec is None:
            return None
        wanted = self._spec.fingerprint
        failed = [i for i in self._instances.values() if i.version == wanted and i.lifecycle.has_failed]
        return min(failed, key=lambda instance: instance.number, default=None)

    def _reason(self) -> str:
        """Why it failed, if it did."""
        failed = self._failed()
        return self._refusal or (failed.lifecycle.reason if failed else "")

    def _tell(self) -> None:
        """Log where it stands, once for each change of it or of the reason why it failed."""
        state = self._state()
        told = (state, self._reason() if state == "Failed" else "")
        if told == self._told:
            return
        self._told = told
        if state == "Failed":
            status = self.status()
            self._event.error("deployment.failed", reason=status.reason, log_tail=status.log_tail[-5:])
        else:
            self._event.info("deployment.changed", provisioning_state=state)

"""Which instance of a deployment gets the next request: least busy first, a bounded queue, ejection after failures.

Rules
- An instance takes at most `max_concurrent` requests at a time; past that, requests queue (first come, first served),
  at most `max_queue` per instance that is in the choice.
- Nothing overtakes the queue: a free place goes to the request that waits longest.
- `EJECT_AFTER` failures in a row, or a connection that cannot be made, eject an instance: for `EJECT_BASE_S` the first
  time and twice as long each further time, up to `EJECT_MAX_S`. When the time is over it needs a good check to return;
  a failed one ejects it again.
- An instance that leaves the table drains: it takes no new request while another is in the choice, and is forgotten
  once idle.
- This state is keyed by the instance's address and outlives every table.
"""

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from typing import Protocol

from router.core.errors import NoReadyInstance, QueueFull
from router.core.stats import Answered
from router.core.table import DeploymentSpec

EJECT_AFTER = 5
EJECT_BASE_S = 1.0
EJECT_MAX_S = 60.0


class Waiter(Protocol):
    """A queued request; told at most once which instance it got."""

    def grant(self, instance: "Instance") -> None: ...


class Instance:
    """What one proxy knows of one address."""

    __slots__ = ("address", "check_at", "ejections", "failures", "in_flight", "is_listed", "is_ready")

    def __init__(self, address: str) -> None:
        self.address = address
        self.in_flight = 0
        self.failures = 0  # in a row
        self.ejections = 0  # since the last good answer
        self.check_at: float | None = None  # ejected until a check at this time or later is good; None: not ejected
        self.is_ready = False
        self.is_listed = False  # in the newest table

    def __repr__(self) -> str:
        state = "ejected" if self.is_ejected else "ready" if self.is_ready else "not ready"
        return f"Instance({self.address}, {state}, {self.in_flight} in flight)"

    @property
    def is_ejected(self) -> bool:
        return self.check_at is not None

    @property
    def can_take(self) -> bool:
        """In the choice, busy or not."""
        return self.is_ready and self.is_listed and self.check_at is None

    def failed(self, now: float, *, is_unreachable: bool = False) -> bool:
        """Count a failure; return True if this one ejected the instance.

        Args:
            is_unreachable: No connection could be made. That ejects at once: an instance that fails faster than
                the others answer is always the least busy one, and would draw every request.
        """
        self.failures = EJECT_AFTER if is_unreachable else self.failures + 1
        if self.failures < EJECT_AFTER or self.is_ejected:
            return False
        self._eject(now)
        return True

    def answered(self) -> None:
        """Any whole answer ends the row of failures, whatever its status."""
        self.failures = 0
        self.ejections = 0

    def check_failed(self, now: float) -> None:
        """The check of an ejected instance failed: out again, for twice as long."""
        self._eject(now)

    def check_passed(self) -> None:
        """Back in the choice. One more failure ejects it again: a check is not an answer."""
        self.check_at = None
        self.failures = EJECT_AFTER - 1

    def _eject(self, now: float) -> None:
        self.check_at = now + min(EJECT_MAX_S, EJECT_BASE_S * 2**self.ejections)
        self.ejections = min(self.ejections + 1, 30)
        self.failures = 0


class Deployment:
    """The instances and the queue of one deployment, as one proxy sees them.

    `pending` counts every request that chose this deployment and has not ended, in whatever step it is; `upgraded`
    those of them that have switched to another protocol; `answered` those that have ended, until somebody takes the
    numbers over.
    """

    def __init__(self, endpoint: str, name: str) -> None:
        self.endpoint = endpoint
        self.name = name
        self.pending = 0
        self.upgraded = 0
        self.answered = Answered()
        self._max_concurrent = 1
        self._max_queue = 0
        self._instances: dict[str, Instance] = {}
        self._queue: deque[Waiter] = deque()
        self._has_unlisted = False  # instances that drain

    def __repr__(self) -> str:
        return f"Deployment({self.endpoint}/{self.name}, {len(self._queue)} queued, {list(self._instances.values())})"

    @property
    def queued(self) -> int:
        return len(self._queue)

    @property
    def instances(self) -> Iterable[Instance]:
        return self._instances.values()

    @property
    def is_forgettable(self) -> bool:
        """Not in the table any more, and nothing of it is left to do."""
        return not self.pending and not self._instances

    def update(self, spec: DeploymentSpec | None) -> None:
        """Follow a new table; None when the deployment is in it no more. Free places go to the queue."""
        listed = {instance.address: instance for instance in spec.instances} if spec else {}
        if spec:
            self._max_concurrent = spec.max_concurrent
            self._max_queue = spec.max_queue
        for address in listed:
            if address not in self._instances:
                self._instances[address] = Instance(address)
        for address, instance in self._instances.items():
            instance.is_listed = address in listed
            instance.is_ready = instance.is_listed and listed[address].is_ready
        self._has_unlisted = len(listed) < len(self._instances)
        self._forget_idle()
        self.serve_queue()

    def enter(self) -> None:
        """A request chose this deployment."""
        self.pending += 1

    def close(self) -> None:
        """Nobody will ask for this deployment any more."""

    def leave(self) -> None:
        """That request ended."""
        self.pending -= 1
        self._forget_idle()

    def acquire(self) -> Instance | None:
        """Give the least busy instance a request more; None if all are busy and the caller shall `enqueue`.

        Raises:
            NoReadyInstance: none is in the choice.
            QueueFull: all are busy and no place is left in the queue.
        """
        best = None
        for instance in self._instances.values():  # `can_take`, written out: this runs for every request
            if instance.check_at is None and instance.is_ready and instance.is_listed:
                if not instance.in_flight:
                    best = instance
                    break
                if best is None or instance.in_flight < best.in_flight:
                    best = instance
        if best is not None and best.in_flight < self._max_concurrent and not self._queue:
            if len(self._instances) == 1:
                best.in_flight += 1
            else:
                self._take(best)
            return best
        return self._acquire_slowly()

    def _acquire_slowly(self) -> Instance | None:
        candidates = self._candidates()
        if not candidates:
            raise NoReadyInstance
        if not self._queue:
            best = self._take_best(candidates)
            if best is not None:
                return best
        if self._waiting() >= self._max_queue * len(candidates):
            raise QueueFull
        return None

    def acquire_other(self, failed: Collection[Instance]) -> Instance | None:
        """A place on an instance that is none of `failed`, for a request that may be sent again, or None."""
        return self._take_best([instance for instance in self._candidates() if instance not in failed])

    def has_other(self, failed: Collection[Instance]) -> bool:
        """Whether an instance that is none of `failed` is in the choice, busy or not."""
        return any(instance not in failed for instance in self._candidates())

    def enqueue(self, waiter: Waiter, *, is_admitted: bool = False) -> None:
        """Have the waiter told when a place is free, which may be at once.

        Args:
            is_admitted: The bound of the queue is not for this one: it had a place before, on an instance that failed.

        Raises:
            QueueFull: other proxies filled the queue since `acquire` said that there is room.
        """
        self._queue.append(waiter)

    def leave_queue(self, waiter: Waiter) -> None:
        """Give up waiting; nothing happens if the waiter has been served already."""
        if waiter in self._queue:
            self._queue.remove(waiter)

    def release(self, instance: Instance) -> None:
        """A request on `instance` ended; its place goes to the queue."""
        instance.in_flight -= 1
        self._forget_idle()
        self.serve_queue()

    def finish(self, instance: Instance) -> None:
        """A request that `instance` has answered whole gives back its place and ends."""
        instance.failures = instance.ejections = 0
        instance.in_flight -= 1
        self.pending -= 1
        if self._has_unlisted:
            self._forget_idle()
        if self._queue:
            self.serve_queue()

    def serve_queue(self) -> None:
        """Hand free places to those who wait, longest first."""
        while self._queue:
            best = self._take_best(self._candidates())
            if best is None:
                return
            self._queue.popleft().grant(best)

    def busy(self) -> Iterator[tuple[str, int]]:
        """(address, requests that still need it) of every instance that is known.

        Where no listed instance is left, requests that have chosen the deployment but no instance yet count for all
        of them: they will need one.
        """
        homeless = 0
        if not any(instance.is_listed for instance in self._instances.values()):
            homeless = self.pending - sum(instance.in_flight for instance in self._instances.values())
        for instance in self._instances.values():
            yield instance.address, instance.in_flight + homeless

    def _candidates(self) -> list[Instance]:
        """Instances in the choice; when the table has none left for us, those that drain finish what was begun."""
        usable = [instance for instance in self._instances.values() if instance.can_take]
        if usable or any(instance.is_listed for instance in self._instances.values()):
            return usable
        return list(self._instances.values())

    def _take_best(self, candidates: Collection[Instance]) -> Instance | None:
        """Give the least busy of `candidates` a request more, if it takes one."""
        best = min(candidates, key=_busy, default=None)
        if best is None or best.in_flight >= self._max_concurrent:
            return None
        self._take(best)
        return best

    def _waiting(self) -> int:
        """Requests that count towards the bound of the queue."""
        return len(self._queue)

    def _take(self, instance: Instance) -> None:
        instance.in_flight += 1
        if len(self._instances) > 1:
            # To the end of the dict: among equally busy ones, the one that rested longest is next.
            self._instances[instance.address] = self._instances.pop(instance.address)

    def _forget_idle(self) -> None:
        if not self._has_unlisted:
            return
        listed = any(instance.is_listed for instance in self._instances.values())
        if not listed and self.pending:
            return
        idle = [a for a, instance in self._instances.items() if not instance.is_listed and not instance.in_flight]
        for address in idle:
            del self._instances[address]
        self._has_unlisted = any(not instance.is_listed for instance in self._instances.values())


def _busy(instance: Instance) -> int:
    return instance.in_flight

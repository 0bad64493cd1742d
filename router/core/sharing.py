"""`instances.Deployment` where several proxies serve it: limits and queue hold for the sum of all (see `ledger`).

Rules
- What an instance has in flight, and what is queued, is counted in the ledger before it is done.
- The least busy instance is the one with the fewest requests of all proxies.
- A free place goes to the request that waits longest in whatever proxy, give or take `SLACK_S`: a proxy that finds a
  free place wakes the one where a request has waited longer, and that one wakes the next when it needs no more.
- Nobody depends on what another proxy does: who finds the same place free again and again takes it, whoever is before.
- Ejection, drain, and what is forgotten when, are each proxy's own.
"""

from collections.abc import Collection

from router.core.errors import QueueFull
from router.core.instances import Deployment, Instance, Waiter
from router.core.ledger import Ledger, Row, fence
from router.core.table import DeploymentSpec


class SharedDeployment(Deployment):
    """A deployment that this proxy serves together with others."""

    def __init__(self, endpoint: str, name: str, ledger: Ledger, queue_row: int) -> None:
        super().__init__(endpoint, name)
        self._ledger = ledger
        self._queue_row = ledger.row(queue_row)
        self._rows: dict[str, Row] = {}  # by address
        self._began: dict[Waiter, float] = {}  # when each began to wait
        self._is_known_to_wait = False

    def close(self) -> None:
        self._queue_row.close()

    def update(self, spec: DeploymentSpec | None) -> None:
        for instance in spec.instances if spec else ():
            if instance.address not in self._rows:
                self._rows[instance.address] = self._ledger.row(instance.row)
        super().update(spec)

    def acquire(self) -> Instance | None:
        if self._queue:
            return self._acquire_slowly()
        best, fewest = None, self._max_concurrent
        for instance in self._instances.values():
            if instance.check_at is None and instance.is_ready and instance.is_listed:
                row = self._rows[instance.address]
                in_flight = row.total()
                if in_flight < fewest:
                    best, fewest = instance, in_flight
                    if not in_flight:
                        break
        if best is not None and self._claim(best, None):
            return best
        return self._acquire_slowly()

    def enqueue(self, waiter: Waiter, *, is_admitted: bool = False) -> None:
        if is_admitted:
            self._queue_row.add(1)
        elif not self._queue_row.claim(1, self._max_queue * len(self._candidates())):
            raise QueueFull
        self._began[waiter] = self._ledger.now()
        self._queue.append(waiter)
        self._ledger.waits(self)
        if len(self._queue) == 1:
            self._publish()
            fence()
            self.serve_queue()  # a place may have become free before the others could know that we wait

    def leave_queue(self, waiter: Waiter) -> None:
        if waiter in self._began:
            self._queue.remove(waiter)
            self._has_left(waiter)
            self._publish()
            self._pass_on()

    def release(self, instance: Instance) -> None:
        instance.in_flight -= 1
        self._give_back(instance)
        self._forget_idle()

    def finish(self, instance: Instance) -> None:
        instance.failures = instance.ejections = 0
        instance.in_flight -= 1
        self.pending -= 1
        self._give_back(instance)
        if self._has_unlisted:
            self._forget_idle()

    def serve_queue(self) -> None:
        """Hand free places to those who wait here, longest first, as far as nobody waits longer elsewhere."""
        while self._queue:
            waiter = self._queue[0]
            best = self._take_free(self._candidates(), self._began[waiter])
            if best is None:
                break
            self._queue.popleft()
            self._has_left(waiter)
            waiter.grant(best)
        self._publish()
        self._pass_on()

    def _waiting(self) -> int:
        return self._queue_row.total()

    def _take_best(self, candidates: Collection[Instance]) -> Instance | None:
        return self._take_free(candidates, None)

    def _take_free(self, candidates: Collection[Instance], since: float | None) -> Instance | None:
        for instance in sorted(candidates, key=self._busy):
            if self._claim(instance, since):
                return instance
        return None

    def _claim(self, instance: Instance, since: float | None) -> bool:
        """Take a place for a request that waits since then (None: since now), if it is its turn and one is free."""
        row = self._rows[instance.address]
        if row.is_awaited() and self._stands_back(row, since):
            return False
        if not row.claim(1, self._max_concurrent):
            return False
        self._take(instance)
        return True

    def _stands_back(self, row: Row, since: float | None) -> bool:
        """Wake the proxy whose turn it is, if it is not ours."""
        ledger = self._ledger
        now = ledger.now()
        first = None if ledger.is_impatient else row.outwaits(now if since is None else since, now)
        if first is None:
            return False
        ledger.stood_back = ledger.stood_back or row.total() < self._max_concurrent
        ledger.wake(first)
        return True

    def _give_back(self, instance: Instance) -> None:
        row = self._rows[instance.address]
        row.give_back(1)
        if self._queue:
            self.serve_queue()
        if row.is_awaited():
            self._call_next(row)

    def _has_left(self, waiter: Waiter) -> None:
        """One waits no more."""
        del self._began[waiter]
        self._queue_row.give_back(1)
        if not self._queue:
            self._ledger.waits_no_more(self)

    def _publish(self) -> None:
        """Let the other proxies know since when we wait, and for which instances."""
        since = self._began[self._queue[0]] if self._queue else 0.0
        if since or self._is_known_to_wait:
            self._is_known_to_wait = bool(since)
            candidates = frozenset(self._candidates())
            for instance in self._instances.values():
                self._rows[instance.address].wait(since if instance in candidates else 0.0)

    def _pass_on(self) -> None:
        """Somebody else may be waiting for what we do not need."""
        if not self._queue:
            for row in self._rows.values():
                if row.is_awaited():
                    self._call_next(row)

    def _call_next(self, row: Row) -> None:
        if row.total() < self._max_concurrent:
            row.call_next()

    def _busy(self, instance: Instance) -> int:
        return self._rows[instance.address].total()

    def _forget_idle(self) -> None:
        super()._forget_idle()
        if len(self._rows) > len(self._instances):
            for address in self._rows.keys() - self._instances.keys():
                self._rows.pop(address).close()

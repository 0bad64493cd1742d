"""Step 5: copies of live requests to a shadow deployment, sent at once and forgotten.

Rules
- A copy is taken only if a slot is free, its bytes fit into what all copies may hold, and the bucket has them, asked in
  that order: what is refused for one reason has not paid for the next.
- A copy shares nothing with its live request but what was read of it: own turn, own connections, own deadline.
- It waits in its target's queue like any request, unless that carries live traffic: then it takes a free place or none.
- Its answer is read within bounds and dropped. What is read of a large one has to be paid for too, afterwards, and one
  that is given up costs as much as the bound, so that a target that floods us gets fewer copies instead of the time of
  live requests: a connection of its own for each, and as many bytes as come before we have cut it.
- Every request that was sampled ends in exactly one outcome.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Protocol

import structlog

from router.core.errors import NoReadyInstance, QueueFull, RouterError
from router.core.instances import Deployment
from router.core.ledger import HELD_BYTES
from router.core.plain_reading import PlainAnswer, PlainRequest
from router.core.plain_writing import plain_copy
from router.core.requests import Chosen
from router.core.stats import MirrorOutcome, count
from router.core.table import DeploymentSpec, Endpoint, EndpointSpec, MirrorSpec
from router.proxy.direct import DirectExchange
from router.proxy.pool import Pool
from router.proxy.routes import Route
from router.proxy.runtime import Runtime
from router.proxy.upstream import AnswerHead, UpstreamConnection, UpstreamLost

log = structlog.get_logger()

#: Request bytes that all copies, of all proxies, may hold together.
MAX_HELD_BYTES = 64 * 2**20
#: Bytes of an answer that are read before its connection is given up instead.
_MAX_ANSWER_BYTES = 2**20
#: Bytes of an answer that cost nothing: as much as comes with one or two reads.
_FREE_ANSWER_BYTES = 2**16
_OUTCOMES: Mapping[type[RouterError], MirrorOutcome] = {NoReadyInstance: "not_ready", QueueFull: "target_busy"}


class Sendable(Protocol):
    """A request of which a copy is sent."""

    @property
    def size(self) -> int:
        """Of its body in bytes."""
        ...

    def write_copy(self, address: str) -> bytes:
        """All of the copy, for the instance at `address`."""
        ...


class PlainCopy:
    """A plain request to be copied on a way of its own."""

    __slots__ = ("_forwarded_for", "_plain", "_request_id", "_route", "_target", "size")

    def __init__(
        self, route: Route, target: DeploymentSpec, plain: PlainRequest, request_id: bytes, forwarded_for: bytes
    ) -> None:
        self._route = route
        self._target = target
        self._plain = plain
        self._request_id = request_id
        self._forwarded_for = forwarded_for
        self.size = plain.length

    def write_copy(self, address: str) -> bytes:
        leg = self._route.leg(self._target)
        return plain_copy(self._plain, leg.start(address), self._request_id, self._forwarded_for)


class _Budget:
    """What one endpoint's copies use up."""

    def __init__(self, mirror: "Mirror", policy: MirrorSpec) -> None:
        runtime = mirror.runtime
        self.mirror = mirror
        self.policy = policy
        self.max_in_flight = policy.max_in_flight
        self.max_body_bytes = policy.max_body_bytes
        self.bucket = runtime.bucket(policy.rate_bytes_per_s, policy.burst_bytes, policy.bucket_row)
        self.in_flight = runtime.claims(policy.slots_row)

    def follow(self, policy: MirrorSpec, now: float) -> None:
        """Take over the limits of a new table."""
        self.policy = policy
        self.max_in_flight = policy.max_in_flight
        self.max_body_bytes = policy.max_body_bytes
        if (policy.rate_bytes_per_s, policy.burst_bytes) != (self.bucket.rate, self.bucket.burst):
            self.bucket.resize(rate=policy.rate_bytes_per_s, burst=policy.burst_bytes, now=now)

    def close(self) -> None:
        """Its endpoint is gone, and so are its copies."""
        self.bucket.close()
        self.in_flight.close()


class Mirror:
    """Takes copies and sends them."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.pool = Pool(runtime.now)
        runtime.pools.append(self.pool)
        self.copies: set[Copy] = set()
        self._due: list[Copy] = []  # in the next turn of the loop
        self._budgets: dict[str, _Budget] = {}
        self._held = runtime.claims(HELD_BYTES)

    def sample(self, chosen: Chosen, *, is_live: bool) -> DeploymentSpec | None:
        """The deployment that shall get a copy of this request, or None.

        Pinned requests are never mirrored, nor are copies that another router made, nor paths that the target lacks.
        """
        endpoint = chosen.endpoint
        if not endpoint.has_mirror or not is_live or chosen.head.is_marked:
            return None
        target = endpoint.mirror(self.runtime.u())
        return target if target is not None and chosen.found.is_offered_by(target) else None

    def skip(self, endpoint: Endpoint, outcome: MirrorOutcome) -> None:
        """Count a sampled request of which no copy can be made."""
        count(self.runtime.totals.endpoint(endpoint.spec.name).mirror, outcome)

    def offer(self, endpoint: Endpoint, target: DeploymentSpec, copy: Sendable) -> bool:
        """Send `copy` to `target` if the limits allow it; return whether it was taken."""
        spec = endpoint.spec
        size = copy.size
        budget = self._budget(spec)
        deployment = self.runtime.find_deployment(spec.name, target)
        if deployment is None:
            self.skip(endpoint, "not_ready")  # retired while the body came
            return False
        outcome = self._claim(budget, size)
        if outcome is not None:
            self.skip(endpoint, outcome)
            return False
        self._send_soon(Copy(budget, deployment, target.request_timeout_s, endpoint.is_live(target.name), copy))
        return True

    def ended(self, copy: "Copy") -> None:
        """Count a copy and forget it."""
        self.copies.discard(copy)
        size, budget, numbers = copy.size, copy.budget, copy.endpoint_numbers
        self._held.give_back(size)
        budget.in_flight.give_back(1)
        if copy.answer_bytes > _FREE_ANSWER_BYTES:
            budget.bucket.reserve(copy.answer_bytes - _FREE_ANSWER_BYTES, self.runtime.now())
        count(numbers.mirror, copy.outcome)
        if copy.outcome == "sent":
            numbers.mirror_bytes += size

    @property
    def in_flight(self) -> int:
        return len(self.copies)

    @property
    def held_bytes(self) -> int:
        """Request bytes that copies of this proxy hold now."""
        return self._held.own

    def sweep(self) -> None:
        """Close idle connections; forget budgets that no table and no copy needs."""
        self.pool.sweep()
        listed = {endpoint.spec.name for endpoint in self.runtime.table.endpoints}
        gone = [name for name, budget in self._budgets.items() if name not in listed and not budget.in_flight.own]
        for name in gone:
            self._budgets.pop(name).close()

    def measure(self) -> None:
        """Tell what the copies of each endpoint use up, and keep up with what other proxies take."""
        now = self.runtime.now()
        for endpoint in self.runtime.table.endpoints:
            if endpoint.has_mirror:
                self._budget(endpoint.spec)
        for name, budget in self._budgets.items():
            numbers = self.runtime.totals.endpoint(name)
            numbers.mirror_in_flight = budget.in_flight.own
            numbers.mirror_bucket_bytes = max(0.0, budget.bucket.level(now))

    def close(self) -> None:
        """Cut every copy in flight."""
        for copy in list(self.copies):
            copy.give_up()
        self.pool.close()

    def _send_soon(self, copy: "Copy") -> None:
        """Not at once: nothing that a copy does can then hold up its live request, or throw into it."""
        self.copies.add(copy)
        self._due.append(copy)
        if len(self._due) == 1:
            asyncio.get_running_loop().call_soon(self._send_due)

    def _send_due(self) -> None:
        due, self._due = self._due, []
        for copy in due:
            copy.start()

    def _budget(self, spec: EndpointSpec) -> _Budget:
        budget = self._budgets.get(spec.name)
        if budget is None:
            budget = self._budgets[spec.name] = _Budget(self, spec.mirror)
        elif budget.policy is not spec.mirror:
            budget.follow(spec.mirror, self.runtime.now())
        return budget

    def _claim(self, budget: _Budget, size: int) -> MirrorOutcome | None:
        """Take what a copy needs, or nothing and return why."""
        if size > budget.max_body_bytes:
            return "body_too_large"
        if not budget.in_flight.claim(1, budget.max_in_flight):
            return "no_slot"
        if not self._held.claim(size, MAX_HELD_BYTES):
            budget.in_flight.give_back(1)
            return "no_memory"
        if not budget.bucket.take(size, self.runtime.now()):
            self._held.give_back(size)
            budget.in_flight.give_back(1)
            return "no_budget"
        return None


class Copy(DirectExchange):
    """One copy on its way. Its answer is read and dropped.

    Args:
        is_live: Whether its target carries live traffic, too.
    """

    def __init__(
        self, budget: _Budget, deployment: Deployment, timeout_s: float, is_live: bool, sent: Sendable
    ) -> None:
        mirror = budget.mirror
        runtime = mirror.runtime
        self._set_up(runtime, mirror.pool, deployment, False, not is_live)
        self._task = None
        self._is_queued = False
        self._has_head = False
        self.outcome: MirrorOutcome = "failed"
        self.answer_bytes = 0  # that were read, or the bound if it was given up
        self._is_too_large = False
        deployment.pending += 1
        self.budget = budget
        self.size = sent.size
        self.endpoint_numbers = runtime.totals.endpoint(deployment.endpoint)
        self._numbers = self.endpoint_numbers.deployment(deployment.name)
        self._sent = sent
        self._mirror = mirror
        self._began = time.monotonic()
        self.deadline = self._began + timeout_s

    def start(self) -> None:
        """Send it as soon as its target has a place for it."""
        if self not in self._mirror.copies:
            return  # given up before its turn came
        try:
            self.begin()
        except RouterError as error:
            self.fail(error)
        except Exception:
            log.exception("mirror.copy_crashed", endpoint=self._deployment.endpoint, deployment=self._deployment.name)
            self.give_up()

    def give_up(self) -> None:
        """Cut it off."""
        self._end(self.outcome)

    def send_on(self, connection: UpstreamConnection) -> None:
        connection.send(self._sent.write_copy(connection.address), b"", self)

    def whole(self, answer: PlainAnswer) -> None:
        """`head`, `end` and all that they do at once."""
        connection, instance, now = self._connection, self._instance, time.monotonic()
        self._connection = self._instance = None
        self._count_answer(200, now)
        self._pool.give_back(connection, now)  # type: ignore[arg-type]  # the answer came over it
        self._runtime.deadlines.discard(self)
        self._deployment.finish(instance)  # type: ignore[arg-type]  # the connection's
        self.answer_bytes = answer.length
        self.outcome = "sent"
        self._mirror.ended(self)

    def head(self, head: AnswerHead) -> None:
        self._has_head = True
        self._is_too_large = head.has_body and head.length is not None and head.length > _MAX_ANSWER_BYTES
        self._count_answer(head.status, time.monotonic())

    def flush(self, parts: list[bytes]) -> None:
        self.answer_bytes += sum(map(len, parts))
        if self._is_too_large or self.answer_bytes > _MAX_ANSWER_BYTES:
            self.answer_bytes = max(self.answer_bytes, _MAX_ANSWER_BYTES)
            self._end("sent")  # the connection is given up: what follows is not worth reading

    def end(self, parts: list[bytes]) -> None:
        self.answer_bytes += sum(map(len, parts))
        self.finish()
        self._end("sent")

    def fail(self, error: RouterError) -> None:
        self._end(_OUTCOMES.get(type(error), "failed"))

    def lost(self, error: UpstreamLost, parts: list[bytes]) -> None:
        connection = self._connection
        if self._has_head:
            self._end("failed")
        elif error.is_unread and connection is not None and connection.is_reused:
            self._start_task(error)  # it was stale: once more, on a new one
        else:  # without a task, which a target that is broken would cost for each copy
            is_between = connection is not None and connection.is_reused and error.reason == "reset"
            self.upstream_failed(error.reason, ejects=not is_between)
            self._end("failed")

    def expire(self) -> None:
        self._end("failed")

    def _count_answer(self, status: int, now: float) -> None:
        count(self._numbers.mirrored, status)
        self._numbers.mirror_duration.observe(now - self._began)

    def _end(self, outcome: MirrorOutcome) -> None:
        self.outcome = outcome
        self.close()
        self._deployment.leave()
        self._mirror.ended(self)

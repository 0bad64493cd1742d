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
from collections.abc import Mapping
from typing import Protocol

import structlog

from router.core.errors import NoReadyInstance, QueueFull, RouterError
from router.core.ledger import HELD_BYTES
from router.core.plain_reading import PlainAnswer, PlainRequest
from router.core.plain_writing import plain_copy
from router.core.requests import Chosen
from router.core.stats import MirrorOutcome, count
from router.core.table import DeploymentSpec, Endpoint, EndpointSpec
from router.proxy.direct import DirectExchange
from router.proxy.pool import Pool
from router.proxy.routes import Route
from router.proxy.runtime import Runtime
from router.proxy.upstream import AnswerHead, UpstreamConnection, UpstreamLost, pass_on

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

    def __init__(self, spec: EndpointSpec, runtime: Runtime) -> None:
        policy = spec.mirror
        self.bucket = runtime.bucket(policy.rate_bytes_per_s, policy.burst_bytes, policy.bucket_row)
        self.in_flight = runtime.claims(policy.slots_row)

    def follow(self, spec: EndpointSpec, now: float) -> None:
        """Take over limits that a new table changed."""
        policy = spec.mirror
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
        budget = self._budget(spec)
        outcome = self._claim(spec, target, budget, copy.size)
        if outcome is not None:
            self.skip(endpoint, outcome)
            return False
        exchange = Copy(self, endpoint, target, copy)
        self.copies.add(exchange)
        # Not at once: nothing that a copy does can then hold up its live request, or throw into it.
        asyncio.get_running_loop().call_soon(exchange.start)
        return True

    def ended(self, copy: "Copy") -> None:
        """Count a copy and forget it."""
        endpoint = copy.endpoint
        self.copies.discard(copy)
        size = copy.sent.size
        self._held.give_back(size)
        budget = self._budgets[endpoint.spec.name]
        budget.in_flight.give_back(1)
        if copy.answer_bytes > _FREE_ANSWER_BYTES:
            budget.bucket.reserve(copy.answer_bytes - _FREE_ANSWER_BYTES, self.runtime.now())
        numbers = self.runtime.totals.endpoint(endpoint.spec.name)
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

    def _budget(self, spec: EndpointSpec) -> _Budget:
        now = self.runtime.now()
        budget = self._budgets.get(spec.name)
        if budget is None:
            budget = self._budgets[spec.name] = _Budget(spec, self.runtime)
        else:
            budget.follow(spec, now)
        return budget

    def _claim(self, spec: EndpointSpec, target: DeploymentSpec, budget: _Budget, size: int) -> MirrorOutcome | None:
        """Take what a copy needs, or nothing and return why."""
        if not self.runtime.has_deployment(spec.name, target):
            return "not_ready"  # retired while the body came
        if size > spec.mirror.max_body_bytes:
            return "body_too_large"
        if not budget.in_flight.claim(1, spec.mirror.max_in_flight):
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
    """One copy on its way. Its answer is read and dropped."""

    def __init__(self, mirror: Mirror, endpoint: Endpoint, target: DeploymentSpec, sent: Sendable) -> None:
        runtime = mirror.runtime
        deployment = runtime.deployment(endpoint.spec.name, target)
        may_wait = not endpoint.is_live(target.name)
        super().__init__(runtime, mirror.pool, deployment, may_resend=False, may_wait=may_wait)
        self.outcome: MirrorOutcome = "failed"
        self.answer_bytes = 0  # that were read, or the bound if it was given up
        self._is_too_large = False
        deployment.enter()
        self.endpoint = endpoint
        self.sent = sent
        self._mirror = mirror
        self._began = runtime.now()
        self.deadline = self._began + target.request_timeout_s

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
        connection.send(self.sent.write_copy(connection.address), b"", self)

    def whole(self, answer: PlainAnswer) -> None:
        pass_on(self, answer)

    def head(self, head: AnswerHead) -> None:
        self._has_head = True
        self._is_too_large = head.has_body and head.length is not None and head.length > _MAX_ANSWER_BYTES
        runtime = self._runtime
        numbers = runtime.totals.endpoint(self._deployment.endpoint).deployment(self._deployment.name)
        count(numbers.mirrored, head.status)
        numbers.mirror_duration.observe(runtime.now() - self._began)

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
            self.upstream_failed(error.reason)
            self._end("failed")

    def expire(self) -> None:
        self._end("failed")

    def _end(self, outcome: MirrorOutcome) -> None:
        self.outcome = outcome
        self.close()
        self._deployment.leave()
        self._mirror.ended(self)

"""Step 5: copies of live requests to a shadow deployment, sent at once and forgotten.

Rules
- A copy is taken only if a slot is free, its bytes fit into what all copies may hold, and the bucket has them, asked in
  that order: what is refused for one reason has not paid for the next.
- A copy shares nothing with its live request but the bytes of the body: own task, own connections, own deadline.
- It waits in its target's queue like any request, unless that carries live traffic: then it takes a free place or none.
- Its answer is read within bounds and dropped.
- Every request that was sampled ends in exactly one outcome.
"""

import asyncio

import msgspec
import structlog

from router.core.bucket import TokenBucket
from router.core.errors import NoReadyInstance, QueueFull, RouterError
from router.core.headers import mirror_lines
from router.core.instances import Deployment
from router.core.requests import Chosen
from router.core.stats import MirrorOutcome, count
from router.core.table import DeploymentSpec, Endpoint, EndpointSpec
from router.proxy.answer import Answer
from router.proxy.forward import Exchange, Outgoing
from router.proxy.pool import Pool
from router.proxy.runtime import Runtime
from router.proxy.upstream import UpstreamLost

log = structlog.get_logger()

#: Request bytes that all copies of a process may hold together.
MAX_HELD_BYTES = 64 * 2**20
#: Bytes of an answer that are read before its connection is given up instead.
_MAX_ANSWER_BYTES = 2**20


class _Budget:
    """What one endpoint's copies use up."""

    def __init__(self, spec: EndpointSpec, now: float) -> None:
        policy = spec.mirror
        self.bucket = TokenBucket(rate=policy.rate_bytes_per_s, burst=policy.burst_bytes, now=now)
        self.in_flight = 0

    def follow(self, spec: EndpointSpec, now: float) -> None:
        """Take over limits that a new table changed."""
        policy = spec.mirror
        if (policy.rate_bytes_per_s, policy.burst_bytes) != (self.bucket.rate, self.bucket.burst):
            self.bucket.resize(rate=policy.rate_bytes_per_s, burst=policy.burst_bytes, now=now)


class Mirror:
    """Takes copies and sends them."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._pool = Pool(runtime.now)
        self._budgets: dict[str, _Budget] = {}
        # The loop keeps only weak references to tasks; without this set a copy could vanish half sent.
        self._tasks: set[asyncio.Task[None]] = set()
        self._held_bytes = 0

    def sample(self, chosen: Chosen, *, is_live: bool) -> DeploymentSpec | None:
        """The deployment that shall get a copy of this request, or None.

        Pinned requests are never mirrored, nor are copies that another router made, nor paths that the target lacks.
        """
        endpoint = chosen.endpoint
        if not endpoint.spec.mirror_traffic or not is_live or chosen.head.is_marked:
            return None
        target = endpoint.mirror(self._runtime.u())
        return target if target is not None and chosen.found.is_offered_by(target) else None

    def skip(self, endpoint: Endpoint, outcome: MirrorOutcome) -> None:
        """Count a sampled request of which no copy can be made."""
        count(self._runtime.totals.endpoint(endpoint.spec.name).mirror, outcome)

    def offer(self, chosen: Chosen, target: DeploymentSpec, outgoing: Outgoing) -> bool:
        """Send a copy of `outgoing` to `target` if the limits allow it; return whether it was taken."""
        endpoint = chosen.endpoint
        spec = endpoint.spec
        budget = self._budget(spec)
        size = len(outgoing.body)
        outcome = self._refusal(spec, target, budget, size)
        if outcome is not None:
            self.skip(endpoint, outcome)
            return False
        budget.in_flight += 1
        self._held_bytes += size
        copy = msgspec.structs.replace(
            outgoing, target=chosen.target_at(target), lines=mirror_lines(outgoing.lines), is_idempotent=False
        )
        deployment = self._runtime.deployment(spec.name, target)
        deployment.enter()
        task = asyncio.get_running_loop().create_task(self._run(endpoint, target, deployment, copy), name="mirror-copy")
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._ended(done, deployment, budget, size))
        return True

    @property
    def in_flight(self) -> int:
        return len(self._tasks)

    @property
    def held_bytes(self) -> int:
        """Request bytes that copies hold now."""
        return self._held_bytes

    def sweep(self) -> None:
        """Close idle connections; forget budgets that no table and no copy needs."""
        self._pool.sweep()
        listed = {endpoint.spec.name for endpoint in self._runtime.table.endpoints}
        gone = [name for name, budget in self._budgets.items() if name not in listed and not budget.in_flight]
        for name in gone:
            del self._budgets[name]

    async def close(self) -> None:
        """Cut every copy in flight."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._pool.close()

    def _budget(self, spec: EndpointSpec) -> _Budget:
        now = self._runtime.now()
        budget = self._budgets.get(spec.name)
        if budget is None:
            budget = self._budgets[spec.name] = _Budget(spec, now)
        else:
            budget.follow(spec, now)
        return budget

    def _refusal(self, spec: EndpointSpec, target: DeploymentSpec, budget: _Budget, size: int) -> MirrorOutcome | None:
        if not self._runtime.has_deployment(spec.name, target):
            return "not_ready"  # retired while the body came
        if size > spec.mirror.max_body_bytes:
            return "body_too_large"
        if budget.in_flight >= spec.mirror.max_in_flight:
            return "no_slot"
        if self._held_bytes + size > MAX_HELD_BYTES:
            return "no_memory"
        if not budget.bucket.take(size, self._runtime.now()):
            return "no_budget"
        return None

    def _ended(self, task: asyncio.Task[None], deployment: Deployment, budget: _Budget, size: int) -> None:
        self._tasks.discard(task)
        deployment.leave()
        budget.in_flight -= 1
        self._held_bytes -= size

    async def _run(self, endpoint: Endpoint, target: DeploymentSpec, deployment: Deployment, copy: Outgoing) -> None:
        outcome: MirrorOutcome = "failed"
        try:
            async with asyncio.timeout(target.request_timeout_s):
                await self._send(deployment, copy, may_wait=not endpoint.is_live(target.name))
            outcome = "sent"
        except NoReadyInstance:
            outcome = "not_ready"
        except QueueFull:
            outcome = "target_busy"
        except (RouterError, UpstreamLost, TimeoutError):
            pass  # counted as failed: nobody waits for this answer
        except Exception:
            log.exception("mirror.copy_crashed", endpoint=endpoint.spec.name, deployment=target.name)
        finally:
            numbers = self._runtime.totals.endpoint(endpoint.spec.name)
            count(numbers.mirror, outcome)
            if outcome == "sent":
                numbers.mirror_bytes += len(copy.body)

    async def _send(self, deployment: Deployment, copy: Outgoing, *, may_wait: bool) -> None:
        runtime = self._runtime
        began = runtime.now()
        exchange = Exchange(runtime, self._pool, deployment, copy, may_wait=may_wait)
        try:
            await exchange.acquire()
            await exchange.send(_nothing)
            head = await exchange.head(_nothing)
            numbers = runtime.totals.endpoint(deployment.endpoint).deployment(deployment.name)
            count(numbers.mirrored, head.status)
            numbers.mirror_duration.observe(runtime.now() - began)
            if await _drop_body(exchange.answer):
                exchange.finish()
        finally:
            exchange.close()


async def _drop_body(answer: Answer | None) -> bool:
    """Read an answer to its end; False if it is longer than is worth reading."""
    read_bytes = 0
    while answer is not None and (chunk := await answer.read()):
        read_bytes += len(chunk)
        if read_bytes > _MAX_ANSWER_BYTES:
            return False
    return True


def _nothing() -> None:
    """A copy has no record to keep."""

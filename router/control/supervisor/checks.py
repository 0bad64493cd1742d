"""Deployments that run elsewhere: every upstream is asked again and again whether it is ready.

New first, as with workers: an upstream that serves is given up only when one that was named in its place is ready.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import structlog

from router.control.states import DeploymentKey, DeploymentStatus, InstanceState, InstanceStatus
from router.control.supervisor.probe import Verdict, check, watch
from router.control.supervisor.spec import Probe
from router.core.table import InstanceSpec

log = structlog.get_logger()

UPSTREAM_PROBE = Probe(initial_delay_s=0, period_s=5, failure_threshold=2)
_MAX_CONCURRENT = 8  # checks of one deployment


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamSpec:
    """One deployment's upstreams: `http://host:port` or `unix:/path`, and what each is asked."""

    addresses: tuple[str, ...]
    check_path: str = "/"
    probe: Probe = UPSTREAM_PROBE


class UpstreamChecks:
    """Keeps the readiness of every upstream. One that is new is not ready until its first good check.

    Args:
        on_change: Called, once for any number of changes, when `instances()` or `statuses()` are new.
    """

    def __init__(self, *, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._deployments: dict[DeploymentKey, _CheckedDeployment] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._is_telling = False

    def __repr__(self) -> str:
        return f"UpstreamChecks({list(self._deployments)})"

    def apply(self, specs: Mapping[DeploymentKey, UpstreamSpec]) -> None:
        """From now on these are checked, and no others; what is known of those that stay is kept.

        Needs a running event loop, on which the first check of a new one begins at once.
        """
        for key in self._deployments.keys() - specs.keys():
            self._end(self._deployments.pop(key).upstreams)
        for key, spec in specs.items():
            if key not in self._deployments:
                self._deployments[key] = _CheckedDeployment(key, spec, self._changed)
            self._deployments[key].follow(spec)
            self._end(self._deployments[key].take_replaced())
        self._changed()

    def instances(self, key: DeploymentKey) -> tuple[InstanceSpec, ...]:
        """What the routing table shall list of a deployment now."""
        deployment = self._deployments.get(key)
        return deployment.listed() if deployment else ()

    def statuses(self) -> tuple[DeploymentStatus, ...]:
        return tuple(deployment.status() for deployment in self._deployments.values())

    async def stop(self) -> None:
        """Check nothing any more."""
        for deployment in self._deployments.values():
            self._end(deployment.upstreams)
        self._deployments.clear()
        await asyncio.gather(*self._ending, return_exceptions=True)

    def _end(self, upstreams: Iterable["_Upstream"]) -> None:
        for upstream in upstreams:
            upstream.task.cancel()
            self._ending.add(upstream.task)
            upstream.task.add_done_callback(self._ending.discard)

    def _changed(self) -> None:
        if not self._is_telling:
            self._is_telling = True
            asyncio.get_running_loop().call_soon(self._tell)

    def _tell(self) -> None:
        self._is_telling = False
        for deployment in self._deployments.values():
            self._end(deployment.take_replaced())
        self._on_change()


class _CheckedDeployment:
    """The upstreams of one deployment, by address."""

    def __init__(self, key: DeploymentKey, spec: UpstreamSpec, changed: Callable[[], None]) -> None:
        self.key = key
        self.spec = spec
        self._named: dict[str, _Upstream] = {}
        self._replaced: dict[str, _Upstream] = {}  # not named any more, and serving until those are ready that are
        self._changed = changed
        # Per deployment, so that one whose upstreams are all black holes delays no other.
        self._places = asyncio.Semaphore(_MAX_CONCURRENT)

    @property
    def upstreams(self) -> list["_Upstream"]:
        return [*self._named.values(), *self._replaced.values()]

    def follow(self, spec: UpstreamSpec) -> None:
        """Check what the spec names, and until that serves what it does not name any more."""
        self.spec = spec
        before = self._named | self._replaced
        self._named = {address: before.get(address) or _Upstream(address, self) for address in spec.addresses}
        self._replaced = {address: upstream for address, upstream in before.items() if address not in self._named}

    def take_replaced(self) -> list["_Upstream"]:
        """Upstreams that are not needed any more, for the caller to end."""
        still_serve = any(upstream.is_ready for upstream in self._replaced.values())
        if still_serve and not any(upstream.is_ready for upstream in self._named.values()):
            return []
        ended, self._replaced = list(self._replaced.values()), {}
        return ended

    def listed(self) -> tuple[InstanceSpec, ...]:
        return tuple(InstanceSpec(address=u.address, is_ready=u.is_ready) for u in self.upstreams)

    def status(self) -> DeploymentStatus:
        is_checked = all(upstream.is_checked for upstream in self._named.values())
        return DeploymentStatus(
            key=self.key,
            kind="upstreams",
            provisioning_state="Succeeded" if is_checked else "Creating",
            instances=tuple(upstream.status() for upstream in self.upstreams),
        )

    async def ask(self, address: str, timeout_s: float) -> str:
        async with self._places:
            return await check(address, self.spec.check_path, timeout_s)

    def turned(self, upstream: "_Upstream") -> None:
        endpoint, deployment = self.key
        event = log.bind(endpoint=endpoint, deployment=deployment, address=upstream.address, reason=upstream.reason)
        if upstream.is_ready:
            event.info("upstream.ready")
        else:
            event.warning("upstream.unready")
        self._changed()


class _Upstream:
    """One address that is checked, from its first check on."""

    def __init__(self, address: str, deployment: _CheckedDeployment) -> None:
        self.address = address
        self.reason = "not checked yet"
        self.since = time.time()
        self._deployment = deployment
        self._verdict = Verdict(is_healthy=None)
        work = watch(self._ask, lambda: deployment.spec.probe, self._verdict, self._turned)
        self.task = asyncio.create_task(work, name=f"check of {address}")

    @property
    def is_ready(self) -> bool:
        return self._verdict.is_healthy is True

    @property
    def is_checked(self) -> bool:
        return self._verdict.is_healthy is not None

    def status(self) -> InstanceStatus:
        state: InstanceState = "ready" if self.is_ready else "unready" if self.is_checked else "starting"
        return InstanceStatus(
            name=self.address, address=self.address, state=state, since=self.since, reason=self.reason
        )

    async def _ask(self, timeout_s: float) -> str:
        return await self._deployment.ask(self.address, timeout_s)

    def _turned(self, _: bool, problem: str) -> None:
        self.reason = problem
        self.since = time.time()
        self._deployment.turned(self)

"""Brings a config into force: runs what it names, and gives the proxies a new table whenever what is ready changes."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path

import structlog

from router.control.config.check import asset_problems
from router.control.config.deployment import DeploymentConfig
from router.control.config.schema import EndpointConfig, RouterConfig
from router.control.environments import Environments
from router.control.proxies import Proxies
from router.control.refusal import NotFound, there_is
from router.control.state import Credentials, State
from router.control.states import DeploymentKey, DeploymentStatus
from router.control.supervisor.checks import UpstreamChecks
from router.control.supervisor.sockets import run_dir_of
from router.control.supervisor.spec import WorkerSpec
from router.control.supervisor.supervisor import Supervisor
from router.control.switchover import Switchover, live
from router.control.tables import build_table, proxy_limits, upstream_spec, worker_spec
from router.core.table import InstanceSpec, TableSpec

log = structlog.get_logger()

Resolve = Callable[[RouterConfig], tuple[RouterConfig, dict[DeploymentKey, str]]]

#: Beyond what requests in flight may take: proxies that are silent for longer do not hold up a drain.
_DRAIN_MARGIN_S = 5.0


class Applier:
    """Keeps supervisor, upstream checks and proxies in step with the config in force.

    Args:
        state_dir: Folder of logs, environments and what workers are given.
        resolve: Puts registered models and environments in the place of their names; called in a thread.
    """

    def __init__(self, state: State, state_dir: Path, proxies: Proxies, resolve: Resolve) -> None:
        self._state = state
        self._resolve = resolve
        self._proxies = proxies
        self._switchover = Switchover()
        self._log_dir = state_dir.absolute() / "logs"
        self._config = RouterConfig()
        self._resolved = self._config
        self._credentials: Mapping[str, Credentials] = {}
        self._asset_failures: Mapping[DeploymentKey, str] = {}
        self._running: Mapping[str, EndpointConfig] = {}
        # Whose files have been read, of the config in force and of what was asked to run last.
        self._read: Mapping[DeploymentKey, WorkerSpec] = {}
        self._asked: Mapping[DeploymentKey, WorkerSpec] = {}
        self._held: Mapping[str, str] = {}
        self._is_stopping = False
        self._news = asyncio.Event()
        self.table = TableSpec(generation=0)
        self._supervisor = Supervisor(
            run_dir=run_dir_of(state_dir),
            log_dir=self._log_dir,
            work_dir=state_dir / "work",
            environments=Environments(state_dir / "environments", state_dir / "runtime"),
            drained=self._drained,
            on_change=self._changed,
            lifeline=proxies.lifeline,
        )
        self._checks = UpstreamChecks(on_change=self._changed)

    @property
    def config(self) -> RouterConfig:
        """The config in force."""
        return self._config

    @property
    def resolved(self) -> RouterConfig:
        """The same with registered models and environments in the place of their names."""
        return self._resolved

    @property
    def held(self) -> Mapping[str, str]:
        """Endpoints whose traffic has not followed the config yet, each with the reason."""
        return self._held

    def statuses(self) -> tuple[DeploymentStatus, ...]:
        return (*self._supervisor.statuses(), *self._checks.statuses())

    def status_of(self, key: DeploymentKey) -> DeploymentStatus | None:
        """Where a deployment stands; None if there is none, or nothing is left of it."""
        return next((status for status in self.statuses() if status.key == key), None)

    def has_endpoint(self, name: str) -> bool:
        """Whether the config in force has an endpoint of this name, whatever its case."""
        return any(known.lower() == name.lower() for known in self._config.endpoints)

    def endpoint(self, name: str) -> tuple[str, EndpointConfig]:
        """An endpoint of the config in force, and its name as it is written there.

        Raises:
            NotFound: there is none of this name.
        """
        for known, endpoint in self._config.endpoints.items():
            if known.lower() == name.lower():
                return known, endpoint
        raise NotFound(f"there is no endpoint {name}; {there_is(self._config.endpoints)}")

    def deployment(self, endpoint: str, name: str) -> tuple[DeploymentKey, DeploymentConfig]:
        """A deployment of the config in force, and its key as it is written there.

        Raises:
            NotFound: there is none of this name.
        """
        endpoint, config = self.endpoint(endpoint)
        for known, deployment in config.deployments.items():
            if known.lower() == name.lower():
                return DeploymentKey((endpoint, known)), deployment
        raise NotFound(f"endpoint {endpoint} has no deployment {name}; {there_is(config.deployments)}")

    def unresolved(self, config: RouterConfig) -> list[str]:
        """What deployments of a config name and nobody has registered, one line each; reads the disk."""
        _, failures = self._resolve(config)
        return list(failures.values())

    def failed_live(self, endpoint: str) -> DeploymentStatus | None:
        """A deployment that the config gives live traffic to and that has failed; None if there is none."""
        if not self.has_endpoint(endpoint):
            return None
        name, config = self.endpoint(endpoint)
        statuses = (self.status_of(DeploymentKey((name, deployment))) for deployment in live(config))
        return next((status for status in statuses if status and status.provisioning_state == "Failed"), None)

    def log_dir(self, key: DeploymentKey) -> Path:
        """Folder of what the deployment's instances print."""
        return self._log_dir.joinpath(*key)

    def settle_logs(self) -> None:
        """Return when what instances have printed is in their files, or after a second. Not for the event loop."""
        self._supervisor.settle_logs()

    def leaving(self, endpoint: str, name: str = "") -> list[DeploymentStatus]:
        """What is left of a deployment, or of all those of an endpoint, that the config does not have any more."""
        return [
            status
            for status in self.statuses()
            if status.provisioning_state == "Deleting"
            and status.key[0].lower() == endpoint.lower()
            and (not name or status.key[1].lower() == name.lower())
        ]

    async def apply(self, config: RouterConfig) -> int:
        """Bring `config` into force; return the first generation that reflects it.

        Raises:
            StateError: the keys of a new endpoint cannot be stored; nothing has changed.
        """
        credentials = await asyncio.to_thread(self._look_up_credentials, config)
        resolved, failures, specs = await asyncio.to_thread(self._look_up_assets, config)
        self._config = config
        self._resolved = resolved
        self._credentials = credentials
        self._asset_failures = failures
        self._read = specs
        self._switchover.follow(resolved.endpoints)
        self._run(self._switchover.in_force(self._is_ready))
        self._push()
        return self.table.generation

    async def read_credentials(self) -> None:
        """Let the proxies know keys that were replaced.

        Raises:
            StateError: they cannot be read.
        """
        self._credentials = await asyncio.to_thread(self._look_up_credentials, self._config)
        self._push()

    async def look_again(self) -> None:
        """Start what could not be started for want of its files, where they are there by now."""
        config = self._config
        if not self._asset_failures:
            return
        resolved, failures, specs = await asyncio.to_thread(self._look_up_assets, config)
        if config is self._config and failures != self._asset_failures:
            self._resolved = resolved
            self._asset_failures = failures
            self._read = specs
            self._switchover.follow(resolved.endpoints)
            self._run(self._switchover.in_force(self._is_ready))
            self._push()

    async def wait_until_settled(self, deadline_s: float) -> None:
        """Return when every deployment with live weight has a ready instance or has failed, or at the deadline."""
        try:
            async with asyncio.timeout(deadline_s):
                while not self._are_live_settled():
                    await self._news.wait()
        except TimeoutError:
            log.warning("start.not_all_ready", waited_s=deadline_s, reasons=self.unready())

    async def wait_for_news(self, timeout_s: float) -> None:
        """Return when something has changed, or after `timeout_s`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._news.wait()

    async def wait_until_applied(self) -> None:
        """Return when every proxy routes by the table that is the newest now."""
        await self._proxies.applied(self.table.generation)

    async def wait_until_ready(self) -> None:
        """Return when the router serves as the config asks."""
        while self.unready():
            await self._news.wait()

    def unready(self) -> list[str]:
        """Why the router does not serve as the config asks, one line each; empty if it does."""
        reasons = [
            f"{endpoint}/{deployment} has live traffic and no ready instance"
            for endpoint, deployment in self._live_keys()
            if not self._is_ready(DeploymentKey((endpoint, deployment)))
        ]
        return reasons + [f"{endpoint}: {reason}" for endpoint, reason in self._held.items()]

    async def stop(self, deadline_s: float) -> None:
        """Stop every worker; the proxies have drained by now."""
        self._is_stopping = True
        await self._checks.stop()
        await self._supervisor.stop(deadline_s)

    def _look_up_credentials(self, config: RouterConfig) -> dict[str, Credentials]:
        return {name: self._state.credentials(name) for name in config.endpoints}

    def _look_up_assets(
        self, config: RouterConfig
    ) -> tuple[RouterConfig, dict[DeploymentKey, str], dict[DeploymentKey, WorkerSpec]]:
        """What the config means, deployments that cannot start for want of files, and specs whose files were read."""
        resolved, failures = self._resolve(config)
        failures = _asset_failures(resolved) | failures
        specs = _worker_specs(_deployments(resolved.endpoints), config.limits.drain_timeout_s, failures)
        for spec in specs.values():
            _ = spec.fingerprint  # reads files, and keeps what it has read
        return resolved, failures, specs

    def _run(self, endpoints: Mapping[str, EndpointConfig]) -> None:
        """Have everything running that `endpoints` name, and nothing else."""
        self._running = endpoints
        deployments = _deployments(endpoints)
        drain_timeout_s = self._config.limits.drain_timeout_s
        failures = {key: reason for key, reason in self._asset_failures.items() if key in deployments}
        managed = _worker_specs(deployments, drain_timeout_s, failures)
        self._asked = {key: self._known(key, spec) for key, spec in managed.items()}
        self._supervisor.apply(self._asked, failures)
        self._checks.apply({key: upstream_spec(d) for key, d in deployments.items() if not d.is_managed})

    def _known(self, key: DeploymentKey, spec: WorkerSpec) -> WorkerSpec:
        """The same spec, one whose files were read already if there is: not on the event loop, their disk may hang."""
        return next((known for known in (self._read.get(key), self._asked.get(key)) if known == spec), spec)

    def _changed(self) -> None:
        """Instances have become ready, or ceased to be; the table follows."""
        if self._is_stopping:
            return
        in_force = self._switchover.in_force(self._is_ready)
        if in_force != self._running:
            self._run(in_force)
        self._push()
        self._news.set()
        self._news = asyncio.Event()

    def _push(self) -> None:
        held = self._switchover.held(self._is_ready)
        if held != self._held:
            _tell_held(self._held, held)
            self._held = held
        table = build_table(
            self._config,
            self._running,
            generation=self.table.generation,
            credentials=self._credentials,
            instances=self._instances,
        )
        limits = proxy_limits(self._config)
        if table == self.table and limits == self._proxies.limits:
            return
        self.table = TableSpec(generation=table.generation + 1, endpoints=table.endpoints)
        self._proxies.push(self.table, limits)
        self._proxies.forget({e.name: {d.name for d in e.deployments} for e in table.endpoints})
        log.info("table.pushed", generation=self.table.generation)

    async def _drained(self, address: str) -> None:
        self._push()  # the table without the address must be on its way before its users are counted
        slowest_s = max((d.request_timeout_s for e in self.table.endpoints for d in e.deployments), default=0.0)
        limit_s = self._config.limits.drain_timeout_s + slowest_s + _DRAIN_MARGIN_S
        try:
            async with asyncio.timeout(limit_s):
                await self._proxies.drained(address)
        except TimeoutError:
            log.warning("instance.drain_cut", address=address, after_s=limit_s)

    def _instances(self, key: DeploymentKey) -> tuple[InstanceSpec, ...]:
        return self._supervisor.instances(key) or self._checks.instances(key)

    def _is_ready(self, key: DeploymentKey) -> bool:
        return any(instance.is_ready for instance in self._instances(key))

    def _live_keys(self) -> list[DeploymentKey]:
        return [
            DeploymentKey((name, deployment))
            for name, endpoint in self._running.items()
            for deployment in live(endpoint)
        ]

    def _are_live_settled(self) -> bool:
        failed = {status.key for status in self.statuses() if status.provisioning_state == "Failed"}
        return all(key in failed or self._is_ready(key) for key in self._live_keys())


def _tell_held(before: Mapping[str, str], now: Mapping[str, str]) -> None:
    for endpoint, reason in now.items():
        if before.get(endpoint) != reason:
            log.warning("traffic.held", endpoint=endpoint, reason=reason)
    for endpoint in before.keys() - now.keys():
        log.info("traffic.released", endpoint=endpoint)


def _asset_failures(config: RouterConfig) -> dict[DeploymentKey, str]:
    """Deployments that cannot start for want of files, each with the reason; reads the disk."""
    problems = {key: asset_problems(*key, deployment) for key, deployment in _deployments(config.endpoints).items()}
    return {key: "; ".join(found) for key, found in problems.items() if found}


def _worker_specs(
    deployments: Mapping[DeploymentKey, DeploymentConfig],
    drain_timeout_s: float,
    failures: Mapping[DeploymentKey, str],
) -> dict[DeploymentKey, WorkerSpec]:
    """Of all that teal runs and that can start."""
    return {
        key: worker_spec(key, deployment, drain_timeout_s)
        for key, deployment in deployments.items()
        if deployment.is_managed and key not in failures
    }


def _deployments(endpoints: Mapping[str, EndpointConfig]) -> dict[DeploymentKey, DeploymentConfig]:
    return {
        DeploymentKey((name, deployment_name)): deployment
        for name, endpoint in endpoints.items()
        for deployment_name, deployment in endpoint.deployments.items()
    }

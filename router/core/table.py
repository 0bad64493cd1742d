"""The routing table: an immutable snapshot of every endpoint, sent whole to each proxy.

What several proxies count together has a row in the ledger; 0 is none, where there is only one proxy.
"""

from bisect import bisect
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Literal

import msgspec

from router.core.auth import AuthMode, Keys
from router.core.errors import DeploymentNotFound, EndpointNotFound, NoLiveDeployment, PathNotFound

API_PREFIX = b"/api/v1/endpoint/"
SCORE = b"/score"
SWAGGER = b"/swagger.json"

Weights = tuple[tuple[str, float], ...]


class InstanceSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One address; `unix:/path` or `http://host:port`. Only a ready one is in the choice."""

    address: str
    is_ready: bool = True
    row: int = 0  # of what it has in flight


class DeploymentSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One model version and how it may be called."""

    name: str
    instances: tuple[InstanceSpec, ...] = ()
    scoring_path: str = "/score"
    check_path: str = "/"
    passes_paths: bool = False  # any path below the endpoint's goes through, not just the scoring server's own
    upgrades: tuple[str, ...] = ()  # protocols that requests may switch to, in lower case
    request_timeout_s: float = 5.0
    max_concurrent: int = 1
    max_queue: int = 100
    queue_row: int = 0


class MirrorSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What copies may cost."""

    rate_bytes_per_s: float = 5_000_000
    burst_bytes: float = 5_000_000
    max_in_flight: int = 64
    max_body_bytes: int = 1_000_000
    slots_row: int = 0
    bucket_row: int = 0


class EndpointSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One client-facing name. Weights and shares are percent of 100, by deployment."""

    name: str
    auth_mode: AuthMode = "key"
    key_digests: tuple[bytes, ...] = ()
    token_secret: bytes = b""
    traffic: Weights = ()
    mirror_traffic: Weights = ()
    mirror: MirrorSpec = MirrorSpec()
    is_idempotent: bool = False
    model_errors: Literal["azure", "passthrough"] = "azure"
    max_body_bytes: int = 100 * 2**20
    bandwidth_bytes_per_s: float | None = None
    bandwidth_row: int = 0
    deployments: tuple[DeploymentSpec, ...] = ()


class TableSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What travels from the control process to a proxy."""

    generation: int
    endpoints: tuple[EndpointSpec, ...] = ()


class Endpoint:
    """An endpoint ready for look-ups: cumulative weights, names in lower case."""

    __slots__ = (
        "_bounds",
        "_by_lower",
        "_live",
        "_live_names",
        "_mirror_bounds",
        "_mirrors",
        "_total",
        "has_mirror",
        "keys",
        "spec",
    )

    def __init__(self, spec: EndpointSpec) -> None:
        self.spec = spec
        by_name = {deployment.name: deployment for deployment in spec.deployments}
        self._by_lower = {name.lower().encode(): deployment for name, deployment in by_name.items()}
        live = [(by_name[name], percent) for name, percent in spec.traffic if percent > 0]
        self._live = [deployment for deployment, _ in live]
        self._live_names = frozenset(deployment.name for deployment in self._live)
        self._bounds = list(accumulate(percent for _, percent in live))
        self._total = self._bounds[-1] if live else 0.0
        mirrors = [(by_name[name], percent) for name, percent in spec.mirror_traffic if percent > 0]
        self._mirrors = [deployment for deployment, _ in mirrors]
        self.keys = Keys(spec.key_digests) if spec.auth_mode == "key" else None  # None: it takes no keys
        self.has_mirror = bool(mirrors)  # any live request is copied
        self._mirror_bounds = list(accumulate(percent for _, percent in mirrors))

    def choose(self, u: float) -> DeploymentSpec:
        """The deployment for a live request.

        Args:
            u: Uniform in [0, 1).

        Raises:
            NoLiveDeployment: every weight is 0.
        """
        if not self._live:
            raise NoLiveDeployment
        # Of fractions that add up to 99.99999, the last takes the rest; one that adds up to 100.00001 is scaled.
        share = u * self._total
        index, last = 0, len(self._live) - 1
        while index < last and share >= self._bounds[index]:
            index += 1
        return self._live[index]

    @property
    def is_on(self) -> bool:
        """Whether any deployment has live weight."""
        return bool(self._live)

    def is_live(self, deployment: str) -> bool:
        """Whether the deployment carries live traffic."""
        return deployment in self._live_names

    def pinned(self, name: bytes) -> DeploymentSpec:
        """The deployment that the client names, in whatever case.

        Raises:
            DeploymentNotFound: there is none of that name; the message lists those there are.
        """
        found = self._by_lower.get(name.lower())
        if found is None:
            existing = tuple(deployment.name for deployment in self.spec.deployments)
            raise DeploymentNotFound(self.spec.name, name.decode("latin-1")[:40], existing)
        return found

    def mirror(self, u: float) -> DeploymentSpec | None:
        """The deployment that gets a copy of a live request, or None.

        Args:
            u: Uniform in [0, 1), independent of the one that chose the live deployment.
        """
        bounds = self._mirror_bounds
        if not bounds or u * 100 >= bounds[-1]:
            return None
        return self._mirrors[bisect(bounds, u * 100)]


class Target(msgspec.Struct, frozen=True):
    """What a request addresses: the endpoint, and the path that the deployment shall see (`None`: its scoring path)."""

    endpoint: Endpoint
    path: bytes | None

    def is_offered_by(self, deployment: DeploymentSpec) -> bool:
        """Whether the deployment has something at this path."""
        return self.path is None or self.path == SWAGGER or deployment.passes_paths

    def upstream_target(self, deployment: DeploymentSpec, query: bytes) -> bytes:
        """The request target for an instance, the client's bytes unchanged.

        Raises:
            PathNotFound: the deployment does not offer that path.
        """
        if self.path is None:
            return deployment.scoring_path.encode() + query
        if not self.is_offered_by(deployment):
            raise PathNotFound
        return self.path + query


class RoutingTable:
    """One generation, ready for look-ups."""

    def __init__(self, spec: TableSpec) -> None:
        self.generation = spec.generation
        self._endpoints = {endpoint.name.lower().encode(): Endpoint(endpoint) for endpoint in spec.endpoints}
        self._only = next(iter(self._endpoints.values())) if len(self._endpoints) == 1 else None
        self._scoring = {
            API_PREFIX + spelling + SCORE: Target(endpoint, None)
            for name, endpoint in self._endpoints.items()
            for spelling in {name, endpoint.spec.name.encode()}
        }

    def __repr__(self) -> str:
        return f"RoutingTable(generation {self.generation}, {len(self._endpoints)} endpoints)"

    @property
    def endpoints(self) -> Iterable[Endpoint]:
        return self._endpoints.values()

    def endpoint(self, name: str) -> Endpoint:
        """The endpoint of that name.

        Raises:
            EndpointNotFound: there is none.
        """
        found = self._endpoints.get(name.lower().encode())
        if found is None:
            raise EndpointNotFound
        return found

    def scoring_endpoint(self, path: bytes) -> Endpoint | None:
        """The endpoint whose scoring target the path is whatever the Host: by its own path, or as the only one."""
        found = self._scoring.get(path)
        if found is not None:
            return found.endpoint
        return self._only if path == SCORE else None

    def find(self, path: bytes, host: bytes) -> Target:
        """Where a request goes, by the raw bytes of its path (without query) or by its Host.

        Raises:
            EndpointNotFound: nothing is there.
        """
        return self._scoring.get(path) or self._find_slowly(path, host)

    def _find_slowly(self, path: bytes, host: bytes) -> Target:
        if path.startswith(API_PREFIX):
            name, slash, rest = path[len(API_PREFIX) :].partition(b"/")
            endpoint = self._endpoints.get(name.lower())
            if endpoint is None:
                raise EndpointNotFound
            return _below(endpoint, slash + rest)
        by_host = self._endpoints.get(host.partition(b".")[0].lower()) if b"." in host else None
        endpoint = by_host or self._only
        if endpoint is None or (by_host is None and path not in {SCORE, SWAGGER}):
            raise EndpointNotFound
        return _below(endpoint, path)


def _below(endpoint: Endpoint, path: bytes) -> Target:
    return Target(endpoint, None if path == SCORE else path or b"/")


def share_weights(traffic: Mapping[str, float]) -> Weights:
    """A mapping of percents as the table holds it."""
    return tuple((name, float(percent)) for name, percent in traffic.items())


def rows(spec: TableSpec) -> Iterator[int]:
    """Every row of the ledger that the table names."""
    for endpoint in spec.endpoints:
        yield from (endpoint.bandwidth_row, endpoint.mirror.slots_row, endpoint.mirror.bucket_row)
        for deployment in endpoint.deployments:
            yield deployment.queue_row
            yield from (instance.row for instance in deployment.instances)


def addresses(spec: TableSpec) -> dict[str, dict[str, frozenset[str]]]:
    """The instances that the table lists, by deployment, by endpoint."""
    return {
        endpoint.name: {
            deployment.name: frozenset(instance.address for instance in deployment.instances)
            for deployment in endpoint.deployments
        }
        for endpoint in spec.endpoints
    }

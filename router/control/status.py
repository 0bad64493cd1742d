"""What `teal status` and the status page show: one snapshot of the whole router."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from router.control.api.messages import Operation
from router.control.events import EventView
from router.control.states import DeploymentKey, DeploymentStatus, InstanceStatus, ProvisioningState
from router.core.stats import BUCKETS_S, DeploymentStats, EndpointStats, Totals

if TYPE_CHECKING:  # the command line reads these structs and starts faster without the table's imports
    from router.core.table import EndpointSpec, TableSpec

ReloadResult = Literal["applied", "unchanged", "refused"]


class ReloadOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """The last time the config file was read; `at` is Unix time."""

    outcome: ReloadResult
    at: float


class CertificateView(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate.

    Attributes:
        names: Hosts and addresses that it is for.
        not_after: Unix time of its end.
        sha256: Of its DER form, in hex.
    """

    names: tuple[str, ...]
    not_after: float
    sha256: str


class TlsView(msgspec.Struct, frozen=True, kw_only=True):
    """What clients of the scoring address are met with.

    Attributes:
        certificate: The one in force; None if none is: clients are refused.
        problem: Why the files of the config are not in force; empty while they are.
    """

    certificate: CertificateView | None
    problem: str = ""


class RouterFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the daemon says of itself.

    Attributes:
        started: Unix time.
        generation: The newest table; proxies may not have applied it yet.
        config_problems: Why the file on disk is refused, one line each; empty while it is what runs.
        base_url: Where clients reach the router, such as `http://127.0.0.1:8080`.
        tls: None for plain text.
        operations: Those under way.
        events: What was logged last, oldest first.
    """

    version: str
    pid: int
    started: float
    config_path: str
    generation: int
    config_problems: tuple[str, ...] = ()
    last_reload: ReloadOutcome | None = None
    base_url: str
    tls: TlsView | None = None
    operations: tuple[Operation, ...] = ()
    events: tuple[EventView, ...] = ()


class ProxyStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One proxy process and the newest generation that it has applied.

    Attributes:
        request_path: `compiled` or `interpreted`; empty until it has told.
    """

    name: str
    pid: int
    generation: int
    request_path: str = ""
    connections: int = 0
    loop_lag_s: float = 0.0


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Durations since the start, as estimates from a histogram whose `counts` are by bucket of `buckets_s`."""

    count: int
    p50_ms: float | None
    p99_ms: float | None
    counts: tuple[int, ...]


class DeploymentView(msgspec.Struct, frozen=True, kw_only=True):
    """One deployment. `live`, `pinned`, `model` and `mirrored` count answers by status code.

    `ejected` names instances that a proxy has taken out of the choice; their state may still be ready.
    """

    endpoint: str
    name: str
    kind: Literal["managed", "upstreams"]
    provisioning_state: ProvisioningState
    reason: str
    log_tail: tuple[str, ...]
    log_dir: str
    weight: float
    mirror_percent: float
    instances: tuple[InstanceStatus, ...]
    ejected: tuple[str, ...]
    in_flight: int
    queued: int
    live: dict[int, int]
    pinned: dict[int, int]
    model: dict[int, int]
    mirrored: dict[int, int]
    failures: dict[str, int]
    latency: Latency
    mirror_latency: Latency


class EndpointView(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint. `refused` counts by status code what reached no deployment, `mirror` copies by outcome.

    `held` says why the traffic does not follow the config yet; empty when it does.
    """

    name: str
    auth_mode: str
    scoring_uri: str
    traffic: dict[str, float]
    mirror_traffic: dict[str, float]
    mirror: dict[str, int]
    refused: dict[int, int]
    held: str = ""
    deployments: tuple[DeploymentView, ...]


class RouterStatus(RouterFacts, frozen=True, kw_only=True):
    """Everything. `unknown_endpoint` counts by status code requests that found no endpoint."""

    proxies: tuple[ProxyStatus, ...]
    endpoints: tuple[EndpointView, ...]
    unknown_endpoint: dict[int, int]
    buckets_s: tuple[float, ...] = BUCKETS_S


def build_status(
    facts: RouterFacts,
    *,
    table: "TableSpec",
    totals: Totals,
    deployments: Iterable[DeploymentStatus],
    proxies: Iterable[ProxyStatus],
    ejected: frozenset[str] = frozenset(),
    held: Mapping[str, str] | None = None,
) -> RouterStatus:
    """The snapshot, from what each part of the control process knows.

    Args:
        totals: Summed over all proxies.
        ejected: Addresses that at least one proxy has out of the choice.
        held: Endpoints whose traffic does not follow the config yet, each with the reason.
    """
    known = {status.key: status for status in deployments}
    return RouterStatus(
        **msgspec.structs.asdict(facts) | {"last_reload": facts.last_reload, "tls": facts.tls},
        proxies=tuple(proxies),
        endpoints=tuple(
            msgspec.structs.replace(
                _endpoint(spec, facts.base_url, totals.endpoints.get(spec.name, EndpointStats()), known, ejected),
                held=(held or {}).get(spec.name, ""),
            )
            for spec in table.endpoints
        ),
        unknown_endpoint=dict(totals.endpoints.get("", EndpointStats()).refused),
    )


def without_output(status: RouterStatus) -> RouterStatus:
    """The snapshot for whoever may not see what scripts print and raise, which may hold secrets."""
    endpoints = tuple(
        msgspec.structs.replace(endpoint, deployments=tuple(map(_without_output, endpoint.deployments)))
        for endpoint in status.endpoints
    )
    return msgspec.structs.replace(status, endpoints=endpoints, operations=(), events=())


def _without_output(view: DeploymentView) -> DeploymentView:
    instances = tuple(
        msgspec.structs.replace(instance, reason=_kind_of(instance.reason), last_line="") for instance in view.instances
    )
    return msgspec.structs.replace(view, reason=_kind_of(view.reason), log_tail=(), instances=instances)


def _kind_of(reason: str) -> str:
    """`init() raised ValueError` of `init() raised ValueError: bad model`."""
    return reason.partition(": ")[0]


def quantile_s(counts: Sequence[int], q: float, bounds_s: Sequence[float] = BUCKETS_S) -> float | None:
    """The duration in seconds below which a ratio `q` of the observations lies; None without any.

    Within a bucket observations count as evenly spread. Of what is over the last bound only that bound is known, and
    it is the answer.
    """
    total = sum(counts)
    if not total:
        return None
    rank = q * total
    below = 0
    for index, upper in enumerate(bounds_s):
        if counts[index] and below + counts[index] >= rank:
            lower = bounds_s[index - 1] if index else 0.0
            return lower + (upper - lower) * (rank - below) / counts[index]
        below += counts[index]
    return bounds_s[-1]


def latency(counts: Sequence[int], bounds_s: Sequence[float] = BUCKETS_S) -> Latency:
    """What a histogram's counts say, in milliseconds."""
    return Latency(
        count=sum(counts),
        p50_ms=_in_ms(quantile_s(counts, 0.5, bounds_s)),
        p99_ms=_in_ms(quantile_s(counts, 0.99, bounds_s)),
        counts=tuple(counts),
    )


def _in_ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


def _endpoint(
    spec: "EndpointSpec",
    base_url: str,
    stats: EndpointStats,
    known: Mapping[DeploymentKey, DeploymentStatus],
    ejected: frozenset[str],
) -> EndpointView:
    names = dict.fromkeys([deployment.name for deployment in spec.deployments])
    names |= dict.fromkeys(name for endpoint, name in known if endpoint == spec.name)
    return EndpointView(
        name=spec.name,
        auth_mode=spec.auth_mode,
        scoring_uri=f"{base_url}/api/v1/endpoint/{spec.name}/score",
        traffic=dict(spec.traffic),
        mirror_traffic=dict(spec.mirror_traffic),
        mirror=dict(stats.mirror),
        refused=dict(stats.refused),
        deployments=tuple(
            _deployment(spec, _status(known, spec.name, name), stats.deployments.get(name), ejected) for name in names
        ),
    )


def _status(known: Mapping[DeploymentKey, DeploymentStatus], endpoint: str, name: str) -> DeploymentStatus:
    key = DeploymentKey((endpoint, name))
    # In the table before anybody has looked after it.
    return known.get(key) or DeploymentStatus(key=key, kind="managed", provisioning_state="Creating")


def _deployment(
    spec: "EndpointSpec", status: DeploymentStatus, counted: DeploymentStats | None, ejected: frozenset[str]
) -> DeploymentView:
    stats = counted or DeploymentStats()
    name = status.key[1]
    return DeploymentView(
        endpoint=spec.name,
        name=name,
        kind=status.kind,
        provisioning_state=status.provisioning_state,
        reason=status.reason,
        log_tail=status.log_tail,
        log_dir=status.log_dir,
        weight=dict(spec.traffic).get(name, 0.0),
        mirror_percent=dict(spec.mirror_traffic).get(name, 0.0),
        instances=tuple(_instance(instance, stats) for instance in status.instances),
        ejected=tuple(instance.name for instance in status.instances if instance.address in ejected),
        in_flight=stats.in_flight,
        queued=stats.queued,
        live=dict(stats.live),
        pinned=dict(stats.pinned),
        model=dict(stats.model),
        mirrored=dict(stats.mirrored),
        failures=dict(stats.failures),
        latency=latency(stats.duration.counts),
        mirror_latency=latency(stats.mirror_duration.counts),
    )


def _instance(instance: InstanceStatus, stats: DeploymentStats) -> InstanceStatus:
    """The instance, with what the proxies count of it while the table lists it."""
    counted = stats.instances.get(instance.address)
    return instance if counted is None else msgspec.structs.replace(instance, **msgspec.structs.asdict(counted))

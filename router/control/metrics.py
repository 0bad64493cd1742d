"""The metrics page: what the router has counted, as Prometheus reads it.

A scrape renders one frozen snapshot, so a deployment that is gone has no series, and nothing is registered anywhere.
No label value comes from a client.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import CollectorRegistry

from router.control.admin_refusals import AdminCounts
from router.control.metric_families import DEPLOYMENT, Row, counter, gauge, histogram
from router.control.process_metrics import ProcessFacts, process_metrics
from router.control.states import DeploymentStatus, InstanceStatus
from router.control.status import ReloadResult
from router.control.table_metrics import table_metrics
from router.core.admission import ConnectionCut, ConnectionRefusal
from router.core.lifecycle import ExitReason
from router.core.stats import DeploymentStats, EndpointStats, MirrorOutcome, ProcessStats, Totals, UpstreamFailure
from router.core.table import TableSpec

_STATES = ("starting", "ready", "unready", "ejected", "draining", "backoff")
_INSTANCE = (*DEPLOYMENT, "address")
_WORKER = (*DEPLOYMENT, "worker")  # not `instance`: that label is Prometheus's own

_ByDeployment = Iterable[tuple[tuple[str, str], DeploymentStats]]


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsSource:
    """One snapshot of everything that is measured. Nobody changes what is in it afterwards.

    Attributes:
        table: The newest; proxies may not have applied it yet.
        totals: Summed over all proxies that ever ran.
        processes: Of teal itself. What the system says of them is asked when the page is rendered.
        ejected: Addresses that at least one proxy has out of the choice.
        held: Endpoints whose traffic does not follow the config yet.
        is_ready: Whether `/readyz` says so.
        problems: For which the config file on disk is refused.
        last_success: Unix time at which a config was last applied or found unchanged; None before the first.
        certificate_not_after: Unix time at which the certificate in force ends; None if there is none.
        admin: What callers of the admin site were refused.
    """

    version: str
    table: TableSpec
    totals: Totals
    deployments: tuple[DeploymentStatus, ...] = ()
    ejected: frozenset[str] = frozenset()
    held: Collection[str] = ()
    processes: tuple[ProcessFacts, ...] = ()
    is_ready: bool = False
    reloads: Mapping[ReloadResult, int] = field(default_factory=dict)
    problems: int = 0
    last_success: float | None = None
    certificate_not_after: float | None = None
    admin: AdminCounts = field(default_factory=AdminCounts)


def render(source: MetricsSource, accept: str = "") -> tuple[bytes, str]:
    """Body and content type of a scrape whose `Accept` header is `accept`. May run in any thread."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(source))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class _Collector:
    """What a registry asks for the metric families."""

    def __init__(self, source: MetricsSource) -> None:
        self._source = source

    def collect(self) -> Iterator[Metric]:
        source = self._source
        endpoints = source.totals.endpoints
        deployments = [
            ((endpoint, name), stats)
            for endpoint, of_endpoint in endpoints.items()
            for name, stats in of_endpoint.deployments.items()
        ]
        yield from _requests(deployments)
        yield from _load(deployments)
        yield from _connections(deployments)
        yield from _endpoints(endpoints)
        yield _failures(endpoints)
        yield from _clients_and_copies(source.totals.process)
        yield from process_metrics(source.processes)
        yield from table_metrics(source.table, counted=endpoints, ejected=source.ejected, held=source.held)
        yield from _instances(source.deployments, source.ejected)
        yield from _workers(source.deployments)
        yield from _config(source)
        yield from _admin(source.admin)


def _requests(deployments: _ByDeployment) -> Iterator[Metric]:
    deployments = list(deployments)
    yield counter(
        "teal_requests_total",
        "Scoring requests that reached a deployment, by the status code that the client got.",
        (*DEPLOYMENT, "route", "code"),
        (
            ((*key, route, str(code)), number)
            for key, stats in deployments
            for route, codes in (("live", stats.live), ("pinned", stats.pinned))
            for code, number in codes.items()
        ),
    )
    yield counter(
        "teal_model_responses_total",
        "Answers of instances to scoring requests, by the status code that the model gave.",
        (*DEPLOYMENT, "code"),
        _by_code(deployments, lambda stats: stats.model),
    )
    yield counter(
        "teal_mirror_responses_total",
        "Answers of mirror targets to copies, by the status code that the model gave.",
        (*DEPLOYMENT, "code"),
        _by_code(deployments, lambda stats: stats.mirrored),
    )
    yield counter(
        "teal_upstream_failures_total",
        "Failed attempts to get an answer from an instance, by reason.",
        (*DEPLOYMENT, "reason"),
        (
            ((*key, reason), number)
            for key, stats in deployments
            for reason, number in _with_zeros(UpstreamFailure, stats.failures)
        ),
    )
    yield histogram(
        "teal_request_duration_seconds",
        "Seconds from the head of a scoring request to the end of its answer.",
        ((key, stats.duration) for key, stats in deployments),
    )
    yield histogram(
        "teal_mirror_duration_seconds",
        "Seconds from sending a copy to the end of its answer.",
        ((key, stats.mirror_duration) for key, stats in deployments if stats.mirrored),
    )


def _load(deployments: _ByDeployment) -> Iterator[Metric]:
    deployments = list(deployments)
    yield gauge(
        "teal_requests_in_flight",
        "Scoring requests that an instance works on.",
        DEPLOYMENT,
        ((key, stats.in_flight) for key, stats in deployments),
    )
    yield gauge(
        "teal_requests_queued",
        "Scoring requests that wait for an instance.",
        DEPLOYMENT,
        ((key, stats.queued) for key, stats in deployments),
    )
    yield gauge(
        "teal_upgraded_connections",
        "WebSockets and other upgraded connections that are open; each is a request in flight.",
        DEPLOYMENT,
        ((key, stats.upgraded) for key, stats in deployments),
    )
    yield counter(
        "teal_request_bytes_total",
        "Bytes of request bodies, without framing.",
        DEPLOYMENT,
        ((key, stats.request_bytes) for key, stats in deployments),
    )
    yield counter(
        "teal_response_bytes_total",
        "Bytes of response bodies, without framing.",
        DEPLOYMENT,
        ((key, stats.response_bytes) for key, stats in deployments),
    )


def _connections(deployments: _ByDeployment) -> Iterator[Metric]:
    instances = [((*key, address), one) for key, stats in deployments for address, one in stats.instances.items()]
    yield counter(
        "teal_upstream_connections_opened_total",
        "Connections opened to an instance.",
        _INSTANCE,
        ((key, one.connections_opened) for key, one in instances),
    )
    yield gauge(
        "teal_upstream_connections",
        "Connections to an instance: those with a request, and those that wait for one.",
        (*_INSTANCE, "state"),
        (
            ((*key, state), number)
            for key, one in instances
            for state, number in (("busy", one.in_flight), ("idle", one.connections_idle))
        ),
    )


def _endpoints(endpoints: Mapping[str, EndpointStats]) -> Iterator[Metric]:
    yield counter(
        "teal_requests_refused_total",
        "Requests that reached no deployment, by status code; `endpoint` is empty if they found none.",
        ("endpoint", "code"),
        (((name, str(code)), number) for name, stats in endpoints.items() for code, number in stats.refused.items()),
    )
    yield counter(
        "teal_mirror_requests_total",
        "Copies of live requests that were due, by what became of them.",
        ("endpoint", "outcome"),
        (
            ((name, outcome), number)
            for name, stats in endpoints.items()
            if stats.mirror or stats.mirror_bucket_bytes is not None
            for outcome, number in _with_zeros(MirrorOutcome, stats.mirror)
        ),
    )
    yield counter(
        "teal_mirror_bytes_total",
        "Bytes of request bodies that were sent as copies.",
        ("endpoint",),
        (((name,), stats.mirror_bytes) for name, stats in endpoints.items() if stats.mirror),
    )


def _failures(endpoints: Mapping[str, EndpointStats]) -> Metric:
    reached_none = [((name, ""), stats.reasons) for name, stats in endpoints.items()]
    reached_one = [
        ((name, deployment), stats.reasons)
        for name, of_endpoint in endpoints.items()
        for deployment, stats in of_endpoint.deployments.items()
    ]
    return counter(
        "teal_request_failures_total",
        "Requests that the router refused, gave up or cut short, by reason: that in `x-teal-reason` and in the access "
        "log. `deployment` is empty if they reached none.",
        (*DEPLOYMENT, "reason"),
        (
            ((*key, reason), number)
            for key, reasons in (*reached_none, *reached_one)
            for reason, number in reasons.items()
        ),
    )


def _clients_and_copies(process: ProcessStats) -> Iterator[Metric]:
    yield GaugeMetricFamily("teal_connections", "Client connections that are open.", process.connections)
    yield GaugeMetricFamily("teal_max_connections", "Client connections that may be open.", process.max_connections)
    yield CounterMetricFamily(
        "teal_connections_opened_total", "Client connections accepted.", process.connections_opened
    )
    yield counter(
        "teal_connections_refused_total",
        "Client connections that were refused, by reason.",
        ("reason",),
        (((reason,), number) for reason, number in _with_zeros(ConnectionRefusal, process.connections_refused)),
    )
    yield counter(
        "teal_connections_cut_total",
        "Client connections that were cut because a head did not come or an answer was not read, by reason.",
        ("reason",),
        (((reason,), number) for reason, number in _with_zeros(ConnectionCut, process.connections_cut)),
    )
    yield CounterMetricFamily(
        "teal_access_log_dropped_total",
        "Lines of the access log that were dropped because nobody read them in time.",
        process.access_log_dropped,
    )
    yield GaugeMetricFamily(
        "teal_mirror_held_bytes", "Bytes of memory that copies on their way hold.", process.mirror_held_bytes
    )


def _instances(deployments: Iterable[DeploymentStatus], ejected: frozenset[str]) -> Iterator[Metric]:
    yield gauge(
        "teal_instances",
        "Instances of a deployment, by state.",
        (*DEPLOYMENT, "state"),
        (
            ((*status.key, state), number)
            for status in deployments
            for state, number in _count_states(status.instances, ejected).items()
        ),
    )


def _count_states(instances: Iterable[InstanceStatus], ejected: frozenset[str]) -> dict[str, int]:
    """Every state with its number, 0 included, so that an alert on `ready` has a series to look at."""
    counts = dict.fromkeys(_STATES, 0)
    for instance in instances:
        if instance.state == "stopping":
            counts["draining"] += 1
        elif instance.state == "ready" and instance.address in ejected:
            counts["ejected"] += 1
        else:
            counts[instance.state] += 1
    return counts


def _workers(deployments: Sequence[DeploymentStatus]) -> Iterator[Metric]:
    managed = [status for status in deployments if status.kind == "managed"]
    instances = [((*status.key, instance.name), instance) for status in managed for instance in status.instances]
    yield counter(
        "teal_workers_started_total",
        "Worker processes started.",
        DEPLOYMENT,
        ((status.key, status.workers_started) for status in managed),
    )
    yield counter(
        "teal_worker_exits_total",
        "Worker processes that ended, by reason.",
        (*DEPLOYMENT, "reason"),
        (
            ((*status.key, reason), number)
            for status in managed
            for reason, number in _with_zeros(ExitReason, status.worker_exits)
        ),
    )
    yield gauge(
        "teal_worker_resident_memory_bytes",
        "Bytes of memory that a worker process occupies.",
        _WORKER,
        ((key, instance.rss_bytes) for key, instance in instances if instance.rss_bytes is not None),
    )
    yield counter(
        "teal_worker_cpu_seconds_total",
        "Seconds of CPU that a worker process has used since it started.",
        _WORKER,
        ((key, instance.cpu_seconds) for key, instance in instances if instance.cpu_seconds is not None),
    )


def _config(source: MetricsSource) -> Iterator[Metric]:
    yield counter(
        "teal_config_reloads_total",
        "Times that the config file was read, by what became of it.",
        ("outcome",),
        (((outcome,), number) for outcome, number in source.reloads.items()),
    )
    yield GaugeMetricFamily("teal_config_generation", "Number of the newest routing table.", source.table.generation)
    yield GaugeMetricFamily(
        "teal_config_problems",
        "Problems for which the config file on disk is refused; 0 while what it says is in force.",
        source.problems,
    )
    yield GaugeMetricFamily(
        "teal_ready", "1 while the router serves as the config asks, as /readyz says; otherwise 0.", source.is_ready
    )
    if source.last_success is not None:
        yield GaugeMetricFamily(
            "teal_config_last_success_timestamp_seconds",
            "Unix time at which a config file was last read and in order.",
            source.last_success,
        )
    if source.certificate_not_after is not None:
        yield GaugeMetricFamily(
            "teal_tls_certificate_not_after_timestamp_seconds",
            "Unix time at which the certificate of the scoring address expires.",
            source.certificate_not_after,
        )
    yield InfoMetricFamily("teal_build", "The version of teal that runs.", {"version": source.version})


def _admin(counts: AdminCounts) -> Iterator[Metric]:
    yield counter(
        "teal_admin_requests_refused_total",
        "Requests at the admin address and the admin socket that were refused, by the reason in `x-teal-reason`.",
        ("reason",),
        (((reason,), number) for reason, number in counts.refused.items()),
    )
    yield counter(
        "teal_admin_callers_cut_total",
        "Connections to the admin address and the admin socket that were cut or not let in, by reason.",
        ("reason",),
        (((reason,), number) for reason, number in counts.cut.items()),
    )


def _with_zeros(known: Any, counts: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """Every name of a `Literal` with its number: of a series that begins with 1, Prometheus does not see the first."""
    yield from (dict.fromkeys(get_args(known), 0) | dict(counts)).items()


def _by_code(deployments: _ByDeployment, pick: Callable[[DeploymentStats], Mapping[int, int]]) -> Iterator[Row]:
    for key, stats in deployments:
        for code, number in pick(stats).items():
            yield (*key, str(code)), number

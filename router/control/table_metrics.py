"""The metrics of the routing table: who shall get what, and how much of it fits."""

from collections.abc import Collection, Iterable, Iterator, Mapping

from prometheus_client.metrics_core import Metric

from router.control.metric_families import DEPLOYMENT, Row, gauge
from router.core.stats import EndpointStats
from router.core.table import DeploymentSpec, EndpointSpec, TableSpec

_ENDPOINT = ("endpoint",)


def table_metrics(
    table: TableSpec,
    *,
    counted: Mapping[str, EndpointStats],
    ejected: Collection[str],
    held: Collection[str],
) -> Iterator[Metric]:
    """The families of the newest table.

    Args:
        counted: By endpoint.
        ejected: Addresses that at least one proxy has out of the choice.
        held: Endpoints whose traffic does not follow the config yet.
    """
    endpoints = table.endpoints
    yield from _weights(endpoints)
    yield gauge(
        "teal_traffic_held",
        "1 while an endpoint's traffic waits for a ready instance before it follows the config, otherwise 0.",
        _ENDPOINT,
        (((endpoint.name,), float(endpoint.name in held)) for endpoint in endpoints),
    )
    yield from _capacity(endpoints, ejected)
    mirrored = [endpoint for endpoint in endpoints if any(percent for _, percent in endpoint.mirror_traffic)]
    yield from _copies(mirrored, counted)


def _weights(endpoints: Iterable[EndpointSpec]) -> Iterator[Metric]:
    yield gauge(
        "teal_traffic_ratio",
        "Share of an endpoint's live traffic that a deployment shall get, from 0 to 1.",
        DEPLOYMENT,
        _shares((endpoint, dict(endpoint.traffic)) for endpoint in endpoints),
    )
    yield gauge(
        "teal_mirror_traffic_ratio",
        "Share of an endpoint's live traffic of which a deployment shall get copies, from 0 to 1.",
        DEPLOYMENT,
        _shares((endpoint, dict(endpoint.mirror_traffic)) for endpoint in endpoints),
    )


def _shares(percents: Iterable[tuple[EndpointSpec, dict[str, float]]]) -> Iterator[Row]:
    """A row for each deployment, those that get nothing included."""
    for endpoint, of_deployment in percents:
        for deployment in endpoint.deployments:
            yield (endpoint.name, deployment.name), of_deployment.get(deployment.name, 0.0) / 100


def _capacity(endpoints: Iterable[EndpointSpec], ejected: Collection[str]) -> Iterator[Metric]:
    chosen = [
        ((endpoint.name, deployment.name), deployment, _in_the_choice(deployment, ejected))
        for endpoint in endpoints
        for deployment in endpoint.deployments
    ]
    yield gauge(
        "teal_max_requests_in_flight",
        "Scoring requests that the ready instances of a deployment may work on at a time.",
        DEPLOYMENT,
        ((key, number * spec.max_concurrent) for key, spec, number in chosen),
    )
    yield gauge(
        "teal_max_requests_queued",
        "Scoring requests that may wait for the ready instances of a deployment.",
        DEPLOYMENT,
        ((key, number * spec.max_queue) for key, spec, number in chosen),
    )


def _in_the_choice(deployment: DeploymentSpec, ejected: Collection[str]) -> int:
    return sum(instance.is_ready and instance.address not in ejected for instance in deployment.instances)


def _copies(endpoints: Collection[EndpointSpec], counted: Mapping[str, EndpointStats]) -> Iterator[Metric]:
    known = [(endpoint, counted.get(endpoint.name, EndpointStats())) for endpoint in endpoints]
    yield gauge(
        "teal_mirror_in_flight",
        "Copies of an endpoint's requests that are on their way, each in a slot.",
        _ENDPOINT,
        (((endpoint.name,), stats.mirror_in_flight) for endpoint, stats in known),
    )
    yield gauge(
        "teal_mirror_max_in_flight",
        "Slots for copies of an endpoint's requests.",
        _ENDPOINT,
        (((endpoint.name,), endpoint.mirror.max_in_flight) for endpoint in endpoints),
    )
    yield gauge(
        "teal_mirror_bucket_bytes",
        "Bytes of copies that may be sent now: what is in the bucket of an endpoint's mirror.",
        _ENDPOINT,
        (
            ((endpoint.name,), stats.mirror_bucket_bytes)
            for endpoint, stats in known
            if stats.mirror_bucket_bytes is not None
        ),
    )
    yield gauge(
        "teal_mirror_max_bucket_bytes",
        "Bytes that the bucket of an endpoint's mirror holds when it is full.",
        _ENDPOINT,
        (((endpoint.name,), endpoint.mirror.burst_bytes) for endpoint in endpoints),
    )

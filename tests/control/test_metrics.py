"""What Prometheus scrapes: the counts of the snapshot, under the documented names, and nothing that is gone."""

import os

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from router.control.metrics import MetricsSource, render
from router.control.process_metrics import ProcessFacts
from router.control.states import DeploymentKey, DeploymentStatus, InstanceStatus
from router.core.stats import DeploymentStats, EndpointStats, InstanceStats, ProcessStats, Totals
from router.core.table import EndpointSpec, TableSpec

BLUE = {"endpoint": "churn", "deployment": "blue"}
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def totals() -> Totals:
    blue = DeploymentStats(
        live={200: 9, 424: 1}, pinned={200: 2}, model={200: 11, 500: 1}, failures={"reset": 1}, mirrored={200: 3}
    )
    blue.reasons = {"upstream_reset": 1}
    blue.duration.observe(0.004)
    blue.duration.observe(0.2)
    blue.mirror_duration.observe(0.03)
    blue.in_flight, blue.queued, blue.upgraded = 4, 5, 3
    blue.instances["unix:/0"] = InstanceStats(connections_opened=6, connections_idle=2, in_flight=4)
    blue.instances["unix:/1"] = InstanceStats(connections_opened=1)
    blue.request_bytes, blue.response_bytes = 1000, 2000
    churn = EndpointStats(refused={401: 7}, mirror={"sent": 3, "no_budget": 8}, mirror_bytes=900)
    churn.reasons = {"key_auth_access_denied": 7}
    churn.deployments["blue"] = blue
    process = ProcessStats(connections=12, connections_opened=34, access_log_dropped=5)
    process.max_connections, process.connections_refused = 50, {"too_many_connections": 3}
    process.connections_cut = {"head_timeout": 4}
    return Totals(endpoints={"churn": churn, "": EndpointStats(refused={404: 2})}, process=process)


def deployment() -> DeploymentStatus:
    return DeploymentStatus(
        key=DeploymentKey(("churn", "blue")),
        kind="managed",
        provisioning_state="Succeeded",
        instances=(
            InstanceStatus(name="0", address="unix:/0", state="ready", rss_bytes=5_000_000, cpu_seconds=1.5),
            InstanceStatus(name="1", address="unix:/1", state="ready"),
            InstanceStatus(name="2", address="unix:/2", state="stopping"),
            InstanceStatus(name="3", address="unix:/3", state="backoff"),
        ),
        workers_started=6,
        worker_exits={"killed": 2},
    )


def source() -> MetricsSource:
    return MetricsSource(
        version="0.1.0",
        table=TableSpec(generation=7, endpoints=(EndpointSpec(name="churn"),)),
        totals=totals(),
        deployments=(deployment(),),
        ejected=frozenset({"unix:/1", "unix:/2"}),
        processes=(ProcessFacts(name="control", pid=os.getpid()),),
        held={"churn"},
        is_ready=True,
        reloads={"applied": 3, "refused": 1},
        problems=2,
        last_success=1_700_000_000.5,
        certificate_not_after=1_800_000_000.0,
    )


def scrape(source: MetricsSource) -> Samples:
    """Every sample of a scrape, by name and labels."""
    body, _ = render(source)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


@pytest.fixture(scope="module")
def samples() -> Samples:
    return scrape(source())


@pytest.mark.parametrize(
    ("name", "labels", "expected"),
    [
        ("teal_requests_total", {**BLUE, "route": "live", "code": "200"}, 9),
        ("teal_requests_total", {**BLUE, "route": "live", "code": "424"}, 1),
        ("teal_requests_total", {**BLUE, "route": "pinned", "code": "200"}, 2),
        ("teal_model_responses_total", {**BLUE, "code": "500"}, 1),
        ("teal_mirror_responses_total", {**BLUE, "code": "200"}, 3),
        ("teal_upstream_failures_total", {**BLUE, "reason": "reset"}, 1),
        ("teal_upstream_failures_total", {**BLUE, "reason": "timeout"}, 0),
        ("teal_request_failures_total", {**BLUE, "reason": "upstream_reset"}, 1),
        ("teal_request_failures_total", {**BLUE, "deployment": "", "reason": "key_auth_access_denied"}, 7),
        ("teal_request_duration_seconds_count", BLUE, 2),
        ("teal_request_duration_seconds_sum", BLUE, 0.204),
        ("teal_request_duration_seconds_bucket", {**BLUE, "le": "0.0025"}, 0),
        ("teal_request_duration_seconds_bucket", {**BLUE, "le": "0.005"}, 1),
        ("teal_request_duration_seconds_bucket", {**BLUE, "le": "0.25"}, 2),
        ("teal_request_duration_seconds_bucket", {**BLUE, "le": "+Inf"}, 2),
        ("teal_mirror_duration_seconds_count", BLUE, 1),
        ("teal_requests_in_flight", BLUE, 4),
        ("teal_upgraded_connections", BLUE, 3),
        ("teal_requests_queued", BLUE, 5),
        ("teal_request_bytes_total", BLUE, 1000),
        ("teal_response_bytes_total", BLUE, 2000),
        ("teal_upstream_connections_opened_total", {**BLUE, "address": "unix:/0"}, 6),
        ("teal_upstream_connections_opened_total", {**BLUE, "address": "unix:/1"}, 1),
        ("teal_upstream_connections", {**BLUE, "address": "unix:/0", "state": "busy"}, 4),
        ("teal_upstream_connections", {**BLUE, "address": "unix:/0", "state": "idle"}, 2),
        ("teal_requests_refused_total", {"endpoint": "churn", "code": "401"}, 7),
        ("teal_requests_refused_total", {"endpoint": "", "code": "404"}, 2),
        ("teal_mirror_requests_total", {"endpoint": "churn", "outcome": "no_budget"}, 8),
        ("teal_mirror_requests_total", {"endpoint": "churn", "outcome": "no_slot"}, 0),
        ("teal_mirror_bytes_total", {"endpoint": "churn"}, 900),
        ("teal_connections", {}, 12),
        ("teal_max_connections", {}, 50),
        ("teal_connections_opened_total", {}, 34),
        ("teal_connections_refused_total", {"reason": "too_many_connections"}, 3),
        ("teal_connections_cut_total", {"reason": "head_timeout"}, 4),
        ("teal_access_log_dropped_total", {}, 5),
        ("teal_connections_refused_total", {"reason": "no_descriptors"}, 0),
        ("teal_instances", {**BLUE, "state": "ready"}, 1),
        ("teal_instances", {**BLUE, "state": "ejected"}, 1),
        ("teal_instances", {**BLUE, "state": "draining"}, 1),
        ("teal_instances", {**BLUE, "state": "backoff"}, 1),
        ("teal_instances", {**BLUE, "state": "unready"}, 0),
        ("teal_workers_started_total", BLUE, 6),
        ("teal_worker_exits_total", {**BLUE, "reason": "killed"}, 2),
        ("teal_worker_exits_total", {**BLUE, "reason": "memory"}, 0),
        ("teal_worker_resident_memory_bytes", {**BLUE, "worker": "0"}, 5_000_000),
        ("teal_worker_cpu_seconds_total", {**BLUE, "worker": "0"}, 1.5),
        ("teal_config_reloads_total", {"outcome": "applied"}, 3),
        ("teal_config_generation", {}, 7),
        ("teal_config_problems", {}, 2),
        ("teal_ready", {}, 1),
        ("teal_traffic_held", {"endpoint": "churn"}, 1),
        ("teal_config_last_success_timestamp_seconds", {}, 1_700_000_000.5),
        ("teal_tls_certificate_not_after_timestamp_seconds", {}, 1_800_000_000.0),
        ("teal_build_info", {"version": "0.1.0"}, 1),
    ],
)
def test_sample(samples: Samples, name: str, labels: dict[str, str], expected: float) -> None:
    """Each count appears under its documented name and labels."""
    assert samples[name, frozenset(labels.items())] == pytest.approx(expected)


def test_removed_deployment_disappears(samples: Samples) -> None:
    """No series outlives its deployment."""
    after = scrape(MetricsSource(version="0.1.0", table=TableSpec(generation=8), totals=Totals()))
    assert any(("deployment", "blue") in labels for _, labels in samples)
    assert not any(("endpoint", "churn") in labels for _, labels in after)


def test_unknown_values_have_no_series(samples: Samples) -> None:
    """A worker whose memory is not known has no series, rather than one of 0."""
    key = frozenset({**BLUE, "worker": "1"}.items())
    assert ("teal_worker_resident_memory_bytes", key) not in samples


def test_upstreams_have_no_worker_series() -> None:
    """What teal does not run has no worker to count."""
    upstream = DeploymentStatus(
        key=DeploymentKey(("churn", "far")), kind="upstreams", provisioning_state="Succeeded", workers_started=0
    )
    shown = scrape(
        MetricsSource(version="0.1.0", table=TableSpec(generation=1), totals=Totals(), deployments=(upstream,))
    )
    labels = frozenset({"endpoint": "churn", "deployment": "far"}.items())
    assert ("teal_workers_started_total", labels) not in shown
    assert shown["teal_instances", labels | {("state", "ready")}] == 0


def test_no_label_is_reserved_by_prometheus(samples: Samples) -> None:
    """`instance` and `job` are set by the scraper, so they are not ours to use."""
    names = {name for _, labels in samples for name, _ in labels}
    assert names == {
        *("endpoint", "deployment", "route", "code", "reason", "outcome", "state", "worker", "process", "le"),
        *("version", "address"),
    }


def test_openmetrics_is_spoken_to_those_who_ask() -> None:
    """Prometheus's own Accept header gets OpenMetrics, which its parser takes."""
    body, content_type = render(source(), "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.2")
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    families = parse_openmetrics(body.decode())  # type: ignore[no-untyped-call]
    assert "teal_requests" in {family.name for family in families}


def test_plain_text_is_the_default() -> None:
    """curl without an Accept header gets text."""
    assert render(source())[1] == "text/plain; version=0.0.4; charset=utf-8"


def test_every_metric_has_a_sentence_of_help() -> None:
    """The help of each metric is a sentence."""
    body, _ = render(source())
    documentations = [family.documentation for family in text_string_to_metric_families(body.decode())]
    assert [text for text in documentations if not text.endswith(".")] == []

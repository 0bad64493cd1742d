"""The snapshot that people and programs see."""

import msgspec
import pytest

from router.control.states import DeploymentKey, DeploymentStatus, InstanceStatus
from router.control.status import (
    ProxyStatus,
    ReloadOutcome,
    RouterFacts,
    RouterStatus,
    build_status,
    latency,
    quantile_s,
    without_output,
)
from router.core.record import RequestRecord
from router.core.stats import BUCKETS_S, InstanceStats, Totals
from router.core.table import DeploymentSpec, EndpointSpec, TableSpec

FACTS = RouterFacts(
    version="0.1.0",
    pid=4711,
    started=1000.0,
    config_path="config/teal.yaml",
    generation=7,
    config_problems=("config/teal.yaml:14: churn.traffic: weights add up to 90, expected 0 or 100",),
    last_reload=ReloadOutcome(outcome="refused", at=2000.0),
    base_url="http://127.0.0.1:8080",
)
TABLE = TableSpec(
    generation=7,
    endpoints=(
        EndpointSpec(
            name="churn",
            traffic=(("blue", 100.0),),
            mirror_traffic=(("green", 10.0),),
            deployments=(DeploymentSpec(name="blue"), DeploymentSpec(name="green")),
        ),
    ),
)
BLUE = DeploymentStatus(
    key=DeploymentKey(("churn", "blue")),
    kind="managed",
    provisioning_state="Succeeded",
    instances=(
        InstanceStatus(name="0", address="unix:/run/0.sock", state="ready"),
        InstanceStatus(name="1", address="unix:/run/1.sock", state="ready"),
    ),
)
GREEN = DeploymentStatus(
    key=DeploymentKey(("churn", "green")),
    kind="managed",
    provisioning_state="Failed",
    reason="init() raised",
    log_tail=("ValueError: no model",),
    log_dir="/var/lib/teal/logs/churn/green",
)


def counted() -> Totals:
    totals = Totals()
    totals.request(record(deployment="blue", status=200, model_status=200), now=0.004)
    totals.request(record(deployment="blue", status=424, model_status=500, route="pinned"), now=0.004)
    totals.request(record(status=401), now=0.001)
    totals.request(RequestRecord(generation=7, began=0.0, request_id="r", status=404), now=0.001)
    totals.endpoint("churn").mirror = {"sent": 3, "no_budget": 1}
    totals.endpoint("churn").deployment("green").mirrored = {200: 3}
    blue = totals.endpoint("churn").deployment("blue")
    blue.in_flight = 2
    blue.instances["unix:/run/1.sock"] = InstanceStats(connections_opened=9, connections_idle=3, in_flight=2)
    return totals


def record(**fields: object) -> RequestRecord:
    return RequestRecord(generation=7, began=0.0, request_id="r", endpoint="churn", **fields)  # type: ignore[arg-type]


def status(green: DeploymentStatus = GREEN) -> RouterStatus:
    return build_status(
        FACTS,
        table=TABLE,
        totals=counted(),
        deployments=[BLUE, green],
        proxies=[ProxyStatus(name="proxy-0", pid=4712, generation=7, connections=3)],
        ejected=frozenset({"unix:/run/1.sock"}),
    )


def test_facts_are_at_the_top() -> None:
    """The daemon's own words are the first level, the last reload among them."""
    shown = status()
    assert (shown.pid, shown.generation, shown.config_path) == (4711, 7, "config/teal.yaml")
    assert shown.last_reload == ReloadOutcome(outcome="refused", at=2000.0)
    assert shown.proxies[0].connections == 3


def test_endpoint_shows_address_weights_and_what_it_refused() -> None:
    """An endpoint says where it is scored, who gets which share, and what reached no deployment."""
    endpoint = status().endpoints[0]
    assert endpoint.scoring_uri == "http://127.0.0.1:8080/api/v1/endpoint/churn/score"
    assert (endpoint.traffic, endpoint.mirror_traffic) == ({"blue": 100.0}, {"green": 10.0})
    assert (endpoint.refused, endpoint.mirror) == ({401: 1}, {"sent": 3, "no_budget": 1})


def test_deployment_shows_what_it_answered() -> None:
    """Live and pinned requests are told apart, and the model's own status from the one that the client got."""
    blue = status().endpoints[0].deployments[0]
    assert (blue.live, blue.pinned, blue.model) == ({200: 1}, {424: 1}, {200: 1, 500: 1})
    assert (blue.weight, blue.mirror_percent, blue.in_flight) == (100.0, 0.0, 2)
    assert blue.latency.count == 2


def test_instance_shows_its_connections() -> None:
    """Requests of all proxies, idle connections and those opened so far; 0 where nothing was counted."""
    first, second = status().endpoints[0].deployments[0].instances
    assert (first.in_flight, first.connections_idle, first.connections_opened) == (0, 0, 0)
    assert (second.in_flight, second.connections_idle, second.connections_opened) == (2, 3, 9)
    assert (second.name, second.state) == ("1", "ready")


def test_failed_deployment_shows_why() -> None:
    """Reason and last lines of the log travel with the state."""
    green = status().endpoints[0].deployments[1]
    assert (green.provisioning_state, green.reason, green.log_tail) == (
        "Failed",
        "init() raised",
        ("ValueError: no model",),
    )
    assert (green.weight, green.mirror_percent, green.mirrored) == (0.0, 10.0, {200: 3})


def test_strangers_see_no_output_of_scripts() -> None:
    """What they print and raise may hold secrets; that they failed does not."""
    failed = DeploymentStatus(
        key=DeploymentKey(("churn", "green")),
        kind="managed",
        provisioning_state="Failed",
        reason="init() raised ValueError: password=hunter2",
        log_tail=("hunter2",),
        instances=(InstanceStatus(name="0", address="", state="backoff", reason="a: hunter2", last_line="hunter2"),),
    )
    shown = without_output(status(failed))
    assert shown.endpoints[0].deployments[1].reason == "init() raised ValueError"
    assert b"hunter2" not in msgspec.json.encode(shown)


def test_ejected_instances_are_named() -> None:
    """An instance that runs but is out of the choice is visible."""
    assert status().endpoints[0].deployments[0].ejected == ("1",)


def test_requests_without_endpoint_are_counted_apart() -> None:
    """Requests to nowhere are shown, but under no name that a client made up."""
    assert status().unknown_endpoint == {404: 1}


def test_deployment_that_nobody_started_yet_is_creating() -> None:
    """A deployment of a new table is shown before its first instance is."""
    shown = build_status(FACTS, table=TABLE, totals=Totals(), deployments=[], proxies=[])
    assert [deployment.provisioning_state for deployment in shown.endpoints[0].deployments] == ["Creating", "Creating"]


def test_deployment_that_left_the_table_is_shown_while_it_drains() -> None:
    """What is being deleted stays visible until it is gone."""
    gone = DeploymentStatus(key=DeploymentKey(("churn", "red")), kind="managed", provisioning_state="Deleting")
    shown = build_status(FACTS, table=TABLE, totals=Totals(), deployments=[BLUE, GREEN, gone], proxies=[])
    assert [deployment.name for deployment in shown.endpoints[0].deployments] == ["blue", "green", "red"]


def test_status_survives_json() -> None:
    """What the daemon sends is what the command line gets."""
    assert msgspec.json.decode(msgspec.json.encode(status()), type=RouterStatus) == status()


BOUNDS = (1.0, 2.0, 4.0)


@pytest.mark.parametrize(
    ("counts", "q", "expected"),
    [
        ([10, 0, 0, 0], 0.5, 0.5),
        ([10, 0, 0, 0], 1.0, 1.0),
        ([5, 5, 0, 0], 0.5, 1.0),
        ([5, 5, 0, 0], 0.75, 1.5),
        ([0, 0, 4, 0], 0.5, 3.0),
        ([5, 0, 5, 0], 0.6, 2.4),
        ([0, 0, 0, 3], 0.5, 4.0),
        ([1, 0, 0, 99], 0.99, 4.0),
        ([0, 3, 0, 0], 0.0, 1.0),
    ],
)
def test_quantile_interpolates_within_the_bucket(counts: list[int], q: float, expected: float) -> None:
    """Observations count as evenly spread within their bucket; above the last bound, that bound is the answer."""
    assert quantile_s(counts, q, BOUNDS) == pytest.approx(expected)


def test_quantile_of_nothing_is_unknown() -> None:
    """No requests, no latency; not 0."""
    assert quantile_s([0, 0, 0, 0], 0.5, BOUNDS) is None


def test_latency_is_in_milliseconds() -> None:
    """100 requests between 2.5 and 5 ms have a median of 3.75 ms."""
    counts = [0] * (len(BUCKETS_S) + 1)
    counts[2] = 100
    shown = latency(counts)
    assert (shown.count, shown.p50_ms, shown.p99_ms) == (100, 3.75, 4.975)

"""Counting, adding up and forgetting."""

import pytest

from router.core.record import RequestRecord
from router.core.stats import Answered, DeploymentStats, Histogram, InstanceStats, Totals, count


def record(**fields: object) -> RequestRecord:
    defaults = {"generation": 1, "began": 10.0, "request_id": "rid", "endpoint": "churn", "deployment": "blue"}
    return RequestRecord(**defaults | fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seconds", "bucket"),
    [(0.0, 0), (0.001, 0), (0.0011, 1), (0.0025, 1), (1.0, 9), (60.0, 14), (60.1, 15), (1e9, 15)],
)
def test_a_bound_belongs_to_its_bucket(seconds: float, bucket: int) -> None:
    """Upper bounds are inclusive, as Prometheus has them; what is over the last has a bucket too."""
    histogram = Histogram()
    histogram.observe(seconds)
    assert [i for i, number in enumerate(histogram.counts) if number] == [bucket]
    assert histogram.sum_s == seconds


def test_a_request_is_counted_where_it_went() -> None:
    """Route, client status, model status, duration and bytes all count at its deployment."""
    totals = Totals()
    totals.request(record(status=424, model_status=500, request_bytes=3, response_bytes=5), now=10.5)
    totals.request(record(status=200, model_status=200, route="pinned"), now=10.5)
    blue = totals.endpoints["churn"].deployments["blue"]
    assert (blue.live, blue.pinned, blue.model) == ({424: 1}, {200: 1}, {500: 1, 200: 1})
    assert (blue.request_bytes, blue.response_bytes, blue.duration.sum_s) == (3, 5, 1.0)
    assert totals.endpoints["churn"].refused == {}


def test_what_is_counted_apart_is_counted_as_any_request() -> None:
    """The short way to count a live 200, taken over at any time, and once."""
    numbers, expected, answered = DeploymentStats(), DeploymentStats(), Answered()
    for took_s in (0.001, 0.0011, 2.0, 60.0, 61.0):
        expected.request(record(status=200, model_status=200, request_bytes=3, response_bytes=5), now=10.0 + took_s)
        answered.add(took_s, 3, 5)
        answered.move_to(numbers)
    answered.move_to(numbers)
    assert numbers.duration.sum_s == pytest.approx(expected.duration.sum_s)
    numbers.duration.sum_s = expected.duration.sum_s
    assert numbers == expected


def test_a_request_that_no_model_answered_counts_no_model_status() -> None:
    """A timeout has a client status only."""
    totals = Totals()
    totals.request(record(status=408, reason="upstream_timeout"), now=11.0)
    blue = totals.endpoints["churn"].deployments["blue"]
    assert (blue.live, blue.model, blue.reasons) == ({408: 1}, {}, {"upstream_timeout": 1})


def test_an_upgraded_request_counts_its_switch() -> None:
    """As latency; what came after is none, and its bytes were counted as they went."""
    totals = Totals()
    totals.request(record(status=101, model_status=101, answered=10.25, request_bytes=3, response_bytes=5), now=900.0)
    blue = totals.endpoints["churn"].deployments["blue"]
    assert (blue.live, blue.model) == ({101: 1}, {101: 1})
    assert (blue.request_bytes, blue.response_bytes, blue.duration.sum_s) == (0, 0, 0.25)


def test_a_refused_request_counts_at_its_endpoint() -> None:
    """What chose no deployment is counted apart; without an endpoint, under the empty name."""
    totals = Totals()
    totals.request(record(deployment="", status=401, reason="key_auth_access_denied"), now=11.0)
    totals.request(record(endpoint="", deployment="", status=404, reason="endpoint_not_found"), now=11.0)
    assert (totals.endpoints["churn"].refused, totals.endpoints[""].refused) == ({401: 1}, {404: 1})
    assert totals.endpoints["churn"].reasons == {"key_auth_access_denied": 1}
    assert totals.endpoints[""].reasons == {"endpoint_not_found": 1}
    assert totals.endpoints["churn"].deployments == {}


def filled() -> Totals:
    totals = Totals()
    totals.request(record(status=200, model_status=200, request_bytes=3, response_bytes=5), now=10.5)
    churn = totals.endpoint("churn")
    count(churn.refused, 401)
    count(churn.mirror, "sent")
    count(churn.reasons, "key_auth_access_denied")
    churn.mirror_bytes, churn.mirror_in_flight, churn.mirror_bucket_bytes = 7, 2, 900.0
    blue = churn.deployment("blue")
    count(blue.mirrored, 200)
    count(blue.failures, "reset")
    count(blue.reasons, "upstream_reset")
    blue.mirror_duration.observe(0.25)
    at_a = blue.instance("unix:/a")
    at_a.connections_opened, at_a.connections_idle, at_a.in_flight = 2, 1, 4
    blue.in_flight, blue.queued = 4, 1
    process = totals.process
    process.connections, process.connections_opened, process.access_log_dropped = 6, 9, 1
    process.mirror_held_bytes, process.gc_pauses = 100, 3
    process.max_connections = 50
    count(process.connections_refused, "too_many_connections")
    count(process.connections_cut, "not_read")
    return totals


def test_totals_of_two_processes_add_up() -> None:
    """Every counter and gauge is the sum of both; how a process fares is added to nobody's."""
    total = filled()
    total.add(filled())
    churn = total.endpoints["churn"]
    blue = churn.deployments["blue"]
    assert (churn.refused, churn.mirror, churn.mirror_bytes) == ({401: 2}, {"sent": 2}, 14)
    assert (churn.reasons, churn.mirror_in_flight) == ({"key_auth_access_denied": 2}, 4)
    assert (blue.live, blue.model, blue.mirrored, blue.failures) == ({200: 2}, {200: 2}, {200: 2}, {"reset": 2})
    assert (blue.request_bytes, blue.response_bytes) == (6, 10)
    assert blue.instances == {"unix:/a": InstanceStats(connections_opened=4, connections_idle=2, in_flight=8)}
    assert blue.reasons == {"upstream_reset": 2}
    assert (blue.in_flight, blue.queued, blue.duration.sum_s, sum(blue.mirror_duration.counts)) == (8, 2, 1.0, 2)
    assert (total.process.connections, total.process.connections_opened, total.process.gc_pauses) == (12, 18, 3)
    assert (total.process.max_connections, total.process.connections_refused) == (100, {"too_many_connections": 2})
    assert total.process.connections_cut == {"not_read": 2}


@pytest.mark.parametrize(("mine", "theirs", "expected"), [(None, None, None), (5.0, None, 5.0), (7.0, 3.0, 3.0)])
def test_the_bucket_that_all_take_from_is_not_added_up(
    mine: float | None, theirs: float | None, expected: float | None
) -> None:
    """Its level is the lowest that anybody knows of."""
    total, other = Totals(), Totals()
    total.endpoint("churn").mirror_bucket_bytes = mine
    other.endpoint("churn").mirror_bucket_bytes = theirs
    total.add(other)
    assert total.endpoints["churn"].mirror_bucket_bytes == expected


def test_adding_leaves_the_other_alone() -> None:
    """A sum shares no counter with what was added to it."""
    total, other = Totals(), filled()
    total.add(other)
    total.request(record(status=200), now=11.0)
    count(total.endpoints["churn"].refused, 401)
    total.endpoints["churn"].deployments["blue"].instance("unix:/a").connections_opened += 1
    assert other == filled()


def test_totals_are_not_shared() -> None:
    """Each new object has counters of its own."""
    filled()
    assert Totals() == Totals()
    assert Totals().endpoints == {}


def test_what_a_process_had_in_hand_ends_with_it() -> None:
    """Folding keeps counters and drops gauges."""
    base = filled()
    base.clear_gauges()
    churn = base.endpoints["churn"]
    blue = churn.deployments["blue"]
    assert (blue.in_flight, blue.queued, blue.live) == (0, 0, {200: 1})
    assert blue.instances == {"unix:/a": InstanceStats(connections_opened=2)}
    assert (churn.mirror_in_flight, churn.mirror_bucket_bytes, churn.mirror_bytes) == (0, None, 7)
    process = base.process
    assert (process.connections, process.mirror_held_bytes) == (0, 0)
    assert (process.connections_opened, process.access_log_dropped) == (9, 1)
    assert (process.max_connections, process.connections_refused) == (0, {"too_many_connections": 1})


def test_series_of_removed_names_are_forgotten() -> None:
    """Only named deployments stay, and what found no endpoint."""
    totals = filled()
    totals.endpoint("churn").deployment("green")
    totals.endpoint("gone").deployment("blue")
    totals.request(record(endpoint="", deployment="", status=404), now=11.0)
    totals.keep_only({"churn": {"blue"}})
    assert totals.endpoints.keys() == {"churn", ""}
    assert totals.endpoints["churn"].deployments.keys() == {"blue"}
    assert totals.endpoints["churn"].refused == {401: 1}
    assert totals.endpoints[""].refused == {404: 1}


def test_instances_that_are_not_listed_are_forgotten() -> None:
    """Of deployments that are listed, and of those that are not."""
    totals = filled()
    blue, green = totals.endpoint("churn").deployment("blue"), totals.endpoint("churn").deployment("green")
    blue.instance("unix:/b").connections_opened = 1
    green.instance("unix:/c").connections_opened = 1
    totals.keep_instances({"churn": {"blue": {"unix:/b"}}})
    assert (blue.instances, green.instances) == ({"unix:/b": InstanceStats(connections_opened=1)}, {})

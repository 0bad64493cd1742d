"""The check of queries finds what is misspelt in them."""

import pytest

from tests.monitoring.queries import Query

KNOWN = {
    "teal_requests_total": {"endpoint": {"churn"}, "code": {"200"}},
    "teal_worker_exits_total": {"endpoint": {"churn"}, "reason": {"ok", "memory"}},
    "teal_ready": {},
}


@pytest.mark.parametrize(
    ("query", "problems"),
    [
        ("teal_redy == 0", ["there is no series teal_redy"]),
        ("rate(teal_request_total[5m])", ["there is no series teal_request_total"]),
        ('teal_requests_total{status="200"}', ["teal_requests_total has no label status"]),
        ('rate(teal_requests_total{status="200"}[5m])', ["teal_requests_total has no label status"]),
        ("sum by (deployment) (teal_requests_total)", ["deployment is no label of what is grouped by it"]),
        ("sum(teal_ready) by (endpoint)", ["endpoint is no label of what is grouped by it"]),
        ('teal_worker_exits_total{reason="oom"}', ["teal_worker_exits_total has no reason oom"]),
        ('teal_worker_exits_total{reason=~"ok|oom"}', ["teal_worker_exits_total has no reason oom"]),
        ("teal_requests_total * on (code) teal_ready", ["code is no label of both sides that are matched on it"]),
        ("teal_ready unless teal_redy offset 5m", ["there is no series teal_redy"]),
        ("max_over_time(sum(teal_redy)[1h:5m])", ["there is no series teal_redy"]),
    ],
)
def test_a_misspelt_name_is_found(query: str, problems: list[str]) -> None:
    """Wherever it stands: series, labels, and values of labels that have only certain ones."""
    assert Query(query, KNOWN).problems == problems


@pytest.mark.parametrize(
    "query",
    [
        'up{job="teal"} == 0',
        'sum by (job, instance, endpoint) (rate(teal_requests_total{code=~"5.."}[$__rate_interval])) > 0.05',
        'teal_worker_exits_total{reason!="ok"} > 0 and on (job, instance) teal_ready == 1',
    ],
)
def test_a_correct_query_has_no_problems(query: str) -> None:
    """Labels that Prometheus adds are there, too."""
    assert Query(query, KNOWN).problems == []


def test_a_query_knows_the_labels_of_its_results() -> None:
    """What was summed over is gone."""
    query = Query("sum by (endpoint) (teal_requests_total)", KNOWN)
    assert query.lacks({"endpoint", "code"}) == {"code"}

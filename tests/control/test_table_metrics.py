"""What Prometheus learns of the routing table."""

import pytest

from router.control.table_metrics import table_metrics
from router.core.stats import EndpointStats
from router.core.table import DeploymentSpec, EndpointSpec, InstanceSpec, MirrorSpec, TableSpec

Samples = dict[tuple[str, str], float]

BLUE = DeploymentSpec(
    name="blue",
    instances=(
        InstanceSpec(address="unix:/0"),
        InstanceSpec(address="unix:/1"),
        InstanceSpec(address="unix:/2", is_ready=False),
        InstanceSpec(address="unix:/3"),
    ),
    max_concurrent=2,
    max_queue=100,
)
CHURN = EndpointSpec(
    name="churn",
    traffic=(("blue", 90.0),),
    mirror_traffic=(("green", 12.5),),
    mirror=MirrorSpec(burst_bytes=1000, max_in_flight=8),
    deployments=(BLUE, DeploymentSpec(name="green")),
)
TABLE = TableSpec(generation=3, endpoints=(CHURN, EndpointSpec(name="fraud", mirror_traffic=(("green", 0.0),))))


def samples(**counted: EndpointStats) -> Samples:
    """Every sample, by its name and its labels' values."""
    families = table_metrics(TABLE, counted=counted, ejected={"unix:/1"}, held={"fraud"})
    return {
        (sample.name, "/".join(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }


@pytest.mark.parametrize(
    ("name", "labels", "expected"),
    [
        ("teal_traffic_ratio", "churn/blue", 0.9),
        ("teal_traffic_ratio", "churn/green", 0),
        ("teal_mirror_traffic_ratio", "churn/blue", 0),
        ("teal_mirror_traffic_ratio", "churn/green", 0.125),
        ("teal_traffic_held", "churn", 0),
        ("teal_traffic_held", "fraud", 1),
        ("teal_max_requests_in_flight", "churn/blue", 4),
        ("teal_max_requests_queued", "churn/blue", 200),
        ("teal_max_requests_in_flight", "churn/green", 0),
        ("teal_mirror_in_flight", "churn", 3),
        ("teal_mirror_max_in_flight", "churn", 8),
        ("teal_mirror_bucket_bytes", "churn", 250.5),
        ("teal_mirror_max_bucket_bytes", "churn", 1000),
    ],
)
def test_sample(name: str, labels: str, expected: float) -> None:
    """Weights are shares of 1; what is not ready or ejected takes no request; copies have slots and a bucket."""
    shown = samples(churn=EndpointStats(mirror_in_flight=3, mirror_bucket_bytes=250.5))
    assert shown[name, labels] == expected


def test_an_endpoint_without_a_mirror_has_no_samples_of_one() -> None:
    """A weight of 0 is none."""
    assert [name for name, labels in samples() if "mirror" in name and labels == "fraud"] == []


def test_a_bucket_that_nobody_has_looked_into_has_no_level() -> None:
    """Rather than none at all."""
    assert ("teal_mirror_bucket_bytes", "churn") not in samples()

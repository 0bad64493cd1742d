"""Families of samples, from rows of label values and numbers."""

from collections.abc import Iterable, Sequence
from itertools import accumulate

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    SummaryMetricFamily,
)
from prometheus_client.metrics_core import Metric

from router.core.stats import BUCKETS_S, Histogram

DEPLOYMENT = ("endpoint", "deployment")

Row = tuple[tuple[str, ...], float]

_BOUNDS = (*(str(bound) for bound in BUCKETS_S), "+Inf")


def counter(name: str, documentation: str, labels: Sequence[str], rows: Iterable[Row]) -> Metric:
    """What only grows. The name ends in `_total`."""
    family = CounterMetricFamily(name, documentation, labels=labels)
    for values, number in rows:
        family.add_metric(values, number)
    return family


def gauge(name: str, documentation: str, labels: Sequence[str], rows: Iterable[Row]) -> Metric:
    """What is so now."""
    family = GaugeMetricFamily(name, documentation, labels=labels)
    for values, number in rows:
        family.add_metric(values, number)
    return family


def summary(
    name: str, documentation: str, labels: Sequence[str], rows: Iterable[tuple[tuple[str, ...], int, float]]
) -> Metric:
    """How many there were, and their sum."""
    family = SummaryMetricFamily(name, documentation, labels=labels)
    for values, number, total in rows:
        family.add_metric(values, number, total)
    return family


def histogram(name: str, documentation: str, rows: Iterable[tuple[tuple[str, str], Histogram]]) -> Metric:
    """Durations by deployment."""
    family = HistogramMetricFamily(name, documentation, labels=DEPLOYMENT)
    for values, counted in rows:
        buckets = list(zip(_BOUNDS, map(float, accumulate(counted.counts)), strict=True))
        family.add_metric(values, buckets, counted.sum_s)
    return family

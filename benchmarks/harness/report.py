"""Turns runs into a table for people and records for machines."""

import dataclasses
import os
import platform
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from harness import teal
from harness.measure import Run
from harness.systems import Pauses

COLUMNS = (
    "variant",
    "system",
    "connections",
    "CPU us/req",
    "all CPU us/req",
    "req/s",
    "p50 ms",
    "p99 ms",
    "errors",
    "runs",
)
ROW = "{:<14} {:<18} {:>11} {:>11} {:>14} {:>9} {:>8} {:>8} {:>7} {:>4}"


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle of several rounds, and how far they lie apart."""

    median: float
    least: float
    most: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.least:.2f}..{self.most:.2f})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A system's measure against its peer's, at one number of connections and in one variant.

    `value` is the ratio of the two, or their difference in `unit` if that is given. `target` is the least that is
    wanted, or the greatest if `is_cost`; then no round may be above `worst`. None: nothing is wanted, it is only told.
    """

    system: str
    peer: str
    connections: int
    measure: str
    value: Spread
    target: float | None
    unit: str = ""
    variant: str = ""
    is_cost: bool = False
    worst: float = float("inf")

    @property
    def is_met(self) -> bool | None:
        if self.target is None:
            return None
        if self.is_cost:
            return self.value.median <= self.target and self.value.most <= self.worst
        return self.value.median >= self.target

    def __str__(self) -> str:
        where = f"{self.variant}, " if self.variant else ""
        how, unit = ("-", f" {self.unit}") if self.unit else ("/", "")
        verdict = "" if self.target is None else f", target {self.target:g}{unit}: {'met' if self.is_met else 'MISSED'}"
        return (
            f"{self.system} {how} {self.peer}, {where}{self.connections} connections, {self.measure}: "
            f"{self.value}{unit}{verdict}"
        )


def spread(values: Sequence[float]) -> Spread:
    return Spread(statistics.median(values), min(values), max(values))


def requests_per_cpu_second(run: Run) -> float:
    return 1e6 / run.cpu_us


def requests_per_second(run: Run) -> float:
    return run.answers.per_second


def cpu_per_request(run: Run) -> float:
    return run.cpu_us


def all_cpu_per_request(run: Run) -> float:
    return run.all_cpu_us


def p50(run: Run) -> float:
    return run.answers.p50_ms


def p99(run: Run) -> float:
    return run.answers.p99_ms


def compare(
    runs: Iterable[Run],
    system: str,
    peer: str,
    measure: Callable[[Run], float],
    target: float | None = None,
    *,
    is_cost: bool = False,
    worst: float = float("inf"),
    unit: str = "",
) -> list[Comparison]:
    """One comparison per variant and number of connections that both were measured in.

    Ratios, or differences if a `unit` is given, are taken within a round, so slow minutes cancel.
    """
    values = {(run.system, run.variant, run.connections, run.round): measure(run) for run in runs}
    found: dict[tuple[str, int], list[float]] = {}
    for (name, variant, connections, number), value in values.items():
        other = values.get((peer, variant, connections, number))
        if name == system and other is not None:
            found.setdefault((variant, connections), []).append(value - other if unit else value / other)
    return [
        Comparison(
            system=system,
            peer=peer,
            connections=at,
            measure=measure.__name__.replace("_", " "),
            value=spread(each),
            target=target,
            unit=unit,
            variant=variant,
            is_cost=is_cost,
            worst=worst,
        )
        for (variant, at), each in found.items()
    ]


def table(runs: Iterable[Run]) -> str:
    """Medians over the rounds, one line per system and number of connections; errors and requests are sums."""
    groups: dict[tuple[str, str, int, str], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.comparison, run.variant, run.connections, run.system), []).append(run)
    return "\n".join([ROW.format(*COLUMNS), *map(_row, groups.values())])


def _row(runs: Sequence[Run]) -> str:
    def middle(value: Callable[[Run], float]) -> float:
        return statistics.median(map(value, runs))

    first = runs[0]
    return ROW.format(
        first.variant or first.comparison or "-",
        first.system,
        first.connections,
        f"{middle(cpu_per_request):.1f}",
        f"{middle(all_cpu_per_request):.1f}",
        f"{middle(requests_per_second):.0f}",
        f"{middle(p50):.3f}",
        f"{middle(p99):.3f}",
        sum(run.answers.errors for run in runs),
        len(runs),
    )


def pauses(runs: Iterable[Run]) -> list[str]:
    """A line for each system that says how long it stood still; the longest of all its runs."""
    found: dict[tuple[str, str], list[Pauses]] = {}
    for run in runs:
        if run.pauses.gc_ms is not None and run.pauses.loop_lag_ms is not None:
            found.setdefault((run.comparison, run.system), []).append(run.pauses)
    return [
        f"{system}, {comparison}: longest pause of the garbage collector {max(each.gc_ms or 0 for each in of_all):.1f}"
        f" ms, longest lag of the event loop {max(each.loop_lag_ms or 0 for each in of_all):.1f} ms"
        for (comparison, system), of_all in found.items()
    ]


def as_json(
    runs: Iterable[Run], comparisons: Iterable[Comparison], settings: Mapping[str, object]
) -> dict[str, object]:
    return {
        "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "settings": dict(settings),
        "runs": [dataclasses.asdict(run) | {"per_second": run.answers.per_second} for run in runs],
        "comparisons": [_record(each) for each in comparisons],
    }


def _record(comparison: Comparison) -> dict[str, object]:
    record = dataclasses.asdict(comparison) | {"is_met": comparison.is_met}
    if comparison.worst == float("inf"):
        del record["worst"]  # JSON has no infinity
    return record


def machine() -> dict[str, object]:
    """What a reader must know to compare these numbers with others."""
    return {
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "teal": "compiled" if teal.is_compiled() else "interpreted",
    }

"""Turns runs into a table for people and records for machines."""

import dataclasses
import os
import platform
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from harness.measure import Run

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
    """A system's measure divided by its peer's, at one number of connections and in one variant.

    `target` is the least ratio that is wanted, or the greatest if `is_cost`; then no round may be above `worst`.
    """

    system: str
    peer: str
    connections: int
    measure: str
    ratio: Spread
    target: float
    variant: str = ""
    is_cost: bool = False
    worst: float = float("inf")

    @property
    def is_met(self) -> bool:
        if self.is_cost:
            return self.ratio.median <= self.target and self.ratio.most <= self.worst
        return self.ratio.median >= self.target

    def __str__(self) -> str:
        verdict = "met" if self.is_met else "MISSED"
        where = f"{self.variant}, " if self.variant else ""
        return (
            f"{self.system} / {self.peer}, {where}{self.connections} connections, {self.measure}: "
            f"{self.ratio}, target {self.target:g}: {verdict}"
        )


def spread(values: Sequence[float]) -> Spread:
    return Spread(statistics.median(values), min(values), max(values))


def requests_per_cpu_second(run: Run) -> float:
    return 1e6 / run.cpu_us


def requests_per_second(run: Run) -> float:
    return run.answers.per_second


def cpu_per_request(run: Run) -> float:
    return run.cpu_us


def compare(
    runs: Iterable[Run],
    system: str,
    peer: str,
    measure: Callable[[Run], float],
    target: float,
    *,
    is_cost: bool = False,
    worst: float = float("inf"),
) -> list[Comparison]:
    """One comparison per variant and number of connections; ratios are taken within a round, so slow minutes cancel."""
    values = {(run.system, run.variant, run.connections, run.round): measure(run) for run in runs}
    ratios: dict[tuple[str, int], list[float]] = {}
    for (name, variant, connections, number), value in values.items():
        if name == system:
            ratios.setdefault((variant, connections), []).append(value / values[peer, variant, connections, number])
    label = measure.__name__.replace("_", " ")
    return [
        Comparison(
            system=system,
            peer=peer,
            connections=at,
            measure=label,
            ratio=spread(found),
            target=target,
            variant=variant,
            is_cost=is_cost,
            worst=worst,
        )
        for (variant, at), found in ratios.items()
    ]


def table(runs: Iterable[Run]) -> str:
    """Medians over the rounds, one line per system and number of connections; errors and requests are sums."""
    groups: dict[tuple[str, int, str], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.variant, run.connections, run.system), []).append(run)
    return "\n".join([ROW.format(*COLUMNS), *(_row(*key, group) for key, group in groups.items())])


def _row(variant: str, at: int, name: str, runs: Sequence[Run]) -> str:
    def middle(value: Callable[[Run], float]) -> float:
        return statistics.median(map(value, runs))

    return ROW.format(
        variant or "-",
        name,
        at,
        f"{middle(cpu_per_request):.1f}",
        f"{middle(lambda run: run.all_cpu_us):.1f}",
        f"{middle(requests_per_second):.0f}",
        f"{middle(lambda run: run.answers.p50_ms):.2f}",
        f"{middle(lambda run: run.answers.p99_ms):.2f}",
        sum(run.answers.errors for run in runs),
        len(runs),
    )


def as_json(
    runs: Iterable[Run], comparisons: Iterable[Comparison], settings: Mapping[str, object]
) -> dict[str, object]:
    return {
        "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "settings": dict(settings),
        "runs": [dataclasses.asdict(run) | {"per_second": run.answers.per_second} for run in runs],
        "comparisons": [dataclasses.asdict(each) | {"is_met": each.is_met} for each in comparisons],
    }


def machine() -> dict[str, object]:
    """What a reader must know to compare these numbers with others."""
    return {"cores": os.cpu_count(), "kernel": platform.release(), "python": platform.python_version()}

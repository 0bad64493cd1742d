"""Measures systems in turns, so that a noisy minute of the machine falls on all of them."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from harness import wrk
from harness.pace import Pace
from harness.paced_load import PacedLoad
from harness.processes import cpu_ns
from harness.systems import UNTOLD, Pauses, System
from harness.wrk import Answers, Load

WARM_UP_S = 1.0  # of load that is not counted, so that pools and caches are filled
ROUND_SEEDS = 1_000_000  # more requests than one run sends, so that no request comes twice
WARM_UP_SEED = 9_000_000
DIRECT = "direct"
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One system under one load, once.

    `cpu_us` is per good answer and counts the processes that carry requests; `all_cpu_us` counts the whole system,
    `load_cpu_us` wrk and the upstream (0 where they were not measured). `variant` names what else was varied: bodies,
    mirror, log, rate. `comparison` is what `--only` calls it.
    """

    system: str
    connections: int
    round: int
    answers: Answers
    cpu_us: float
    all_cpu_us: float
    load_cpu_us: float = 0.0
    variant: str = ""
    comparison: str = ""
    pauses: Pauses = UNTOLD


def in_turns(items: Sequence[T], count: int) -> Iterator[tuple[int, T]]:
    """Every item once per round, with the round's number; every second round backwards, so that nobody is always first.

    >>> list(in_turns("ab", 2))
    [(0, 'a'), (0, 'b'), (1, 'b'), (1, 'a')]
    """
    for number in range(count):
        for item in items if number % 2 == 0 else reversed(items):
            yield number, item


def warm_up(systems: Sequence[System], load: Load, core: int | None) -> None:
    short = dataclasses.replace(load, seconds=WARM_UP_S, seed=WARM_UP_SEED)
    for system in systems:
        wrk.run(system.target, short, core=core)


def rounds(
    systems: Sequence[System],
    load: Load,
    *,
    count: int,
    core: int | None,
    variant: str = "",
    upstream: System | None = None,
) -> Iterator[Run]:
    """wrk's closed loop on every system in turns."""
    for number, system in in_turns(systems, count):
        seeded = dataclasses.replace(load, seed=number * ROUND_SEEDS)
        yield measure(system, seeded, number, core, variant=variant, upstream=upstream)


def measure(
    system: System,
    load: Load,
    number: int,
    core: int | None,
    *,
    variant: str = "",
    upstream: System | None = None,
) -> Run:
    """Put `load` on a running system; count the CPU time of its `upstream` too, if that is named."""
    others = upstream.pids() if upstream else []
    before = cpu_ns(others)
    run = _counted(system, number, load.connections, variant, lambda: wrk.run(system.target, load, core=core))
    used_s = (cpu_ns(others) - before) / 1e9 + run.answers.generator_s
    return dataclasses.replace(run, load_cpu_us=used_s * 1e6 / run.answers.good)


def measure_paced(system: System | None, load: PacedLoad, pace: Pace, number: int, variant: str) -> Run:
    """Send requests to a running system at their own pace; to the instance itself if there is none."""
    if system is not None:
        return _counted(system, number, pace.connections, variant, lambda: load.run(system.target, pace))
    answers = load.run(load.instance, pace)
    return Run(
        system=DIRECT,
        connections=pace.connections,
        round=number,
        answers=answers,
        cpu_us=0.0,
        all_cpu_us=0.0,
        variant=variant,
    )


def _counted(system: System, number: int, connections: int, variant: str, put_load: Callable[[], Answers]) -> Run:
    system.process.discard_output()
    data_path, everything = system.data_path_pids(), system.pids()
    before, all_before = cpu_ns(data_path), cpu_ns(everything)
    answers = put_load()
    used, all_used = cpu_ns(data_path) - before, cpu_ns(everything) - all_before
    return Run(
        system=system.name,
        connections=connections,
        round=number,
        answers=answers,
        cpu_us=used / 1e3 / answers.good,
        all_cpu_us=all_used / 1e3 / answers.good,
        variant=variant,
        pauses=system.pauses(),
    )

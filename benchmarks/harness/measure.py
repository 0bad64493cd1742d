"""Measures systems in turns, so that a noisy minute of the machine falls on all of them."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness import wrk
from harness.processes import cpu_ns
from harness.systems import System
from harness.wrk import Answers, Load

WARM_UP_S = 1.0  # of load that is not counted, so that pools and caches are filled
ROUND_SEEDS = 1_000_000  # more requests than one run sends, so that no request comes twice
WARM_UP_SEED = 9_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One system under one load, once.

    `cpu_us` is per good answer and counts the processes that carry requests; `all_cpu_us` counts the whole system.
    `variant` names what else was varied: bodies, mirror, log.
    """

    system: str
    connections: int
    round: int
    answers: Answers
    cpu_us: float
    all_cpu_us: float
    variant: str = ""


def warm_up(systems: Sequence[System], load: Load, core: int) -> None:
    short = dataclasses.replace(load, seconds=WARM_UP_S, seed=WARM_UP_SEED)
    for system in systems:
        wrk.run(system.target, short, core=core)


def rounds(systems: Sequence[System], load: Load, *, count: int, core: int, variant: str = "") -> Iterator[Run]:
    """Every system once per round; every second round goes backwards, so that nobody always comes first."""
    for number in range(count):
        turn = systems if number % 2 == 0 else tuple(reversed(systems))
        for system in turn:
            seeded = dataclasses.replace(load, seed=number * ROUND_SEEDS)
            yield measure(system, seeded, number, core, variant)


def measure(system: System, load: Load, number: int, core: int, variant: str = "") -> Run:
    """Put `load` on a running system."""
    system.process.discard_output()
    data_path, everything = system.data_path_pids(), system.pids()
    before, all_before = cpu_ns(data_path), cpu_ns(everything)
    answers = wrk.run(system.target, load, core=core)
    used, all_used = cpu_ns(data_path) - before, cpu_ns(everything) - all_before
    return Run(
        system=system.name,
        connections=load.connections,
        round=number,
        answers=answers,
        cpu_us=used / 1e3 / answers.good,
        all_cpu_us=all_used / 1e3 / answers.good,
        variant=variant,
    )

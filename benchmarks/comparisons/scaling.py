"""What a second proxy process brings on two cores that the load uses as well."""

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

from comparisons.settings import LOAD_CORE, SYSTEM_CORE, Outcome, Settings, started
from harness import report, systems, teal
from harness.measure import Run
from harness.systems import PLAIN, Work

CORES = {SYSTEM_CORE, LOAD_CORE}
COST_TARGET = 1.1  # CPU per request with two processes by that with one
USE_TARGET = 0.9
MANY = 256  # connections: the kernel deals them to the processes by a hash, evenly only if there are many


def two_processes(settings: Settings, scratch: Path) -> Outcome:
    """teal with one and with two proxy processes, everything on both cores as the scheduler likes."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(_on(CORES))
        upstream = stack.enter_context(started(systems.upstream(scratch / "upstream"), None))
        address = f"unix:{scratch / 'upstream' / 'upstream.sock'}"
        ceiling = stack.enter_context(started(systems.bare_upstream(scratch / "ceiling"), None))
        works = {"1 process": PLAIN, "2 processes": Work(processes=2)}
        one, two = (
            stack.enter_context(started(teal.proxy(scratch / name, address, work, name=name), None))
            for name, work in works.items()
        )
        load = settings.load(connections=MANY)
        runs = list(settings.measure([one, two, ceiling], load, core=None, upstream=upstream))
    comparisons = [
        *report.compare(runs, two.name, one.name, report.requests_per_second),
        *report.compare(runs, two.name, one.name, report.cpu_per_request, COST_TARGET, is_cost=True),
        *report.compare([*runs, *allowed(runs, two.name)], two.name, ALLOWED, report.requests_per_second, USE_TARGET),
    ]
    return runs, comparisons


ALLOWED = "what two cores allow"


def allowed(runs: list[Run], name: str) -> Iterator[Run]:
    """Runs as if nothing had waited: as many requests as both cores have time for, at the same cost each."""
    for run in runs:
        if run.system == name:
            us_each = run.all_cpu_us + run.load_cpu_us
            requests = round(len(CORES) * run.answers.duration_s * 1e6 / us_each)
            yield dataclasses.replace(run, system=ALLOWED, answers=dataclasses.replace(run.answers, requests=requests))


@contextlib.contextmanager
def _on(cores: set[int]) -> Iterator[None]:
    """Let this process, and what it starts, run on these cores only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)

"""What every comparison is given, and what it gives back."""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.measure import Run, rounds, warm_up
from harness.report import Comparison
from harness.systems import System
from harness.wrk import Load

SYSTEM_CORE, LOAD_CORE = 0, 1

Outcome = tuple[list[Run], list[Comparison]]
NOTHING: Outcome = ([], [])


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """`rate` is what the open loop sends per second; None is half of what teal reaches."""

    seconds: float
    rounds: int
    connections: int
    rate: float | None = None

    def measure(
        self,
        measured: Sequence[System],
        load: Load,
        variant: str = "",
        *,
        core: int | None = LOAD_CORE,
        upstream: System | None = None,
    ) -> Iterator[Run]:
        """wrk's closed loop on each of them, in turns, from `core` or from any."""
        warm_up(measured, load, core)
        for run in rounds(measured, load, count=self.rounds, core=core, variant=variant, upstream=upstream):
            yield told(run)

    def load(self, *, connections: int | None = None, body_bytes: int = 430) -> Load:
        return Load(connections=connections or self.connections, seconds=self.seconds, body_bytes=body_bytes)


def told(run: Run) -> Run:
    """The same run, after a line about it."""
    cost = f"{run.answers.per_second:.0f} req/s, {run.cpu_us:.1f} us"
    latency = f"p50 {run.answers.p50_ms:.3f} ms, p99 {run.answers.p99_ms:.3f} ms"
    print(f"  {run.variant} {run.system}, {run.connections} connections: {cost}, {latency}", file=sys.stderr)
    return run


def skipped(what: str, why: str) -> Outcome:
    print(f"{what} skipped: {why}", file=sys.stderr)
    return NOTHING


@contextlib.contextmanager
def started(system: System, core: int | None) -> Iterator[System]:
    try:
        yield system.start(core)
    finally:
        system.stop()

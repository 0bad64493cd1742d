"""teal and other servers of Python models, on the same scoring script."""

import contextlib
from collections.abc import Callable
from pathlib import Path

from comparisons.settings import SYSTEM_CORE, Outcome, Settings, skipped, started
from harness import report, teal
from harness.environments import InstallError
from harness.measure import Run
from harness.processes import StartError
from harness.report import Comparison
from harness.scorers import AZURE, OTHERS, SPIN90, Scorer
from harness.systems import System

WORKER_TARGET, ENDPOINT_TARGET = 3.0, 4.0


def worker(settings: Settings, scratch: Path) -> Outcome:
    """teal's worker alone and Azure's inference server."""
    return _against(AZURE, teal.worker, WORKER_TARGET, settings, scratch)


def endpoint(settings: Settings, scratch: Path) -> Outcome:
    """teal's router and worker, together on one core, and Azure's inference server alone on it."""
    return _against(AZURE, teal.endpoint, ENDPOINT_TARGET, settings, scratch)


def endpoint_against(name: str, settings: Settings, scratch: Path) -> Outcome:
    """teal's router and worker and another server; nothing is wanted of the ratio."""
    return _against(OTHERS[name], teal.endpoint, None, settings, scratch)


def _against(
    scorer: Scorer, build: Callable[[Path, Path], System], target: float | None, settings: Settings, scratch: Path
) -> Outcome:
    try:
        peer = scorer.system(scratch / "peer")
    except InstallError as error:
        return skipped(scorer.name, f"{scorer.requirement} cannot be installed:\n{error}")
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(started(peer, SYSTEM_CORE))
        except StartError as error:
            return skipped(scorer.name, f"it does not start:\n{error}")
        own = stack.enter_context(started(build(scratch / "teal", SPIN90), SYSTEM_CORE))
        loads = [settings.load(connections=at) for at in sorted({1, 8, settings.connections})]
        runs = [run for load in loads for run in settings.measure([peer, own], load)]

    def compared(measure: Callable[[Run], float], wanted: float | None) -> list[Comparison]:
        return report.compare(runs, own.name, peer.name, measure, wanted)

    return runs, compared(report.requests_per_second, target) + compared(report.all_cpu_per_request, None)

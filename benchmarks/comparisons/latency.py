"""What a proxy adds to the time of requests that come at their own pace, and what a hung mirror target changes."""

import contextlib
import dataclasses
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from comparisons.settings import LOAD_CORE, SYSTEM_CORE, Outcome, Settings, started, told
from harness import report, systems, teal, wrk
from harness.measure import DIRECT, ROUND_SEEDS, WARM_UP_S, Run, in_turns, measure_paced
from harness.pace import Pace
from harness.paced_load import PacedLoad
from harness.servers import SERVERS
from harness.systems import PLAIN, System, Work

P50_TARGET_MS, P99_TARGET_MS = 0.1, 1.0
BLACK_HOLE_TARGET = 1.1
BLACK_HOLE_PERCENTS = (10, 50)
LATE_MS = 0.05  # past it the generator itself is what was measured
VARIANT = "half load"


def added(settings: Settings, scratch: Path) -> Outcome:
    """teal's latency and nginx's, less the instance's own, at half of the rate that teal reaches."""
    with contextlib.ExitStack() as stack:
        load = stack.enter_context(PacedLoad(scratch / "instance.sock", LOAD_CORE))
        proxies = [teal.proxy(scratch / "teal", load.address)]
        if SERVERS["nginx"].is_installed:
            proxies.append(SERVERS["nginx"].build(scratch / "nginx", load.address, PLAIN))
        for proxy in proxies:
            stack.enter_context(started(proxy, SYSTEM_CORE))
        pace = _pace(settings, proxies[0])
        runs = list(_measured([None, *proxies], load, pace, settings.rounds))
    limits = {"teal proxy": (P50_TARGET_MS, P99_TARGET_MS), "nginx": (None, None)}
    differences = [
        comparison
        for proxy in proxies
        for measure, target in zip((report.p50, report.p99), limits[proxy.name], strict=True)
        for comparison in report.compare(runs, proxy.name, DIRECT, measure, target, is_cost=True, unit="ms")
    ]
    return runs, differences + report.compare(runs, "teal proxy", "nginx", report.cpu_per_request)


def beside_black_hole(settings: Settings, scratch: Path) -> Outcome:
    """p99 of live requests while their copies go to an instance that never answers, by p99 without a mirror."""
    with contextlib.ExitStack() as stack:
        load = stack.enter_context(PacedLoad(scratch / "instance.sock", LOAD_CORE))
        stack.enter_context(started(systems.black_hole(scratch / "hole"), LOAD_CORE))
        hole = f"unix:{scratch / 'hole' / 'hole.sock'}"
        works = {"mirror off": PLAIN}
        works |= {f"black hole {share} %": Work(mirror_percent=share, black_hole=hole) for share in BLACK_HOLE_PERCENTS}
        proxies = [teal.proxy(scratch / name, load.address, work, name=name) for name, work in works.items()]
        for proxy in proxies:
            stack.enter_context(started(proxy, SYSTEM_CORE))
        runs = list(_measured(proxies, load, _pace(settings, proxies[0]), settings.rounds))
    off, *holes = works
    return runs, [
        comparison
        for name in holes
        for comparison in report.compare(runs, name, off, report.p99, BLACK_HOLE_TARGET, is_cost=True)
    ]


def _pace(settings: Settings, proxy: System) -> Pace:
    """Half of what `proxy` reaches in a closed loop, unless the settings say another rate."""
    rate = settings.rate
    if rate is None:
        proxy.process.discard_output()
        wrk.run(proxy.target, dataclasses.replace(settings.load(), seconds=WARM_UP_S), core=LOAD_CORE)
        reached = wrk.run(proxy.target, settings.load(), core=LOAD_CORE).per_second
        rate = reached / 2
        print(f"  {proxy.name} reaches {reached:.0f} req/s; half of it is sent", file=sys.stderr)
    return Pace(per_second=rate, seconds=settings.seconds)


def _measured(measured: Sequence[System | None], load: PacedLoad, pace: Pace, rounds: int) -> Iterator[Run]:
    warm = dataclasses.replace(pace, seconds=WARM_UP_S, seed=rounds * ROUND_SEEDS)
    for system in measured:
        measure_paced(system, load, warm, 0, VARIANT)
    for number, system in in_turns(measured, rounds):
        # All of a round get the same arrivals.
        run = told(measure_paced(system, load, dataclasses.replace(pace, seed=number), number, VARIANT))
        if run.answers.late_p50_ms > LATE_MS:
            print(
                f"  sent {run.answers.late_p50_ms:.3f} ms late: the machine is busy, or --rate too high for it",
                file=sys.stderr,
            )
        yield run

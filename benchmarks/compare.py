"""Compares teal with its peers, side by side on this machine: `python benchmarks/compare.py --help`."""

import argparse
import contextlib
import dataclasses
import itertools
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import azure, chart, report, systems, wrk
from harness.measure import Run, rounds, warm_up
from harness.processes import StartError
from harness.report import Comparison
from harness.systems import System, Work
from harness.wrk import Load

SYSTEM_CORE, LOAD_CORE = 0, 1
PROXY_TARGET, WORKER_TARGET = 7.0, 3.0
NGINX_TARGET, NGINX_WORST = 1.0, 1.15


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    seconds: float
    rounds: int
    connections: int

    def measure(self, measured: Sequence[System], load: Load, variant: str = "") -> Iterator[Run]:
        warm_up(measured, load, LOAD_CORE)
        for run in rounds(measured, load, count=self.rounds, core=LOAD_CORE, variant=variant):
            print(f"  {variant} {run.system}: {run.answers.per_second:.0f} req/s, {run.cpu_us:.1f} us", file=sys.stderr)
            yield run

    def load(self, *, connections: int | None = None, body_bytes: int = 430) -> Load:
        return Load(connections=connections or self.connections, seconds=self.seconds, body_bytes=body_bytes)


Outcome = tuple[list[Run], list[Comparison]]


@contextlib.contextmanager
def started(system: System, core: int) -> Iterator[System]:
    try:
        yield system.start(core)
    finally:
        system.stop()


def compare_proxies(settings: Settings, scratch: Path) -> Outcome:
    """teal's proxy and the aiohttp one, on the same upstream."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(started(systems.upstream(scratch / "upstream"), LOAD_CORE))
        address = f"unix:{scratch / 'upstream' / 'upstream.sock'}"
        ceiling = stack.enter_context(started(systems.bare_upstream(scratch / "ceiling"), LOAD_CORE))
        proxies = [
            stack.enter_context(started(systems.aiohttp_proxy(scratch / "aiohttp", address), SYSTEM_CORE)),
            stack.enter_context(started(systems.teal_proxy(scratch / "teal", address), SYSTEM_CORE)),
        ]
        runs = list(settings.measure([*proxies, ceiling], settings.load()))
    peer, teal = proxies
    return runs, report.compare(runs, teal.name, peer.name, report.requests_per_cpu_second, PROXY_TARGET)


PLAIN = Work()


@dataclass(frozen=True, slots=True)
class Variant:
    """One way in which proxies are compared; processes of the same `work` are shared."""

    name: str
    work: Work = PLAIN
    connections: int | None = None
    body_bytes: int = 430


VARIANTS = (
    Variant("plain"),
    Variant("plain", connections=1),
    Variant("plain", connections=256),
    Variant("64 KiB", body_bytes=65536),
    Variant("no log", Work(has_access_log=False)),
    Variant("mirror 10 %", Work(mirror_percent=10)),
    Variant("mirror 50 %", Work(mirror_percent=50)),
)


def compare_with_nginx(settings: Settings, scratch: Path) -> Outcome:
    """teal's proxy and nginx, on the same upstream, in every variant."""
    if not systems.has_nginx():
        print("nginx comparison skipped; on Debian: apt-get install nginx", file=sys.stderr)
        return [], []
    runs: list[Run] = []
    for number, (work, variants) in enumerate(itertools.groupby(VARIANTS, lambda variant: variant.work)):
        with contextlib.ExitStack() as stack:
            folder = scratch / str(number)
            stack.enter_context(started(systems.upstream(folder / "upstream"), LOAD_CORE))
            address = f"unix:{folder / 'upstream' / 'upstream.sock'}"
            pair = [
                stack.enter_context(started(systems.nginx(folder / "nginx", address, work), SYSTEM_CORE)),
                stack.enter_context(started(systems.teal_proxy(folder / "teal", address, work), SYSTEM_CORE)),
            ]
            for variant in variants:
                load = settings.load(connections=variant.connections, body_bytes=variant.body_bytes)
                runs += settings.measure(pair, load, variant.name)
    measure = report.cpu_per_request
    return runs, report.compare(runs, "teal proxy", "nginx", measure, NGINX_TARGET, is_cost=True, worst=NGINX_WORST)


def compare_workers(settings: Settings, scratch: Path) -> Outcome:
    """teal's worker and Azure's inference server, on the same scoring script."""
    try:
        azmlinfsrv = azure.install()
    except azure.InstallError as error:
        print(f"worker comparison skipped, Azure's inference server cannot be installed:\n{error}", file=sys.stderr)
        return [], []
    with contextlib.ExitStack() as stack:
        peer = stack.enter_context(started(systems.azure_server(scratch / "azure", azmlinfsrv), SYSTEM_CORE))
        teal = stack.enter_context(started(systems.teal_worker(scratch / "worker"), SYSTEM_CORE))
        loads = [settings.load(connections=at) for at in sorted({1, 8, settings.connections})]
        runs = [run for load in loads for run in settings.measure([peer, teal], load)]
    return runs, report.compare(runs, teal.name, peer.name, report.requests_per_second, WORKER_TARGET)


COMPARISONS: dict[str, Callable[[Settings, Path], Outcome]] = {
    "proxy": compare_proxies,
    "nginx": compare_with_nginx,
    "worker": compare_workers,
}


def run_all(names: Sequence[str], settings: Settings) -> Outcome:
    runs: list[Run] = []
    comparisons: list[Comparison] = []
    with tempfile.TemporaryDirectory(prefix="teal-bench-") as scratch:
        for name in names:
            print(f"{name}:", file=sys.stderr)
            more_runs, more_comparisons = COMPARISONS[name](settings, Path(scratch) / name)
            runs += more_runs
            comparisons += more_comparisons
    return runs, comparisons


def parse_names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := sorted(set(names) - COMPARISONS.keys()):
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)} is none of {', '.join(COMPARISONS)}")
    return names


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5, help="length of one run (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each system (default %(default)s)")
    parser.add_argument("--connections", type=int, default=32, help="keep-alive connections (default %(default)s)")
    parser.add_argument(
        "--only", type=parse_names, default=list(COMPARISONS), help="proxy, nginx, worker; several by comma"
    )
    parser.add_argument("--svg", type=Path, metavar="FILE", help="also draw CPU per request")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write everything measured to FILE")
    return parser.parse_args()


def refusal() -> str | None:
    """Why nothing can be measured here."""
    if not wrk.is_installed():
        return wrk.INSTALL_HINT
    if not os.sched_getaffinity(0) >= {SYSTEM_CORE, LOAD_CORE}:
        return f"cores {SYSTEM_CORE} and {LOAD_CORE} are needed; this process may use {sorted(os.sched_getaffinity(0))}"
    return None


def main() -> int:
    arguments = parse_arguments()
    if (problem := refusal()) is not None:
        print(problem, file=sys.stderr)
        return 1
    settings = Settings(seconds=arguments.seconds, rounds=arguments.rounds, connections=arguments.connections)
    try:
        runs, comparisons = run_all(arguments.only, settings)
    except (StartError, wrk.WrkError) as error:
        print(error, file=sys.stderr)
        return 1
    print(report.table(runs), *comparisons, sep="\n")
    document = report.as_json(runs, comparisons, dataclasses.asdict(settings))
    if arguments.svg:
        machine = ", ".join(f"{name} {value}" for name, value in report.machine().items())
        arguments.svg.write_text(chart.svg([dataclasses.asdict(run) for run in runs], machine))
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(document, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

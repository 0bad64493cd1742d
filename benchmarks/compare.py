"""Compares teal with its peers, side by side on this machine: `python benchmarks/compare.py --help`."""

import argparse
import dataclasses
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from comparisons import latency, proxies, scaling, scoring
from comparisons.settings import LOAD_CORE, SYSTEM_CORE, Outcome, Settings
from harness import chart, report, wrk
from harness.measure import Run
from harness.open_loop import LoadError
from harness.processes import StartError
from harness.report import Comparison
from harness.scorers import OTHERS
from harness.servers import SERVERS

Compare = Callable[[Settings, Path], Outcome]
COMPARISONS: dict[str, Compare] = {
    "proxy": proxies.with_aiohttp,
    **{name: partial(proxies.with_servers, [name]) for name in SERVERS},
    "interpreted": proxies.with_interpreted,
    "latency": latency.added,
    "black-hole": latency.beside_black_hole,
    "processes": scaling.two_processes,
    "worker": scoring.worker,
    "endpoint": scoring.endpoint,
    **{name: partial(scoring.endpoint_against, name) for name in OTHERS},
}
OPTIONAL = frozenset(OTHERS)  # only when asked for: they install much and take long to start
CHARTED = "servers"  # those that do the same work; one that only forwards would be a bar among unlike ones


def chosen(names: Sequence[str]) -> Iterator[tuple[str, Compare]]:
    """What to run for these names; the servers among them together, in the same rounds."""
    servers = [name for name in names if name in SERVERS]
    for name in names:
        if name not in SERVERS:
            yield name, COMPARISONS[name]
        elif name == servers[0]:
            yield "servers", partial(proxies.with_servers, servers)


def run_all(names: Sequence[str], settings: Settings) -> Outcome:
    runs: list[Run] = []
    comparisons: list[Comparison] = []
    with tempfile.TemporaryDirectory(prefix="teal-bench-") as scratch:
        for name, compare in chosen(names):
            print(f"{name}:", file=sys.stderr)
            more_runs, more_comparisons = compare(settings, Path(scratch) / name)
            runs += [dataclasses.replace(run, comparison=name) for run in more_runs]
            comparisons += more_comparisons
    return runs, comparisons


def parse_names(text: str) -> list[str]:
    names = list(dict.fromkeys(text.split(",")))
    if unknown := sorted(set(names) - COMPARISONS.keys()):
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)} is none of {', '.join(COMPARISONS)}")
    return names


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5, help="length of one run (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each system (default %(default)s)")
    parser.add_argument("--connections", type=int, default=32, help="keep-alive connections (default %(default)s)")
    parser.add_argument("--rate", type=float, help="requests per second of the open loop (default half of teal's most)")
    usual = [name for name in COMPARISONS if name not in OPTIONAL]
    parser.add_argument(
        "--only",
        type=parse_names,
        default=usual,
        metavar="NAMES",
        help=f"by comma, of {', '.join(COMPARISONS)} (default all but {', '.join(OTHERS)})",
    )
    parser.add_argument("--svg", type=Path, metavar="FILE", help="also draw CPU per request of teal and the servers")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write everything measured to FILE")
    return parser.parse_args()


def refusal() -> str | None:
    """Why nothing can be measured here."""
    if not wrk.is_installed():
        return wrk.INSTALL_HINT
    if not os.sched_getaffinity(0) >= {SYSTEM_CORE, LOAD_CORE}:
        return f"cores {SYSTEM_CORE} and {LOAD_CORE} are needed; this process may use {sorted(os.sched_getaffinity(0))}"
    return None


def draw(runs: Sequence[Run], file: Path) -> None:
    """The picture of what is drawn of these runs; a message if that is nothing."""
    charted = [dataclasses.asdict(run) for run in runs if run.comparison == CHARTED]
    if not charted:
        print(f"nothing to draw: the picture is of {', '.join(SERVERS)}", file=sys.stderr)
        return
    machine = ", ".join(f"{name} {value}" for name, value in report.machine().items())
    file.write_text(chart.svg(charted, machine))


def main() -> int:
    arguments = parse_arguments()
    if (problem := refusal()) is not None:
        print(problem, file=sys.stderr)
        return 1
    settings = Settings(
        seconds=arguments.seconds, rounds=arguments.rounds, connections=arguments.connections, rate=arguments.rate
    )
    try:
        runs, comparisons = run_all(arguments.only, settings)
    except (StartError, wrk.WrkError, LoadError) as error:
        print(error, file=sys.stderr)
        return 1
    print(report.table(runs), *comparisons, *report.pauses(runs), sep="\n")
    document = report.as_json(runs, comparisons, dataclasses.asdict(settings))
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(document, indent=1) + "\n")
    if arguments.svg:
        draw(runs, arguments.svg)
    return 0


if __name__ == "__main__":
    sys.exit(main())

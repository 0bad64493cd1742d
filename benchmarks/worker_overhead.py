"""What the worker costs per request when run() does nothing: `python benchmarks/worker_overhead.py --help`."""

import argparse
import contextlib
import os
import socket
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from harness import closed_loop
from harness.closed_loop import AnswerError
from harness.processes import StartError, accepts, cpu_ns
from harness.systems import BENCHMARKS, ROOT, System
from harness.wrk import Target

# The cores of the systems and of the load; None is any.
PLACEMENTS: dict[str, tuple[int | None, int | None]] = {"apart": (0, 1), "together": (0, 0), "free": (None, None)}
WARM_UP_S = 0.5
ROUND_REQUESTS = 10_000_000  # more than one run sends, so that no request comes twice
TRIVIAL = BENCHMARKS / "scripts" / "trivial"
FLOOR = "floor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """CPU time of one system per request, once."""

    system: str
    connections: int
    cpu_us: float


def worker(name: str, tree: Path, scratch: Path) -> System:
    """The worker of a source tree, on a Unix socket as under the supervisor."""
    path = scratch / "socket"
    options = ["--script", "score.py", "--code-dir", str(TRIVIAL), "--listen", f"unix:{path}"]
    return _system(name, ["-m", "workers", *options], scratch, {"PYTHONPATH": str(tree)})


def floor(scratch: Path) -> System:
    """uvloop and nothing else."""
    return _system(FLOOR, [str(BENCHMARKS / "peers" / "constant.py"), "--listen", str(scratch / "socket")], scratch, {})


def _system(name: str, arguments: Sequence[str], scratch: Path, env: dict[str, str]) -> System:
    path = scratch / "socket"
    return System(
        name=name,
        command=[sys.executable, *arguments],
        target=Target(url="http://worker/score"),
        is_ready=lambda: accepts(socket.AF_UNIX, str(path)),
        scratch=scratch,
        env=env,
        cwd=scratch,
    )


@contextlib.contextmanager
def started(systems: Sequence[System], core: int | None) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for system in systems:
            system.scratch.mkdir()
            stack.callback(system.stop)
            system.start(core)
        yield


def measure(system: System, connections: int, seconds: float, number: int) -> Cost:
    """Load a running system once, after a warm-up that is not counted."""
    path, first = system.scratch / "socket", number * ROUND_REQUESTS
    warm = closed_loop.run(path, connections=connections, seconds=WARM_UP_S, first=first)
    before = cpu_ns(system.pids())
    answered = closed_loop.run(path, connections=connections, seconds=seconds, first=first + warm)
    used = cpu_ns(system.pids()) - before
    return Cost(system=system.name, connections=connections, cpu_us=used / 1e3 / answered)


def rounds(systems: Sequence[System], arguments: argparse.Namespace) -> Iterator[Cost]:
    """Every system once per round and number of connections; every second round goes backwards."""
    for number in range(arguments.rounds):
        turn = systems if number % 2 == 0 else tuple(reversed(systems))
        for connections in arguments.connections:
            yield from (measure(system, connections, arguments.seconds, number) for system in turn)
        print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)


def table(costs: Sequence[Cost]) -> str:
    """A line per system and number of connections: median and range over the rounds, and the median by the floor's."""
    lines = ["| connections | system | CPU us/req, median (range) | / floor |", "|---|---|---|---|"]
    for connections, system in dict.fromkeys((cost.connections, cost.system) for cost in costs):
        lowest = median(_of(costs, connections, FLOOR))
        values = _of(costs, connections, system)
        spread = f"{median(values):.1f} ({min(values):.1f}..{max(values):.1f})"
        lines.append(f"| {connections} | {system} | {spread} | {median(values) / lowest:.1f} |")
    return "\n".join(lines)


def _of(costs: Sequence[Cost], connections: int, system: str) -> list[float]:
    return [cost.cpu_us for cost in costs if (cost.connections, cost.system) == (connections, system)]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--seconds", type=float, default=2, help="length of one run (default %(default)s)")
    add("--rounds", type=int, default=5, help="runs of each system (default %(default)s)")
    add("--connections", type=int, nargs="+", default=[1, 4, 32], metavar="N", help="keep-alive ones (default 1 4 32)")
    add("--placement", choices=PLACEMENTS, default="apart", help="systems on core 0 and load on 1, both on 0, or free")
    add("--against", type=Path, metavar="TREE", help="measure the worker of another source tree too")
    return parser.parse_args()


def main() -> int:
    arguments = parse_arguments()
    core, load_core = PLACEMENTS[arguments.placement]
    if load_core is not None:
        os.sched_setaffinity(0, {load_core})  # the load comes from this process
    with tempfile.TemporaryDirectory(prefix="teal-bench-") as place:
        systems = [floor(Path(place) / "floor"), worker("worker", ROOT, Path(place) / "worker")]
        if arguments.against:
            systems.append(worker("other worker", arguments.against.absolute(), Path(place) / "other"))
        try:
            with started(systems, core):
                costs = list(rounds(systems, arguments))
        except (StartError, AnswerError) as error:
            print(error, file=sys.stderr)
            return 1
    print(table(costs))
    return 0


if __name__ == "__main__":
    sys.exit(main())

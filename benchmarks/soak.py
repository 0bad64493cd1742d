"""What happens when everything around teal fails: each fault under a steady load, its figures, and what must hold.

Exits with 1 when something does not hold.
"""

import argparse
import json
import os
import resource
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from faults import changing, clock, killing, mirrors, nothing, resources, service, slow
from faults.finding import MB, Fault, Finding, Lane, Soak
from harness.processes import StartError
from harness.report import machine

FAULTS: Mapping[str, Fault] = {
    "kill-worker": killing.kill_worker,
    "kill-worker-idempotent": killing.kill_worker_idempotent,
    "stop-worker": killing.stop_worker,
    "kill-proxy": killing.kill_proxy,
    "systemd-kill": service.kill_outside,
    "systemd-reload": service.reload_outside,
    "systemd-restart": service.restart_outside,
    "systemd-stop": service.stop_outside,
    "reload": changing.reload,
    "rolling": changing.rolling,
    "rolling-fails": changing.rolling_fails,
    "mirror-black-hole": mirrors.black_hole,
    "mirror-reset": mirrors.reset,
    "mirror-garbage": mirrors.garbage,
    "mirror-flood": mirrors.flood,
    "descriptors": resources.descriptors,
    "disk": resources.disk,
    "hung-disk": resources.hung_disk,
    "log": resources.log,
    "clock-back": clock.clock_back,
    "slow-clients": slow.slow_clients,
    "never-read": slow.never_read,
}
#: What the instrument itself is proved by; run on demand.
PROOFS: Mapping[str, Fault] = {"nothing": nothing.nothing}
ALL = {**FAULTS, **PROOFS}
LANES: Mapping[str, Sequence[Lane]] = {"fast": ("fast",), "full": ("full",), "both": ("fast", "full")}


def findings(options: argparse.Namespace) -> Iterator[Finding]:
    """Each fault on each lane, one after the other."""
    with tempfile.TemporaryDirectory(prefix="teal-soak-") as scratch:
        for name in options.only:
            for lane in LANES[options.lane]:
                yield ALL[name](
                    Soak(
                        scratch=Path(scratch),
                        lane=lane,
                        seconds=options.seconds,
                        times=options.times,
                        systemd=shlex.split(options.with_systemd),
                    )
                )


def text(found: Finding) -> str:
    """A finding, for people."""
    if found.skipped:
        return f"{found.fault} ({found.lane} lane): skipped: {found.skipped}"
    before, after = found.rss_bytes
    lines = [
        f"{found.fault} ({found.lane} lane, {found.request_path}), {found.seconds:.0f} s",
        f"  {found.requests} requests, {found.failed} failed {found.failures or ''}, "
        f"{found.retried} retried, {found.dropped} copies dropped",
        "  p50 {:.2f} -> {:.2f} ms, p99 {:.2f} -> {:.2f} ms, at most {:.0f}".format(
            *found.p50_ms, *found.p99_ms, found.slowest_ms
        )
        + f"; rss {before / MB:.1f} -> {after / MB:.1f} MB, at most {found.peak_rss_bytes / MB:.1f}; "
        + "fds {} -> {}; loop late by {:.0f} ms, gc {:.0f} ms".format(*found.fds, found.lag_ms, found.gc_ms),
    ]
    if found.busy_percent:
        shares = ", ".join(f"{percent:.1f} % {kind}" for kind, percent in found.busy_percent.items())
        lines.append(f"  CPU of all proxies, of a core: {shares}")
    for check in found.checks:
        seen = f" ({check.seen})" if check.seen else ""
        lines.append(f"  {'holds' if check.holds else 'DOES NOT HOLD'}: {check.text}{seen}")
    return "\n".join(lines)


def record(found: Sequence[Finding], path: Path) -> None:
    """Write all figures; what the file has of other faults and lanes stays, so that a soak may be run in pieces."""
    kept: dict[str, Any] = json.loads(path.read_text())["findings"] if path.exists() else {}
    for finding in found:
        taken_at = datetime.now(UTC).isoformat(timespec="seconds")
        figures = finding.record() | {"holds": finding.holds, "taken_at": taken_at}
        kept[f"{finding.fault}, {finding.lane} lane"] = figures
    # Whether teal was compiled is told by each finding: this process runs none of it, and findings are of many days.
    where = {name: value for name, value in machine().items() if name != "teal"}
    path.write_text(json.dumps({"machine": where, "findings": kept}, indent=1) + "\n")


def names(given: str) -> list[str]:
    """Faults by a comma-separated list."""
    chosen = given.split(",")
    if unknown := [name for name in chosen if name not in ALL]:
        raise argparse.ArgumentTypeError(f"no fault {', '.join(unknown)}; there are {', '.join(ALL)}")
    return chosen


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=names, default=list(FAULTS), metavar="FAULT,...", help=", ".join(ALL))
    parser.add_argument("--seconds", type=float, default=10.0, help="that a fault lasts; default 10")
    parser.add_argument("--times", type=int, default=20, help="of what is done by count, as restarts; default 20")
    parser.add_argument("--lane", choices=LANES, default="fast")
    parser.add_argument(
        "--with-systemd",
        metavar="COMMAND",
        default=os.environ.get("TEAL_WITH_SYSTEMD", ""),
        help="that runs its arguments as root under a systemd of their own; default $TEAL_WITH_SYSTEMD, or skip those",
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write all figures there, beside those of other faults"
    )
    return parser.parse_args()


def main() -> int:
    options = arguments()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    found: list[Finding] = []
    try:
        for finding in findings(options):
            found.append(finding)
            print(text(finding), flush=True)
    except StartError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        if options.json:
            record(found, options.json)
    return 0 if all(finding.holds for finding in found) else 1


if __name__ == "__main__":
    sys.exit(main())

"""A daemon under a steady load, spells with and without a fault, and what was found."""

import contextlib
import os
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Self

import psutil
from faults.daemon import Daemon, Held
from faults.finding import Finding, Soak
from harness.processes import PinnedProcess, cpu_ns
from harness.samples import Contrast, Sample, Samples, Span
from harness.steady import READY
from harness.systems import BENCHMARKS
from harness.teal import longest_ms

WARM_UP_S = 1.0
PATIENCE_S = 90.0
POLL_S = 0.05
LOOK_EVERY_S = 0.2
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
#: Between what a process does and when another one's clock says so.
MARGIN_S = 0.1
#: Of spells that are compared.
ROUNDS, SPELL_S, SETTLE_S = 34, 2.0, 0.5
#: Of three kinds of spells, which take three minutes as well.
ROUNDS_WITH_CONTROL = 22
P99_WITHIN_PERCENT = 10
#: Requests per second, whatever the fault.
RATE = 1000
#: Of the rate that is asked for.
LEAST_RATIO = 0.9


def wait_until(is_so: Callable[[], object], seconds: float = PATIENCE_S) -> bool:
    """Whether it becomes so in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, ValueError, KeyError, psutil.NoSuchProcess):
            if is_so():
                return True
        time.sleep(POLL_S)
    return False


class PeakMemory:
    """The most memory that some processes held together, looked at again and again.

    To look takes tens of microseconds, and when nobody else wants a core: a search of all processes and a question to
    the daemon, five times a second, were what most of the p99 was made of.

    Args:
        pids: Tells which processes; asked at the start, and when one of them is gone.
    """

    def __init__(self, pids: Callable[[], Sequence[int]]) -> None:
        self._pids = pids
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory", daemon=True)
        self.rss_bytes = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))  # of this thread
        pids: Sequence[int] = ()
        while not self._stop.wait(LOOK_EVERY_S):
            try:
                pids = pids or self._pids()
                self.rss_bytes = max(self.rss_bytes, sum(map(rss_bytes, pids)))
            except (OSError, HTTPException, psutil.NoSuchProcess):
                pids = ()


def rss_bytes(pid: int) -> int:
    """The resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that is made, and how it is ended."""

    begin: Callable[[], None]
    end: Callable[[], None]


class Rig:
    """A daemon and its load, for the time of one fault.

    Args:
        key: Credential of the requests.
    """

    def __init__(self, soak: Soak, daemon: Daemon, *, key: str = "none") -> None:
        self.daemon = daemon
        self._soak = soak
        self._key = key
        self._folder = daemon.scratch
        self._load: PinnedProcess | None = None
        self._quiet: list[Span] = []
        self._fault: list[Span] = []
        self._control: list[Span] = []
        self._busy_percent: dict[str, list[float]] = {}  # of a core, all proxies together, in each spell of a kind
        self._before: Held | None = None
        self._peak_rss_bytes = 0
        self._samples: Samples | None = None

    def __enter__(self) -> Self:
        """Start both; the load is warm, and every way through the daemon has been gone."""
        with contextlib.ExitStack() as undo:
            undo.callback(self.stop)
            self._load = self._start_load()
            time.sleep(WARM_UP_S)
            undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        if self._load is not None:
            self._load.stop()
        self.daemon.stop()

    def quiet(self, seconds: float | None = None) -> Span:
        """A spell without a fault."""
        if self._before is None:
            self._before = self.daemon.held()
        with self._watched(), self._spell(self._quiet):
            time.sleep(self._soak.seconds / 2 if seconds is None else seconds)
        return self._quiet[-1]

    @contextlib.contextmanager
    def fault(self) -> Iterator[float]:
        """A spell under the fault; gives the time at which it has lasted long enough."""
        with self._watched(), self._spell(self._fault):
            yield time.monotonic() + self._soak.seconds

    def rounds(
        self,
        fault: Trouble,
        control: Trouble | None = None,
        *,
        number: int | None = None,
        spell_s: float = SPELL_S,
        settle_s: float = SETTLE_S,
    ) -> None:
        """Quiet spells and such with the fault in turns; the first and the last are quiet.

        Args:
            control: The same trouble, but not for the daemon: has a spell beside each with the fault, each second time
                before it.
            number: Of rounds; as many as take three minutes if None.
            settle_s: Between the beginning of either and its spell.
        """
        kinds = [("fault", fault, self._fault)]
        if control is not None:
            kinds.append(("control", control, self._control))
        self._quiet_spell(spell_s)
        for _ in range(number or (ROUNDS_WITH_CONTROL if control else ROUNDS)):
            for kind, trouble, spells in kinds:
                trouble.begin()
                time.sleep(settle_s)
                with self._watched(), self._used(kind), self._spell(spells):
                    time.sleep(spell_s)
                trouble.end()
                time.sleep(SETTLE_S)
            kinds.reverse()
            self._quiet_spell(spell_s)

    def compare(self, found: Finding, whose: str = "p99") -> Contrast:
        """Tell the p99 of spells with the fault beside that of the others, and check that it is within 10 %.

        Where there is a control it has to be within 10 % of the control's: what is above that is the router's doing.
        """
        contrast = Contrast.of(self.samples(), self._quiet, self._fault, self._control)
        found.compared = contrast.record()
        found.busy_percent = {kind: statistics.median(percents) for kind, percents in self._busy_percent.items()}
        of_what = " of what it is in the control" if self._control else ""
        found.check(f"{whose} within {P99_WITHIN_PERCENT} %{of_what}", contrast.is_within(P99_WITHIN_PERCENT), contrast)
        return contrast

    def samples(self) -> Samples:
        """End the load; return all requests."""
        if self._samples is None:
            assert self._load is not None
            self._load.stop()
            self._samples = Samples.read(self._folder / "records")
        return self._samples

    def form(self, number: int) -> str:
        """An answer of this form."""
        return (self._folder / "forms" / str(number)).read_text(errors="replace")

    def finding(self, fault: str) -> Finding:
        """The figures; the checks are for the caller to add."""
        after, metrics = self.daemon.held(), self.daemon.metrics()
        samples, before = self.samples(), self._before or after
        whole = samples.sent_in(Span(self._quiet[0].began, float("inf")))
        quiet, faulty = samples.sent_in(*self._quiet), samples.sent_in(*self._fault)
        failures = whole.failures()
        found = Finding(
            fault=fault,
            lane=self._soak.lane,
            seconds=sum(span.seconds for span in self._fault),
            requests=len(whole),
            failures=dict(failures),
            retried=self._retried(failures),
            p50_ms=(quiet.percentile_ms(50), faulty.percentile_ms(50)),
            p99_ms=(quiet.percentile_ms(99), faulty.percentile_ms(99)),
            slowest_ms=whole.slowest_s() * 1e3,
            lag_ms=longest_ms(metrics, "teal_event_loop_lag_max_seconds") or 0.0,
            gc_ms=longest_ms(metrics, "teal_gc_pause_max_seconds") or 0.0,
            rss_bytes=(before.rss_bytes, after.rss_bytes),
            peak_rss_bytes=self._peak_rss_bytes,
            fds=(before.fds, after.fds),
            request_path=self.daemon.request_path,
        )
        rate = len(quiet) / sum(span.seconds for span in self._quiet)
        found.check("there was a load", rate >= LEAST_RATIO * RATE and quiet.forms(), f"{rate:.0f} requests per second")
        return found

    def failed(self) -> tuple[Sample, ...]:
        return self.samples().failed

    def _retried(self, failures: Counter[str]) -> int:
        """Failed attempts on live deployments that the client did not see."""
        live = [name for name, weight in self.daemon.endpoint["traffic"].items() if weight]
        attempts = sum(self.daemon.metric("teal_upstream_failures_total", deployment=name) for name in live)
        return max(0, int(attempts) - failures["424"] - failures["408"])

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        """Look at the memory, in quiet spells too: to be looked at costs both kinds the same."""
        with PeakMemory(self.daemon.own_pids) as peak:
            yield
        self._peak_rss_bytes = max(self._peak_rss_bytes, peak.rss_bytes)

    @contextlib.contextmanager
    def _spell(self, spells: list[Span]) -> Iterator[None]:
        began = time.monotonic()
        yield
        spells.append(Span(began, time.monotonic()))

    @contextlib.contextmanager
    def _used(self, kind: str) -> Iterator[None]:
        """Note the CPU time of the proxies in a spell of this kind."""
        pids = self.daemon.proxy_pids()
        began, before = time.monotonic(), cpu_ns(pids)
        yield
        percent = (cpu_ns(pids) - before) / 1e9 / (time.monotonic() - began) * 100
        self._busy_percent.setdefault(kind, []).append(percent)

    def _quiet_spell(self, seconds: float) -> None:
        with self._used("quiet"):
            self.quiet(seconds)

    def _start_load(self) -> PinnedProcess:
        chunked = ["--chunked"] if self._soak.lane == "full" else []
        rate = ["--rate", str(RATE)]
        files = ["--records", str(self._folder / "records"), "--forms", str(self._folder / "forms")]
        command = [sys.executable, "-m", "harness.steady", self.daemon.url, "--key", self._key, *chunked, *rate, *files]
        load = PinnedProcess(command, core=None, log=self._folder / "load.log", env=os.environ, cwd=BENCHMARKS)
        load.wait_until(lambda: READY in load.output)
        return load

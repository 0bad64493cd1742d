"""The metrics of teal's own processes: what they say of themselves, and what the system says of them."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
import psutil
from prometheus_client.metrics_core import Metric

from router.control.metric_families import Row, counter, gauge, summary
from router.core.stats import Vitals
from router.vitals import VitalSigns

_PROCESS = ("process",)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessFacts:
    """One process: the control process, or the one that fills a proxy's slot.

    Attributes:
        name: `control`, or `proxy-0` and so on.
        pid: None while nobody fills the slot.
    """

    name: str
    pid: int | None
    vitals: Vitals = field(default_factory=Vitals)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyFacts(ProcessFacts):
    """One slot.

    Attributes:
        generation: The table that it routes by; 0 while it has none.
        restarts: How often a process in the slot had to be replaced.
        stalls: How often that was because it stood still.
    """

    generation: int = 0
    restarts: int = 0
    stalls: int = 0


class _Reading(NamedTuple):
    """What the system knows of a process."""

    name: str
    open_fds: int
    max_fds: int
    resident_bytes: int
    cpu_s: float
    started: float


def control_facts(signs: VitalSigns) -> ProcessFacts:
    """This process."""
    return ProcessFacts(name="control", pid=os.getpid(), vitals=msgspec.structs.replace(signs.vitals))


def process_metrics(processes: Sequence[ProcessFacts]) -> Iterator[Metric]:
    """The families of these processes. Asks the system about each, so it may take milliseconds."""
    running = [process for process in processes if process.pid is not None]
    yield from _loops(running)
    yield from _collections(running)
    yield from _as_the_system_says(running)
    yield from _proxies([process for process in processes if isinstance(process, ProxyFacts)])


def _loops(processes: Iterable[ProcessFacts]) -> Iterator[Metric]:
    yield gauge(
        "teal_event_loop_lag_seconds",
        "Seconds by which a process's event loop was late when last measured.",
        _PROCESS,
        (((process.name,), process.vitals.loop_lag_s) for process in processes),
    )
    yield gauge(
        "teal_event_loop_lag_max_seconds",
        "Most seconds by which a process's event loop was late in about the last minute.",
        _PROCESS,
        (((process.name,), process.vitals.loop_lag_max_s) for process in processes),
    )


def _collections(processes: Iterable[ProcessFacts]) -> Iterator[Metric]:
    yield summary(
        "teal_gc_pause_seconds",
        "Seconds for which the garbage collector stopped a process, since the process started.",
        _PROCESS,
        (((process.name,), process.vitals.gc_pauses, process.vitals.gc_pause_sum_s) for process in processes),
    )
    yield gauge(
        "teal_gc_pause_max_seconds",
        "Longest pause of the garbage collector in about the last minute, in seconds.",
        _PROCESS,
        (((process.name,), process.vitals.gc_pause_max_s) for process in processes),
    )


def _as_the_system_says(processes: Iterable[ProcessFacts]) -> Iterator[Metric]:
    readings = [reading for process in processes if (reading := _read(process)) is not None]

    def rows(field: str) -> Iterator[Row]:
        return (((reading.name,), getattr(reading, field)) for reading in readings)

    yield gauge(
        "teal_process_open_fds",
        "File descriptors that a process has open: files, pipes and connections.",
        _PROCESS,
        rows("open_fds"),
    )
    yield gauge("teal_process_max_fds", "File descriptors that a process may have open.", _PROCESS, rows("max_fds"))
    yield gauge(
        "teal_process_resident_memory_bytes",
        "Bytes of memory that a process occupies.",
        _PROCESS,
        rows("resident_bytes"),
    )
    yield counter(
        "teal_process_cpu_seconds_total",
        "Seconds of CPU that a process has used since it started.",
        _PROCESS,
        rows("cpu_s"),
    )
    yield gauge("teal_process_start_time_seconds", "Unix time at which a process started.", _PROCESS, rows("started"))


def _proxies(proxies: Sequence[ProxyFacts]) -> Iterator[Metric]:
    yield gauge(
        "teal_proxy_config_generation",
        "Number of the routing table that a proxy routes by; 0 while the proxy is not there or has none yet.",
        _PROCESS,
        (((proxy.name,), proxy.generation) for proxy in proxies),
    )
    yield counter(
        "teal_proxy_restarts_total",
        "Times that a proxy process ended and was replaced.",
        _PROCESS,
        (((proxy.name,), proxy.restarts) for proxy in proxies),
    )
    yield counter(
        "teal_proxy_stalls_total",
        "Times that a proxy process stood still and was killed.",
        _PROCESS,
        (((proxy.name,), proxy.stalls) for proxy in proxies),
    )


def _read(process: ProcessFacts) -> _Reading | None:
    """None if it has just ended."""
    try:
        found = psutil.Process(process.pid)
        with found.oneshot():
            cpu = found.cpu_times()
            return _Reading(
                name=process.name,
                open_fds=found.num_fds(),
                max_fds=found.rlimit(psutil.RLIMIT_NOFILE)[0],
                resident_bytes=found.memory_info().rss,
                cpu_s=cpu.user + cpu.system,
                started=found.create_time(),
            )
    except psutil.Error:
        return None

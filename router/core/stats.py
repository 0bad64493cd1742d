"""Counters of one proxy process, and how the control process adds those of all processes up.

A counter is cumulative since its process started. What a process that ended had counted is folded into a base, so that
no sum ever goes backwards while its deployment exists.
"""

from bisect import bisect_left
from collections.abc import Collection, Mapping
from typing import Literal, TypeVar

import msgspec

from router.core.record import RequestRecord
from router.core.upgrades import SWITCHING

#: Upper bounds of the latency histogram in seconds; one more bucket holds what is over the last.
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

_BOUNDS_S = BUCKETS_S  # a compiled module sees those that are its own quicker

_Key = TypeVar("_Key", int, str)

#: What an attempt to get an answer from an instance fails of.
UpstreamFailure = Literal["connect", "reset", "garbage", "timeout", "no_descriptors"]
MirrorOutcome = Literal[
    "sent", "failed", "no_slot", "no_budget", "no_memory", "body_too_large", "not_ready", "target_busy", "marked"
]


class Histogram(msgspec.Struct):
    """Counts by bucket (not cumulative) and the sum of what was observed, in seconds."""

    counts: list[int] = msgspec.field(default_factory=lambda: [0] * (len(BUCKETS_S) + 1))
    sum_s: float = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(BUCKETS_S, seconds)] += 1
        self.sum_s += seconds

    def add(self, other: "Histogram") -> None:
        self.counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]
        self.sum_s += other.sum_s


class InstanceStats(msgspec.Struct):
    """One address of a deployment. Idle connections and requests in flight are of this moment.

    An idle connection belongs to the address: where several deployments share that, it counts for each of them.
    """

    connections_opened: int = 0
    connections_idle: int = 0
    in_flight: int = 0


class DeploymentStats(msgspec.Struct):
    """One deployment. `live`, `pinned`, `mirrored` and `model` count answers by status code.

    `mirrored` has the mirror target's own status. `failures` counts attempts on instances, `reasons` requests that
    ended without the whole answer of one. `in_flight`, `queued` and `upgraded` are of this moment.
    """

    live: dict[int, int] = {}
    pinned: dict[int, int] = {}
    model: dict[int, int] = {}
    mirrored: dict[int, int] = {}
    failures: dict[str, int] = {}
    reasons: dict[str, int] = {}
    duration: Histogram = msgspec.field(default_factory=Histogram)
    mirror_duration: Histogram = msgspec.field(default_factory=Histogram)
    request_bytes: int = 0
    response_bytes: int = 0
    in_flight: int = 0
    queued: int = 0
    upgraded: int = 0
    instances: dict[str, InstanceStats] = {}

    def instance(self, address: str) -> InstanceStats:
        found = self.instances.get(address)
        if found is None:
            found = self.instances[address] = InstanceStats()
        return found

    def keep_instances(self, addresses: Collection[str]) -> None:
        """Forget what was counted of other addresses."""
        self.instances = {address: one for address, one in self.instances.items() if address in addresses}

    def request(self, record: RequestRecord, now: float) -> None:
        """Count one request that chose this deployment and has ended."""
        if record.model_status:
            count(self.model, record.model_status)
        count(self.live if record.route == "live" else self.pinned, record.status)
        if record.reason:
            count(self.reasons, record.reason)
        if record.status == SWITCHING and record.answered is not None:
            # What came after the switch is no latency, and its bytes were counted as they went.
            self._add(record.answered - record.began, 0, 0)
        else:
            self._add(now - record.began, record.request_bytes, record.response_bytes)

    def _add(self, took_s: float, request_bytes: int, response_bytes: int) -> None:
        duration = self.duration
        duration.counts[bisect_left(BUCKETS_S, took_s)] += 1
        duration.sum_s += took_s
        self.request_bytes += request_bytes
        self.response_bytes += response_bytes


class Answered:
    """Live requests that were answered with the 200 of their model: nearly all of them, so they are counted apart."""

    __slots__ = ("_counts", "_request_bytes", "_requests", "_response_bytes", "_took_s")

    def __init__(self) -> None:
        self._clear()

    def add(self, took_s: float, request_bytes: int, response_bytes: int) -> None:
        """Count one."""
        bucket = 0
        for bound in _BOUNDS_S:  # most are in one of the first
            if took_s <= bound:
                break
            bucket += 1
        self._counts[bucket] += 1
        self._took_s += took_s
        self._requests += 1
        self._request_bytes += request_bytes
        self._response_bytes += response_bytes

    def move_to(self, numbers: DeploymentStats) -> None:
        """Count there what was counted here."""
        if self._requests:
            numbers.model[200] = numbers.model.get(200, 0) + self._requests
            numbers.live[200] = numbers.live.get(200, 0) + self._requests
            numbers.duration.add(Histogram(self._counts, self._took_s))
            numbers.request_bytes += self._request_bytes
            numbers.response_bytes += self._response_bytes
            self._clear()

    def _clear(self) -> None:
        self._counts = [0] * (len(BUCKETS_S) + 1)
        self._took_s = 0.0
        self._requests = self._request_bytes = self._response_bytes = 0


class EndpointStats(msgspec.Struct):
    """One endpoint: what never reached a deployment, by status code and by reason, and the fate of copies.

    Copies in flight and bytes in the mirror's bucket are of this moment; None if nobody has looked.
    """

    refused: dict[int, int] = {}
    reasons: dict[str, int] = {}
    mirror: dict[str, int] = {}
    mirror_bytes: int = 0
    mirror_in_flight: int = 0
    mirror_bucket_bytes: float | None = None
    deployments: dict[str, DeploymentStats] = {}

    def deployment(self, name: str) -> DeploymentStats:
        found = self.deployments.get(name)
        if found is None:
            found = self.deployments[name] = DeploymentStats()
        return found


class Vitals(msgspec.Struct):
    """How one process fares; nothing of it is ever added up.

    The lag is by how much the event loop was late when last looked at, a pause is one of the garbage collector's. They
    are counted since the process started; `..._max_s` is the longest of about the last minute.
    """

    loop_lag_s: float = 0.0
    loop_lag_max_s: float = 0.0
    gc_pauses: int = 0
    gc_pause_sum_s: float = 0.0
    gc_pause_max_s: float = 0.0


class ProcessStats(Vitals):
    """One proxy process. The counters of several are added up; vitals and `request_path` are shown per process."""

    request_path: str = ""  # compiled or interpreted
    connections: int = 0
    max_connections: int = 0
    connections_opened: int = 0
    connections_refused: dict[str, int] = {}
    connections_cut: dict[str, int] = {}
    access_log_dropped: int = 0
    mirror_held_bytes: int = 0


class Totals(msgspec.Struct):
    """Everything counted, by endpoint name; the name is empty for requests that found none."""

    endpoints: dict[str, EndpointStats] = {}
    process: ProcessStats = msgspec.field(default_factory=ProcessStats)

    def endpoint(self, name: str) -> EndpointStats:
        found = self.endpoints.get(name)
        if found is None:
            found = self.endpoints[name] = EndpointStats()
        return found

    def request(self, record: RequestRecord, now: float) -> None:
        """Count one request that has ended."""
        endpoint = self.endpoint(record.endpoint)
        if not record.deployment:
            count(endpoint.refused, record.status)
            count(endpoint.reasons, record.reason)
        else:
            endpoint.deployment(record.deployment).request(record, now)

    def keep_only(self, names: Mapping[str, Collection[str]]) -> None:
        """Forget the series of endpoints and deployments that are not among `names` (deployments by endpoint)."""
        self.endpoints = {name: stats for name, stats in self.endpoints.items() if name in names or not name}
        for name, stats in self.endpoints.items():
            kept = names.get(name, ())
            stats.deployments = {d: numbers for d, numbers in stats.deployments.items() if d in kept}

    def keep_instances(self, listed: Mapping[str, Mapping[str, Collection[str]]]) -> None:
        """Forget the series of instances that are not `listed` (addresses by deployment, by endpoint)."""
        for name, stats in self.endpoints.items():
            addresses = listed.get(name, {})
            for deployment, numbers in stats.deployments.items():
                numbers.keep_instances(addresses.get(deployment, ()))

    def add(self, other: "Totals") -> None:
        """Add the counters and gauges of another process to these."""
        for name, theirs in other.endpoints.items():
            _add_endpoint(self.endpoint(name), theirs)
        self.process.connections += other.process.connections
        self.process.max_connections += other.process.max_connections
        self.process.connections_opened += other.process.connections_opened
        _add_counts(self.process.connections_refused, other.process.connections_refused)
        _add_counts(self.process.connections_cut, other.process.connections_cut)
        self.process.access_log_dropped += other.process.access_log_dropped
        self.process.mirror_held_bytes += other.process.mirror_held_bytes

    def clear_gauges(self) -> None:
        """What a process had in hand ended with it; what it had counted stays."""
        for endpoint in self.endpoints.values():
            endpoint.mirror_in_flight, endpoint.mirror_bucket_bytes = 0, None
            for deployment in endpoint.deployments.values():
                deployment.in_flight = deployment.queued = deployment.upgraded = 0
                for instance in deployment.instances.values():
                    instance.connections_idle = instance.in_flight = 0
        self.process.connections = self.process.max_connections = 0
        self.process.mirror_held_bytes = 0


def count(counts: dict[_Key, int], key: _Key) -> None:
    try:
        counts[key] += 1
    except KeyError:
        counts[key] = 1


def _add_endpoint(mine: EndpointStats, theirs: EndpointStats) -> None:
    for field in ("refused", "reasons", "mirror"):
        _add_counts(getattr(mine, field), getattr(theirs, field))
    mine.mirror_bytes += theirs.mirror_bytes
    mine.mirror_in_flight += theirs.mirror_in_flight
    # They take from one bucket, and who has looked last knows of less in it.
    levels = [level for level in (mine.mirror_bucket_bytes, theirs.mirror_bucket_bytes) if level is not None]
    mine.mirror_bucket_bytes = min(levels, default=None)
    for name, deployment in theirs.deployments.items():
        _add_deployment(mine.deployment(name), deployment)


def _add_deployment(mine: DeploymentStats, theirs: DeploymentStats) -> None:
    for field in ("live", "pinned", "model", "mirrored", "failures", "reasons"):
        _add_counts(getattr(mine, field), getattr(theirs, field))
    mine.duration.add(theirs.duration)
    mine.mirror_duration.add(theirs.mirror_duration)
    _add_fields(mine, theirs, "request_bytes", "response_bytes", "in_flight", "queued", "upgraded")
    for address, instance in theirs.instances.items():
        _add_fields(mine.instance(address), instance, "connections_opened", "connections_idle", "in_flight")


_Numbers = TypeVar("_Numbers", DeploymentStats, InstanceStats)


def _add_fields(mine: _Numbers, theirs: _Numbers, *fields: str) -> None:
    for field in fields:
        setattr(mine, field, getattr(mine, field) + getattr(theirs, field))


def _add_counts(mine: dict[_Key, int], theirs: dict[_Key, int]) -> None:
    for key, number in theirs.items():
        mine[key] = mine.get(key, 0) + number

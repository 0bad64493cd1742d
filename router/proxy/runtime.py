"""What outlives a routing table in one proxy process, and the swap of tables."""

import asyncio
import random
import time
from collections.abc import Iterator
from email.utils import formatdate
from typing import Protocol

import structlog

from router.core.bucket import SharedBucket, TokenBucket
from router.core.crowd import Crowd
from router.core.forwarding import TrustedProxies
from router.core.instances import Deployment, Instance
from router.core.ledger import Claims, Count, Ledger
from router.core.record import RequestRecord
from router.core.requests import TokenCache
from router.core.sharing import SharedDeployment
from router.core.stats import InstanceStats, Totals, count
from router.core.table import DeploymentSpec, RoutingTable, TableSpec, rows
from router.core.wire import Apply, ProxyLimits, Stats
from router.proxy.access_log import AccessLog
from router.proxy.deadlines import Deadlines
from router.proxy.pool import Pool

log = structlog.get_logger()

#: How late we may notice that a client is late.
_PATIENCE_PRECISION_S = 0.25
_TWO_DIGITS = [b"%02x" % number for number in range(256)]


class Watched(Protocol):
    """What ends by itself in time if it is looked at now and then."""

    def look(self, now: float) -> None: ...


class Runtime:
    """The newest table beside the state that is keyed by identity: instances, buckets, connections, counters."""

    def __init__(self, access_log: AccessLog, ledger: Ledger | None = None, crowd: Crowd | None = None) -> None:
        self.table = RoutingTable(TableSpec(generation=0))
        self.limits = ProxyLimits()
        self.trusted_proxies = TrustedProxies()
        self.totals = Totals()
        self.tokens = TokenCache()
        self.pool = Pool(self.now)
        self.pools = [self.pool]  # of everybody who keeps connections to instances
        self.deadlines = Deadlines(self.now)
        self.patience = Deadlines(self.now, _PATIENCE_PRECISION_S)  # with clients who send, or end
        self.is_draining = False
        self.tunnels: set[Watched] = set()
        self.has_table = asyncio.Event()
        self.access_log = access_log
        self.ledger = ledger  # None: this proxy is the only one
        self.crowd = crowd
        self._deployments: dict[tuple[str, str], Deployment] = {}
        self._bandwidth: dict[str, TokenBucket] = {}
        # Seeded from the system's entropy in each process; never shared over a fork.
        self._random = random.Random()
        self._draw = self._random.random
        self._date_due = 0.0
        self._date = b""
        # Ids in the form of a UUID: 80 random bits of this process, then a count from a random number on.
        digits = f"{self._random.getrandbits(80):020x}"
        self._id_template = f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:]}-%010x".encode()
        self._id_start = b""  # all but the last two digits
        self._ids = self._random.getrandbits(46)

    now = staticmethod(time.monotonic)
    wall_now = staticmethod(time.time)

    def u(self) -> float:
        """Uniform in [0, 1); every call is independent of the others."""
        return self._draw()

    def request_id(self) -> bytes:
        """A new id in the form of a UUID."""
        self._ids += 1
        last = self._ids & 0xFF
        if not last or not self._id_start:
            self._id_start = self._id_template % (self._ids >> 8)
        return self._id_start + _TWO_DIGITS[last]

    def http_date(self, now: float) -> bytes:
        """The value of a `Date` field at `now` (monotonic seconds), which is about now."""
        if now >= self._date_due:
            wall = self.wall_now()
            self._date_due = now + 1.0 - wall % 1.0
            self._date = formatdate(int(wall), usegmt=True).encode()
        return self._date

    def apply(self, message: Apply) -> None:
        """Swap in a table. Requests that have begun finish on the one that they read."""
        table = RoutingTable(message.table)  # first: one that is refused changes nothing
        self.limits = message.limits
        self.trusted_proxies = TrustedProxies(message.limits.trusted_proxies)
        self.access_log.is_on = message.limits.access_log
        self._apply_bandwidth(message.table)
        if self.ledger is not None:
            self.ledger.listed = frozenset(rows(message.table))
        self._apply_deployments(message.table)
        self.table = table
        self.has_table.set()

    def find_deployment(self, endpoint: str, spec: DeploymentSpec) -> Deployment | None:
        """The state of a deployment, if it is in the newest table or still in use."""
        return self._deployments.get((endpoint, spec.name))

    def deployment(self, endpoint: str, spec: DeploymentSpec) -> Deployment:
        """The state of a deployment of the newest table, or of one that a request has entered and not left."""
        return self._deployments[endpoint, spec.name]

    def bandwidth(self, endpoint: str) -> TokenBucket | None:
        """The bucket that delays the endpoint's bytes; None if they are not limited."""
        return self._bandwidth.get(endpoint)

    def claims(self, row: int) -> Claims:
        """A count for what has a limit, shared with the other proxies if there are any."""
        return self.ledger.row(row) if self.ledger else Count()

    def bucket(self, rate: float, burst: float, row: int) -> TokenBucket:
        """A full bucket, shared with the other proxies if there are any."""
        if self.ledger is None:
            return TokenBucket(rate=rate, burst=burst, now=self.now())
        return SharedBucket(rate=rate, burst=burst, now=self.now(), row=self.ledger.row(row))

    def record(self, record: RequestRecord) -> None:
        """Step 7: count and log a request that has ended."""
        now = self.now()
        self.totals.request(record, now)
        self.access_log.write(record, now)

    def upstream_failed(self, deployment: Deployment, instance: Instance, reason: str, *, ejects: bool = True) -> None:
        """Count a failure of an instance; against it, if enough of them are to eject it."""
        if ejects and instance.failed(self.now(), is_unreachable=reason == "connect"):
            where = {"endpoint": deployment.endpoint, "deployment": deployment.name, "address": instance.address}
            log.warning("instance.ejected", **where, reason=reason)
        count(self.totals.endpoint(deployment.endpoint).deployment(deployment.name).failures, reason)

    def ejected(self) -> Iterator[tuple[Deployment, Instance]]:
        """Every instance that is out of the choice after failures."""
        for deployment in self._deployments.values():
            for instance in deployment.instances:
                if instance.is_ejected and instance.is_listed:
                    yield deployment, instance

    def stats(self) -> Stats:
        """What the control process is told."""
        busy: dict[str, int] = {}
        for (endpoint, name), deployment in self._deployments.items():
            numbers = self.totals.endpoint(endpoint).deployment(name)
            deployment.answered.move_to(numbers)
            numbers.in_flight = deployment.pending
            numbers.queued = deployment.queued
            numbers.upgraded = deployment.upgraded
            for instance in deployment.instances:
                self._count_instance(numbers.instance(instance.address), instance)
            for address, needed in deployment.busy():
                busy[address] = busy.get(address, 0) + needed
        self.totals.process.access_log_dropped = self.access_log.dropped
        ejected = tuple(instance.address for _, instance in self.ejected())
        return Stats(
            generation=self.table.generation,
            totals=self.totals,
            busy=busy,
            ejected=ejected,
            kept_rows=self.ledger.kept if self.ledger else (),
        )

    def _count_instance(self, numbers: InstanceStats, instance: Instance) -> None:
        numbers.in_flight = instance.in_flight
        numbers.connections_idle = sum(pool.idle(instance.address) for pool in self.pools)

    def sweep(self) -> None:
        """Forget what no table lists and no request needs; end what is over; see what others took of buckets."""
        self.pool.sweep()
        now = self.now()
        for tunnel in list(self.tunnels):
            tunnel.look(now)
        for bucket in self._bandwidth.values():
            bucket.level(now)
        kept = {e.spec.name: {d.name for d in e.spec.deployments} for e in self.table.endpoints}
        for (endpoint, name), deployment in list(self._deployments.items()):
            addresses = {instance.address for instance in deployment.instances}
            self.totals.endpoint(endpoint).deployment(name).keep_instances(addresses)
            if name in kept.get(endpoint, ()):
                continue
            if deployment.is_forgettable:
                self._deployments.pop((endpoint, name)).close()
            else:
                kept.setdefault(endpoint, set()).add(name)
        self.totals.keep_only(kept)

    def _apply_deployments(self, table: TableSpec) -> None:
        wanted = {(e.name, d.name): d for e in table.endpoints for d in e.deployments}
        for key, spec in wanted.items():
            deployment = self._deployments.get(key)
            if deployment is None:
                deployment = self._deployments[key] = self._new_deployment(*key, spec)
            deployment.update(spec)
        for key in self._deployments.keys() - wanted.keys():
            self._deployments[key].update(None)

    def _new_deployment(self, endpoint: str, name: str, spec: DeploymentSpec) -> Deployment:
        if self.ledger is None:
            return Deployment(endpoint, name)
        return SharedDeployment(endpoint, name, self.ledger, spec.queue_row)

    def _apply_bandwidth(self, table: TableSpec) -> None:
        now = self.now()
        limited = {endpoint.name: endpoint for endpoint in table.endpoints if endpoint.bandwidth_bytes_per_s}
        for name in self._bandwidth.keys() - limited.keys():
            self._bandwidth.pop(name).close()
        for name, endpoint in limited.items():
            rate = endpoint.bandwidth_bytes_per_s or 0.0
            if name not in self._bandwidth:
                self._bandwidth[name] = self.bucket(rate, rate, endpoint.bandwidth_row)
            self._bandwidth[name].resize(rate=rate, burst=rate, now=now)

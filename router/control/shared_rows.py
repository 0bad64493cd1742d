"""The memory in which the proxies count together: which row is whose."""

import contextlib
import mmap
import os
from collections.abc import Iterable

from msgspec.structs import replace

from router.core.crowd import KEY_BYTES, clear_crowd, crowd_bytes, put_key
from router.core.ledger import RESERVED, clear, row_bytes
from router.core.table import DeploymentSpec, EndpointSpec, InstanceSpec, TableSpec
from router.core.wire import Stats

_Key = tuple[str, ...]  # what it is for, and whose


class SharedRows:
    """Gives every limit of a table a row. One that is gone keeps its row until no proxy uses it any more.

    Attributes:
        memory_fd: The memory, for the proxies to map.
        crowd_fd: The memory in which they count their clients, for them to map.
        wake_fds: An event counter for each slot.

    Raises:
        OSError: the system has no such memory for us.
    """

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self.memory_fd = os.memfd_create("teal-ledger")
        self.crowd_fd = os.memfd_create("teal-crowd")
        self.wake_fds = tuple(os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK) for _ in range(slots))
        self._rows: dict[_Key, int] = {}
        self._gone: dict[_Key, int] = {}  # the first generation without it
        self._free: list[int] = []
        self._next = RESERVED
        self._listed: set[_Key] = set()
        self._is_closed = False
        self._memory = self._grow_to(mmap.PAGESIZE)
        os.ftruncate(self.crowd_fd, crowd_bytes(slots))
        self._crowd = memoryview(mmap.mmap(self.crowd_fd, crowd_bytes(slots)))
        put_key(self._crowd, os.urandom(KEY_BYTES))

    def __repr__(self) -> str:
        return f"SharedRows({len(self._rows) - len(self._gone)} listed, {len(self._gone)} gone, {len(self._free)} free)"

    def assign(self, table: TableSpec) -> TableSpec:
        """The table with its rows."""
        self._listed = set()
        endpoints = tuple(self._endpoint(endpoint) for endpoint in table.endpoints)
        self._gone = {key: self._gone.get(key, table.generation) for key in self._rows.keys() - self._listed}
        return replace(table, endpoints=endpoints)

    def reclaim(self, reports: Iterable[Stats | None]) -> None:
        """Take back the rows of what is gone, as far as no proxy that runs uses them.

        Args:
            reports: The newest of each proxy that runs; None of one that has not reported yet.
        """
        known = list(reports)
        for key, generation in list(self._gone.items()):
            row = self._rows[key]
            if all(stats and stats.generation >= generation and row not in stats.kept_rows for stats in known):
                del self._gone[key]
                self._free.append(self._rows.pop(key))

    def clear(self, slot: int) -> None:
        """What the process that filled the slot had counted is free: it has ended."""
        if not self._is_closed:
            clear(self._memory, slot, self._slots)
            clear_crowd(self._crowd, slot, self._slots)
            for fd in self.wake_fds:
                with contextlib.suppress(BlockingIOError):
                    os.eventfd_write(fd, 1)

    def close(self) -> None:
        """No process will fill a slot any more."""
        if not self._is_closed:
            self._is_closed = True
            self._memory.release()
            self._crowd.release()
            for fd in (self.memory_fd, self.crowd_fd, *self.wake_fds):
                os.close(fd)

    def _endpoint(self, endpoint: EndpointSpec) -> EndpointSpec:
        name = endpoint.name
        mirror = replace(endpoint.mirror, slots_row=self._row("slots", name), bucket_row=self._row("bucket", name))
        deployments = tuple(self._deployment(name, deployment) for deployment in endpoint.deployments)
        bandwidth_row = self._row("bandwidth", name)
        return replace(endpoint, mirror=mirror, bandwidth_row=bandwidth_row, deployments=deployments)

    def _deployment(self, endpoint: str, deployment: DeploymentSpec) -> DeploymentSpec:
        instances = tuple(self._instance(endpoint, deployment.name, instance) for instance in deployment.instances)
        return replace(deployment, queue_row=self._row("queue", endpoint, deployment.name), instances=instances)

    def _instance(self, endpoint: str, deployment: str, instance: InstanceSpec) -> InstanceSpec:
        return replace(instance, row=self._row("instance", endpoint, deployment, instance.address))

    def _row(self, *key: str) -> int:
        self._listed.add(key)
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = self._free.pop() if self._free else self._new()
        return row

    def _new(self) -> int:
        row = self._next
        self._next += 1
        end = self._next * row_bytes(self._slots)
        if not self._is_closed and end > len(self._memory):
            self._memory = self._grow_to(end * 2)
        return row

    def _grow_to(self, size: int) -> memoryview:
        whole_pages = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
        os.ftruncate(self.memory_fd, whole_pages)
        return memoryview(mmap.mmap(self.memory_fd, whole_pages))

"""A proxy process: accepts clients on inherited sockets, follows the tables it is sent, drains when told."""

import asyncio
import contextlib
import gc
import os
import signal
import socket
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

import structlog

from router import compiled
from router.awake import LATE_S
from router.core.crowd import Crowd
from router.core.wire import Applied, Apply, Cover, Drain, Encrypt
from router.line_writer import LineWriter
from router.proxy.access_log import AccessLog
from router.proxy.checks import ReturnChecks
from router.proxy.clients import Clients
from router.proxy.entrance import Entrance
from router.proxy.link import Link
from router.proxy.listener import Listener
from router.proxy.mirror import Mirror
from router.proxy.orphan import end_in_time_after
from router.proxy.runtime import Runtime
from router.proxy.shared_ledger import SharedLedger
from router.vitals import VitalSigns

log = structlog.get_logger()

_STATS_EVERY_S = 0.25
_SWEEP_EVERY_S = 0.5
_BREATH_S = 0.01
#: Once draining, an idle client has this long to send one more request and be told to close.
_IDLE_GRACE_S = 1.0
_IDLE_EVERY_S = 0.25
_FLUSH_S = 1.0
#: How much longer than its drain a proxy may take to end that has no control process to kill it.
_ORPHAN_MARGIN_S = 5.0
_GC_YOUNG, _GC_MIDDLE, _GC_OLD = 10_000, 20, 50


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyOptions:
    """How a proxy process is started; the file descriptors are inherited."""

    listen_fds: tuple[int, ...]
    cover_fds: tuple[int, ...] = ()  # of other slots; accepted on when told so
    link_fd: int
    log_style: Literal["json", "console"]
    log: LineWriter
    has_fast_lane: bool = True
    ledger: SharedLedger | None = None  # None: there is no other proxy
    crowd: Crowd | None = None  # the same
    parent: int


class ProxyProcess:
    """The composition of one data-plane process."""

    def __init__(self, options: ProxyOptions) -> None:
        self._options = options
        self._writer = options.log
        self._ledger = options.ledger
        self._runtime = Runtime(AccessLog(self._writer, options.log_style), self._ledger, options.crowd)
        self._runtime.totals.process.request_path = "compiled" if compiled.is_used() else "interpreted"
        self._signs = VitalSigns(self._runtime.totals.process)
        self._mirror = Mirror(self._runtime)
        self._checks = ReturnChecks(self._runtime)
        self._clients = Clients(self._runtime, self._mirror, has_fast_lane=options.has_fast_lane)
        self._entrance = Entrance(self._runtime, self._clients)
        self._listeners: list[Listener] = []
        self._covering: dict[int, Listener] = {}  # by the descriptor that it has a duplicate of
        self._drain = asyncio.Event()
        self._hurry = asyncio.Event()

    async def run(self) -> None:
        """Serve until drained; that begins when the control process says so, or is gone."""
        end_in_time_after(self._options.parent, lambda: self._runtime.limits.drain_timeout_s + _ORPHAN_MARGIN_S)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._drain.set)
        if self._ledger is not None:
            self._ledger.start()
        link = await Link.open(socket.socket(fileno=self._options.link_fd))
        following = asyncio.create_task(self._follow(link), name="follow")
        ticking = asyncio.create_task(self._tick(link), name="tick")
        try:
            await self._serve(following, ticking)
        finally:
            for task in (following, ticking):
                task.cancel()
            await asyncio.gather(following, ticking, return_exceptions=True)
            await self._stop(link)

    async def _serve(self, *background: asyncio.Task[None]) -> None:
        await _first_of((self._runtime.has_table, self._drain), background)
        if self._drain.is_set() or not self._runtime.has_table.is_set():
            return
        self._listen()
        log.info(
            "proxy.serving",
            generation=self._runtime.table.generation,
            request_path=self._runtime.totals.process.request_path,
            has_fast_lane=self._options.has_fast_lane,
            max_connections=self._entrance.max_connections,
        )
        gc.collect()
        gc.freeze()  # what lives now lives on: no collection need look at it again
        # A request leaves nothing that is only reachable in a circle, so collections find next to nothing: fewer of
        # them, and of the oldest objects fewest, so that 10,000 connections are not looked through at every burst.
        gc.set_threshold(_GC_YOUNG, _GC_MIDDLE, _GC_OLD)
        await _first_of((self._drain,), background)
        await self._finish_requests()

    def _listen(self) -> None:
        self._listeners = [Listener(socket.socket(fileno=fd), self._entrance) for fd in self._options.listen_fds]
        for listener in self._listeners:
            listener.start()

    async def _follow(self, link: Link) -> None:
        async for message in link.messages():
            match message:
                case Apply():
                    self._runtime.apply(message)
                    self._mirror.measure()
                    if self._ledger is not None:
                        self._ledger.beat()
                    link.tell(Applied(message.table.generation))
                    link.tell(self._runtime.stats())
                case Encrypt():
                    self._entrance.encrypt(message)
                case Cover(fds=fds):
                    self._cover(fds)
                case Drain(hurry=hurry):
                    self._drain.set()
                    if hurry:
                        self._hurry.set()
        log.error("control.lost", hint="finishing what is in flight; workers end with the last proxy")
        self._drain.set()

    def _cover(self, fds: Collection[int]) -> None:
        """Accept on these sockets of other slots, and no more on those whose slot is filled again."""
        if self._drain.is_set():
            return
        for fd in [fd for fd in self._covering if fd not in fds]:
            self._covering.pop(fd).close()
        for fd in fds:
            if fd not in self._covering:
                self._covering[fd] = Listener(socket.socket(fileno=os.dup(fd)), self._entrance)
                self._covering[fd].start()

    async def _tick(self, link: Link) -> None:
        """Report several times a second; look after everything that has a time limit."""
        loop = asyncio.get_running_loop()
        process = self._runtime.totals.process
        swept = due = loop.time()
        while True:
            due += _STATS_EVERY_S
            await asyncio.sleep(max(0.0, due - loop.time()))
            now = loop.time()
            self._signs.tick(max(0.0, now - due))
            if now - due > LATE_S:  # we stood still: what came meanwhile is read before anybody is found to be late
                await asyncio.sleep(_BREATH_S)
            due = max(due, now - _STATS_EVERY_S)
            process.connections = self._clients.open_now
            process.max_connections = self._entrance.share_of_connections
            self._mirror.measure()
            process.mirror_held_bytes = self._mirror.held_bytes
            self._checks.sweep()
            if self._ledger is not None:
                self._ledger.beat()
            if now - swept >= _SWEEP_EVERY_S:
                swept = now
                self._sweep()
            link.tell(self._runtime.stats())

    def _sweep(self) -> None:
        self._runtime.sweep()
        self._mirror.sweep()
        self._clients.sweep()
        self._entrance.sweep()

    async def _finish_requests(self) -> None:
        """Stop accepting, tell every client to close, and wait for what is in flight."""
        self._runtime.is_draining = True
        log.info("proxy.draining", connections=self._clients.open_now, busy=self._clients.busy_now)
        # All processes close all of them, and each takes what is queued: whoever is last to close one resets the rest.
        others = [Listener(socket.socket(fileno=fd), self._entrance) for fd in self._options.cover_fds]
        for listener in (*self._listeners, *self._covering.values(), *others):
            listener.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._runtime.limits.drain_timeout_s):
                await self._wait_for_connections()

    async def _wait_for_connections(self) -> None:
        all_closed = asyncio.create_task(self._clients.all_closed.wait(), name="all-closed")
        hurried = asyncio.create_task(self._hurry.wait(), name="hurried")
        try:
            while not (all_closed.done() or hurried.done()):
                await asyncio.wait((all_closed, hurried), timeout=_IDLE_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
                # Busy ones close by themselves after their answers, unless an answer began before the drain did.
                self._clients.close_idle(_IDLE_GRACE_S)
                self._entrance.close_idle(_IDLE_GRACE_S)
        finally:
            all_closed.cancel()
            hurried.cancel()

    async def _stop(self, link: Link) -> None:
        cut = self._clients.busy_now
        if cut:
            log.warning("drain.cut", requests=cut)
        await self._entrance.close()
        await self._clients.shutdown(0.1)
        self._mirror.close()
        await self._checks.close()
        self._runtime.pool.close()
        if self._ledger is not None:
            self._ledger.stop()
        self._runtime.access_log.flush()
        log.info("proxy.stopped")
        self._writer.close(_FLUSH_S)  # before the last figures, which have the lines that it had to drop
        link.tell(self._runtime.stats())
        await link.close()


async def _first_of(events: Iterable[asyncio.Event], background: Collection[asyncio.Task[None]]) -> None:
    """Return once an event is set or a background task has ended; raise what that task raised."""
    waits = [asyncio.create_task(event.wait(), name="event") for event in events]
    await asyncio.wait((*waits, *background), return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    for task in background:
        if task.done():
            task.result()

"""The proxy processes: one slot each, kept filled, told the newest table, asked for their counters."""

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import assert_never

import structlog

from router.control.lifeline import Lifeline
from router.control.listeners import of_others
from router.control.process_metrics import ProxyFacts
from router.control.shared_rows import SharedRows
from router.control.status import ProxyStatus as ProxyView
from router.control.supervisor.usage import read_usage
from router.core.patience import Patience
from router.core.stats import ProcessStats, Totals
from router.core.table import TableSpec, addresses
from router.core.wire import (
    Applied,
    Apply,
    Cover,
    Down,
    Drain,
    Encrypt,
    FrameReader,
    ProxyLimits,
    Stats,
    decode_up,
    frame,
)

log = structlog.get_logger()

_READ_BYTES = 256 * 1024
_RESTART_BASE_S = 0.05
_RESTART_MAX_S = 5.0
_GOOD_RUN_S = 10.0
#: How often proxies are looked at that may have got stuck.
_LOOK_EVERY_S = 0.5
_PATIENCE = Patience()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyStatus:
    """One proxy process, as it is shown."""

    slot: int
    pid: int | None
    generation: int
    restarts: int
    stalls: int
    stats: ProcessStats

    def view(self) -> ProxyView:
        """The same for those who look at the router."""
        return ProxyView(
            name=f"proxy-{self.slot}",
            pid=self.pid or 0,
            generation=self.generation,
            request_path=self.stats.request_path,
            connections=self.stats.connections,
            loop_lag_s=self.stats.loop_lag_s,
        )


class ProxySlot:
    """One place for a proxy process, with the sockets that whoever fills it inherits.

    Args:
        of_others: Listening sockets of the other slots, which it accepts on while these are empty.
    """

    def __init__(
        self,
        number: int,
        sockets: Sequence[socket.socket],
        of_others: Sequence[socket.socket],
        arguments: Sequence[str],
        *,
        shared: SharedRows | None,
        lifeline: Lifeline,
    ) -> None:
        self.number = number
        self.fds = tuple(listener.fileno() for listener in sockets)
        self.restarts = 0
        self.stalls = 0
        self.heard_at = 0.0  # monotonic; of a process that is new: when it was started
        self.process: asyncio.subprocess.Process | None = None
        self.applied = 0
        self.stats: Stats | None = None
        self._fds_of_others = tuple(listener.fileno() for listener in of_others)
        self._covers: tuple[int, ...] = ()
        self._arguments = arguments
        self._shared = shared
        self._lifeline = lifeline
        self._writer: asyncio.StreamWriter | None = None

    @property
    def is_up(self) -> bool:
        return self._writer is not None

    @property
    def has_spoken(self) -> bool:
        """Whether the process has said anything; from then on clients rely on it."""
        return self.applied > 0 or self.stats is not None

    async def spawn(self) -> asyncio.StreamReader:
        """Start a process; return what it says."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        passed = [*self.fds, *self._fds_of_others, theirs.fileno(), self._lifeline.writer]
        # -P: whatever lies in the working directory is not ours to import.
        command = [sys.executable, "-P", "-m", "router.proxy", "--link-fd", str(theirs.fileno())]
        command += ["--parent", str(os.getpid()), "--slot", str(self.number), *self._arguments]
        for fd in self.fds:
            command += ["--listen-fd", str(fd)]
        for fd in self._fds_of_others:
            command += ["--cover-fd", str(fd)]
        if self._shared is not None:
            passed += [self._shared.memory_fd, self._shared.crowd_fd, *self._shared.wake_fds]
            command += ["--ledger-fd", str(self._shared.memory_fd), "--crowd-fd", str(self._shared.crowd_fd)]
            for wake_fd in self._shared.wake_fds:
                command += ["--wake-fd", str(wake_fd)]
        try:
            self.process = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.DEVNULL, pass_fds=passed, start_new_session=True
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        self.heard_at = monotonic()
        reader, self._writer = await asyncio.open_unix_connection(sock=ours)
        return reader

    def tell(self, message: Down) -> None:
        """Send a message; nothing happens while no process fills the slot: the next one is told at its start."""
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(frame(message))

    def cover(self, fds: Collection[int]) -> None:
        """Have the process accept on these sockets too, if it accepts already."""
        covers = tuple(fd for fd in self._fds_of_others if fd in fds)
        if self.applied and covers != self._covers:
            self._covers = covers
            self.tell(Cover(covers))

    def kill_if_stuck(self, now: float, patience: Patience) -> None:
        """Kill the process if it has said nothing for too long. What it has accepted is cut, what waits stays."""
        process = self.process
        if process is None or process.returncode is not None:
            return
        silence_s = now - self.heard_at
        usage = read_usage(process.pid)
        is_stopped = usage is not None and usage.is_stopped
        if patience.is_over(silence_s, has_spoken=self.has_spoken, is_stopped=is_stopped):
            self.stalls += 1
            self.heard_at = now  # it takes a moment to end
            silent_s = round(silence_s, 1)
            log.error("proxy.stalled", slot=self.number, pid=process.pid, silent_s=silent_s, is_stopped=is_stopped)
            process.kill()

    def emptied(self) -> None:
        """The process is gone."""
        if self._shared is not None and self.process is not None and self.process.returncode is not None:
            self._shared.clear(self.number)
        if self._writer is not None:
            self._writer.close()
        self._writer = None
        self.process = None
        self.applied = 0
        self.stats = None
        self._covers = ()

    def has_released(self, address: str, generation: int) -> bool:
        """Whether nothing in this process needs `address` any more, as of `generation`, in which it is not listed."""
        if not self.is_up:
            return True
        stats = self.stats
        return stats is not None and stats.generation >= generation and not stats.busy.get(address)


class Proxies:
    """Fills every slot, and adds up what they count.

    Args:
        sockets: The listening sockets of each slot.
        arguments: Options for `python -m router.proxy` beyond its file descriptors.
        on_change: Called when a proxy has applied a table, has come or has gone.
        patience: With processes that say nothing.
    """

    def __init__(
        self,
        sockets: Sequence[Sequence[socket.socket]],
        arguments: Sequence[str],
        on_change: Callable[[], None],
        patience: Patience = _PATIENCE,
    ) -> None:
        self.lifeline = Lifeline()  # workers live on for as long as a process that fills a slot
        self._shared = SharedRows(len(sockets)) if len(sockets) > 1 else None
        self._slots = [
            ProxySlot(number, owned, of_others(owned, sockets), arguments, shared=self._shared, lifeline=self.lifeline)
            for number, owned in enumerate(sockets)
        ]
        self._on_change = on_change
        self._patience = patience
        self._encrypt: Encrypt | None = None
        self._apply: Apply | None = None
        self._base = Totals()  # what processes that are gone had counted
        self._kept: Mapping[str, Collection[str]] = {}
        self._listed: Mapping[str, Mapping[str, Collection[str]]] = {}  # addresses
        self._tasks: list[asyncio.Task[None]] = []
        self._looking: asyncio.Task[None] | None = None
        self._is_stopping = False
        self._news = asyncio.Event()

    def start(self) -> None:
        """Fill the slots; each is told the newest table as soon as there is one."""
        self._tasks = [asyncio.create_task(self._keep_filled(s), name=f"proxy-{s.number}") for s in self._slots]
        self._looking = asyncio.create_task(self._look(), name="look-at-proxies")

    def push(self, table: TableSpec, limits: ProxyLimits) -> None:
        """Have every proxy swap in a table."""
        if self._shared is not None:
            self._shared.reclaim(slot.stats for slot in self._slots if slot.is_up)
            table = self._shared.assign(table)
        self._apply = Apply(table=table, limits=limits)
        self._listed = addresses(table)
        self._base.keep_instances(self._listed)
        for slot in self._slots:
            self._tell_table(slot)

    def encrypt(self, message: Encrypt) -> None:
        """Have every proxy meet clients like this, from the next connection on."""
        self._encrypt = message
        for slot in self._slots:
            slot.tell(message)

    @property
    def generation(self) -> int:
        """The generation pushed last."""
        return self._apply.table.generation if self._apply else 0

    @property
    def limits(self) -> ProxyLimits | None:
        """The limits pushed last."""
        return self._apply.limits if self._apply else None

    @property
    def have_applied(self) -> bool:
        """Whether every slot is filled and runs the newest table."""
        return all(slot.is_up and slot.applied == self.generation for slot in self._slots)

    def totals(self) -> Totals:
        """The sum over all processes, those that are gone included."""
        totals = Totals()
        totals.add(self._base)
        for slot in self._slots:
            if slot.stats is not None:
                totals.add(slot.stats.totals)
        totals.keep_instances(self._listed)
        return totals

    def ejected(self) -> frozenset[str]:
        """Addresses that any proxy keeps out of the choice after failures."""
        return frozenset(address for slot in self._slots if slot.stats for address in slot.stats.ejected)

    def busy(self, address: str) -> int:
        """Requests that need `address` now."""
        return sum(slot.stats.busy.get(address, 0) for slot in self._slots if slot.stats)

    def statuses(self) -> tuple[ProxyStatus, ...]:
        return tuple(
            ProxyStatus(
                slot=slot.number,
                pid=slot.process.pid if slot.process else None,
                generation=slot.applied,
                restarts=slot.restarts,
                stalls=slot.stalls,
                stats=slot.stats.totals.process if slot.stats else ProcessStats(),
            )
            for slot in self._slots
        )

    def facts(self) -> tuple[ProxyFacts, ...]:
        """The same for the metrics."""
        return tuple(
            ProxyFacts(
                name=f"proxy-{status.slot}",
                pid=status.pid,
                vitals=status.stats,
                generation=status.generation,
                restarts=status.restarts,
                stalls=status.stalls,
            )
            for status in self.statuses()
        )

    def forget(self, kept: Mapping[str, Collection[str]]) -> None:
        """Drop counters of endpoints and deployments that are gone from the table."""
        self._kept = kept
        self._base.keep_only(kept)

    async def drained(self, address: str) -> None:
        """Return when no proxy needs `address`, which the table pushed last does not list."""
        generation = self.generation
        while not all(slot.has_released(address, generation) for slot in self._slots):
            await self._wait_for_news()

    async def applied(self, generation: int) -> None:
        """Return when every proxy that is up runs `generation` or a newer one."""
        while not all(slot.is_up and slot.applied >= generation for slot in self._slots):
            await self._wait_for_news()

    async def stop(self, deadline_s: float, hurry: asyncio.Event) -> None:
        """Drain all; those that are not done in time are killed."""
        self._is_stopping = True
        for slot in self._slots:
            slot.tell(Drain())
        hurrying = asyncio.create_task(self._hurry(hurry), name="hurry")
        _, late = await asyncio.wait(self._tasks, timeout=deadline_s) if self._tasks else (None, set())
        hurrying.cancel()
        for slot in self._slots:
            if slot.process is not None:
                log.warning("proxy.killed", slot=slot.number, pid=slot.process.pid, after_s=deadline_s)
                slot.process.kill()
        looking = {self._looking} if self._looking is not None else set()
        for task in looking:
            task.cancel()
        await asyncio.gather(hurrying, *looking, *late, return_exceptions=True)
        if self._shared is not None:
            self._shared.close()

    async def _hurry(self, hurry: asyncio.Event) -> None:
        await hurry.wait()
        for slot in self._slots:
            slot.tell(Drain(hurry=True))

    async def _look(self) -> None:
        """Have those killed that stand still; `_keep_filled` replaces them."""
        while True:
            due = monotonic() + _LOOK_EVERY_S
            await asyncio.sleep(_LOOK_EVERY_S)
            now = monotonic()
            for slot in self._slots:
                if now - due > _LOOK_EVERY_S:
                    slot.heard_at = now  # we were asleep ourselves, so that silence tells nothing
                slot.kill_if_stuck(now, self._patience)

    async def _keep_filled(self, slot: ProxySlot) -> None:
        delay_s = _RESTART_BASE_S
        loop = asyncio.get_running_loop()
        while not self._is_stopping:
            began = loop.time()
            exit_code = await self._run(slot)
            if self._is_stopping:
                break
            lasted_s = loop.time() - began
            delay_s = _RESTART_BASE_S if lasted_s >= _GOOD_RUN_S else min(delay_s * 2, _RESTART_MAX_S)
            slot.restarts += 1
            log.error("proxy.exited", slot=slot.number, exit_status=exit_code, retry_in_s=delay_s)
            await asyncio.sleep(delay_s)

    async def _run(self, slot: ProxySlot) -> int | None:
        """Fill the slot with one process until it ends; return its exit status."""
        try:
            reader = await slot.spawn()
        except OSError as error:
            log.error("proxy.not_started", slot=slot.number, error=str(error))
            return None
        process = slot.process
        assert process is not None
        log.info("proxy.started", slot=slot.number, pid=process.pid)
        try:
            if self._encrypt is not None:
                slot.tell(self._encrypt)  # first: with a table it begins to accept
            self._tell_table(slot)
            if self._is_stopping:
                slot.tell(Drain())
            with contextlib.suppress(ConnectionError):  # its exit status says more
                await self._listen(slot, reader)
            return await process.wait()
        except ValueError as error:  # of another version, because teal was upgraded under a running daemon
            log.error("proxy.unintelligible", slot=slot.number, pid=process.pid, error=str(error))
            process.kill()
            return await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
            self._fold(slot)

    async def _listen(self, slot: ProxySlot, reader: asyncio.StreamReader) -> None:
        frames = FrameReader()
        while received := await reader.read(_READ_BYTES):
            slot.heard_at = monotonic()
            for payload in frames.feed(received):
                message = decode_up(payload)
                match message:
                    case Applied(generation=generation):
                        slot.applied = generation
                        self._cover_empty_slots()
                        self._on_change()
                    case Stats():
                        slot.stats = message
                    case _:
                        assert_never(message)
            self._tell_waiters()

    def _tell_table(self, slot: ProxySlot) -> None:
        if self._apply is not None:
            slot.tell(self._apply)

    def _cover_empty_slots(self) -> None:
        """Clients that the kernel gives to a slot without a process need not wait for the next one to start."""
        if self._is_stopping:
            return
        empty = {fd for slot in self._slots if not slot.applied for fd in slot.fds}
        for slot in self._slots:
            slot.cover(empty)

    def _fold(self, slot: ProxySlot) -> None:
        """Keep what the process had counted; what it had in hand is gone."""
        if slot.stats is not None:
            slot.stats.totals.clear_gauges()
            self._base.add(slot.stats.totals)
            self._base.keep_only(self._kept)
            self._base.keep_instances(self._listed)
        slot.emptied()
        self._cover_empty_slots()
        self._on_change()
        self._tell_waiters()

    async def _wait_for_news(self) -> None:
        await self._news.wait()

    def _tell_waiters(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

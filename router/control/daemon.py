"""The control process, from its options to its last word: the one place where everything is put together."""

import asyncio
import enum
import os
import signal
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path
from typing import NamedTuple

import structlog
import uvloop

from router import __version__, descriptors, logs
from router.control.admin import AdminError, AdminSite
from router.control.admin_socket import socket_path
from router.control.api.asset_routes import AssetRoutes, ContentRoutes
from router.control.api.config_routes import ConfigRoutes
from router.control.api.endpoints import EndpointRoutes
from router.control.api.observing import ObservingRoutes
from router.control.applier import Applier
from router.control.assets.registry import Registry
from router.control.assets.resolve import Resolver
from router.control.assets.store import ContentStore
from router.control.certificate import PairError
from router.control.commands.commands import Commands, Force
from router.control.commands.intake import Intake
from router.control.commands.operations import Operations
from router.control.config.load import Loaded
from router.control.config.schema import RouterConfig
from router.control.config.watch import Changed, FileEvent, current, watch
from router.control.encryption import Encryption
from router.control.events import EventLog, view
from router.control.history import ConfigHistory
from router.control.leaving import end_at_latest, end_threads
from router.control.listeners import ListenError, bind, bound_at, from_systemd, spread, url_of
from router.control.metrics import MetricsSource
from router.control.options import ServeOptions
from router.control.process_metrics import control_facts
from router.control.proxies import Proxies
from router.control.reloads import Reloads
from router.control.start import (
    StartError,
    admin_addresses,
    last_good,
    nothing_to_serve,
    proxy_arguments,
    read_file,
    slots_of,
    start_facts,
    state_dir_of,
)
from router.control.state import State, StateError
from router.control.status import RouterFacts, RouterStatus, build_status
from router.control.sweep import Sweep
from router.control.systemd import ServiceManager
from router.control.trial import ready_text
from router.vitals import VitalSigns

log = structlog.get_logger()

#: How long a start waits for deployments before clients are let in; those that are still not ready answer 424.
_START_PATIENCE_S = 10.0
_LAG_EVERY_S = 0.5
_STOP_MARGIN_S = 5.0
_THREADS_S = 5.0  # after everything else has ended
#: How much longer than a drain a stop may take, whatever the disk does: margins of what comes one after the other.
_STOP_S = 25.0
#: How often files that a deployment lacked are looked for.
_LOOK_AGAIN_EVERY_S = 2.0
_SHOWN_EVENTS = 5
#: What a reload cannot change.
_RESTART_FIELDS = ("listen", "admin", "state_dir", "proxy", "log")


class Phase(enum.Enum):
    """What the daemon is doing."""

    STARTING = "starting"
    SERVING = "serving"
    DRAINING = "draining"


def serve(options: ServeOptions) -> int:
    """Run the daemon until it is told to stop; return its exit code."""
    descriptors.raise_limit()  # connections of clients and of instances are the proxies'; pipes of workers are ours
    exit_code = 0
    threads = ThreadPoolExecutor(thread_name_prefix="control")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.get_loop().set_default_executor(threads)
        try:
            runner.run(_serve(options))
        except StartError as error:
            print(error, file=sys.stderr)
            exit_code = 1
        end_threads(threads, patience_s=_THREADS_S, exit_code=exit_code)
    return exit_code


async def _serve(options: ServeOptions) -> None:
    passed = from_systemd(os.environ, os.getpid())
    found, loaded, refused = await asyncio.to_thread(read_file, options.config)
    state_dir = state_dir_of(options, loaded.config if loaded else None)
    if loaded is None and not state_dir.exists():
        raise nothing_to_serve(refused)  # and nothing made on disk for a mistyped path
    try:
        state = State.open(state_dir)
    except StateError as error:
        raise StartError(f"teal: {error}") from error
    try:
        history = ConfigHistory(state)
        if loaded is None:
            loaded = last_good(history, options.config, refused)
        await Daemon(options, Start(found, loaded, state, history, state_dir, passed)).run()
    except (ListenError, AdminError, StateError) as error:
        raise StartError(f"teal: {error}") from error
    finally:
        state.close()


class Start(NamedTuple):
    """What a daemon starts with.

    Attributes:
        found: What is in the config file. If it is not `loaded`, that is what was applied last.
        passed: Sockets from systemd.
    """

    found: FileEvent
    loaded: Loaded
    state: State
    history: ConfigHistory
    state_dir: Path
    passed: list[socket.socket]


class Daemon:
    """Everything that runs, and the loop that holds it together."""

    def __init__(self, options: ServeOptions, start: Start) -> None:
        config = start.loaded.config
        self._events = EventLog()
        writer = logs.configure(config.log.format, config.log.level, "control", tap=self._events)
        self.reloads = Reloads(options.config)
        self._writer = writer
        self._options = options
        self._start_with = start
        self._phase = Phase.STARTING
        self._started = time.time()
        self._signs = VitalSigns()
        self._manager = ServiceManager(os.environ)
        self._reload_asked = asyncio.Event()
        self._is_unstored = False  # the file is in order, but the state had no place for what it needs
        # Two at a time could leave the older content in force, or overwrite a file that was just saved.
        self._reloading = asyncio.Lock()
        self._stop_asked = asyncio.Event()
        self._hurry = asyncio.Event()
        slots = slots_of(config)
        sockets = spread(start.passed, slots) if start.passed else bind(config.listen_addresses, slots)
        self._urls = {scheme: url_of(sockets[0][0], scheme=scheme) for scheme in ("http", "https")}
        self._addresses = len(sockets[0])
        self._owned_sockets = [listener for of_slot in sockets for listener in of_slot]
        self._proxies = Proxies(sockets, proxy_arguments(config), lambda: None)
        self._encryption = Encryption(self._proxies.encrypt)
        self._store = ContentStore(start.state_dir.absolute() / "assets")
        self._registry = Registry(start.state)
        self._applier = Applier(start.state, start.state_dir, self._proxies, Resolver(self._registry, self._store))
        self._sweep = Sweep(
            state=start.state,
            history=start.history,
            store=self._store,
            registry=self._registry,
            applier=self._applier,
            reloading=self._reloading,
        )
        self._intake = Intake(self._registry, self._store, options.config.absolute().parent)
        self._commands = self._make_commands(start)
        self._site = self._make_site(start)

    def _make_commands(self, start: Start) -> Commands:
        return Commands(
            self._options.config,
            applier=self._applier,
            operations=Operations(start.state),
            history=start.history,
            state=start.state,
            intake=self._intake,
            force=Force(self._reloading, self._bring_command_into_force, lambda: self._phase is Phase.SERVING),
        )

    def _make_site(self, start: Start) -> AdminSite:
        config = start.loaded.config
        commands, applier = self._commands, self._applier
        return AdminSite(
            admin_addresses(config.admin, start.state_dir),
            status=self.status,
            metrics=self._metrics,
            readiness=self._unready,
            reload=self._reload_asked.set,
            routes=[
                *EndpointRoutes(commands, applier, lambda: self._base_url).routes(),
                *ObservingRoutes(commands.operations, self._events, applier).routes(),
                *AssetRoutes("model", self._registry, self._intake, applier, self._reloading).routes(),
                *AssetRoutes("environment", self._registry, self._intake, applier, self._reloading).routes(),
                *ContentRoutes(self._store).routes(),
                *ConfigRoutes(commands, start.history, self._options.config).routes(),
            ],
        )

    async def run(self) -> None:
        """Start, serve until told to stop, drain."""
        self._handle_signals()
        await self._site.start()
        every_s = min(_LAG_EVERY_S, self._manager.watchdog_every_s or _LAG_EVERY_S)
        ticking = asyncio.create_task(self._signs.watch(every_s, self._manager.alive), name="tick")
        try:
            await self._serve_until_stopped(ticking)
        finally:
            await self._drain()
            end_at_latest(_THREADS_S, exit_code=0 if self._stop_asked.is_set() else 1)  # what is left is files
            ticking.cancel()
            await asyncio.gather(ticking, return_exceptions=True)
            await self._site.stop()
            self._store.close()

    async def _serve_until_stopped(self, ticking: asyncio.Task[None]) -> None:
        stopping = asyncio.create_task(self._stop_asked.wait(), name="stop-asked")
        serving = asyncio.create_task(self._start_and_follow(), name="serve")
        done, _ = await asyncio.wait((stopping, serving, ticking), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        serving.cancel()
        await asyncio.wait((stopping, serving), timeout=_STOP_MARGIN_S)  # one may hang on its disk: clients come first
        for ended in done - {stopping}:
            ended.result()  # a task that ends by itself has failed

    async def _start_and_follow(self) -> None:
        await self._start()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow_file(), name="follow-file")
            group.create_task(self._follow_requests(), name="follow-requests")
            group.create_task(self._look_again(), name="look-again")
            group.create_task(self._sweep.run(), name="sweep")
            if self._options.try_file is not None:
                group.create_task(self._show_trial(self._options.try_file), name="trial")

    def status(self) -> RouterStatus:
        """One snapshot of the whole router."""
        return build_status(
            RouterFacts(
                version=__version__,
                pid=os.getpid(),
                started=self._started,
                config_path=str(self._options.config.absolute()),
                generation=self._applier.table.generation,
                config_problems=self.reloads.problems,
                last_reload=self.reloads.last,
                base_url=self._base_url,
                tls=self._encryption.view,
                operations=tuple(self._commands.operations.under_way()),
                events=tuple(view(event) for event in self._events.last(_SHOWN_EVENTS)),
            ),
            table=self._applier.table,
            totals=self._proxies.totals(),
            deployments=self._applier.statuses(),
            proxies=[proxy.view() for proxy in self._proxies.statuses()],
            ejected=self._proxies.ejected(),
            held=self._applier.held,
        )

    # Start and stop

    async def _start(self) -> None:
        start, config = self._start_with, self._start_with.loaded.config
        admin, scheme = config.admin.address, "http" if config.tls is None else "https"
        log.info(
            "daemon.started",
            version=__version__,
            pid=os.getpid(),
            config=str(self._options.config.absolute()),
            state_dir=str(start.state_dir),
            listening=[bound_at(listener, scheme=scheme) for listener in self._owned_sockets[: self._addresses]],
            sockets_from="systemd" if start.passed else "config",
            admin=f"http://{admin.host}:{self._site.port}" if admin else None,
            admin_socket=str(socket_path(start.state_dir)),
            loop=type(asyncio.get_running_loop()).__module__,
            **await asyncio.to_thread(start_facts, config),
        )
        await asyncio.to_thread(self._store.tidy)
        await self._bring_into_force(start.loaded, await self._commands.written_by(start.loaded.content))
        if start.found != Changed(start.loaded.content):
            log.warning("config.fell_back", hint="serving what was applied last, until the file is repaired")
            await self._judge(start.found)
        await self._applier.wait_until_settled(_START_PATIENCE_S)
        self._proxies.start()
        await self._proxies.applied(self._applier.table.generation)
        await self._commands.resume()
        self._phase = Phase.SERVING
        self._manager.ready(self._summary())
        log.info("daemon.serving", generation=self._applier.table.generation, unready=self._applier.unready())

    async def _drain(self) -> None:
        self._phase = Phase.DRAINING
        self._manager.stopping()
        limit_s = self._applier.config.limits.drain_timeout_s
        log.info("daemon.draining", limit_s=limit_s)
        for listener in self._owned_sockets:
            listener.close()
        await asyncio.gather(self._commands.stop(), self._proxies.stop(limit_s + _STOP_MARGIN_S, self._hurry))
        await self._applier.stop(0.5 if self._hurry.is_set() else _STOP_MARGIN_S)
        log.info("daemon.stopped")
        self._writer.close(1.0)

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self._reload_asked.set)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ask_to_stop)

    def _ask_to_stop(self) -> None:
        if self._stop_asked.is_set():
            self._hurry.set()
        self._stop_asked.set()
        drain_s = 0.0 if self._hurry.is_set() else self._applier.config.limits.drain_timeout_s
        end_at_latest(drain_s + _STOP_S, exit_code=0)

    # Reloads

    async def _follow_file(self) -> None:
        found = self._start_with.found
        seen = found.content if isinstance(found, Changed) else None
        async with aclosing(watch(self._options.config, seen=seen)) as events:
            async for event in events:
                async with self._reloading:
                    # A command may have held the lock, and written what comes after this event.
                    if not self.reloads.is_in_force(await asyncio.to_thread(current, self._options.config)):
                        await self._judge(event)

    async def _follow_requests(self) -> None:
        """SIGHUP and `POST /reload`: look at the file now."""
        while True:
            await self._reload_asked.wait()
            self._reload_asked.clear()
            async with self._reloading:
                self._manager.reloading()
                await self._judge(await asyncio.to_thread(current, self._options.config))
                await self._encryption.look(is_asked=True)
                self._manager.ready(self._summary())

    async def _look_again(self) -> None:
        """What failed for want of a file or of disk space is tried again; a certificate that changed is served."""
        while True:
            await asyncio.sleep(_LOOK_AGAIN_EVERY_S)
            async with self._reloading:
                await self._applier.look_again()
                await self._encryption.look()
                if self._is_unstored:
                    await self._judge(await asyncio.to_thread(current, self._options.config))

    async def _judge(self, event: FileEvent) -> None:
        loaded = await self.reloads.judge(event)
        self._is_unstored = False
        if loaded is not None:
            try:
                await self._bring_into_force(loaded)
            except PairError as error:
                self.reloads.refused([loaded.problem(("tls", error.field), str(error))])
            except StateError as error:
                self.reloads.refused([loaded.problem((), str(error))])
                self._is_unstored = True
        self._manager.status(self._summary())

    async def _bring_into_force(self, loaded: Loaded, source: str = "file", restores: int | None = None) -> int:
        """Apply a config; return the first generation that reflects it.

        Args:
            source: What made it: the name of a command, or `file` for an edit by hand.
            restores: Number of the version that it brings back.

        Raises:
            StateError: what it needs cannot be stored; nothing has changed.
            PairError: it names a certificate that cannot be served; nothing has changed.
        """
        encryption = await self._encryption.prepare(loaded.config.tls)
        self._warn_of_restart(loaded.config)
        generation = await self._applier.apply(loaded.config)
        self._encryption.follow(encryption)
        self.reloads.applied(loaded)
        log.info("config.applied", path=str(loaded.path), generation=generation, source=source)
        try:
            await asyncio.to_thread(self._start_with.history.record, loaded.content, source=source, restores=restores)
        except StateError as error:
            log.error("config.not_recorded", reason=str(error))
        return generation

    async def _bring_command_into_force(self, loaded: Loaded, source: str, restores: int | None) -> int:
        try:
            return await self._bring_into_force(loaded, source, restores)
        except PairError as error:
            raise StateError(f"tls.{error.field}: {error}") from error

    def _warn_of_restart(self, config: RouterConfig) -> None:
        before = self._start_with.loaded.config
        changed = [field for field in _RESTART_FIELDS if getattr(before, field) != getattr(config, field)]
        if changed:
            log.warning("config.needs_restart", fields=changed)

    # What others see

    @property
    def _base_url(self) -> str:
        return self._urls["https" if self._encryption.view else "http"]

    def _unready(self) -> list[str]:
        reasons = []
        if self._phase is not Phase.SERVING:
            reasons.append(f"the daemon is {self._phase.value}")
        elif not self._proxies.have_applied:
            reasons.append(f"not every proxy runs generation {self._proxies.generation} yet")
        return reasons + self._encryption.unready() + self._applier.unready()

    def _summary(self) -> str:
        endpoints = len(self._applier.config.endpoints)
        note = "; the config file on disk is refused" if self.reloads.problems else ""
        return f"generation {self._applier.table.generation}, {endpoints} endpoints at {self._base_url}{note}"

    def _metrics(self) -> MetricsSource:
        return MetricsSource(
            version=__version__,
            table=self._applier.table,
            totals=self._proxies.totals(),
            deployments=self._applier.statuses(),
            ejected=self._proxies.ejected(),
            held=frozenset(self._applier.held),
            is_ready=not self._unready(),
            problems=len(self.reloads.problems),
            processes=(control_facts(self._signs), *self._proxies.facts()),
            reloads=dict(self.reloads.counts),
            last_success=self.reloads.last_success,
            certificate_not_after=self._encryption.not_after,
        )

    async def _show_trial(self, try_file: Path) -> None:
        await self._applier.wait_until_ready()
        self._writer.write(await ready_text(self._base_url, self._applier.config, self._start_with.state, try_file))

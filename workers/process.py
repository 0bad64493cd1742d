"""A worker from its start to its end."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import threading
import traceback
from pathlib import Path

from workers import environment, parent, script_logging
from workers.listening import open_listener
from workers.messages import describe, say, show_traceback
from workers.notify import Notifier
from workers.options import Options
from workers.request import ScoreRequest
from workers.runners import LoopRunner, Runner, ThreadRunner
from workers.script import Script, ScriptError, load_script
from workers.server import ScoreServer
from workers.stopping import StopSignals, leave_now
from workers.swagger import Swagger

try:
    import uvloop
except ImportError:
    uvloop = None  # type: ignore[assignment,unused-ignore]

STOPPED = 0
SCRIPT_FAILED = 3
SOCKET_FAILED = 5
HEARTBEAT_S = 1.0


def serve(options: Options) -> int:
    """Serve until SIGTERM; return the exit status."""
    if options.watch_parent is not None:
        if not parent.follow(options.watch_parent, options.lifeline_fd):
            return STOPPED
        if options.lifeline_fd is not None:
            parent.drop_output_after(options.watch_parent)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until init() has returned there is nothing to drain
    notifier = Notifier.from_environment(os.environ)
    try:
        listener = open_listener(options, os.environ)
    except OSError as error:
        say(f"cannot use the socket: {error}")
        notifier.status(f"cannot use the socket: {error}")
        return SOCKET_FAILED
    try:
        worker = _bring_up(options, notifier)
    except ScriptError as error:
        _report(error, notifier)
        return SCRIPT_FAILED
    worker.run(listener)
    return STOPPED


class Worker:
    """A script that is ready, its run threads, and the thread that speaks HTTP."""

    def __init__(self, script: Script, swagger: Swagger, runner: Runner, notifier: Notifier, drain_s: float) -> None:
        self._script = script
        self._swagger = swagger
        self._runner = runner
        self._notifier = notifier
        self._drain_s = drain_s
        self._signals = StopSignals()
        self._idle = threading.Event()

    def run(self, listener: socket.socket) -> None:
        """Serve `listener` until a signal and the drain it asks for; main thread only."""
        self._signals.install()
        http = threading.Thread(target=self._run_http, args=(listener,), name="http", daemon=True)
        http.start()
        self._runner.work()
        self._idle.set()
        http.join()

    def _run_http(self, listener: socket.socket) -> None:
        loop = uvloop.new_event_loop() if uvloop else asyncio.new_event_loop()
        try:
            loop.run_until_complete(self._serve(listener))
        except BaseException:  # noqa: BLE001 - the thread's top
            # Without its HTTP side the process is of no use, and the main thread may be inside run() for long.
            traceback.print_exc()
            os._exit(1)
        loop.close()

    async def _serve(self, listener: socket.socket) -> None:
        server = ScoreServer(self._runner, self._swagger, self._script.methods)
        await server.start(listener)
        self._notifier.ready()
        heartbeat = asyncio.create_task(self._beat(server), name="heartbeat")
        await self._signals.wait()
        server.stop_accepting()
        self._notifier.stopping()  # only now: whoever hears it may count on `Connection: close`
        deadline = asyncio.get_running_loop().time() + self._drain_s
        cut = await server.drain(self._drain_s)
        heartbeat.cancel()
        if cut:
            say(f"drain timeout: {cut} requests cut after {self._drain_s:g} s")
            leave_now()
        await server.close()
        self._runner.stop()
        # A run() whose client left may still be at work.
        if not self._idle.wait(max(0.0, deadline - asyncio.get_running_loop().time())):
            leave_now()

    async def _beat(self, server: ScoreServer) -> None:
        """Say each second that more could be done; not while run() hangs, so that requests go elsewhere."""
        while True:
            server.watch_clients()
            if not self._runner.is_stuck:
                self._notifier.alive()
            await asyncio.sleep(HEARTBEAT_S)


def _bring_up(options: Options, notifier: Notifier) -> Worker:
    try:
        environment.prepare(options, os.environ)
    except OSError as error:
        raise ScriptError(f"cannot use the code folder: {error}") from None
    try:
        script_logging.prepare(options.code_dir)
    except (OSError, ValueError) as error:
        raise ScriptError(f"cannot use logging.json: {describe(error)}") from error
    notifier.status(f"importing {options.script.name}")
    script = load_script(options.script)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    notifier.status("init() runs")
    script.init(loop.run_until_complete)
    swagger = _describe(script, options.code_dir)
    if options.warmup_request is not None:
        notifier.status("warming up")
        _warm_up(script, options.warmup_request, options.warmup_content_type, loop)
    # The model lives as long as the process: no later collection has to look at it again.
    gc.collect()
    gc.freeze()
    runner: Runner = (
        LoopRunner(script, options.concurrency, loop) if script.is_async else ThreadRunner(script, options.concurrency)
    )
    return Worker(script, swagger, runner, notifier, options.drain_timeout_s)


def _describe(script: Script, code_dir: Path) -> Swagger:
    try:
        return Swagger(script.run, code_dir)
    except (OSError, ValueError) as error:
        raise ScriptError(f"cannot describe the API: {describe(error)}") from error


def _warm_up(script: Script, body: Path, content_type: str, loop: asyncio.AbstractEventLoop) -> None:
    try:
        content = body.read_bytes()
    except OSError as error:
        raise ScriptError(f"cannot read the warm-up request: {error}") from None
    request = ScoreRequest("POST", "/score", [(b"Content-Type", content_type.encode())], content)
    answer = loop.run_until_complete(script.answer_async(request)) if script.is_async else script.answer(request)
    if answer.status != 200:
        raise ScriptError(f"warm-up was answered {answer.status}: {answer.body[:200].decode('utf-8', 'replace')}")


def _report(error: ScriptError, notifier: Notifier) -> None:
    if error.__cause__ is not None:
        show_traceback(error.__cause__)
    say(str(error))
    notifier.status(str(error))

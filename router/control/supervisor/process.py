"""One worker process, as a source of messages: what it prints, what it notifies, how it ends."""

import asyncio
import contextlib
import fcntl
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from router import descriptors
from router.control.lifeline import Lifeline
from router.control.supervisor.sockets import SocketPair

_PIPE_BYTES = 2**20
_READ_PAUSE_S = 0.005  # between reads: with a pipe this big a worker may print 200 MB/s and not wait for us
_LAST_READS = 64  # at most this often after the exit: a grandchild may go on printing for ever
_OURS = ("NOTIFY_SOCKET", "LISTEN_", "WATCHDOG_", "TEAL_", "PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "MAINPID")


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What to run. `arguments` are extended by `--fd N`."""

    arguments: tuple[str, ...]
    cwd: Path
    variables: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Who is told what comes from the process, from the event loop; `exited` comes last."""

    printed: Callable[[bytes], None]
    notified: Callable[[Mapping[str, str]], None]
    exited: Callable[[int], None]


class WorkerProcess:
    """A child with a listening socket, a notify socket and a pipe for stdout and stderr.

    Its `address` is never given to another process, so that a connection meant for it cannot wait at its successor.

    Args:
        sockets: Its own from now on, also when it cannot be started.

    Raises:
        OSError: The process could not be started; nothing of it is left.
    """

    def __init__(
        self, command: Command, sockets: SocketPair, listener: Listener, lifeline: Lifeline | None = None
    ) -> None:
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._sockets = sockets
        self._notifications = sockets.notifications
        with contextlib.ExitStack() as undo:
            undo.callback(sockets.close)
            popen = self._spawn(command, sockets, lifeline, undo)
            undo.callback(popen.kill)
            self._popen = popen
            self._pidfd = os.pidfd_open(popen.pid)
            undo.pop_all()
        self.pid = popen.pid
        self.address = f"unix:{sockets.path}"
        self._loop.add_reader(self._pidfd, self._exit)
        self._pause: asyncio.TimerHandle | None = None
        self._resume()
        self._loop.add_reader(self._notifications.fileno(), self.read_notifications)

    def _spawn(
        self, command: Command, sockets: SocketPair, lifeline: Lifeline | None, undo: contextlib.ExitStack
    ) -> subprocess.Popen[bytes]:
        self._output, output = os.pipe()
        undo.callback(os.close, self._output)
        os.set_blocking(self._output, False)
        with contextlib.suppress(PermissionError):  # over the user's share of pipe memory: it stays at 64 KiB
            fcntl.fcntl(output, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        # Our copies of what the child got are closed at once: when it dies, its clients learn of it.
        with (
            sockets.listening as listening,
            open(output, "wb", buffering=0) as pipe,  # noqa: PTH123 -- a descriptor, not a path
            lifeline.reader() if lifeline else contextlib.nullcontext() as reader,
        ):
            inherited = {"--fd": listening.fileno()} | ({} if reader is None else {"--lifeline-fd": reader})
            popen = subprocess.Popen(
                [*command.arguments, *(text for name, fd in inherited.items() for text in (name, str(fd)))],
                cwd=command.cwd,
                env={**command.variables, "NOTIFY_SOCKET": str(self._notifications.path)},
                stdin=subprocess.DEVNULL,
                stdout=pipe,
                stderr=pipe,
                pass_fds=tuple(inherited.values()),
                start_new_session=True,  # Ctrl-C in the terminal is for us; we drain the workers
            )
        descriptors.restore_limit_of(popen.pid)
        return popen

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to this process alone; nothing happens if it has ended."""
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def read_notifications(self) -> None:
        """Deliver what the worker has said so far, without waiting."""
        if self._pidfd < 0:
            return
        for message in self._notifications.read():
            self._listener.notified(message)

    def _resume(self) -> None:
        self._loop.add_reader(self._output, self._take_output)

    def _take_output(self) -> None:
        """Deliver what was printed, then leave it alone for a moment: a flood costs few wake-ups instead of many."""
        self._loop.remove_reader(self._output)
        if self._read_output() != b"":
            self._pause = self._loop.call_later(_READ_PAUSE_S, self._resume)

    def _read_output(self) -> bytes | None:
        """Deliver one block and return it: b"" when no more will come, None when there is none now."""
        try:
            block = os.read(self._output, _PIPE_BYTES)
        except BlockingIOError:
            return None
        if block:
            self._listener.printed(block)
        return block

    def _exit(self) -> None:
        """The process ended: deliver what it left behind, then how it ended."""
        code = self._popen.wait()
        self.read_notifications()
        for _ in range(_LAST_READS):
            if not self._read_output():
                break
        self._close()
        self._listener.exited(code)

    def _close(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
        for fd in (self._pidfd, self._output, self._notifications.fileno()):
            self._loop.remove_reader(fd)
        os.close(self._pidfd)
        os.close(self._output)
        self._pidfd = -1
        self._sockets.close()


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Our own environment without what was meant for us: systemd's protocol and the interpreter's settings."""
    return {name: value for name, value in environment.items() if not name.startswith(_OURS)}

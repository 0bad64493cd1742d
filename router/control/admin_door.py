"""Lets callers of the admin site in: so many that the control process keeps descriptors for its own work.

Rules
- At the most, who has kept us waiting longest makes place for the newest, if that was at least for a moment.
- While everybody is too new for that, the newest waits in the queue of the socket.
- If everybody waits for an answer of ours, the newest is refused.
"""

import asyncio
import resource
import socket
from contextlib import suppress

import structlog
from aiohttp.web import Server

from router.control.admin_caller import Caller, CallerLimits
from router.control.admin_refusals import Refusals
from router.core.stats import count

log = structlog.get_logger()

#: Of the descriptors that the process may open, the callers of each of its addresses have one in so many.
_SHARE = 16
_FEWEST = 4
#: Accepted before those that are open get their turn.
_BATCH = 16
_LOOK_EVERY_S = 0.25
#: How long a caller may keep us waiting whatever the crowd, and how long nobody is accepted who would cut it short.
_MOMENT_S = 0.1
_PAUSE_S = 0.02
_LOG_EVERY_S = 10.0
_READ_BYTES = 64 * 1024
_REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nx-teal-reason: too_many_connections\r\nRetry-After: 1\r\n"
    b"Connection: close\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 53\r\n\r\n"
    b"The admin site is busy with others; try again later.\n"
)

_Connecting = asyncio.Task[tuple[asyncio.Transport, asyncio.Protocol]]


class Door:
    """Accepts on the sockets of one address, of which it becomes the owner.

    Args:
        name: Of the address, for the log.
        refusals: Of the site, where the callers of this address are counted, too.
    """

    def __init__(
        self, name: str, listeners: list[socket.socket], server: Server, limits: CallerLimits, refusals: Refusals
    ) -> None:
        self._name = name
        self._listeners = listeners
        self._server = server
        self._limits = limits
        self._refusals = refusals
        self._loop = asyncio.get_running_loop()
        self._open: dict[socket.socket, Caller] = {}
        self._connecting: dict[_Connecting, socket.socket] = {}
        self._resuming: asyncio.TimerHandle | None = None
        self._looking: asyncio.TimerHandle | None = None
        self._counts: dict[str, int] = {}
        self._log_due = 0.0

    def __repr__(self) -> str:
        return f"Door({self._name}, {len(self._open)} open)"

    @property
    def port(self) -> int:
        """That was bound, when the address asked for any."""
        return int(self._listeners[0].getsockname()[1])

    @property
    def most(self) -> int:
        """Callers at a time: the limit, or what there are descriptors for."""
        descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return min(self._limits.max_connections, max(_FEWEST, descriptors // _SHARE))

    def start(self) -> None:
        """Accept from now on."""
        self._resume()
        self._look_later()

    def close(self) -> None:
        """Accept nothing any more; those who are in stay in."""
        self._stop()
        if self._looking is not None:
            self._looking.cancel()
        for listener in self._listeners:
            listener.close()
        for task in self._connecting:
            task.cancel()

    def _resume(self) -> None:
        self._resuming = None
        for listener in self._listeners:
            self._loop.add_reader(listener, self._accept, listener)

    def _stop(self) -> None:
        for listener in self._listeners:
            self._loop.remove_reader(listener)
        if self._resuming is not None:
            self._resuming.cancel()

    def _pause(self) -> None:
        """Leave callers in the queue for a moment."""
        self._stop()
        self._resuming = self._loop.call_later(_PAUSE_S, self._resume)

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(_BATCH):
            is_full = len(self._open) >= self.most
            yielding, has_resting = self._yielding() if is_full else (None, False)
            if is_full and yielding is None and has_resting:
                self._pause()  # until one of them has rested for a moment
                return
            try:
                connection, _ = listener.accept()
            except (BlockingIOError, ConnectionError):
                return
            except OSError as error:  # out of descriptors
                log.debug("admin.not_accepted", error=str(error))
                self._pause()
                return
            if yielding is not None:
                self._count("made_place")
                self._open.pop(yielding).cut()
            if is_full and yielding is None:
                self._refuse(connection)
            else:
                self._let_in(connection)

    def _yielding(self) -> tuple[socket.socket | None, bool]:
        """Who makes place for one more, if anybody has rested for long enough, and whether anybody rests at all."""
        now = self._loop.time()
        resting = [(rest, key) for key, caller in self._open.items() if (rest := caller.rests_since(now)) is not None]
        long = [(rest, key) for rest, key in resting if now - rest[1] >= _MOMENT_S]
        return (min(long, key=lambda each: each[0])[1] if long else None), bool(resting)

    def _let_in(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        caller = Caller(self._server, self._limits, self._refusals, lambda: self._forget(connection))
        self._open[connection] = caller
        task = self._loop.create_task(
            self._loop.connect_accepted_socket(lambda: caller, connection), name="admin-connect"
        )
        self._connecting[task] = connection
        task.add_done_callback(self._connected)

    def _connected(self, task: _Connecting) -> None:
        connection = self._connecting.pop(task)
        if task.cancelled() or task.exception() is not None:
            self._forget(connection)
            connection.close()

    def _forget(self, connection: socket.socket) -> None:
        self._open.pop(connection, None)

    def _refuse(self, connection: socket.socket) -> None:
        self._count("too_many_connections")
        connection.setblocking(False)
        with suppress(OSError):
            connection.recv(_READ_BYTES)  # bytes that nobody has read turn the close into a reset
        with suppress(OSError):
            connection.send(_REFUSAL)
        connection.close()

    def _count(self, reason: str) -> None:
        count(self._counts, reason)
        count(self._refusals.counts.cut, reason)

    def _look_later(self) -> None:
        self._looking = self._loop.call_later(_LOOK_EVERY_S, self._look, self._loop.time() + _LOOK_EVERY_S)

    def _look(self, due: float) -> None:
        """Close what is late. If this process was late itself, what has come meanwhile is read first."""
        now = self._loop.time()
        if now - due < _LOOK_EVERY_S:
            for caller in list(self._open.values()):
                fault = caller.look(now)
                if fault is not None:
                    self._count(fault)
                    caller.give_up(fault)
        if self._counts and now >= self._log_due:
            log.warning("admin.callers_cut", address=self._name, open=len(self._open), limit=self.most, **self._counts)
            self._counts, self._log_due = {}, now + _LOG_EVERY_S
        self._look_later()

"""Where a run thread finds its next call: in a queue, or on a connection that it reads itself.

On one core, waking a thread for each request costs more than the rest of a worker. So a connection that is the only one
to ask, as the router's is while it sends one request at a time, is lent to the run thread: it then reads, runs and
answers alone. The event loop gets it back as soon as anybody else asks, something unusual comes, or the worker drains;
and a request that takes long, so that its client is seen to leave.
"""

from __future__ import annotations

import contextlib
import select
import socket
from queue import SimpleQueue
from typing import Optional, Protocol

from workers.encode import Answer
from workers.request import ScoreRequest

IN_A_ROW = 16  # calls of one connection before it is lent; each way costs as much as a few requests save
WAKE_BYTES = 4096


class Loan(Protocol):
    """A connection, as the run thread that it is lent to sees it."""

    @property
    def is_lent(self) -> bool:
        """Whether it still is; reading something unusual ends it."""
        ...

    def fileno(self) -> int:
        """Return what to wait on."""
        ...

    def read(self) -> Optional[Call]:
        """Read what is there; return the call if that completes one."""
        ...

    def give_back(self) -> None:
        """Leave it to the event loop again."""
        ...


class Call(Protocol):
    """One request on its way through run()."""

    request: ScoreRequest

    @property
    def origin(self) -> object:
        """The connection that it came on if that can be lent, else None."""
        ...

    @property
    def is_abandoned(self) -> bool:
        """Whether nobody waits any more; a call whose turn has not come by then never runs."""
        ...

    def deliver(self, answer: Answer) -> Optional[Loan]:
        """Take the answer, in the thread that ran run(); return what is lent to it from now on, if anything is."""
        ...


class Inbox:
    """The calls that wait for a run thread, the oldest first.

    Args:
        lends: Whether connections may be lent; only where there is one run thread.
    """

    def __init__(self, lends: bool) -> None:
        self._queue: SimpleQueue[Optional[Call]] = SimpleQueue()
        self._lends = lends
        self._origin: object = None
        self._in_a_row = 0
        self._is_waiting = False  # on a loan; then a byte to `_waker` ends that
        self._woken, self._waker = socket.socketpair()
        for end in (self._woken, self._waker):
            end.setblocking(False)
        self._poll = select.poll()
        self._poll.register(self._woken.fileno(), select.POLLIN)
        self._watched = -1  # what else is polled

    def put(self, call: Optional[Call]) -> None:
        """Queue a call, or the end; on the event loop."""
        origin = None if call is None else call.origin
        if origin is None or origin is not self._origin:
            self._origin, self._in_a_row = origin, 0
        self._in_a_row += 1
        self._queue.put(call)
        self._wake()

    def may_lend(self, origin: object) -> bool:
        """Whether the connection that asks again is the only one that did for a while; on the event loop."""
        return self._lends and origin is self._origin and self._in_a_row >= IN_A_ROW and self._queue.empty()

    def recall(self) -> None:
        """Have what is lent given back, and lend nothing more; from any thread."""
        self._lends = False
        self._wake()

    def get(self, loan: Optional[Loan]) -> Optional[Call]:
        """Wait for the next call, on `loan` as long as it is lent; None at the end."""
        call = self._wait_on(loan) if loan is not None else None
        return self._queue.get() if call is None else call

    def _wake(self) -> None:
        if self._is_waiting:
            with contextlib.suppress(BlockingIOError):  # then it has been woken often enough
                self._waker.send(b"\0")

    def _wait_on(self, loan: Loan) -> Optional[Call]:
        """Return the next call on `loan`; None once it is given back."""
        self._watch(loan.fileno())
        self._is_waiting = True  # first: whoever puts a call after the look at the queue wakes this thread
        while self._lends and self._queue.empty():
            ready = self._poll.poll()
            if len(ready) > 1 or ready[0][0] != self._watched:
                self._woken.recv(WAKE_BYTES)
                break
            call = loan.read()
            if call or not loan.is_lent:
                self._is_waiting = False
                return call
        self._is_waiting = False
        loan.give_back()
        return None

    def _watch(self, descriptor: int) -> None:
        if descriptor != self._watched:
            if self._watched >= 0:
                self._poll.unregister(self._watched)
            self._poll.register(descriptor, select.POLLIN)
            self._watched = descriptor

"""Clients that have stopped sending: some wait for their answer, some are gone, and TCP tells us the same of both.

Rules
- Before its answer begins, a client is asked by an interim answer: the host of one that is gone resets the connection.
- One that ends its side while its answer is under way gets it to its end, unless that rests: then most likely nobody
  is there to get it.
"""

import socket
from asyncio import Transport
from collections.abc import Callable
from time import monotonic

from router.proxy.deadlines import Deadlines

#: Every client of HTTP/1.1 reads over it (RFC 9110, 15.2.1).
_QUESTION = b"HTTP/1.1 100 Continue\r\n\r\n"
#: Most answers are there sooner, and nobody need be asked.
_ASK_AFTER_S = 0.05
_REST_S = 0.1


class Listening:
    """Finds out whether a client that sends no more still wants its answer; ends by itself with that answer.

    Args:
        deadlines: Calls it now and then.
        is_current: Whether the answer is still due.
        progress: None while nothing of the answer has gone out; changes with every part that has.
        gone: Told if nobody listens.
    """

    def __init__(
        self,
        deadlines: Deadlines,
        transport: Transport,
        *,
        is_current: Callable[[], bool],
        progress: Callable[[], float | None],
        gone: Callable[[], None],
    ) -> None:
        self._deadlines = deadlines
        self._transport = transport
        self._is_current = is_current
        self._progress = progress
        self._gone = gone
        self._has_asked = False
        self._last_progress = progress()
        self.deadline = monotonic() + (_ASK_AFTER_S if self._last_progress is None else _REST_S)
        deadlines.add(self)

    def expire(self) -> None:
        """Ask, or look at what became of that, or of the answer."""
        progress = self._progress()
        if self._transport.is_closing() or not self._is_current():
            self._deadlines.discard(self)
        elif progress is None:
            self._ask_or_look()
        elif self._last_progress is None:  # it began after the client's end, so its client was there
            self._deadlines.discard(self)
        elif progress != self._last_progress or self._transport.get_write_buffer_size():
            self._last_progress = progress
            self.deadline = monotonic() + _REST_S
        else:
            self._give_up()

    def _ask_or_look(self) -> None:
        if not self._has_asked:
            self._has_asked = True
            self._transport.write(_QUESTION)
        elif _is_reset(self._transport):
            self._give_up()

    def _give_up(self) -> None:
        self._deadlines.discard(self)
        self._gone()


def can_half_close(transport: Transport) -> bool:
    """Whether a client may end its side and still get something on ours; not over TLS."""
    return transport.can_write_eof()


def _is_reset(transport: Transport) -> bool:
    # The loop does not look at a socket that it neither reads nor writes: after its end of stream, we have to.
    connection = transport.get_extra_info("socket")
    return connection is not None and bool(connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))

"""For how many bytes of a client the process is worth being woken.

Who sends a byte a second would else cost a turn of the event loop with each of them. The kernel can keep them until
there are as many as have to come before anything can be done (SO_RCVLOWAT): nobody waits for a byte longer than it has
to. The end of a connection wakes the process whatever comes before it.

Only for who is slow: what is not read is acknowledged late, which would hold up who sends a lot in small pieces.
"""

import os
import socket
import struct
from asyncio import Transport
from contextlib import suppress
from time import monotonic
from typing import Final, Self

#: A read of less is a drip.
DRIP_BYTES: Final = 32
#: No more is left to the kernel, which takes far more memory for a byte that comes alone.
_MOST_BYTES = 64
#: Who has taken longer than that for a head or body is slow.
_SLOW_S = 0.1
#: Of `struct tcp_info`: milliseconds since data came last.
_LAST_DATA = struct.Struct("52xI")


def is_slow(since: float) -> bool:
    """Whether what began to come at `since` (monotonic seconds) should be there by now."""
    return monotonic() - since > _SLOW_S


class Frugal:
    """Reads a connection of which less comes at a time than is needed.

    Args:
        connection: Of TCP, and its bytes are what is read: those of TLS come in records, which are read whole or not.
    """

    __slots__ = ("_connection", "_wakes_at")

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._wakes_at = 1

    @classmethod
    def of(cls, transport: Transport) -> Self | None:
        """None if that cannot be done with this transport."""
        connection = transport.get_extra_info("socket")
        if connection is None or transport.get_extra_info("sslcontext") is not None:
            return None
        return cls(connection) if connection.family in {socket.AF_INET, socket.AF_INET6} else None

    def wake_at(self, least_bytes: int) -> None:
        """Read once so many bytes have come, or fewer."""
        wakes_at = max(1, min(least_bytes, _MOST_BYTES))
        if wakes_at != self._wakes_at:
            self._wakes_at = wakes_at
            with suppress(OSError):  # it is closed already
                self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, wakes_at)

    def take(self) -> tuple[bytes, float]:
        """What has woken nobody, and when the last of it came (monotonic seconds); the next byte wakes somebody."""
        self.wake_at(1)
        try:
            info = self._connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_DATA.size)
            data = os.read(self._connection.fileno(), _MOST_BYTES)
        except OSError:  # there is nothing, or it is closed already
            return b"", 0.0
        (ago_ms,) = _LAST_DATA.unpack(info)
        return data, monotonic() - ago_ms / 1000

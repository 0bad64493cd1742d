"""Idle connections to instances, the last one used first."""

import asyncio
import errno
from collections.abc import Callable

from router.awake import AwakeTimeout
from router.core.errors import NoDescriptors
from router.proxy.upstream import UpstreamConnection, UpstreamLost, connect

#: Below the 5 s after which common servers close an idle connection: ours goes first, so that theirs is never stale.
IDLE_S = 4.0
_CONNECT_TIMEOUT_S = 2.0
#: Turns of the loop until a connection that was closed has given up its descriptor.
_CLOSING_TURNS = 3


class Pool:
    """Connections by address. LIFO: few stay warm, the others age and are closed by `sweep`.

    It has no limit of its own: what an instance may have in flight is decided where the instance is chosen.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._idle: dict[str, list[UpstreamConnection]] = {}

    def __repr__(self) -> str:
        return f"Pool({ {address: len(idle) for address, idle in self._idle.items()} })"

    def reuse(self, address: str) -> UpstreamConnection | None:
        """The connection to `address` that was used last, if one is idle."""
        idle = self._idle.get(address)
        while idle:
            connection = idle.pop()
            if connection.fits():
                connection.is_reused = True
                return connection
        return None

    def idle(self, address: str) -> int:
        """Connections to `address` that wait for an exchange; one that has just broken may be among them."""
        return len(self._idle.get(address, ()))

    async def open(self, address: str) -> UpstreamConnection:
        """A new connection.

        Raises:
            UpstreamLost: it could not be made in time; nothing was sent.
            NoDescriptors: this process may not have another one.
        """
        try:
            async with AwakeTimeout(_CONNECT_TIMEOUT_S):
                return await self._connect(address)
        except (OSError, TimeoutError) as error:
            if _is_exhausted(error):
                raise NoDescriptors from error
            raise UpstreamLost("connect", is_unread=True) from error

    def give_back(self, connection: UpstreamConnection, now: float | None = None) -> None:
        """Keep a connection whose exchange has ended for the next one, or close it.

        Args:
            now: If the caller has just looked at the clock.
        """
        if not connection.fits():
            connection.close()
            return
        connection.idle_since = self._now() if now is None else now
        idle = self._idle.get(connection.address)
        if idle is None:
            self._idle[connection.address] = [connection]
        else:
            idle.append(connection)

    def sweep(self) -> None:
        """Close what has been idle for too long, and forget addresses without connections."""
        oldest = self._now() - IDLE_S
        for address, idle in list(self._idle.items()):
            # The list is in order of `idle_since`: the oldest are at its front.
            keep_from = next((i for i, c in enumerate(idle) if c.idle_since > oldest and c.fits()), len(idle))
            for connection in idle[:keep_from]:
                connection.close()
            del idle[:keep_from]
            if not idle:
                del self._idle[address]

    def close(self) -> None:
        """Close every idle connection."""
        for idle in self._idle.values():
            for connection in idle:
                connection.close()
        self._idle.clear()

    async def _connect(self, address: str) -> UpstreamConnection:
        """A new connection, if need be with the descriptor of an idle one."""
        try:
            return await connect(address)
        except OSError as error:
            if not _is_exhausted(error):
                raise
        self.close()
        for _ in range(_CLOSING_TURNS):
            await asyncio.sleep(0)
        return await connect(address)


def _is_exhausted(error: Exception) -> bool:
    """Whether it is ours and not the instance's fault."""
    return isinstance(error, OSError) and error.errno in {errno.EMFILE, errno.ENFILE}

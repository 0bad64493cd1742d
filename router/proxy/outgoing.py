"""The bytes that leave a connection."""

import asyncio


class Outgoing:
    """Writes to a transport.

    Compiled, it hands bytes to the kernel itself while nothing waits before them: the event loop's way to the same
    system call takes half a microsecond. What the kernel does not take is the transport's, as is every error: it hears
    of it from its next write.

    Not to be used after `connection_lost`: the descriptor may be another connection's then.
    """

    __slots__ = ("_transport",)

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def write(self, data: bytes) -> None:
        """Send `data` as soon as the peer takes it."""
        self._transport.write(data)

    def write_two(self, head: bytes, body: bytes | memoryview) -> None:
        """Send `head` and then `body`."""
        self._transport.writelines((head, body))

    def defer(self) -> None:
        """Leave everything to the transport from now on, since somebody else writes to it as well."""

"""Sockets that are none: a loop whose connections to instances end in memory, and a client's side of one.

Everything happens in turns of the loop and nothing waits for a clock, so an input has the same fate each time.
"""

import asyncio
from collections.abc import Callable
from typing import Any, cast

Answers = Callable[["Conversation", bytes], None]


class Transport(asyncio.Transport):
    """One end of a connection; what is written to it is kept in `written`.

    Attributes:
        heard: Told of what is written, and with None of the end.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, heard: Callable[[bytes | None], None]) -> None:
        super().__init__({"peername": ("127.0.0.1", 1)})
        self._loop = loop
        self._heard = heard
        self._protocol = cast(asyncio.Protocol, None)
        self._is_closing = False
        self._has_ended = False
        self._is_reading = True
        self.written = bytearray()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = cast(asyncio.Protocol, protocol)

    def get_protocol(self) -> asyncio.Protocol:
        return self._protocol

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._is_closing:
            assert not self._has_ended, "written after the end"
            self.written += data
            self._heard(bytes(data))

    def write_eof(self) -> None:
        if not self._has_ended:
            self._has_ended = True
            self._heard(None)

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        if not self._is_closing:
            self.write_eof()
            self._is_closing = True
            self._loop.call_soon(self._lose)

    abort = close

    def is_closing(self) -> bool:
        return self._is_closing

    def pause_reading(self) -> None:
        self._is_reading = False

    def resume_reading(self) -> None:
        self._is_reading = True

    def is_reading(self) -> bool:
        return self._is_reading

    def get_write_buffer_size(self) -> int:
        return 0

    def receive(self, data: bytes) -> None:
        """Bytes come from the other side."""
        if not self._is_closing:
            self._protocol.data_received(data)

    def receive_eof(self) -> None:
        """The other side sends no more."""
        if not self._is_closing and not self._protocol.eof_received():
            self.close()

    def _lose(self) -> None:
        self._protocol.connection_lost(None)


class Conversation:
    """One connection to an instance, seen from the instance.

    Args:
        answers: Told of what comes, and with empty bytes of the end.
    """

    def __init__(self, loop: "Loop", answers: Answers) -> None:
        self._loop = loop
        self._answers = answers
        self.transport = Transport(loop, self._heard)
        self.received = bytearray()
        self.answered = 0  # requests

    def send(self, data: bytes) -> None:
        """Send bytes, as soon as the router reads."""
        self._later(self.transport.receive, data)

    def end(self) -> None:
        """Send no more."""
        self._later(self.transport.receive_eof)

    def _later(self, call: Callable[..., None], *values: bytes) -> None:
        def once_it_reads() -> None:
            if self.transport.is_reading() or self.transport.is_closing():
                call(*values)
            else:
                self._loop.call_soon(once_it_reads)

        self._loop.call_soon(once_it_reads)

    def _heard(self, data: bytes | None) -> None:
        self.received += data or b""
        self._answers(self, data or b"")


class Loop(asyncio.SelectorEventLoop):
    """A loop that connects to one instance, whatever the address."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: Answers | None = None
        self.conversations: list[Conversation] = []
        self.failures: list[BaseException | str] = []
        self.set_exception_handler(self._keep)

    async def create_unix_connection(self, protocol_factory: Any, path: Any = None, **_: Any) -> Any:  # type: ignore[override]
        assert self.answers is not None
        conversation = Conversation(self, self.answers)
        self.conversations.append(conversation)
        protocol = protocol_factory()
        conversation.transport.set_protocol(protocol)
        protocol.connection_made(conversation.transport)
        return conversation.transport, protocol

    async def settle(self) -> None:
        """Return once nothing is left to do but what a timer does."""
        for _ in range(10_000):
            await asyncio.sleep(0)
            if not self._ready:  # type: ignore[attr-defined]  # what is due in the next turn
                return
        raise AssertionError("there is no end to it")

    def _keep(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.failures.append(context.get("exception") or context["message"])

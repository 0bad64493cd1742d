"""Step 4: hand a request to an instance, from a coroutine that waits for its answer."""

import asyncio
from collections.abc import Callable

import msgspec

from router.core.errors import UpstreamReset
from router.core.headers import mirror_lines
from router.core.instances import Deployment
from router.proxy.answer import Answer
from router.proxy.attempts import Attempts
from router.proxy.pool import Pool
from router.proxy.runtime import Runtime
from router.proxy.upstream import AnswerHead, UpstreamConnection, UpstreamLost


class Outgoing(msgspec.Struct, kw_only=True):
    """A request as an instance gets it.

    Attributes:
        lines: Its fields, without line ends, `Host` and framing.
        body: All of it, or what has come so far if `is_streamed`.
        framing: The line that frames the body; empty for none.
        upgrades: Protocols that its instance may switch to.
    """

    method: bytes
    target: bytes
    lines: list[bytes]
    body: bytes
    framing: bytes
    is_streamed: bool = False
    is_idempotent: bool = False
    upgrades: tuple[bytes, ...] = ()

    @property
    def size(self) -> int:
        """Of what has come of its body, in bytes."""
        return len(self.body)

    def write_copy(self, address: str) -> bytes:
        """All of it as a copy may be: marked, and without credentials or the pin."""
        return msgspec.structs.replace(self, lines=mirror_lines(self.lines)).head(address) + self.body

    def head(self, address: str) -> bytes:
        """The head for the instance at `address`."""
        host = b"localhost" if address.startswith("unix:") else address.removeprefix("http://").encode()
        fields = [b"Host: " + host, *self.lines]
        if self.framing:
            fields.append(self.framing)
        if self.upgrades:
            fields += [b"Connection: Upgrade", b"Upgrade: " + b", ".join(self.upgrades)]
        return self.method + b" " + self.target + b" HTTP/1.1\r\n" + b"\r\n".join(fields) + b"\r\n\r\n"


class Exchange(Attempts):
    """One request at one deployment: owns a place on an instance and a connection, until `close`."""

    def __init__(
        self, runtime: Runtime, pool: Pool, deployment: Deployment, outgoing: Outgoing, *, may_wait: bool = True
    ) -> None:
        may_resend = outgoing.is_idempotent and not outgoing.is_streamed
        super().__init__(runtime, pool, deployment, may_resend=may_resend, may_wait=may_wait)
        self._outgoing = outgoing
        self.is_streamed = outgoing.is_streamed
        self._is_sent = not outgoing.is_streamed
        self.answer: Answer | None = None

    def start_now(self, on_sent: Callable[[], None]) -> bool:
        """Send the request if that takes no waiting: an instance has a free place, and a connection is idle.

        Raises:
            NoReadyInstance, QueueFull: as `acquire`.
        """
        instance = self._instance = self._deployment.acquire()
        connection = self._reuse(instance) if instance is not None else None
        if connection is None:
            return False
        on_sent()
        self._start(connection)
        return True

    async def acquire(self) -> None:
        """Get a place on an instance, waiting in the queue if need be.

        Raises:
            NoReadyInstance: none is in the choice.
            QueueFull: all are busy, and the queue is full or the request may not wait.
        """
        if self._instance is None:
            self._instance = self._deployment.acquire() or await self._wait_in_queue()

    async def send(self, on_sent: Callable[[], None]) -> Answer:
        """Send the request on a connection that works; return its answer, of which nothing has come yet.

        Raises:
            UpstreamReset: no connection could be made to any instance.
        """
        connection = await self.connect()
        on_sent()
        return self._start(connection)

    async def head(self, on_sent: Callable[[], None], deadline: float | None = None) -> AnswerHead:
        """Wait for the head of the answer; send the request again where the rules allow it.

        Args:
            deadline: Of the loop's clock.

        Raises:
            UpstreamReset: the instance broke off and the request must not be sent again.
            TimeoutError: the head did not come in time.
        """
        while True:
            assert self.answer is not None
            try:
                return await self.answer.wait_head(deadline)
            except UpstreamLost as error:
                async with asyncio.timeout_at(deadline):
                    connection = await self.connect_again(error)
                on_sent()
                self._start(connection)

    def detach(self) -> tuple[asyncio.Transport, bytes]:
        """The transport to the instance, which has switched protocols, and what has come over it since.

        The place on the instance stays taken until `close`.

        Raises:
            UpstreamReset: the connection is gone.
        """
        assert self._connection is not None
        try:
            detached = self._connection.detach()
        except UpstreamLost as error:
            self.upstream_failed(error.reason)
            raise UpstreamReset from error
        self.finish()
        return detached

    @property
    def is_listed(self) -> bool:
        """Whether the newest table has the instance that is held."""
        return self._instance is not None and self._instance.is_listed

    async def write(self, chunk: bytes) -> None:
        """Send more of a streamed body.

        Raises:
            UpstreamReset: the connection is gone.
        """
        assert self._connection is not None
        try:
            await self._connection.write(chunk)
        except UpstreamLost as error:
            raise UpstreamReset from error

    def sent_all(self) -> None:
        """The last byte of a streamed body was written."""
        self._is_sent = True

    def _start(self, connection: UpstreamConnection) -> Answer:
        outgoing = self._outgoing
        self._connection = connection
        self.answer = Answer(connection)
        head = outgoing.head(connection.address)
        expects_no_body = outgoing.method == b"HEAD"
        connection.send(head, outgoing.body, self.answer, expects_no_body, outgoing.upgrades)
        return self.answer

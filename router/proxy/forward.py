"""Step 4: hand a request to an instance, and to another one only when that cannot run it twice."""

import asyncio
from collections.abc import Callable

import msgspec

from router.core.errors import NoReadyInstance, QueueFull, UpstreamReset
from router.core.instances import Deployment, Instance
from router.core.stats import count
from router.proxy.answer import Answer
from router.proxy.pool import Pool
from router.proxy.runtime import Runtime
from router.proxy.upstream import AnswerHead, UpstreamConnection, UpstreamLost


class Outgoing(msgspec.Struct, kw_only=True):
    """A request as an instance gets it.

    Attributes:
        lines: Its fields, without line ends, `Host` and framing.
        body: All of it, or what has come so far if `is_streamed`.
        framing: The line that frames the body; empty for none.
    """

    method: bytes
    target: bytes
    lines: list[bytes]
    body: bytes
    framing: bytes
    is_streamed: bool = False
    is_idempotent: bool = False

    def head(self, address: str) -> bytes:
        """The head for the instance at `address`."""
        host = b"localhost" if address.startswith("unix:") else address.removeprefix("http://").encode()
        fields = [b"Host: " + host, *self.lines]
        if self.framing:
            fields.append(self.framing)
        return self.method + b" " + self.target + b" HTTP/1.1\r\n" + b"\r\n".join(fields) + b"\r\n\r\n"


class Exchange:
    """One request at one deployment: owns a place on an instance and a connection, until `close`.

    Rules
    - What was never sent (no connection) may go to another instance, until each was tried.
    - What went out on a reused connection that broke unread goes out once more, on a new connection.
    - What an instance may have begun goes to another one only if the endpoint says `idempotent`, and once.
    - A streamed body cannot go out twice, so it never goes out on a connection that may be stale.

    Args:
        may_wait: Whether to queue while all instances are busy.
    """

    def __init__(
        self, runtime: Runtime, pool: Pool, deployment: Deployment, outgoing: Outgoing, *, may_wait: bool = True
    ) -> None:
        self._runtime = runtime
        self._pool = pool
        self._deployment = deployment
        self._outgoing = outgoing
        self._instance: Instance | None = None
        self._connection: UpstreamConnection | None = None
        self._failed: list[Instance] = []
        self._may_wait = may_wait
        self._may_resend = outgoing.is_idempotent and not outgoing.is_streamed
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
        while True:
            instance = self._held()
            try:
                connection = self._reuse(instance) or await self._open(instance)
            except UpstreamLost as error:
                await self._move_on(instance, error)  # each turn rules out one more instance
                continue
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
                    await self._resend(error, on_sent)

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

    def finish(self) -> None:
        """The whole answer was read: the connection may be used again, unless the instance still waits for a body."""
        if self._connection is not None and self._is_sent:
            self._pool.give_back(self._connection)
            self._connection = None
        if self._instance is not None:
            self._instance.answered()

    def upstream_failed(self, reason: str) -> None:
        """Count a failure against the instance that holds the request."""
        if self._instance is not None:
            self._runtime.upstream_failed(self._deployment, self._instance, reason)

    def timed_out(self) -> None:
        """Count a request that got no answer in time. It does not eject: the instance may just be slow."""
        numbers = self._runtime.totals.endpoint(self._deployment.endpoint).deployment(self._deployment.name)
        count(numbers.failures, "timeout")

    def close(self) -> None:
        """Give everything back; a connection in the middle of an answer is closed."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._release()

    async def _resend(self, error: UpstreamLost, on_sent: Callable[[], None]) -> None:
        assert self._connection is not None
        instance = self._held()
        is_stale = self._connection.is_reused and error.is_unread
        self._connection.close()
        self._connection = None
        if self._outgoing.is_streamed:
            self.upstream_failed(error.reason)
            raise UpstreamReset from error
        if is_stale:
            try:
                self._start(await self._open(instance))
            except UpstreamLost as unreachable:
                await self._move_on(instance, unreachable)
                await self.send(on_sent)
            return
        if not self._may_resend:
            self.upstream_failed(error.reason)
            raise UpstreamReset from error
        self._may_resend = False
        await self._move_on(instance, error)
        await self.send(on_sent)

    def _start(self, connection: UpstreamConnection) -> Answer:
        outgoing = self._outgoing
        self._connection = connection
        self.answer = Answer(connection)
        head = outgoing.head(connection.address)
        connection.send(head, outgoing.body, self.answer, expects_no_body=outgoing.method == b"HEAD")
        return self.answer

    def _reuse(self, instance: Instance) -> UpstreamConnection | None:
        return None if self._outgoing.is_streamed else self._pool.reuse(instance.address)

    async def _open(self, instance: Instance) -> UpstreamConnection:
        connection = await self._pool.open(instance.address)
        numbers = self._runtime.totals.endpoint(self._deployment.endpoint).deployment(self._deployment.name)
        numbers.connections_opened += 1
        return connection

    async def _move_on(self, instance: Instance, error: UpstreamLost) -> None:
        """Exchange the place on an instance that failed for one on another."""
        self.upstream_failed(error.reason)
        self._failed.append(instance)
        self._release()
        self._instance = await self._acquire_other()
        if self._instance is None:
            raise UpstreamReset from error

    async def _acquire_other(self) -> Instance | None:
        while self._deployment.has_other(self._failed):
            instance = self._deployment.acquire_other(self._failed) or await self._wait_in_queue()
            if instance not in self._failed:
                return instance
            self._deployment.release(instance)  # the queue gives what is free; this one had its chance
        return None

    async def _wait_in_queue(self) -> Instance:
        if not self._may_wait:
            raise QueueFull
        return await _Place(self._deployment).wait()

    def _held(self) -> Instance:
        if self._instance is None:
            raise NoReadyInstance
        return self._instance

    def _release(self) -> None:
        if self._instance is not None:
            instance, self._instance = self._instance, None
            self._deployment.release(instance)


class _Place:
    """A place in a deployment's queue."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._granted: asyncio.Future[Instance] = asyncio.get_running_loop().create_future()

    def grant(self, instance: Instance) -> None:
        self._granted.set_result(instance)

    async def wait(self) -> Instance:
        self._deployment.enqueue(self)
        try:
            return await asyncio.shield(self._granted)
        except asyncio.CancelledError:
            # The place may have been granted in the same turn of the loop in which we gave up.
            if self._granted.done():
                self._deployment.release(self._granted.result())
            else:
                self._deployment.leave_queue(self)
            raise

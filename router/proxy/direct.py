"""Step 4 without a coroutine: an exchange that its connection calls back."""

import asyncio

import structlog

from router.core.errors import InternalError, QueueFull, RequestTimeout, RouterError
from router.core.instances import Deployment, Instance
from router.proxy.attempts import Attempts
from router.proxy.pool import Pool
from router.proxy.runtime import Runtime
from router.proxy.upstream import UpstreamConnection, UpstreamLost

log = structlog.get_logger()


class DirectExchange(Attempts):
    """One request at one deployment, told of its answer as a `Sink`.

    A task is made only for what cannot be done at once: to open a connection, or to try again.
    """

    def __init__(
        self, runtime: Runtime, pool: Pool, deployment: Deployment, may_resend: bool, may_wait: bool = True
    ) -> None:
        super().__init__(runtime, pool, deployment, may_resend, may_wait)
        self.deadline = 0.0
        self._task: asyncio.Task[None] | None = None
        self._is_queued = False
        self._has_head = False

    def begin(self) -> None:
        """Send the request as soon as an instance has a place for it.

        Raises:
            NoReadyInstance: none is in the choice.
            QueueFull: all are busy, and the queue is full or the request may not wait.
        """
        instance = self._deployment.acquire()
        self._runtime.deadlines.add(self)
        if instance is not None:
            self.grant(instance)
        else:
            self.wait()

    def wait(self) -> None:
        """Queue for a place.

        Raises:
            QueueFull: the request may not wait.
        """
        if not self._may_wait:
            raise QueueFull
        self._is_queued = True
        self._deployment.enqueue(self)

    def grant(self, instance: Instance) -> None:
        """Take a place on `instance`."""
        self._is_queued = False
        self._instance = instance
        connection = self._pool.reuse(instance.address)
        if connection is not None:
            self._use(connection)
        else:
            self._start_task()

    def close(self) -> None:
        self._runtime.deadlines.discard(self)
        if self._is_queued:
            self._is_queued = False
            self._deployment.leave_queue(self)
        if self._task is not None:
            self._task.cancel()
            self._task = None
        Attempts.close(self)  # `super` is not known to a compiled method that others call directly

    def expire(self) -> None:
        """The answer did not come in time."""
        self.timed_out()
        self.fail(RequestTimeout())

    def lost(self, error: UpstreamLost, parts: list[bytes]) -> None:
        """The connection broke: try again where the rules allow it."""
        if self._has_head:
            self.broke_off(error, parts)
        else:
            self._start_task(error)

    # What a subclass does with it

    def send_on(self, connection: UpstreamConnection) -> None:
        """Send the request."""
        raise NotImplementedError

    def fail(self, error: RouterError) -> None:
        """There is no answer, and there will be none."""
        raise NotImplementedError

    def broke_off(self, error: UpstreamLost, parts: list[bytes]) -> None:
        """The answer ended too early, perhaps with a few more parts."""
        raise NotImplementedError

    def _use(self, connection: UpstreamConnection) -> None:
        self._connection = connection
        self.send_on(connection)

    def _start_task(self, error: UpstreamLost | None = None) -> None:
        self._task = asyncio.create_task(self._connect(error), name="connect")

    async def _connect(self, error: UpstreamLost | None) -> None:
        try:
            connection = await (self.connect() if error is None else self.connect_again(error))
        except RouterError as refused:
            self._task = None
            self.fail(refused)
        except Exception:
            log.exception("request.crashed")
            self._task = None
            self.fail(InternalError())
        else:
            self._task = None
            self._use(connection)

"""The place on an instance and the connection that one request holds, and what may take their place.

Rules
- What was never sent (no connection) may go to another instance, until each was tried.
- What went out on a reused connection that broke unread goes out once more, on a new connection.
- What an instance may have begun goes to another one only if the endpoint says `idempotent`, and once; if there is no
  other, on a new connection, unless it was on one already.
- An instance that ends a connection between two requests may not have seen the second, and is not the worse for it: no
  row of such ends ejects it. One that fails on new connections is.
- A streamed body cannot go out twice, so it never goes out on a connection that may be stale.
"""

import asyncio

from router.core.errors import NoDescriptors, NoReadyInstance, QueueFull, UpstreamReset
from router.core.instances import Deployment, Instance
from router.core.stats import count
from router.proxy.pool import Pool
from router.proxy.runtime import Runtime
from router.proxy.upstream import UpstreamConnection, UpstreamLost


class Attempts:
    """Owns a place on an instance and a connection, until `close`.

    Args:
        may_resend: Whether what an instance may have begun may go to another one, once.
        may_wait: Whether to queue while all instances are busy.
    """

    def __init__(
        self, runtime: Runtime, pool: Pool, deployment: Deployment, may_resend: bool, may_wait: bool = True
    ) -> None:
        self._set_up(runtime, pool, deployment, may_resend, may_wait)

    def _set_up(self, runtime: Runtime, pool: Pool, deployment: Deployment, may_resend: bool, may_wait: bool) -> None:
        self.is_streamed = False
        self._instance: Instance | None = None
        self._connection: UpstreamConnection | None = None
        self._failed: tuple[Instance, ...] = ()
        self._is_sent = True
        self._runtime = runtime
        self._pool = pool
        self._deployment = deployment
        self._may_resend = may_resend
        self._may_wait = may_wait

    async def connect(self) -> UpstreamConnection:
        """A connection that works, to the instance that is held or to the next one.

        Raises:
            UpstreamReset: no connection could be made to any instance.
            NoDescriptors: this process may not have another one.
        """
        while True:
            instance = self._held()
            try:
                return self._reuse(instance) or await self._open(instance)
            except UpstreamLost as error:
                await self._move_on(instance, error)  # each turn rules out one more instance

    async def connect_again(self, error: UpstreamLost) -> UpstreamConnection:
        """A connection for another attempt, after the one before was lost with `error` before its answer began.

        Raises:
            UpstreamReset: there must not be another attempt.
        """
        assert self._connection is not None
        instance = self._held()
        is_between = self._connection.is_reused and error.reason == "reset"
        is_stale = is_between and error.is_unread
        self._connection.close()
        self._connection = None
        if self.is_streamed:
            self.upstream_failed(error.reason)
            raise UpstreamReset from error
        if is_stale:
            return await self._open_or_move_on(instance)
        if not self._may_resend:
            self.upstream_failed(error.reason, ejects=not is_between)
            raise UpstreamReset from error
        self._may_resend = False
        if is_between and not self._deployment.has_other((*self._failed, instance)):
            self.upstream_failed(error.reason, ejects=False)
            return await self._open_or_move_on(instance)
        await self._move_on(instance, error, ejects=not is_between)
        return await self.connect()

    def finish(self) -> None:
        """The whole answer was read: the connection may be used again, unless the instance still waits for a body."""
        if self._connection is not None and self._is_sent:
            self._pool.give_back(self._connection)
            self._connection = None
        if self._instance is not None:
            self._instance.answered()

    def upstream_failed(self, reason: str, *, ejects: bool = True) -> None:
        """Count a failure of the instance that holds the request; against it, too, if it may eject it."""
        if self._instance is not None:
            self._runtime.upstream_failed(self._deployment, self._instance, reason, ejects=ejects)

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

    def _reuse(self, instance: Instance) -> UpstreamConnection | None:
        return None if self.is_streamed else self._pool.reuse(instance.address)

    async def _open(self, instance: Instance) -> UpstreamConnection:
        numbers = self._runtime.totals.endpoint(self._deployment.endpoint).deployment(self._deployment.name)
        try:
            connection = await self._pool.open(instance.address)
        except NoDescriptors as error:
            count(numbers.failures, error.code)
            raise
        numbers.instance(instance.address).connections_opened += 1
        return connection

    async def _open_or_move_on(self, instance: Instance) -> UpstreamConnection:
        try:
            return await self._open(instance)
        except UpstreamLost as unreachable:
            await self._move_on(instance, unreachable)
            return await self.connect()

    async def _move_on(self, instance: Instance, error: UpstreamLost, *, ejects: bool = True) -> None:
        """Exchange the place on an instance that failed for one on another."""
        self.upstream_failed(error.reason, ejects=ejects)
        self._failed = (*self._failed, instance)
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
        return await _Place(self._deployment).wait(is_admitted=bool(self._failed))

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

    async def wait(self, *, is_admitted: bool) -> Instance:
        self._deployment.enqueue(self, is_admitted=is_admitted)
        try:
            return await asyncio.shield(self._granted)
        except asyncio.CancelledError:
            # The place may have been granted in the same turn of the loop in which we gave up.
            if self._granted.done():
                self._deployment.release(self._granted.result())
            else:
                self._deployment.leave_queue(self)
            raise

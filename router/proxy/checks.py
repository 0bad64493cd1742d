"""Checks that let an ejected instance return."""

import asyncio

import structlog

from router.awake import AwakeTimeout
from router.core.errors import NoDescriptors
from router.core.instances import Deployment, Instance
from router.core.table import DeploymentSpec
from router.proxy.answer import Answer
from router.proxy.pool import Pool
from router.proxy.runtime import Runtime
from router.proxy.upstream import UpstreamLost

log = structlog.get_logger()

_TIMEOUT_S = 2.0


class ReturnChecks:
    """Asks ejected instances, when their time is over, whether they answer again."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._pool = Pool(runtime.now)
        self._tasks: dict[str, asyncio.Task[None]] = {}  # by address: one check at a time

    def sweep(self) -> None:
        """Start the checks that are due."""
        now = self._runtime.now()
        for deployment, instance in list(self._runtime.ejected()):
            is_due = instance.check_at is not None and instance.check_at <= now
            if is_due and instance.address not in self._tasks:
                task = asyncio.create_task(self._check(deployment, instance), name=f"check {instance.address}")
                self._tasks[instance.address] = task

    async def close(self) -> None:
        """Give up the checks that are under way."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _check(self, deployment: Deployment, instance: Instance) -> None:
        try:
            await self._decide(deployment, instance)
        finally:
            del self._tasks[instance.address]

    async def _decide(self, deployment: Deployment, instance: Instance) -> None:
        spec = self._spec(deployment)
        where = {"endpoint": deployment.endpoint, "deployment": deployment.name, "address": instance.address}
        if spec is not None and await self._answers(instance.address, spec.check_path):
            instance.check_passed()
            deployment.serve_queue()
            log.info("instance.returned", **where)
        else:
            instance.check_failed(self._runtime.now())
            log.warning("instance.check_failed", **where)

    def _spec(self, deployment: Deployment) -> DeploymentSpec | None:
        endpoints = (e.spec for e in self._runtime.table.endpoints if e.spec.name == deployment.endpoint)
        return next((spec for e in endpoints for spec in e.deployments if spec.name == deployment.name), None)

    async def _answers(self, address: str, path: str) -> bool:
        """Whether a GET of `path` gets a 2xx in time."""
        try:
            async with AwakeTimeout(_TIMEOUT_S):
                connection = await self._pool.open(address)
                try:
                    answer = Answer(connection)
                    head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
                    connection.send(head, b"", answer)
                    return 200 <= (await answer.wait_head()).status < 300
                finally:
                    connection.close()
        except (UpstreamLost, NoDescriptors, TimeoutError):
            return False

"""What operations wait for: instances that are ready, traffic that follows, a table that every proxy has."""

import asyncio
from collections.abc import Iterable

import structlog

from router.control.applier import Applier
from router.control.commands.following import Teller
from router.control.commands.operations import Operations
from router.control.commands.plans import Target
from router.control.refusal import NotFound
from router.control.states import DeploymentStatus

log = structlog.get_logger()

#: Between two looks at what an operation waits for; what changes is told of at once, what workers print is not.
_LOOK_EVERY_S = 0.5
_APPLY_TIMEOUT_S = 10.0


class Effects:
    """Waits for the effect of a change that was applied, tells of progress, and ends the operation."""

    def __init__(self, operations: Operations, applier: Applier) -> None:
        self._operations = operations
        self._applier = applier

    async def deployment(self, name: str, target: Target) -> None:
        """Until the deployment is as it shall be, or has failed."""
        if await self.is_there(name, target):
            await self.generation(name)

    async def is_there(self, name: str, target: Target) -> bool:
        """Whether the deployment has come to be as it shall be; if not, the operation has ended."""
        teller = Teller()
        while (status := self._status_of(target)) is not None:
            for line in teller.news(status):
                self._operations.tell(name, line)
            if status.provisioning_state == "Failed":
                await self._operations.end(name, "Failed", reason=status.reason, log_tail=status.log_tail)
                return False
            if status.provisioning_state == "Succeeded":
                return True
            await self._applier.wait_for_news(_LOOK_EVERY_S)
        await self._operations.end(name, "Canceled", reason="the deployment was taken out of the config")
        return False

    async def all_of(self, name: str, targets: Iterable[Target]) -> None:
        """Until every one of several deployments and endpoints is as it shall be, or one has failed."""
        for target in targets:
            has_come = self.is_there if target.deployment else self.is_followed
            if not await has_come(name, target):
                return
        await self.generation(name)

    async def traffic(self, name: str, target: Target) -> None:
        """Until live traffic follows the config, or waits for a deployment that has failed."""
        if await self.is_followed(name, target):
            await self.generation(name)

    async def is_followed(self, name: str, target: Target) -> bool:
        """Whether live traffic has come to follow the config; if not, the operation has ended."""
        while held := self._held(target.endpoint):
            self._operations.tell(name, held)
            failed = self._applier.failed_live(target.endpoint)
            if failed is not None:
                reason = f"{held}; {failed.key[1]} has failed: {failed.reason}"
                await self._operations.end(name, "Failed", reason=reason, log_tail=failed.log_tail)
                return False
            await self._applier.wait_for_news(_LOOK_EVERY_S)
        return True

    async def deletion(self, name: str, target: Target) -> None:
        """Until nothing is left of it."""
        teller = Teller()
        while statuses := self._applier.leaving(target.endpoint, target.deployment):
            for status in statuses:
                for line in teller.news(status):
                    self._operations.tell(name, f"{status.key[1]}: {line}")
            await self._applier.wait_for_news(_LOOK_EVERY_S)
        await self.generation(name)

    async def generation(self, name: str) -> None:
        """Until every proxy routes by the newest table."""
        await self.applied_everywhere()
        await self._operations.end(name, "Succeeded")

    async def applied_everywhere(self) -> None:
        """Return when every proxy routes by the newest table; one that is being restarted starts with it."""
        try:
            async with asyncio.timeout(_APPLY_TIMEOUT_S):
                await self._applier.wait_until_applied()
        except TimeoutError:
            log.warning("table.not_applied_yet", waited_s=_APPLY_TIMEOUT_S)

    def _status_of(self, target: Target) -> DeploymentStatus | None:
        """Where a deployment of the config stands."""
        try:
            key, _ = self._applier.deployment(target.endpoint, target.deployment)
        except NotFound:
            return None
        return self._applier.status_of(key)

    def _held(self, endpoint: str) -> str:
        """Why the traffic of an endpoint does not follow the config yet; empty when it does."""
        held = self._applier.held
        return next((reason for name, reason in held.items() if name.lower() == endpoint.lower()), "")

"""What the routes of the admin API ask, without anything that runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from router.control.api.messages import Change, Keys, Operation, Token
from router.control.applier import Applier
from router.control.commands.commands import Commands
from router.control.commands.operations import Operations
from router.control.config.schema import RouterConfig
from router.control.refusal import Refusal
from router.control.states import DeploymentStatus

DONE = Operation(id="1a2b", command="online-endpoint update", endpoint="churn", started="2026-01-01T00:00:00.000Z")


class IdleApplier(Applier):
    """Has a config in force, and runs nothing of it."""

    def __init__(
        self,
        endpoints: Mapping[str, object],
        *,
        state_dir: Path = Path("/nowhere"),
        statuses: Sequence[DeploymentStatus] = (),
        held: Mapping[str, str] | None = None,
    ) -> None:
        self._config = RouterConfig.model_validate({"endpoints": endpoints})
        self._log_dir = state_dir / "logs"
        self._statuses = tuple(statuses)
        self._held = held or {}
        self._resolve = lambda config: (config, {})

    def statuses(self) -> tuple[DeploymentStatus, ...]:
        return self._statuses

    def settle_logs(self) -> None:
        """Nothing prints."""


class Asked:
    """Stands in for `Commands`: remembers what it is asked for, and does nothing, or refuses it.

    Attributes:
        calls: Name and arguments of each.
        opens: What opens every endpoint.
    """

    def __init__(self, operations: Operations, refusal: Refusal | None = None) -> None:
        self.operations = operations
        self.calls: list[tuple[object, ...]] = []
        self.opens: Keys | Token = Keys(primary_key="first", secondary_key="second")
        self._refusal = refusal

    @property
    def as_commands(self) -> Commands:
        """The same, for whoever wants the real ones."""
        return cast("Commands", self)

    async def put_endpoint(self, name: str, change: Change) -> Operation:
        return self._done("put_endpoint", name, change)

    async def patch_endpoint(self, name: str, change: Change) -> Operation:
        return self._done("patch_endpoint", name, change)

    async def delete_endpoint(self, name: str) -> Operation:
        return self._done("delete_endpoint", name)

    async def put_deployment(self, endpoint: str, name: str, change: Change) -> Operation:
        return self._done("put_deployment", endpoint, name, change)

    async def patch_deployment(self, endpoint: str, name: str, change: Change) -> Operation:
        return self._done("patch_deployment", endpoint, name, change)

    async def delete_deployment(self, endpoint: str, name: str) -> Operation:
        return self._done("delete_deployment", endpoint, name)

    async def credentials(self, endpoint: str) -> Keys | Token:
        self._done("credentials", endpoint)
        return self.opens

    async def regenerate(self, endpoint: str, which: str) -> None:
        self._done("regenerate", endpoint, which)

    def _done(self, *call: object) -> Operation:
        self.calls.append(call)
        if self._refusal is not None:
            raise self._refusal
        return DONE

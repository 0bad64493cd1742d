"""From the state of a deployment to lines that tell a person what is being done."""

from collections.abc import Iterator

from router.control.states import DeploymentStatus, InstanceStatus

_DONE = frozenset({"ready"})


def progress_lines(status: DeploymentStatus) -> list[str]:
    """What there is to tell of each instance that is not simply ready, and how many are."""
    ready = sum(instance.state == "ready" for instance in status.instances)
    lines = [line for instance in status.instances for line in _of_instance(instance)]
    return [*lines, f"{status.provisioning_state}: {ready} of {len(status.instances)} instances are ready"]


def _of_instance(instance: InstanceStatus) -> Iterator[str]:
    if instance.state in _DONE:
        return
    told = f"instance {instance.name}: {instance.state}"
    if instance.reason:
        told += f": {instance.reason}"
    if instance.last_line:
        told += f": {instance.last_line}"
    yield told


class Teller:
    """Passes each line on once: those that are new since the last look."""

    def __init__(self) -> None:
        self._told: frozenset[str] = frozenset()

    def news(self, status: DeploymentStatus) -> list[str]:
        """Lines that were not there at the last look."""
        lines = progress_lines(status)
        news = [line for line in lines if line not in self._told]
        self._told = frozenset(lines)
        return news

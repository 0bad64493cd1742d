"""What the control process knows of deployments and instances, as it is shown to people and programs."""

from collections.abc import Mapping
from typing import Literal, NewType

import msgspec

ProvisioningState = Literal["Creating", "Updating", "Scaling", "Deleting", "Succeeded", "Failed", "Canceled"]
#: starting: init() runs. unready: runs, but is out of the choice. backoff: waits to be started again.
InstanceState = Literal["starting", "ready", "unready", "draining", "stopping", "backoff"]

DeploymentKey = NewType("DeploymentKey", tuple[str, str])  # (endpoint, deployment)


class InstanceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One instance. `name` is its number within the deployment; an upstream's is its address."""

    name: str
    address: str
    state: InstanceState
    pid: int | None = None
    restarts: int = 0
    since: float = 0.0  # Unix time of the last change of state
    retry_in_s: float | None = None
    rss_bytes: int | None = None
    cpu_seconds: float | None = None
    in_flight: int = 0  # requests of all proxies
    connections_idle: int = 0
    connections_opened: int = 0
    reason: str = ""  # why it is not ready
    last_line: str = ""  # that it printed, or that was printed while its environment was built; if it is not ready


class DeploymentStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One deployment: where it stands, and if it failed why, with the last lines that it logged."""

    key: DeploymentKey
    kind: Literal["managed", "upstreams"]
    provisioning_state: ProvisioningState
    reason: str = ""
    log_tail: tuple[str, ...] = ()
    log_dir: str = ""
    instances: tuple[InstanceStatus, ...] = ()
    workers_started: int = 0
    worker_exits: Mapping[str, int] = {}  # by reason

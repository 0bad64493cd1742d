"""Workers: started, watched, replaced, rolled and drained."""

from router.control.supervisor.checks import UpstreamChecks, UpstreamSpec
from router.control.supervisor.spec import Probe, WorkerSpec
from router.control.supervisor.supervisor import Supervisor

__all__ = ["Probe", "Supervisor", "UpstreamChecks", "UpstreamSpec", "WorkerSpec"]

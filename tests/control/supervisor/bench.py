"""A supervisor over real child processes, what it was told of, and a way to wait for what it does."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

from router.control.environments import EnvironmentFailed, Environments, EnvironmentSpec, Interpreter, Report
from router.control.states import DeploymentKey, DeploymentStatus, InstanceStatus
from router.control.supervisor import Supervisor, WorkerSpec

KEY = DeploymentKey(("churn", "blue"))
GOOD = "def init(): pass\n"


def make_spec(script: Path, /, **changes: object) -> WorkerSpec:
    """The deployment `churn/blue` with that script."""
    settings: dict[str, object] = {
        "endpoint": "churn",
        "deployment": "blue",
        "script": script,
        "code_dir": script.parent,
        "environment": EnvironmentSpec(),
        "environment_variables": {},
        "drain_timeout_s": 5.0,
        **changes,
    }
    return WorkerSpec(**settings)  # type: ignore[arg-type]


class FakeEnvironments(Environments):
    """Our own interpreter with the fake worker; a conda file stands for an environment that cannot be built."""

    def __init__(self, python_path: Path) -> None:
        super().__init__(python_path, python_path)
        self._fake = python_path

    async def prepare(self, spec: EnvironmentSpec, report: Report) -> Interpreter:
        await asyncio.sleep(0)
        if spec.conda_file is not None:
            raise EnvironmentFailed("no such package: nunpy", "detail of uv")
        return Interpreter(python=Path(sys.executable), python_path=self._fake)


class Bench:
    """A supervisor and its surroundings below `root`."""

    def __init__(self, root: Path, environments: Environments) -> None:
        self.root = root
        self.environments = environments
        self.changes = 0
        self.ready_counts: list[int] = []
        self.asked: list[str] = []  # addresses whose drain was awaited
        self.may_drain = asyncio.Event()
        self.may_drain.set()
        self.supervisor = Supervisor(
            run_dir=root / "run",
            log_dir=root / "logs",
            work_dir=root / "work",
            environments=environments,
            drained=self._drained,
            on_change=self._changed,
        )

    def code(self, script: str, name: str = "code") -> Path:
        """A code folder that holds the script; returns the script."""
        folder = self.root / name
        folder.mkdir(exist_ok=True)
        (folder / "score.py").write_text(script)
        return folder / "score.py"

    def spec(self, script: Path, **changes: object) -> WorkerSpec:
        return make_spec(script, **changes)

    def apply(self, spec: WorkerSpec) -> None:
        self.supervisor.apply({KEY: spec}, {})

    async def serving(self, script: str = GOOD, **changes: object) -> WorkerSpec:
        """Apply a spec and wait until it has settled."""
        spec = self.spec(self.code(script), **changes)
        self.apply(spec)
        await self.until(self.has_settled)
        return spec

    @property
    def status(self) -> DeploymentStatus:
        return next(status for status in self.supervisor.statuses() if status.key == KEY)

    @property
    def instances(self) -> tuple[InstanceStatus, ...]:
        return self.status.instances

    @property
    def states(self) -> list[str]:
        return [instance.state for instance in self.instances]

    @property
    def ready(self) -> list[str]:
        """Addresses that are in the choice."""
        return [instance.address for instance in self.supervisor.instances(KEY) if instance.is_ready]

    def pid(self, number: int = 0) -> int:
        pid = self.instances[number].pid
        assert pid is not None
        return pid

    def sockets(self) -> list[Path]:
        """The socket files that there are: two for each process."""
        return list((self.root / "run").rglob("*.sock"))

    def log(self) -> list[str]:
        """The lines in the file of the first instance."""
        path = self.root / "logs" / "churn" / "blue" / "0.log"
        return path.read_text().splitlines() if path.exists() else []

    def has_settled(self) -> bool:
        return self.status.provisioning_state == "Succeeded" and set(self.states) <= {"ready"}

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until the supervisor has come to a state; it is looked at again and again for at most 20 seconds."""
        async with asyncio.timeout(20):
            while not is_so():  # noqa: ASYNC110 -- files are waited for as well
                await asyncio.sleep(0.005)

    async def _drained(self, address: str) -> None:
        assert address not in [instance.address for instance in self.supervisor.instances(KEY)]
        self.asked.append(address)
        await self.may_drain.wait()

    def _changed(self) -> None:
        self.changes += 1
        self.ready_counts.append(len(self.ready))

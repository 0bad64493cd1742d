"""Systems that serve one scoring script, `scripts/spin90`, each as it comes and with one worker."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from harness import environments
from harness.processes import answers_http, free_port
from harness.systems import BENCHMARKS, System
from harness.wrk import Target

SPIN90 = BENCHMARKS / "scripts" / "spin90"
PEERS = BENCHMARKS / "peers"
NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Scorer:
    """One kind of server; `build` makes a system of it from a folder and the `bin` folder of its environment."""

    name: str
    requirement: str
    build: Callable[[Path, Path], System]

    def system(self, scratch: Path) -> System:
        """The system, installed on the first call.

        Raises:
            InstallError: its package cannot be had.
        """
        return self.build(scratch, environments.install(self.requirement))


def azure(scratch: Path, programs: Path) -> System:
    """Azure's inference server: gunicorn and Flask."""
    port = free_port()
    options = ["--entry_script", str(SPIN90 / "score.py"), "--port", str(port), "--health_port", str(free_port())]
    command = [str(programs / "azmlinfsrv"), *options, "--worker_count", "1"]
    return _system("azmlinfsrv", command, port, "/", scratch)


def mlserver(scratch: Path, programs: Path) -> System:
    """MLServer with inference in its own process, which costs it less than a worker of its pool."""
    port = free_port()
    scratch.mkdir(parents=True)
    settings = {"host": "127.0.0.1", "http_port": port, "grpc_port": free_port(), "metrics_port": free_port()}
    (scratch / "settings.json").write_text(json.dumps({**settings, "parallel_workers": 0}))
    model = {"name": "spin90", "implementation": "mlserver_spin90.Spin90"}
    (scratch / "model-settings.json").write_text(json.dumps(model))
    command = [str(programs / "mlserver"), "start", str(scratch)]
    return _system("mlserver", command, port, "/v2/models/spin90/ready", scratch, env=_imports(scratch))


def bentoml(scratch: Path, programs: Path) -> System:
    """BentoML with one worker."""
    port = free_port()
    options = ["--host", "127.0.0.1", "--port", str(port), "--working-dir", str(PEERS)]
    command = [str(programs / "bentoml"), "serve", "bentoml_spin90:Spin90", *options]
    env = {**_imports(scratch), "BENTOML_DO_NOT_TRACK": "1"}
    return _system("bentoml", command, port, "/readyz", scratch, env=env)


def ray(scratch: Path, programs: Path) -> System:
    """Ray Serve with one replica."""
    port = free_port()
    options = ["--port", str(port), "--folder", str(scratch / "ray")]
    command = [str(programs / "python"), str(PEERS / "ray_spin90.py"), *options]
    env = {**_imports(scratch), "RAY_USAGE_STATS_ENABLED": "0"}
    return _system("ray serve", command, port, "/score", scratch, env=env)  # a GET is scored too


AZURE = Scorer("azure", "azureml-inference-server-http==1.5.1", azure)
OTHERS = {
    scorer.name: scorer
    for scorer in (
        Scorer("mlserver", "mlserver==1.7.1", mlserver),
        Scorer("bentoml", "bentoml==1.4.40", bentoml),
        Scorer("ray", "ray[serve]==2.60.0", ray),
    )
}


def _system(
    name: str, command: Sequence[str], port: int, health: str, scratch: Path, *, env: Mapping[str, str] = NOTHING
) -> System:
    return System(
        name=name,
        command=command,
        target=Target(url=f"http://127.0.0.1:{port}/score"),
        is_ready=lambda: answers_http(port, health),
        scratch=scratch,
        env=env,
        cwd=SPIN90,
    )


def _imports(scratch: Path) -> dict[str, str]:
    """Where they find the scoring script and the code around it; their caches go where they are cleaned up."""
    return {"PYTHONPATH": f"{SPIN90}:{PEERS}", "PYTHONDONTWRITEBYTECODE": "1", "HOME": str(scratch)}

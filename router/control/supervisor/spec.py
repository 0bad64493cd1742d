"""What is wanted of one deployment's workers."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from router.control.environments import EnvironmentSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """When an instance counts as healthy; the defaults are Azure's."""

    initial_delay_s: float = 10.0
    period_s: float = 10.0
    timeout_s: float = 2.0
    success_threshold: int = 1
    failure_threshold: int = 30

    @property
    def patience_s(self) -> float:
        """How long a process may take to start before this probe would have given it up."""
        return self.initial_delay_s + self.period_s * self.failure_threshold


@dataclass(frozen=True, kw_only=True)
class WorkerSpec:
    """The workers of one deployment, and what each of them runs. Paths are absolute; `script` is below `code_dir`."""

    endpoint: str
    deployment: str
    script: Path
    code_dir: Path
    model_path: Path | None = None
    environment: EnvironmentSpec
    environment_variables: Mapping[str, str]
    instance_count: int = 1
    concurrency: int = 1
    liveness: Probe = Probe()
    readiness: Probe = Probe()
    startup: Probe | None = None
    warmup_request: Path | None = None
    warmup_content_type: str = "application/json"
    max_memory_bytes: int | None = None
    max_tasks: int | None = None
    drain_timeout_s: float = 30.0

    @property
    def init_timeout_s(self) -> float:
        """Seconds that init() and the warm-up request may take together."""
        return (self.startup or self.liveness).patience_s

    @cached_property
    def fingerprint(self) -> str:
        """Equal for two specs whose workers are interchangeable: the same model, code, environment and settings.

        The files that describe the environment count by their content, as it is when this is first asked for, and by
        their place: what they include lies beside them, and a copy with another include is elsewhere.
        """
        environment = self.environment
        parts = (
            self.script,
            self.code_dir,
            self.model_path,
            environment.python,
            (environment.conda_file, _content(environment.conda_file)),
            (environment.requirements, _content(environment.requirements)),
            sorted(self.environment_variables.items()),
            self.concurrency,
            _content(self.warmup_request),
            self.warmup_content_type,
        )
        return hashlib.sha256(repr(parts).encode()).hexdigest()


def _content(path: Path | None) -> bytes | None:
    """What is in the file; a missing one is reported by whoever needs it."""
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError:
        return b""

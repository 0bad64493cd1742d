"""The open loop's process, as the comparisons use it."""

import dataclasses
import json
import select
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness.open_loop import GRACE_S, LoadError
from harness.pace import Pace
from harness.processes import free_port, pinned
from harness.systems import BENCHMARKS
from harness.wrk import Answers, Target

START_S = 30.0


class PacedLoad:
    """A running generator on `core`, together with the instance on the socket `path` that systems under test ask."""

    def __init__(self, path: Path, core: int) -> None:
        self.address = f"unix:{path}"
        self._port = free_port()
        addresses = [self.address, f"127.0.0.1:{self._port}"]
        command = [sys.executable, "-m", "harness.open_loop", "--listen", *addresses]
        path.parent.mkdir(parents=True, exist_ok=True)
        self._child = subprocess.Popen(
            pinned(command, core), stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=BENCHMARKS, text=True
        )
        self._answer(START_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.terminate()
        self._child.communicate()

    @property
    def instance(self) -> Target:
        """The instance itself, over TCP."""
        return Target(url=f"http://127.0.0.1:{self._port}/score")

    def run(self, target: Target, pace: Pace) -> Answers:
        """Load `target`.

        Raises:
            LoadError: not every request was answered.
        """
        command = {"target": dataclasses.asdict(target), "pace": dataclasses.asdict(pace)}
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps(command) + "\n")
        self._child.stdin.flush()
        found = self._answer(START_S + pace.seconds + 2 * GRACE_S)
        if "error" in found:
            raise LoadError(f"{target.url}: {found['error']}")
        return Answers(**found)

    def _answer(self, timeout_s: float) -> dict[str, Any]:
        assert self._child.stdout is not None
        ready, _, _ = select.select([self._child.stdout], [], [], timeout_s)
        line = self._child.stdout.readline() if ready else ""
        if not line:
            raise LoadError(f"the generator said nothing for {timeout_s:.0f} s")
        answer: dict[str, Any] = json.loads(line)
        return answer

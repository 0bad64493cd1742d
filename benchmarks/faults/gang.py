"""A crowd of burdensome clients in a process of its own."""

import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Self

from harness.processes import PinnedProcess
from harness.steady import READY
from harness.systems import BENCHMARKS


class Gang:
    """So many clients of each kind, from `start` to `stop`; `outcomes` is of all times together.

    Args:
        is_chunked: They ask what the full lane answers.
    """

    def __init__(self, url: str, log: Path, *, is_chunked: bool = False, **numbers: int) -> None:
        options = [part for way, number in numbers.items() for part in (f"--{way.replace('_', '-')}", str(number))]
        chunked = ["--chunked"] if is_chunked else []
        self._command = [sys.executable, "-m", "faults.crowd", url, *chunked, *options]
        self._log = log
        self._process: PinnedProcess | None = None
        self.outcomes: Counter[str] = Counter()

    def start(self) -> Self:
        """Return once all are connected."""
        self._log.unlink(missing_ok=True)
        self._process = PinnedProcess(self._command, core=None, log=self._log, env=os.environ, cwd=BENCHMARKS)
        process = self._process
        process.wait_until(lambda: READY in process.output)
        return self

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop()
            self.outcomes.update(json.loads(self._process.output.splitlines()[-1]))
            self._process = None

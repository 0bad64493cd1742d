"""Runs wrk with the benchmark's requests and reads what it measured."""

import dataclasses
import json
import resource
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.processes import pinned

SCRIPT = Path(__file__).parent.parent / "scripts" / "post.lua"
INSTALL_HINT = "wrk is not installed; on Debian: apt-get install wrk"
GRACE_S = 30  # for wrk itself, past the seconds that it was asked to run


class WrkError(Exception):
    """wrk is missing, failed, or printed no summary."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where requests go; `key` is sent as a bearer token."""

    url: str
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """A closed loop: `connections` keep-alive connections, each with one request in flight."""

    connections: int
    seconds: float
    seed: int = 0
    body_bytes: int = 430  # on average; the requests' sizes lie around it


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What the clients saw. Only answers with a status below 400 are `good`.

    `late_p50_ms`, `late_p99_ms`: how long after its time a request was sent. A closed loop has no such time.
    `generator_s`: CPU time that the generator used, 0 where it was not measured.
    """

    requests: int
    duration_s: float
    p50_ms: float
    p99_ms: float
    errors: int
    late_p50_ms: float = 0.0
    late_p99_ms: float = 0.0
    generator_s: float = 0.0

    @property
    def good(self) -> int:
        return self.requests - self.errors

    @property
    def per_second(self) -> float:
        return self.good / self.duration_s


def command(target: Target, load: Load) -> list[str]:
    """The wrk call for `load` on `target`."""
    options = [f"--connections={load.connections}", "--threads=1", f"--duration={max(1, round(load.seconds))}s"]
    arguments = [str(load.seed), str(load.body_bytes), *([target.key] if target.key else [])]
    return ["wrk", *options, f"--script={SCRIPT}", target.url, "--", *arguments]


def parse(output: str) -> Answers:
    """Read the summary, the last line of `output`.

    Raises:
        WrkError: there is none.
    """
    last = output.rstrip().rpartition("\n")[2]
    try:
        summary: dict[str, int] = json.loads(last)
        errors = sum(summary[f"{kind}_errors"] for kind in ("connect", "read", "write", "status"))
        return Answers(
            requests=summary["requests"],
            duration_s=summary["duration_us"] / 1e6,
            p50_ms=summary["p50_us"] / 1e3,
            p99_ms=summary["p99_us"] / 1e3,
            errors=errors + summary["timeouts"],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise WrkError(f"wrk printed no summary: {last!r}") from error


def run(target: Target, load: Load, *, core: int | None) -> Answers:
    """Put `load` on `target` from `core`, or from any if None, and wait for the end.

    Raises:
        WrkError: wrk failed, or no request got through.
    """
    before = _children_s()
    answers = parse(_output(pinned(command(target, load), core), load.seconds + GRACE_S))
    answers = dataclasses.replace(answers, generator_s=_children_s() - before)
    if answers.good <= 0:
        raise WrkError(f"no good answer from {target.url}: {answers}")
    return answers


def _children_s() -> float:
    """CPU time of the children that ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _output(call: Sequence[str], timeout_s: float) -> str:
    try:
        done = subprocess.run(call, capture_output=True, text=True, timeout=timeout_s, check=True)
    except subprocess.CalledProcessError as error:
        raise WrkError(f"wrk failed: {error.stderr.strip() or error.stdout.strip()}") from error
    except subprocess.TimeoutExpired as error:
        raise WrkError(f"wrk did not end within {timeout_s:.0f} s") from error
    return done.stdout


def is_installed() -> bool:
    return shutil.which("wrk") is not None

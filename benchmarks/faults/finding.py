"""What is the same for every fault, and what is told of each."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

Lane = Literal["fast", "full"]
MB = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Soak:
    """What is the same for every fault: a folder, the lane, seconds of fault, and how often what is done by count.

    `systemd` is a command that runs its arguments under a systemd of their own; empty if there is none.
    """

    scratch: Path
    lane: Lane
    seconds: float
    times: int
    systemd: Sequence[str] = ()

    def folder(self, name: str) -> Path:
        folder = self.scratch / f"{name}-{self.lane}"
        folder.mkdir()
        return folder


@dataclass(frozen=True, slots=True)
class Check:
    """Something that must hold, and what was seen."""

    text: str
    holds: bool
    seen: str = ""


@dataclass(kw_only=True)
class Finding:
    """What one fault did. Milliseconds, bytes; `retried` are attempts that failed without the client's noticing."""

    fault: str
    lane: str
    seconds: float = 0.0
    requests: int = 0
    failures: Mapping[str, int] = field(default_factory=dict)
    retried: int = 0
    dropped: int = 0
    p50_ms: tuple[float, float] = (0.0, 0.0)  # before, under the fault
    p99_ms: tuple[float, float] = (0.0, 0.0)
    slowest_ms: float = 0.0
    lag_ms: float = 0.0  # longest that a proxy's event loop was late, of the last minute
    gc_ms: float = 0.0  # longest pause of its garbage collector, of the last minute
    rss_bytes: tuple[int, int] = (0, 0)  # before, after
    peak_rss_bytes: int = 0
    fds: tuple[int, int] = (0, 0)
    busy_percent: Mapping[str, float] = field(default_factory=dict)  # of a core, all proxies, in spells of each kind
    compared: Mapping[str, Any] = field(default_factory=dict)  # p99s of spells and their ratios: `Contrast.record`
    checks: list[Check] = field(default_factory=list)
    skipped: str = ""
    request_path: str = ""  # compiled or interpreted, as each proxy says of itself

    @property
    def holds(self) -> bool:
        return all(check.holds for check in self.checks)

    @property
    def failed(self) -> int:
        """Requests that were not answered with 200."""
        return sum(self.failures.values())

    def check(self, text: str, holds: object, seen: object = "") -> None:
        self.checks.append(Check(text, bool(holds), str(seen)))

    def no_request_failed(self) -> None:
        self.check("no request failed", not self.failures, self.failures)

    def record(self) -> dict[str, Any]:
        """For a file, or for another process."""
        return dataclasses.asdict(self)

    @classmethod
    def read(cls, record: Mapping[str, Any]) -> Self:
        """What `record` gave."""
        checks = [Check(**check) for check in record["checks"]]
        pairs = {name: tuple(record[name]) for name in ("p50_ms", "p99_ms", "rss_bytes", "fds")}
        return cls(**{**record, **pairs, "checks": checks})


def skipped(fault: str, lane: str, why: str) -> Finding:
    """A fault that cannot be made here."""
    return Finding(fault=fault, lane=lane, skipped=why)


Fault = Callable[[Soak], Finding]

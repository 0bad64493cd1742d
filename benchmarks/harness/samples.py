"""What a steady load found: its requests by when they were sent, what became of them and how long that took."""

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.pace import percentile
from harness.steady import OUTCOMES, RECORD

OK = 200


@dataclass(frozen=True, slots=True)
class Span:
    """From when to when, in seconds on the monotonic clock, which all processes share."""

    began: float
    ended: float

    @property
    def seconds(self) -> float:
        return self.ended - self.began


@dataclass(frozen=True, slots=True)
class Sample:
    """One request. `form` tells answers apart that differ in more than what always differs."""

    sent: float
    done: float
    outcome: int
    form: int

    @property
    def took_s(self) -> float:
        return self.done - self.sent

    @property
    def what(self) -> str:
        """Its status, or in a word why there is none."""
        return OUTCOMES.get(self.outcome) or str(self.outcome)


class Samples:
    """Some requests, in the order in which they ended."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._samples = tuple(samples)

    @classmethod
    def read(cls, records: Path) -> "Samples":
        return cls(Sample(*fields) for fields in RECORD.iter_unpack(records.read_bytes()))

    def __len__(self) -> int:
        return len(self._samples)

    def __iter__(self) -> Iterator[Sample]:
        return iter(self._samples)

    def sent_in(self, *spans: Span) -> "Samples":
        return Samples(s for s in self._samples if any(span.began <= s.sent < span.ended for span in spans))

    @property
    def failed(self) -> tuple[Sample, ...]:
        """Those that were not answered with 200."""
        return tuple(s for s in self._samples if s.outcome != OK)

    def failures(self) -> Counter[str]:
        return Counter(s.what for s in self.failed)

    def forms(self) -> set[int]:
        """The forms of good answers."""
        return {s.form for s in self._samples if s.outcome == OK}

    def slowest_s(self) -> float:
        return max((s.took_s for s in self._samples), default=0.0)

    def percentile_ms(self, percent: float) -> float:
        """Milliseconds within which so many percent of the good answers came; 0 without one."""
        took = sorted(s.took_s for s in self._samples if s.outcome == OK)
        return percentile(took, percent) * 1e3 if took else 0.0


@dataclass(frozen=True, slots=True)
class Contrast:
    """The p99 of spells under a fault beside that of the quiet spells around them, in milliseconds.

    A shared machine has slower and faster minutes, and a single p99 of it is off by a factor of two now and then. So
    spells are short, many, and alternate, beginning and ending with a quiet one: each under the fault is compared with
    the geometric mean of its two neighbours, which cancels a drift, and the median of the ratios counts, which does not
    mind a few spells that something else disturbed.
    """

    quiet_ms: Sequence[float]
    fault_ms: Sequence[float]

    @classmethod
    def of(cls, samples: Samples, quiet: Sequence[Span], fault: Sequence[Span]) -> "Contrast":
        def p99s(spans: Sequence[Span]) -> list[float]:
            return [samples.sent_in(span).percentile_ms(99) for span in spans]

        return cls(p99s(quiet), p99s(fault))

    @property
    def ratios(self) -> list[float]:
        """Of each spell under the fault."""
        neighbours = zip(self.fault_ms, self.quiet_ms[:-1], self.quiet_ms[1:], strict=True)
        return [fault / math.sqrt(before * after) for fault, before, after in neighbours]

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)

    @property
    def error(self) -> float:
        """By how much of itself the ratio may be off: the standard error of the median."""
        logs = [math.log(ratio) for ratio in self.ratios]
        return math.sqrt(math.pi / 2) * statistics.stdev(logs) / math.sqrt(len(logs))

    def is_within(self, percent: float) -> bool:
        """Whether the fault costs no more than this."""
        return self.ratio <= 1 + percent / 100

    def __str__(self) -> str:
        quiet, fault = statistics.median(self.quiet_ms), statistics.median(self.fault_ms)
        spells = f"{len(self.fault_ms)} spells each"
        return f"p99 {fault:.2f} ms against {quiet:.2f}, ratio {self.ratio:.2f} give or take {self.error:.2f}, {spells}"

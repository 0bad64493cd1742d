"""What a steady load found: its requests by when they were sent, what became of them and how long that took."""

import dataclasses
import math
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.pace import percentile
from harness.steady import OUTCOMES, RECORD

OK = 200
TRIMMED = 0.2  # of the ratios, on either side


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
    """One request. `form` tells answers apart that differ in more than what always differs; `port` is the client's."""

    sent: float
    done: float
    outcome: int
    form: int
    port: int = 0

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
class Ratio:
    """The trimmed geometric mean of some ratios, and its standard error, as a part of it.

    The extreme fifth on either side is left out (Tukey), and its error is that of the ratios with those set to the
    nearest that are not (winsorized). Of ratios that scatter evenly it is off by a fifth less than the median.
    """

    mean: float
    error: float

    @classmethod
    def of(cls, ratios: Sequence[float]) -> "Ratio":
        logs = sorted(math.log(ratio) for ratio in ratios)
        out = int(len(logs) * TRIMMED)
        kept = logs[out : len(logs) - out]
        winsorized = [kept[0]] * out + kept + [kept[-1]] * out
        error = statistics.stdev(winsorized) / (1 - 2 * TRIMMED * bool(out)) / math.sqrt(len(logs))
        return cls(math.exp(statistics.fmean(kept)), error)

    def __str__(self) -> str:
        return f"{self.mean:.2f} give or take {self.error:.2f}"


@dataclass(frozen=True, slots=True)
class Contrast:
    """The p99 of spells under a fault beside that of the quiet spells around them, in milliseconds.

    A shared machine has slower and faster minutes, and a single p99 of it is off by a factor of two now and then. So
    spells are short, many, and alternate, beginning and ending with a quiet one: each under the fault is compared with
    the geometric mean of its two neighbours, which cancels a drift, and the trimmed mean of the ratios counts, which
    does not mind a few spells that something else disturbed.

    Attributes:
        control_ms: Of spells in which the same trouble is made, but not to what is measured: one beside each under the
            fault, before or after it, in turns. None if there were none.
    """

    quiet_ms: Sequence[float]
    fault_ms: Sequence[float]
    control_ms: Sequence[float] = ()

    @classmethod
    def of(
        cls, samples: Samples, quiet: Sequence[Span], fault: Sequence[Span], control: Sequence[Span] = ()
    ) -> "Contrast":
        def p99s(spans: Sequence[Span]) -> list[float]:
            return [samples.sent_in(span).percentile_ms(99) for span in spans]

        return cls(p99s(quiet), p99s(fault), p99s(control))

    @property
    def raw(self) -> Ratio:
        """Under the fault, by what it is without."""
        return self._by_quiet(self.fault_ms)

    @property
    def elsewhere(self) -> Ratio:
        """Under the control, by what it is without: what the trouble costs wherever it is made."""
        return self._by_quiet(self.control_ms)

    @property
    def added(self) -> Ratio:
        """Under the fault, by what it is under the control; without one, `raw`."""
        if not self.control_ms:
            return self.raw
        return Ratio.of([fault / control for fault, control in zip(self.fault_ms, self.control_ms, strict=True)])

    def is_within(self, percent: float) -> bool:
        """Whether the fault adds no more than this."""
        return self.added.mean <= 1 + percent / 100

    def record(self) -> dict[str, object]:
        """All of it, for a file."""
        ratios = {"raw": self.raw}
        if self.control_ms:
            ratios |= {"control": self.elsewhere, "against_control": self.added}
        return dataclasses.asdict(self) | {name: dataclasses.asdict(ratio) for name, ratio in ratios.items()}

    def __str__(self) -> str:
        quiet, fault = statistics.median(self.quiet_ms), statistics.median(self.fault_ms)
        spells = f"{len(self.fault_ms)} spells each"
        if not self.control_ms:
            return f"p99 {fault:.2f} ms against {quiet:.2f}, ratio {self.raw}, {spells}"
        control = statistics.median(self.control_ms)
        return (
            f"p99 {fault:.2f} ms against {control:.2f} in the control, ratio {self.added}; "
            f"against {quiet:.2f} without, ratio {self.raw}, and that of the control {self.elsewhere}; {spells}"
        )

    def _by_quiet(self, spells_ms: Sequence[float]) -> Ratio:
        neighbours = zip(spells_ms, self.quiet_ms[:-1], self.quiet_ms[1:], strict=True)
        return Ratio.of([spell / math.sqrt(before * after) for spell, before, after in neighbours])

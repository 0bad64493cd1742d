"""What is told about the requests of a steady load."""

import math
from pathlib import Path

from harness.samples import Contrast, Ratio, Sample, Samples, Span
from harness.steady import CUT, RECORD


def taking(*milliseconds: float, at: float = 0.0) -> list[Sample]:
    """Good answers that took so long, sent at `at`."""
    return [Sample(at, at + ms / 1000, 200, 0) for ms in milliseconds]


def test_records_are_read_in_the_order_in_which_they_ended(tmp_path: Path) -> None:
    """A failure is told by its word, an answer by its status."""
    records = tmp_path / "records"
    ended = [(1.0, 1.5, 424, -1, 7), (1.0, 2.0, CUT, -1, 8), (1.5, 2.5, 200, 3, 60_000)]
    records.write_bytes(b"".join(RECORD.pack(*fields) for fields in ended))
    samples = Samples.read(records)
    assert [sample.what for sample in samples] == ["424", "cut", "200"]
    assert samples.failures() == {"424": 1, "cut": 1}
    assert samples.forms() == {3}
    assert [sample.port for sample in samples] == [7, 8, 60_000]
    assert samples.slowest_s() == 1.0


def test_a_request_belongs_to_the_spell_in_which_it_was_sent() -> None:
    """Also if its answer comes later; a spell's end is not part of it."""
    samples = Samples([*taking(900, at=1.5), *taking(1, at=2.0)])
    assert [sample.sent for sample in samples.sent_in(Span(1.0, 2.0))] == [1.5]


def test_percentiles_are_of_good_answers() -> None:
    """Nearest rank, in milliseconds; a refusal that comes at once does not make anything faster."""
    samples = Samples([*taking(*range(1, 101)), Sample(0.0, 0.0, 503, -1)])
    assert samples.percentile_ms(99) == 99.0
    assert Samples([]).percentile_ms(99) == 0.0


def test_a_spell_with_the_fault_is_compared_with_the_quiet_ones_around_it() -> None:
    """A machine that becomes slower all the time is not the fault; one spell that was disturbed counts little."""
    drifting = Contrast((1.0, 4.0, 16.0, 64.0, 256.0, 1024.0), (2.2, 8.8, 35.2, 140.8, 3000.0))
    assert round(drifting.raw.mean, 2) == 1.1
    assert drifting.added == drifting.raw
    assert drifting.is_within(10.001)
    assert not drifting.is_within(9)


def test_what_the_trouble_costs_wherever_it_is_made_is_not_added_by_the_fault() -> None:
    """Where there is a control, a spell with the fault is compared with the one beside it; the raw ratio is told."""
    contrast = Contrast((1.0, 1.0, 1.0, 1.0), (2.1, 2.1, 2.1), (2.0, 2.0, 2.0))
    ratios = (contrast.raw, contrast.elsewhere, contrast.added)
    assert [round(ratio.mean, 6) for ratio in ratios] == [2.1, 2.0, 1.05]
    assert contrast.is_within(10)
    assert "ratio 1.05 give or take" in str(contrast)
    assert "against 1.00 without, ratio 2.10 give or take" in str(contrast)


def test_the_error_of_a_ratio_is_that_of_its_spells() -> None:
    """Spells that agree leave none; it falls with the square root of their number."""
    assert Ratio.of((1.2,) * 3).error == 0.0
    few, many = (Ratio.of((1.0, math.e) * n).error for n in (5, 20))
    assert round(few, 3) == 0.278
    assert round(many, 3) == 0.133


def test_the_extreme_fifth_on_either_side_is_no_part_of_a_ratio() -> None:
    """What they are makes no difference to it, nor to its error: only that there are some."""
    mild = Ratio.of((0.9, 1.0, 1.1, 1.21, 1.3))
    assert Ratio.of((1e-9, 1.0, 1.1, 1.21, 1e9)) == mild
    assert round(mild.mean, 3) == 1.1
    assert round(mild.error, 3) == 0.071

"""Ratios and the table."""

import dataclasses
import json

from harness.measure import Run
from harness.report import Spread, as_json, compare, cpu_per_request, p50, pauses, requests_per_cpu_second, table
from harness.systems import Pauses
from harness.wrk import Answers


def a_run(system: str, number: int, cpu_us: float, connections: int = 32) -> Run:
    answers = Answers(requests=1000, duration_s=1.0, p50_ms=0.5, p99_ms=2.0, errors=0)
    return Run(
        system=system, connections=connections, round=number, answers=answers, cpu_us=cpu_us, all_cpu_us=cpu_us + 1
    )


def test_ratio_is_taken_within_each_round() -> None:
    """A round in which everything took twice as long has the same ratio as the others."""
    runs = [a_run("teal", 0, 50), a_run("peer", 0, 200), a_run("teal", 1, 100), a_run("peer", 1, 400)]
    [comparison] = compare(runs, "teal", "peer", requests_per_cpu_second, target=2.0)
    assert comparison.value == Spread(4.0, 4.0, 4.0)


def test_target_is_judged_by_the_median() -> None:
    """One bad round of three does not miss the target, two do."""
    runs = [a_run("peer", number, 100) for number in range(3)]
    runs += [a_run("teal", 0, 40), a_run("teal", 1, 200), a_run("teal", 2, 125)]
    [comparison] = compare(runs, "teal", "peer", requests_per_cpu_second, target=2.0)
    assert str(comparison) == (
        "teal / peer, 32 connections, requests per cpu second: 0.80 (0.50..2.50), target 2: MISSED"
    )


def test_a_cost_is_met_from_below_and_in_every_round() -> None:
    """A ratio of costs may be at most the target, and in no round above the worst that is borne."""
    runs = [a_run("peer", number, 100) for number in range(3)] + [a_run("teal", number, 90) for number in range(2)]
    good = compare([*runs, a_run("teal", 2, 110)], "teal", "peer", cpu_per_request, 1.0, is_cost=True, worst=1.15)
    bad = compare([*runs, a_run("teal", 2, 120)], "teal", "peer", cpu_per_request, 1.0, is_cost=True, worst=1.15)
    assert (good[0].is_met, bad[0].is_met) == (True, False)


def test_each_number_of_connections_is_compared_by_itself() -> None:
    """Runs with 1 and with 8 connections give two comparisons."""
    runs = [a_run(name, 0, cpu_us, at) for at in (8, 1) for name, cpu_us in (("teal", 50), ("peer", 50.0 * (at + 1)))]
    comparisons = compare(runs, "teal", "peer", requests_per_cpu_second, target=2.0)
    assert [(each.connections, each.value.median) for each in comparisons] == [(8, 9.0), (1, 2.0)]


def test_a_difference_is_taken_within_each_round_and_has_a_unit() -> None:
    """Milliseconds are added to the peer's, not multiplied: 0.5 and 0.5 are 0 apart."""
    runs = [a_run(name, number, 50) for number in (0, 1) for name in ("teal", "direct")]
    [comparison] = compare(runs, "teal", "direct", p50, 0.1, is_cost=True, unit="ms")
    assert str(comparison) == "teal - direct, 32 connections, p50: 0.00 (0.00..0.00) ms, target 0.1 ms: met"


def test_a_comparison_without_a_target_has_no_verdict() -> None:
    """What is only told is neither met nor missed."""
    [comparison] = compare([a_run("teal", 0, 50), a_run("peer", 0, 100)], "teal", "peer", cpu_per_request)
    assert (comparison.is_met, str(comparison)) == (
        None,
        "teal / peer, 32 connections, cpu per request: 0.50 (0.50..0.50)",
    )


def test_what_a_peer_cannot_do_is_left_out() -> None:
    """A variant that only one of the two was measured in is not compared."""
    alone = dataclasses.replace(a_run("teal", 0, 50), variant="mirror 10 %")
    runs = [a_run("teal", 0, 50), a_run("peer", 0, 100), alone]
    assert [each.variant for each in compare(runs, "teal", "peer", cpu_per_request)] == [""]


def test_pauses_are_the_longest_of_all_runs() -> None:
    """One line per system that tells them; peers tell none."""
    teal = [
        dataclasses.replace(a_run("teal", number, 50), pauses=Pauses(gc_ms=gc_ms, loop_lag_ms=3.0), comparison="nginx")
        for number, gc_ms in enumerate((0.5, 2.0, 1.0))
    ]
    assert pauses([*teal, a_run("nginx", 0, 50)]) == [
        "teal, nginx: longest pause of the garbage collector 2.0 ms, longest lag of the event loop 3.0 ms"
    ]


def test_record_is_strict_json() -> None:
    """A comparison without a worst round has none in the record, where infinity would be no JSON."""
    runs = [a_run("teal", 0, 50), a_run("peer", 0, 100)]
    [record] = json.loads(json.dumps(as_json(runs, compare(runs, "teal", "peer", p50), {}), allow_nan=False))[
        "comparisons"
    ]
    assert "worst" not in record


def test_table_has_the_median_of_the_rounds() -> None:
    """Three rounds of one system are one line."""
    runs = [a_run("teal", number, cpu_us) for number, cpu_us in enumerate((10.0, 90.0, 20.0))]
    assert table(runs).splitlines()[1].split() == [
        "-",
        "teal",
        "32",
        "20.0",
        "21.0",
        "1000",
        "0.500",
        "2.000",
        "0",
        "3",
    ]

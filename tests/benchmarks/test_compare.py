"""Which comparisons run for `--only`, and what two cores allow."""

import argparse

import pytest
from compare import COMPARISONS, OPTIONAL, chosen, parse_names
from comparisons.scaling import allowed
from harness.measure import Run
from harness.wrk import Answers


def test_servers_run_together_where_the_first_of_them_was_named() -> None:
    """Three servers are one comparison, so that they share rounds."""
    names = [name for name, _ in chosen(["proxy", "nginx", "latency", "caddy", "haproxy"])]
    assert names == ["proxy", "servers", "latency"]


def test_a_name_twice_is_one_comparison() -> None:
    """Nothing is measured twice by mistake."""
    assert parse_names("latency,proxy,latency") == ["latency", "proxy"]


def test_unknown_name_is_refused_with_those_that_there_are() -> None:
    """A slip of the pen does not measure something else."""
    with pytest.raises(argparse.ArgumentTypeError, match="apache is none of proxy, nginx, haproxy, caddy"):
        parse_names("nginx,apache")


def test_optional_comparisons_are_comparisons() -> None:
    """They can be asked for by name."""
    assert set(COMPARISONS) >= {"mlserver", "bentoml", "ray"} == OPTIONAL


def test_two_cores_allow_what_proxy_and_load_together_have_time_for() -> None:
    """40 us of proxy and 10 us of load are 50 us for a request, of which 2 seconds of CPU per second have 40,000."""
    answers = Answers(requests=30_000, duration_s=1.0, p50_ms=1.0, p99_ms=1.0, errors=0)
    run = Run(system="2", connections=1, round=0, answers=answers, cpu_us=39, all_cpu_us=40, load_cpu_us=10)
    [reference] = allowed([run], "2")
    assert reference.answers.per_second == 40_000

"""Which comparisons run for `--only`, and what two cores allow."""

import argparse
from pathlib import Path

import pytest
from compare import COMPARISONS, OPTIONAL, chosen, draw, parse_names
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


def test_the_picture_is_of_those_that_do_the_same_work(tmp_path: Path) -> None:
    """A proxy that only forwards, and a load without a proxy, have no bar."""
    answers = Answers(requests=1, duration_s=1.0, p50_ms=1.0, p99_ms=1.0, errors=0)
    runs = [
        Run(system=system, connections=32, round=0, answers=answers, cpu_us=9, all_cpu_us=9, comparison=comparison)
        for comparison, systems in (
            ("proxy", ["aiohttp proxy", "ceiling (no proxy)", "teal proxy"]),
            ("servers", ["caddy", "haproxy", "nginx", "teal proxy"]),
        )
        for system in systems
    ]
    draw(runs, tmp_path / "picture.svg")
    picture = (tmp_path / "picture.svg").read_text()
    assert [name for name in ("aiohttp", "ceiling", "caddy", "haproxy", "nginx", "teal") if name in picture] == [
        "caddy",
        "haproxy",
        "nginx",
        "teal",
    ]


def test_nothing_to_draw_is_said_and_draws_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was measured is not lost over a picture."""
    draw([], tmp_path / "picture.svg")
    assert capsys.readouterr().err == "nothing to draw: the picture is of nginx, haproxy, caddy\n"
    assert not (tmp_path / "picture.svg").exists()

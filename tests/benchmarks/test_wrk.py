"""The calls of wrk and what is read from its output."""

import pytest
from harness.wrk import Answers, Load, Target, WrkError, command, parse

OUTPUT = """Running 3s test @ http://127.0.0.1:8080/score
  1 threads and 32 connections
  254176 requests in 3.00s, 38.78MB read
{"requests": 1200, "duration_us": 3000000, "p50_us": 350, "p99_us": 729, "max_us": 2960, "connect_errors": 1,\
 "read_errors": 2, "write_errors": 3, "status_errors": 90, "timeouts": 4}
"""


def test_last_line_of_the_output_is_the_summary() -> None:
    """Times come out in milliseconds and seconds, all kinds of errors in one sum."""
    assert parse(OUTPUT) == Answers(requests=1200, duration_s=3.0, p50_ms=0.35, p99_ms=0.729, errors=100)


def test_errors_do_not_count_as_requests_per_second() -> None:
    """1,100 good answers of 1,200 in 2 seconds are 550 per second."""
    answers = Answers(requests=1200, duration_s=2.0, p50_ms=1.0, p99_ms=1.0, errors=100)
    assert answers.per_second == 550.0


@pytest.mark.parametrize("output", ["", "unable to connect to 127.0.0.1:1\n", '{"requests": 3}\n', "[]\n"])
def test_output_without_a_summary_is_refused(output: str) -> None:
    """What wrk printed instead is an error, not a run of zero requests."""
    with pytest.raises(WrkError, match="no summary"):
        parse(output)


def test_key_follows_the_seed_and_the_size() -> None:
    """The script takes the seed, the size of the bodies and then the key."""
    call = command(Target(url="http://h/score", key="abc"), Load(connections=8, seconds=5, seed=7))
    assert call[-5:] == ["http://h/score", "--", "7", "430", "abc"]


def test_no_key_is_no_argument() -> None:
    """Without a key the script is given the seed and the size alone."""
    call = command(Target(url="http://h/score"), Load(connections=8, seconds=5))
    assert call[-3:] == ["--", "0", "430"]

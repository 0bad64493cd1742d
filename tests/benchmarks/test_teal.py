"""What is read from teal's own numbers."""

from harness.teal import longest_ms

METRICS = """# HELP teal_gc_pause_max_seconds Longest pause.
# TYPE teal_gc_pause_max_seconds gauge
teal_gc_pause_max_seconds{process="control"} 0.25
teal_gc_pause_max_seconds{process="proxy-0"} 0.0005
teal_gc_pause_max_seconds{process="proxy-10"} 0.002
"""


def test_longest_pause_is_that_of_a_proxy() -> None:
    """The control process carries no request, so its pauses do not count."""
    assert longest_ms(METRICS, "teal_gc_pause_max_seconds") == 2.0


def test_a_metric_that_is_not_there_is_not_zero() -> None:
    """An older teal, or one that does not answer, says nothing."""
    assert longest_ms("", "teal_gc_pause_max_seconds") is None

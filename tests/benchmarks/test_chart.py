"""The picture of a result."""

from xml.etree import ElementTree

from harness.chart import medians, svg

RUNS = [
    {"variant": "plain", "connections": 32, "system": name, "cpu_us": cpu_us}
    for name, cpu_us in (("nginx", 10.0), ("teal proxy", 20.0), ("teal proxy", 40.0), ("teal proxy", 30.0))
]


def test_a_bar_is_the_median_of_its_runs() -> None:
    """Three runs of one system in one variant are one bar."""
    assert medians(RUNS) == {"plain, 32 connections": {"nginx": 10.0, "teal proxy": 30.0}}


def test_what_a_system_cannot_do_has_no_bar() -> None:
    """A variant without nginx shows teal's bar alone, not one of length 0."""
    runs = [*RUNS, {"variant": "mirror", "connections": 32, "system": "teal proxy", "cpu_us": 50.0}]
    assert svg(runs, "").count("<rect") == 1 + 2 + 3  # paper, legend, bars


def test_the_picture_is_a_document_with_a_number_at_each_bar() -> None:
    """Well-formed, teal first."""
    texts = [element.text for element in ElementTree.fromstring(svg(RUNS, "2 cores")).iter() if element.text]
    shown = [text for text in texts if text.strip()]
    assert shown[1:] == ["teal proxy", "nginx", "plain, 32 connections", "30.0", "10.0", "2 cores"]

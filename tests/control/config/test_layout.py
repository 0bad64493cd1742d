"""Where a value starts and ends, so that it can be replaced and nothing beside it."""

import pytest
import yaml

from router.control.config.layout import Entry, Layout, Node


def entry(layout: Layout, *steps: str | int) -> Entry:
    """The entry at a path."""
    node, found = layout.root, None
    for step in steps:
        assert node is not None
        found = next(e for i, e in enumerate(node.entries) if (i if e.key is None else e.name) == step)
        node = found.value
    assert found is not None
    return found


def written(layout: Layout, node: Node) -> str:
    return layout.text[node.start : node.end]


@pytest.mark.parametrize(
    ("text", "steps", "expected"),
    [
        ("a: x y  # c\n", ["a"], "x y"),
        ("a: 'x'  # c\n", ["a"], "'x'"),
        ("a: x\n  y\nb: 1\n", ["a"], "x\n  y"),
        ("a:   # c\nb: 1\n", ["a"], ""),
        ("a: &n !!str x # c\n", ["a"], "&n !!str x"),
        ("a: &n x\nb: *n # c\n", ["b"], "*n"),
        ("a: {b: 1} # c\n", ["a"], "{b: 1}"),
        ("a:\n  b: 1 # c\n  # d\n\ne: 2\n", ["a"], "b: 1"),
        ("a:\n  b:\n    c:   # d\n# e\n", ["a"], "b:\n    c:"),
        ("a:\n- 1\n-   # c\nb: 2\n", ["a"], "- 1\n-"),
        ("a: &n-\n- 1\n", ["a"], "&n-\n- 1"),
        ("a:\n  - - 1\n    - 2\n", ["a", 0], "- 1\n    - 2"),
        ("a: |  # c\n  x\n\n\nb: 1\n", ["a"], "|  # c\n  x"),
        ("a: >+\n  x\n\n\nb: 1\n", ["a"], ">+\n  x\n\n"),
        ("a: |\n  x", ["a"], "|\n  x"),
        ("é😀: 1\r\nb: x\r\nc: 1\r\n", ["b"], "x"),
        ("a: [x: 1, y]\n", ["a", 0], "x: 1"),
        ("a: [x: 1, y]\n", ["a", 1], "y"),
        ("a: {b: , c, ? d, 'e':f}\n", ["a", "b"], ""),
        ("a: {b: , c, ? d, 'e':f}\n", ["a", "e"], "f"),
        ("? a\n# c\n: x\n? b\n", ["a"], "x"),
        ("? a\n: x\n? b\n", ["b"], ""),
    ],
)
def test_value_ends_where_it_ends(text: str, steps: list[str | int], expected: str) -> None:
    """Before comments, blank lines and the next token; with its anchor and tag."""
    layout = Layout(text)
    assert written(layout, entry(layout, *steps).value) == expected


@pytest.mark.parametrize(
    ("text", "steps", "expected"),
    [
        ("a : 1\n", ["a"], "a :"),
        ("'a': 1\n", ["a"], "'a':"),
        ("z: 1\n# c\n? a\n# d\n: 1\n", ["a"], "? a\n# d\n:"),
        ("z: 1\n? a\n", ["a"], "? a"),
        ("z: {b, a: 1}\n", ["z", "b"], "b"),
        ("z: {b, ? a : 1}\n", ["z", "a"], "? a :"),
        ("z:\n# - c\n- # - d\n  1\n", ["z", 0], "-"),
        ("z:\n- - 1\n  - 2\n", ["z", 0, 1], "-"),
        ("z: [1, # ,\n 2]\n", ["z", 1], ""),
    ],
)
def test_head_is_all_before_the_value(text: str, steps: list[str | int], expected: str) -> None:
    """The key with its colon, or the dash, and nothing of a comment that looks the same."""
    layout = Layout(text)
    found = entry(layout, *steps)
    assert layout.text[found.start : found.head_end] == expected


@pytest.mark.parametrize(
    ("text", "is_merge"),
    [("<<: {a: 1}\n", True), ("!!merge x: {a: 1}\n", True), ("'<<': 1\n", False), ("!!str <<: 1\n", False)],
)
def test_merge_keys_are_told_apart(text: str, is_merge: bool) -> None:
    """As the reader does."""
    root = Layout(text).root
    assert root is not None
    assert root.entries[0].is_merge is is_merge


def test_aliases_know_what_they_stand_for() -> None:
    """The last anchor of their name before them."""
    layout = Layout("a: &n 1\nb: *n\nc: &n 2\nd: [*n]\n")
    assert [written(layout, alias.target) for alias in layout.aliases if alias.target] == ["&n 1", "&n 2"]
    assert list(entry(layout, "d").value.targets()) == [entry(layout, "c").value]


@pytest.mark.parametrize(("text", "end"), [("", 0), ("# c\n", 4), ("---\n# c\n...\n# d\n", 8), ("--- a\n", 6)])
def test_document_ends_before_its_marker(text: str, end: int) -> None:
    """Or with the text."""
    assert Layout(text).end == end


def test_what_is_no_yaml_is_said() -> None:
    """As PyYAML says it."""
    with pytest.raises(yaml.YAMLError):
        Layout("a: [")


def test_lines() -> None:
    """Every break that YAML has ends one; a carriage return with a line feed is one break."""
    layout = Layout("# a\r\n#\u2028  # c\r\n\n")
    starts = [0]
    while layout.next_line(starts[-1]) < len(layout.text):
        starts.append(layout.next_line(starts[-1]))
    assert starts == [0, 5, 7, 14]
    assert [layout.line_before(start) for start in starts] == [None, 0, 5, 7]
    assert [layout.comment_column(start) for start in starts] == [0, 0, 2, None]
    assert [layout.is_blank(start) for start in starts] == [False, False, False, True]
    assert layout.indentation(7) == 2

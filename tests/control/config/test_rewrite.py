"""Aliases, anchors and merge keys: an edit changes what it names, wherever else the same thing is used."""

import pytest

from router.control.config.document import read_document
from router.control.config.edit import Edit, EditError, Remove, Set, edit_text
from router.control.config.rewrite import rewritten, same

MERGED = """\
blue: &base   # the model
  model: {path: blue}
  count: 2
green:
  <<: *base   # as blue
  count: 3
red: *base
"""
RED = "red:\n  model: {path: blue}\n  count: 2\n"


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        pytest.param(
            Set(path=("green", "count"), value=4), MERGED.replace("count: 3", "count: 4"), id="an own key is changed"
        ),
        pytest.param(
            Set(path=("green", "model", "path"), value="green"),
            MERGED.replace("count: 3", "count: 3\n  model: {path: green}"),
            id="a merged key gets an own one over it",
        ),
        pytest.param(
            Remove(path=("green", "count")),
            MERGED.replace("<<: *base   # as blue\n  count: 3", "model: {path: blue}"),
            id="a key under the removed one is not let through",
        ),
        pytest.param(
            Remove(path=("green", "model")), MERGED.replace("  <<: *base   # as blue\n", ""), id="a merged key goes"
        ),
        pytest.param(
            Set(path=("red", "model", "path"), value="r"),
            MERGED.replace("red: *base\n", "red:\n  model: {path: r}\n  count: 2\n"),
            id="an alias is written out",
        ),
        pytest.param(Remove(path=("red",)), MERGED.replace("red: *base\n", ""), id="an alias goes"),
        pytest.param(Remove(path=("green",)), MERGED.replace(MERGED[MERGED.index("green") : -len("red: *base\n")], "")),
        pytest.param(
            Set(path=("blue", "count"), value=9),
            MERGED.replace("count: 2", "count: 9").replace("red: *base\n", RED),
            id="what has the anchor is changed alone",
        ),
        pytest.param(
            Set(path=("blue", "new"), value="x"),
            MERGED.replace("count: 2", "count: 2\n  new: x")
            .replace("<<: *base   # as blue", "model: {path: blue}")
            .replace("red: *base\n", RED),
            id="what has the anchor gets a key alone",
        ),
        pytest.param(
            Remove(path=("blue", "model")),
            "blue: &base   # the model\n  count: 2\n"
            "green:\n  <<: *base   # as blue\n  count: 3\n  model: {path: blue}\n"
            "red:\n  count: 2\n  model: {path: blue}\n".replace("red:\n  count: 2\n  model: {path: blue}\n", RED),
            id="what has the anchor loses a key alone",
        ),
        pytest.param(
            Remove(path=("blue",)),
            "green:\n  model: {path: blue}\n  count: 3\n" + RED,
            id="what has the anchor goes",
        ),
        pytest.param(
            Set(path=("blue",), value="x"),
            "blue: x   # the model\ngreen:\n  model: {path: blue}\n  count: 3\n" + RED,
            id="what has the anchor becomes something else",
        ),
    ],
)
def test_edit_changes_what_it_names_alone(edit: Edit, expected: str) -> None:
    """What an alias or a merge key stands for is written out in as few places as will do."""
    assert edit_text(MERGED, [edit]) == expected


@pytest.mark.parametrize(
    ("text", "edit", "expected"),
    [
        ("a: &n 1\nb: *n\n", Set(path=("b",), value=2), "a: &n 1\nb: 2\n"),
        ("a: &n 1\nb: *n\n", Set(path=("a",), value=2), "a: 2\nb: 1\n"),
        ("a: &n [1]\nb: [*n, 2]\n", Set(path=("a", 0), value=3), "a: &n [3]\nb: [[1], 2]\n"),
        ("a: &n {x: 1}\nb: {<<: *n, y: 2}\n", Remove(path=("b", "x")), "a: &n {x: 1}\nb: {y: 2}\n"),
        ("a: &n {x: 1, z: 0}\nb: {<<: *n, y: 2}\n", Remove(path=("b", "x")), "a: &n {x: 1, z: 0}\nb: {z: 0, y: 2}\n"),
        (
            "a: &n {x: 1}\nb: &m {x: 2, z: 3}\nc:\n  <<: [*n, *m]\n  y: 4\n",
            Remove(path=("c", "z")),
            "a: &n {x: 1}\nb: &m {x: 2, z: 3}\nc:\n  x: 1\n  y: 4\n",
        ),
        (
            "a: &n {x: 1}\nb: &m {z: 3}\nc:\n  <<: *n\n  y: 4\n  <<: *m\n",
            Remove(path=("c", "z")),
            "a: &n {x: 1}\nb: &m {z: 3}\nc:\n  x: 1\n  y: 4\n",
        ),
        ("a: {x: &n 1, y: *n}\nb: *n\n", Remove(path=("a", "x")), "a: {y: 1}\nb: 1\n"),
        ("a: &n {}\nb: *n\n", Set(path=("b", "x"), value="z"), "a: &n {}\nb:\n  x: z\n"),
        ("&k a: 1\n*k : 2\nb: *k\n", Set(path=("b",), value="c"), None),
    ],
)
def test_alias_is_written_out_where_it_must_be(text: str, edit: Edit, expected: str | None) -> None:
    """In brackets and in lines, for scalars, and for several merged at once."""
    if expected is None:
        with pytest.raises(EditError, match="written twice"):
            edit_text(text, [edit])
    else:
        assert edit_text(text, [edit]) == expected


def test_mapping_that_contains_itself_is_refused() -> None:
    """Rather than made into something that says else."""
    with pytest.raises(EditError, match=r"^line 1: a\.b: contains itself$"):
        edit_text("a: &n {b: *n}\n", [Set(path=("c",), value=1)])


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        (False, False, True),
        (None, False, False),
        ("1", 1, False),
        (float("nan"), float("nan"), True),
        ([1, {"a": 2}], [1.0, {"a": 2}], True),
        ([1], [True], False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ({"a": 1}, {"a": 1, "b": None}, False),
        ([], {}, False),
    ],
)
def test_values_are_the_same_to_a_reader(one: object, other: object, expected: bool) -> None:
    """Numbers by their value, whatever their spelling; mappings in any order."""
    assert same(one, other) is expected


@pytest.mark.parametrize(
    ("text", "after", "expected"),
    [
        ("a: 1", {"a": 2}, "a: 2"),
        ("a: 1", {"a": 1, "b": 2}, "a: 1\nb: 2"),
        ("a: 1\r\nb: 2", {"a": 1, "b": 2, "c": 3}, "a: 1\r\nb: 2\r\nc: 3"),
        ("a: |\n  x\n  y", {"a": "x\ny", "b": 2}, "a: |-\n  x\n  y\nb: 2"),
        ("b: 1\na: |\n  x\n  y", {"a": "x\ny", "b": 2}, "b: 2\na: |\n  x\n  y"),
        ("a: 1", {"a": "x\ny\n"}, "a: |\n  x\n  y\n"),
    ],
)
def test_last_line_without_a_break_stays_so(text: str, after: dict[str, object], expected: str) -> None:
    """Unless the break is part of a text."""
    assert rewritten(text, read_document(text).data, after) == expected

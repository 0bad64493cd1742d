"""YAML as data with lines, and what YAML lets pass but a config must not."""

import pytest

from router.control.config.document import Flaw, UnreadableError, read_document


def unreadable(text: str) -> tuple[int, str]:
    with pytest.raises(UnreadableError) as caught:
        read_document(text)
    return caught.value.line, caught.value.message


def test_data_is_what_yaml_says() -> None:
    """Scalars of every kind, lists and mappings."""
    document = read_document("a: [1, 1.5, true, ~, x, '1']\nb: {c: 0x10}\nd: -.inf\ne: 2024-01-01\n")
    assert document.data == {
        "a": [1, 1.5, True, None, "x", "1"],
        "b": {"c": 16},
        "d": float("-inf"),
        "e": "2024-01-01",
    }
    assert document.flaws == ()


def test_lines_of_keys_and_items() -> None:
    """The key's line, also where the value starts later; the nearest one above a path that is not there."""
    document = read_document("a:\n  b:\n    - x\n    - y\n\nc: 1\n")
    assert document.line(("a",)) == 1
    assert document.line(("a", "b")) == 2
    assert document.line(("a", "b", 1)) == 4
    assert document.line(("a", "b", 7)) == 2
    assert document.line(("c",)) == 6
    assert document.line(("nothing",)) == 1


def test_a_key_is_found_without_its_case() -> None:
    """Names are compared without it."""
    assert read_document("a: 1\nBlue: 2\n").line(("blue",)) == 2


def test_anchors_aliases_and_merge_keys_work() -> None:
    """A mapping's own keys win over merged ones, and the first merged mapping over the next."""
    document = read_document("x: &x {a: 1, b: 1}\ny: &y {b: 2, c: 2}\nz:\n  <<: [*x, *y]\n  a: 3\nw: *y\n")
    assert document.data["z"] == {"a": 3, "b": 1, "c": 2}
    assert document.data["w"] == {"b": 2, "c": 2}
    assert document.line(("z", "c")) == 2


def test_a_key_written_twice_is_a_flaw() -> None:
    """With the line of both."""
    assert read_document("a: {b: 1}\nc:\n  b: 1\n  b: 2\n").flaws == (
        Flaw(("c", "b"), 4, "written twice, first in line 3"),
    )


@pytest.mark.parametrize(
    ("key", "kind"),
    [("on", "true or false"), ("No", "true or false"), ("123", "a number"), ("1.5", "a number"), ("~", "nothing")],
)
def test_a_key_that_is_no_text_is_a_flaw(key: str, kind: str) -> None:
    """YAML reads more words as something else than people expect."""
    assert read_document(f"a:\n  {key}: 1\n").flaws == (
        Flaw(("a", key), 2, f'YAML reads this key as {kind}; put it in quotes: "{key}"'),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: !!python/object:os.system x", "the tag !!python/object:os.system is not supported"),
        ("a: !mine {b: 1}", "the tag !mine is not supported"),
        ("a: !!set {b}", "the tag !!set is not supported"),
        ("a: !!int x", "'x' is not a number"),
        ("a: !!bool x", "'x' is not true or false"),
    ],
)
def test_tags_that_make_objects_are_flaws(text: str, message: str) -> None:
    """Only plain data comes out of a config."""
    assert read_document(text).flaws == (Flaw(("a",), 1, message),)


def test_a_key_that_is_a_list_is_a_flaw() -> None:
    """YAML allows it."""
    assert read_document("a:\n  [1]: 2\n").flaws == (Flaw(("a",), 2, "a key is a list or mapping, expected text"),)


def test_a_merge_of_no_mapping_is_a_flaw() -> None:
    """With what would be right."""
    assert read_document("a:\n  <<: 5\n").flaws == (
        Flaw(("a", "<<"), 2, "expected an alias of a mapping, such as *defaults"),
    )


def test_a_value_that_contains_itself_is_a_flaw() -> None:
    """Instead of recursion without end."""
    assert read_document("a: &a [*a]").flaws == (Flaw(("a", 0), 1, "contains itself"),)


def test_a_mapping_that_merges_itself_gains_nothing() -> None:
    """Instead of recursion without end."""
    assert read_document("a: &a\n  <<: *a\n  b: 1\n").data == {"a": {"b": 1}}


def test_aliases_that_multiply_are_refused() -> None:
    """Seven short lines that stand for ten million values."""
    lines = ["a0: &a0 [0,0,0,0,0,0,0,0,0,0]"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 7)]
    assert unreadable("\n".join(lines)) == (5, "more than 1000000 values, aliases included")


def test_values_are_counted_before_they_are_in_memory() -> None:
    """Two bytes a value would be hundreds of them."""
    assert unreadable(f"a:\n  [{'1,' * 1_000_001}]") == (2, "more than 1000000 values, aliases included")


def test_merges_that_multiply_are_refused() -> None:
    """Each of 2,000 mappings has all the keys of the one before."""
    lines = ["a0: &a0 {k0: 0}"] + [f"a{n}: &a{n} {{<<: *a{n - 1}, k{n}: 0}}" for n in range(1, 2000)]
    assert unreadable("\n".join(lines))[1] == "more than 1000000 values, aliases included"


@pytest.mark.parametrize("opening", ["[", "[\n", "{a: \n", "- "])
def test_deep_nesting_is_refused(opening: str) -> None:
    """libyaml's composer recurses; 100,000 levels would end the process."""
    assert unreadable(opening * 100_000)[1] == "nested more than 50 levels deep"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "the file is empty; expected at least `endpoints: {}`"),
        ("- a", 1, "expected fields such as `endpoints:` at the top"),
        ("\n\ntext", 3, "expected fields such as `endpoints:` at the top"),
        ("a:\n\tb: 1", 2, "not YAML: column 1: a tab; indent with spaces"),
        ("a: 1\n  b: 2", 2, "not YAML: column 4: mapping values are not allowed in this context"),
        ("a: b: c", 1, "not YAML: column 5: mapping values are not allowed in this context"),
        ("a: *x", 1, "not YAML: column 4: found undefined alias"),
        ("a: 1\nb: \x00", 2, "not YAML: column 4: a control character"),
        ("a: 'x", 1, "not YAML: column 6: found unexpected end of stream, while scanning a quoted scalar"),
        ("a: 1\n---\nb: 2", 2, "not YAML: column 1: a second document; expected one"),
    ],
)
def test_text_that_is_no_yaml_mapping_is_refused(text: str, line: int, message: str) -> None:
    """With line and column."""
    assert unreadable(text) == (line, message)

"""Where something goes and comes in a text that somebody has written, and what becomes of what stands beside it."""

import pytest

from router.control.config.edit import Remove, Set, edit_text

DEPLOYMENTS = """\
deployments:
  # stable since March
  blue:
    model: {path: blue}  # the best
    # instance_count: 4
    instance_count: 2

    # tags: {}

  # trained on April's data
  green:
    model: {path: green}
  # for experiments,
  # not live
  red:
    model: {path: red}
# the end
other: 1
"""


def removed(name: str) -> str:
    return edit_text(DEPLOYMENTS, [Remove(path=("deployments", name))])


def test_entry_goes_with_its_own_comments() -> None:
    """Those above it, in it and below it; those of its neighbours stay."""
    assert (
        removed("green")
        == """\
deployments:
  # stable since March
  blue:
    model: {path: blue}  # the best
    # instance_count: 4
    instance_count: 2

    # tags: {}

  # for experiments,
  # not live
  red:
    model: {path: red}
# the end
other: 1
"""
    )


def test_first_entry_goes_with_its_comment_if_the_others_have_some() -> None:
    """The comment of the second is not taken for the first's."""
    assert (
        removed("blue")
        == """\
deployments:

  # trained on April's data
  green:
    model: {path: green}
  # for experiments,
  # not live
  red:
    model: {path: red}
# the end
other: 1
"""
    )


def test_last_entry_goes_without_what_comes_after() -> None:
    """A comment further to the left is about something else."""
    assert removed("red").endswith("""\
  # trained on April's data
  green:
    model: {path: green}
# the end
other: 1
""")


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("# limits\na: 1\nb: 2\n", "a", "# limits\nb: 2\n"),
        ("z: 0\n# limits\na: 1\nb: 2\n", "a", "z: 0\n# limits\nb: 2\n"),
        ("z: 0\n# limits\na: 1\n\nb: 2\n", "a", "z: 0\n\nb: 2\n"),
        ("# all\na: 1\n\nb: 2\n", "a", "# all\n\nb: 2\n"),
        ("a: 1\n# about b\nb: 2\n", "b", "a: 1\n"),
        ("a: 1\n\n# about b\nb: 2\n\n# end\n", "b", "a: 1\n\n# end\n"),
        ("a: 1\n\nb: 2\n\nc: 3\n", "b", "a: 1\n\nc: 3\n"),
        ("a: 1\nb: 2\n\n\n", "b", "a: 1\n\n\n"),
        ("a: |+\n  text\n\nb: 2\n\nc: 3\n", "b", "a: |+\n  text\n\nc: 3\n"),
        ("a: |\n  text\n  # no comment\nb: 2\n", "b", "a: |\n  text\n  # no comment\n"),
        ("a: 1\nb: 2", "b", "a: 1"),
        ("a: 1\r\nb: 2\r\nc: 3\r\n", "b", "a: 1\r\nc: 3\r\n"),
        ("? a\n: 1\n? b # c\n: 2\nc: 3\n", "b", "? a\n: 1\nc: 3\n"),
    ],
)
def test_comment_that_may_be_about_the_next_stays(text: str, name: str, expected: str) -> None:
    """A heading of several keys stays with those that are left; of two blank lines one goes."""
    assert edit_text(text, [Remove(path=(name,))]) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("w: {a: 1, b: 2, c: 3}\n", "w: {a: 1, c: 3}\n"),
        ("w: {b: 2, c: 3}  # x\n", "w: {c: 3}  # x\n"),
        ("w: { a: 1, b: 2 }\n", "w: { a: 1 }\n"),
        ("w: {a: 1, b: 2,}\n", "w: {a: 1,}\n"),
        ("w: {b: , c}\n", "w: {c}\n"),
        ("w: {\n  a: 1,  # x\n  b: 2,  # y\n  c: 3  # z\n}\n", "w: {\n  a: 1,  # x\n  c: 3  # z\n}\n"),
        ("w: {\n  a: 1,  # x\n  b: 2  # y\n}\n", "w: {\n  a: 1,  # x\n}\n"),
        ("w: {a: 1,\n    b: 2}\n", "w: {a: 1}\n"),
        ("w: {a: 1,\n    b: 2,\n    c: 3}\n", "w: {a: 1,\n    c: 3}\n"),
        ('{"w": {"a": 1, "b": 2}}\n', '{"w": {"a": 1}}\n'),
    ],
)
def test_entry_in_brackets_goes_with_its_comma(text: str, expected: str) -> None:
    """The others keep their spaces and lines."""
    assert edit_text(text, [Remove(path=("w", "b"))]) == expected


@pytest.mark.parametrize(
    ("text", "index", "expected"),
    [
        ("l:\n- a\n- b # x\n- c\n", 1, "l:\n- a\n- c\n"),
        ("l:\n  # first\n  - a\n  - b\n", 0, "l:\n  # first\n  - b\n"),
        ("l: [a, b, c]\n", 0, "l: [b, c]\n"),
        ("l: [a, b, c]\n", 2, "l: [a, b]\n"),
        ("l:\n  - k: 1\n    m: 2\n  - n: 3\n", 0, "l:\n  - n: 3\n"),
        ("l:\n  - - a\n    - b\n  - c\n", 0, "l:\n  - c\n"),
    ],
)
def test_item_goes(text: str, index: int, expected: str) -> None:
    """From the start, the middle and the end of a list, and those after it move up."""
    assert edit_text(text, [Remove(path=("l", index))]) == expected


@pytest.mark.parametrize(
    ("text", "path", "expected"),
    [
        ("l:\n  - k: 1 # x\n    m: 2\n", ("l", 0, "k"), "l:\n  - m: 2\n"),
        ("l:\n  -   k: 1\n      # about m\n      m: 2\n", ("l", 0, "k"), "l:\n  -\n      # about m\n      m: 2\n"),
        ("l:\n  - - a\n    - b\n", ("l", 0, 0), "l:\n  - - b\n"),
    ],
)
def test_first_entry_behind_a_dash_goes(text: str, path: tuple[str | int, ...], expected: str) -> None:
    """The dash stays, for what comes next."""
    assert edit_text(text, [Remove(path=path)]) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("m:\n  a: 1\n", "m:\n  a: 1\n  new: x\n"),
        ("m:\n    a: 1\nz: 0\n", "m:\n    a: 1\n    new: x\nz: 0\n"),
        ("m:\n  a: 1", "m:\n  a: 1\n  new: x"),
        ("m:\r\n  a: 1\r\n", "m:\r\n  a: 1\r\n  new: x\r\n"),
        ("m:\n  a: 1\n  # b: 2\n# z\nz: 0\n", "m:\n  a: 1\n  # b: 2\n  new: x\n# z\nz: 0\n"),
        ("m:\n  a: 1\n\n# z\nz: 0\n", "m:\n  a: 1\n  new: x\n\n# z\nz: 0\n"),
        ("m:\n  a: 1\n\n  b: 2\n\nz: 0\n", "m:\n  a: 1\n\n  b: 2\n\n  new: x\n\nz: 0\n"),
        ("m:\n  a: 1\n  # about b\n  b:\n    c: 2\n", "m:\n  a: 1\n  new: x\n  # about b\n  b:\n    c: 2\n"),
        ("m:\n  b:\n    c: 2\n    # more\n", "m:\n  b:\n    c: 2\n    # more\n  new: x\n"),
        ("m:\n  a: |\n    text\n\nz: 0\n", "m:\n  a: |\n    text\n  new: x\n\nz: 0\n"),
        ("m: {a: 1}  # c\n", "m: {a: 1, new: x}  # c\n"),
        ("m: { a: 1 }\n", "m: { a: 1, new: x }\n"),
        ("m: {a: 1, }\n", "m: {a: 1, new: x, }\n"),
        ("m: {\n  a: 1  # x\n}\n", "m: {\n  a: 1,  # x\n  new: x\n}\n"),
        ("m: {\n  a: 1,  # x\n}\n", "m: {\n  a: 1,  # x\n  new: x,\n}\n"),
        ("m: {\n  a: 1 }\n", "m: {\n  a: 1, new: x }\n"),
        ('{"m": {"a": 1}}', '{"m": {"a": 1, "new": "x"}}'),
        ('{\n  "m": {\n    "a": 1\n  }\n}\n', '{\n  "m": {\n    "a": 1,\n    "new": "x"\n  }\n}\n'),
    ],
)
def test_key_comes_last(text: str, expected: str) -> None:
    """Or before the long ones that end its mapping; spaced as the others are, and apart from what comes next."""
    assert edit_text(text, [Set(path=("m", "new"), value="x")]) == expected


@pytest.mark.parametrize(
    ("text", "index", "expected"),
    [
        ("l:\n- a\n# z\nz: 0\n", 1, "l:\n- a\n- x\n# z\nz: 0\n"),
        ("l:\n  - a\n  # b\nz: 0\n", 1, "l:\n  - a\n  # b\n  - x\nz: 0\n"),
        ("l: [a, b]\n", 2, "l: [a, b, x]\n"),
        ("l: [\n  a,\n  b,\n]\n", 2, "l: [\n  a,\n  b,\n  x,\n]\n"),
        ("l: []\n", 0, "l:\n  - x\n"),
        ("k:\n- 1\nl: []\n", 0, "k:\n- 1\nl:\n- x\n"),
        ("k: {l: [1]}\nl: []\n", 0, "k: {l: [1]}\nl: [x]\n"),
    ],
)
def test_item_comes_last(text: str, index: int, expected: str) -> None:
    """In the style of the list, or of the file's other lists."""
    assert edit_text(text, [Set(path=("l", index), value="x")]) == expected


@pytest.mark.parametrize(
    ("text", "items", "expected"),
    [
        ("l:\n  - b\n  - c\n", ["a", "b", "c"], "l:\n  - a\n  - b\n  - c\n"),
        ("l:\n  - a # x\n  - c\n", ["a", "b", "c"], "l:\n  - a # x\n  - b\n  - c\n"),
        ("l: [b, c]\n", ["a", "b", "c"], "l: [a, b, c]\n"),
        ("l: [a, c]\n", ["a", "b", "c"], "l: [a, b, c]\n"),
        ("l:\n  - - c\n", [["b", "c"]], "l:\n  - - b\n    - c\n"),
        ("l:\n  - {k: 1}\n", [{"k": 2}], "l:\n  - {k: 2}\n"),
    ],
)
def test_list_becomes_another(text: str, items: list[object], expected: str) -> None:
    """What both have keeps its line."""
    assert edit_text(text, [Set(path=("l",), value=items)]) == expected


MODEL = {"path": "x", "tags": {"a": "1", "b": "2"}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\n", 'a: 1\nnew:\n  path: x\n  tags:\n    a: "1"\n    b: "2"\n'),
        ("a:\n    b: 1\n", 'a:\n    b: 1\nnew:\n    path: x\n    tags:\n        a: "1"\n        b: "2"\n'),
        ("a:\n  tags: {z: 0}\n", 'a:\n  tags: {z: 0}\nnew:\n  path: x\n  tags: {a: "1", b: "2"}\n'),
        ("{a: 1}\n", '{a: 1, new: {path: x, tags: {a: "1", b: "2"}}}\n'),
    ],
)
def test_new_mapping_is_written_as_the_file_writes_them(text: str, expected: str) -> None:
    """Its indentation, and brackets where the file has them for the same key."""
    assert edit_text(text, [Set(path=("new",), value=MODEL)]) == expected


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("a: old # c\nb: 1\n", {"k": "v"}, "a: # c\n  k: v\nb: 1\n"),
        ("a: old\nb: 1\n", {"k": "v"}, "a:\n  k: v\nb: 1\n"),
        ("a:\n  old\nb: 1\n", {"k": "v"}, "a:\n  k: v\nb: 1\n"),
        ("a: # c\n  old # d\nb: 1\n", {"k": "v"}, "a: # c\n   # d\n  k: v\nb: 1\n"),
        ("a: # c\n  k: v\n  # d\nb: 1\n", "x", "a: x # c\n  # d\nb: 1\n"),
        ("a: !!map # c\n  k: v\nb: 1\n", "x", "a: x # c\nb: 1\n"),
        ("a: # c\n  !!map\n  k: v\nb: 1\n", "x", "a: x # c\nb: 1\n"),
        ("a:\n  k: v\nb: 1\n", ["x"], "a:\n  - x\nb: 1\n"),
        ("a: {k: v} # c\n", {"z": "w"}, "a: {z: w} # c\n"),
        ("a: old # c\nb: 1\n", "two\nlines\n", "a: | # c\n  two\n  lines\nb: 1\n"),
        ("a: old\n  # c\nb: 1\n", "two\nlines", 'a: "two\\nlines"\n  # c\nb: 1\n'),
        ("a:\n  # c\n  k: v\nb: 1\n", "two\nlines", 'a: "two\\nlines"\n  # c\nb: 1\n'),
        ("a: |\n  two\n  lines\nb: 1\n", "three\nlines\n", "a: |\n  three\n  lines\nb: 1\n"),
        ("a: 'old'\n", "it's", "a: 'it''s'\n"),
        ('a: "old"\n', "new", 'a: "new"\n'),
        ("a: 'old'\n", 1, "a: 1\n"),
        ("a: !!str 1\n", 2, "a: 2\n"),
        ("? a\nb: 1\n", "x", "? a\n: x\nb: 1\n"),
        ("a: [k: v]\n", [{"k": "w"}, "x"], "a: [k: w, x]\n"),
        ("a: [k: v]\n", [{"k": "v", "z": 1}], "a: [{k: v, z: 1}]\n"),
    ],
)
def test_value_of_another_kind_takes_the_place(text: str, value: object, expected: str) -> None:
    """Comments stay where they can; quotation marks stay for text."""
    assert edit_text(text, [Set(path=("a",), value=value)]) == expected


def test_items_of_other_kinds_take_the_place() -> None:
    """Behind a dash as behind a key."""
    text = "l:\n- a # c\n- k: v\n- x\n"
    edits = [Set(path=("l", 0), value={"m": "o"}), Set(path=("l", 1), value="p"), Set(path=("l", 2), value=[["z"]])]
    assert edit_text(text, edits) == "l:\n- # c\n  m: o\n- p\n-\n  - - z\n"


def test_many_edits_of_one_mapping() -> None:
    """What goes, comes and changes does not get into each other's way."""
    text = "m:\n  a: 1 # a\n  b: 2 # b\n  c:\n    d: 3 # d\nz: 0\n"
    edits = [
        Remove(path=("m", "a")),
        Set(path=("m", "b"), value=5),
        Set(path=("m", "c", "e"), value=6),
        Set(path=("m", "f"), value={"g": "h"}),
        Remove(path=("z",)),
    ]
    assert edit_text(text, edits) == "m:\n  b: 5 # b\n  c:\n    d: 3 # d\n    e: 6\n  f:\n    g: h\n"

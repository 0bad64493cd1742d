"""Edits of the config's text: what they name changes, and nothing else."""

from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from router.control.config.document import read_document
from router.control.config.edit import Edit, EditError, Remove, Set, edit_text, edited
from router.control.config.rewrite import same
from tests.control.config.handwriting import Hand, a_mapping, an_edit

EXAMPLE = (Path(__file__).parents[3] / "config" / "teal.yaml").read_text()
GREEN = ("endpoints", "my-endpoint", "traffic", "green")

NASTY = """\
%YAML 1.1
---   # what a person may write
"listen" :  127.0.0.1:8080    # spaces, quotes
admin: { http :  '127.0.0.1:8081' ,   token_file: null, }\t
limits:
    max_body_bytes:   100MiB

    # a heading

endpoints :
\u0020
    my-endpoint:   # an endpoint that has a comment so long that a program would like to wrap it, here or there
        description: >-
            folded
              and indented

            text

        tags: {owner: "it's", note: 'say "hi"', empty: , bare, 'k': [ a,b , c ]}
        traffic: {
            blue:   90.0,   # stable

            green: 10 , # new
        }  # weights
        properties:
        - unindented
        -   wide
        -
          - nested
        ? explicit
        : value
        deployments:
            blue: !!map
                model: {path: &path models/blue}
                instance_count: 0x2   # hexadecimal

            green:   # the new one
                model: {path: *path}
                instance_count: +1
    # about nothing
...
"""
NASTY_GREEN = NASTY.replace("green: 10 , # new", "green: 15 , # new")


def changed_lines(before: str, after: str) -> list[tuple[str, str]]:
    """The lines that differ between two texts of as many lines."""
    pairs = zip(before.split("\n"), after.split("\n"), strict=True)
    return [(old, new) for old, new in pairs if old != new]


def test_one_weight_is_one_line() -> None:
    """In the example file the diff is the line that has the weight."""
    edits = [Set(path=("endpoints", "my-endpoint", "traffic"), value={"blue": 90, "green": 10})]
    assert changed_lines(EXAMPLE, edit_text(EXAMPLE, edits)) == [
        ("    traffic: {blue: 100, green: 0}", "    traffic: {blue: 90, green: 10}")
    ]


@pytest.mark.parametrize("bom", ["", "\ufeff"])
@pytest.mark.parametrize("line_break", ["\n", "\r\n"])
def test_what_a_person_has_written_stays(line_break: str, bom: str) -> None:
    """Odd spaces, comments, quotes, long lines, markers, line breaks and a byte order mark are what they were."""
    before, after = (bom + text.replace("\n", line_break) for text in (NASTY, NASTY_GREEN))
    assert edit_text(before, [Set(path=GREEN, value=15)]) == after


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        (("listen",), "0.0.0.0:80", '"listen" :  0.0.0.0:80    # spaces, quotes'),
        (("admin", "http"), "[::1]:80", "admin: { http :  '[::1]:80' ,   token_file: null, }\t"),
        (("limits", "max_body_bytes"), 5, "    max_body_bytes:   5"),
        (
            ("endpoints", "my-endpoint", "tags", "empty"),
            "x",
            "        tags: {owner: \"it's\", note: 'say \"hi\"', empty: x , bare, 'k': [ a,b , c ]}",
        ),
        (
            ("endpoints", "my-endpoint", "tags", "bare"),
            "x",
            "        tags: {owner: \"it's\", note: 'say \"hi\"', empty: , bare: x, 'k': [ a,b , c ]}",
        ),
        (
            ("endpoints", "my-endpoint", "tags", "k", 1),
            "z",
            "        tags: {owner: \"it's\", note: 'say \"hi\"', empty: , bare, 'k': [ a,z , c ]}",
        ),
        (("endpoints", "my-endpoint", "properties", 1), "narrow", "        -   narrow"),
        (("endpoints", "my-endpoint", "properties", 2, 0), 7, "          - 7"),
        (("endpoints", "my-endpoint", "explicit"), 33.3, "        : 33.3"),
        (
            ("endpoints", "my-endpoint", "deployments", "blue", "instance_count"),
            3,
            "                instance_count: 3   # hexadecimal",
        ),
        (
            ("endpoints", "my-endpoint", "deployments", "green", "model", "path"),
            "models/green",
            "                model: {path: models/green}",
        ),
    ],
)
def test_value_changes_in_its_line(path: tuple[str | int, ...], value: object, line: str) -> None:
    """Every kind of value is replaced where it stands."""
    changed = edit_text(NASTY, [Set(path=path, value=value)])
    assert [new for _, new in changed_lines(NASTY, changed)] == [line]


@pytest.mark.parametrize(
    "edit",
    [
        Set(path=("endpoints", "my-endpoint", "traffic"), value={"blue": 90, "green": 10.0}),
        Set(path=("endpoints", "my-endpoint", "deployments", "blue", "instance_count"), value=2),
        Set(path=("endpoints", "my-endpoint", "description"), value="folded\n  and indented\n\ntext"),
        Remove(path=("endpoints", "nobody")),
        Remove(path=("endpoints", "my-endpoint", "properties", 7)),
        Remove(path=("listen", "port")),
    ],
    ids=lambda edit: f"{type(edit).__name__} {edit.path[-1]}",
)
def test_what_is_so_already_is_not_written_again(edit: Edit) -> None:
    """An equal value keeps its spelling, and what is not there cannot go."""
    assert edit_text(NASTY, [edit]) == NASTY


def test_edits_are_made_one_after_the_other() -> None:
    """A later one sees what an earlier one has made."""
    edits = [
        Set(path=("a", "b"), value={"c": 1, "d": 2}),
        Set(path=("a", "b", "c"), value=3),
        Remove(path=("a", "b", "d")),
    ]
    assert edit_text("a: {}\n", edits) == "a:\n  b: {c: 3}\n"


def test_no_edits_change_nothing() -> None:
    """Not even what could be written better."""
    assert edit_text(NASTY, []) == NASTY


def test_keys_are_compared_with_case() -> None:
    """A variable called `path` is not PATH; who compares names without case says which one is meant."""
    text = "environment_variables: {PATH: /bin}\n"
    assert edit_text(text, [Set(path=("environment_variables", "path"), value="x")]) == (
        "environment_variables: {PATH: /bin, path: x}\n"
    )
    assert edit_text(text, [Remove(path=("environment_variables", "path"))]) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "a:\n  b: {c: 1}\n"),
        ("\ufeff", "\ufeffa:\n  b: {c: 1}\n"),
        ("# only a comment\n", "# only a comment\na:\n  b: {c: 1}\n"),
        ("# no end", "# no end\na:\n  b: {c: 1}"),
        ("# windows\r\n", "# windows\r\na:\r\n  b: {c: 1}\r\n"),
        ("---\n# c\n", "---\n# c\na:\n  b: {c: 1}\n"),
        ("---\n...\n# after\n", "---\na:\n  b: {c: 1}\n...\n# after\n"),
        ("--- ~ # c\n", "--- \na:\n  b: {c: 1} # c\n"),
        ("{}\n", "a:\n  b: {c: 1}\n"),
        ("a:\n", "a:\n  b: {c: 1}\n"),
        ("a: {} # c", "a: # c\n  b: {c: 1}"),
        ("a: null # c\nz: 1", "a: # c\n  b: {c: 1}\nz: 1"),
        ("a: text\n", "a:\n  b: {c: 1}\n"),
        ("a: {z: 0}\n", "a: {z: 0, b: {c: 1}}\n"),
        ("a:\n    z: 0", "a:\n    z: 0\n    b: {c: 1}"),
    ],
)
def test_what_is_missing_above_is_made(text: str, expected: str) -> None:
    """Parents come into a text of whatever there is, nothing included."""
    assert edit_text(text, [Set(path=("a", "b", "c"), value=1)]) == expected


def test_removing_from_nothing_is_nothing() -> None:
    """A file of comments stays one."""
    assert edit_text("# nothing\n", [Remove(path=("a",))]) == "# nothing\n"


@pytest.mark.parametrize(
    ("text", "path", "expected"),
    [
        ("traffic: {blue: 100}\nb: 1\n", ("traffic", "blue"), "traffic: {}\nb: 1\n"),
        (
            "endpoints:\n  # mine\n  a:\n    x: 1\n  # end\nb: 1\n",
            ("endpoints", "a"),
            "endpoints: {}\n  # mine\n  # end\nb: 1\n",
        ),
        ("deployments: # c\n  a: 1\n", ("deployments", "a"), "deployments: {} # c\n"),
        ("upstreams:\n- x\nb: 1\n", ("upstreams", 0), "upstreams: []\nb: 1\n"),
        ("upstreams: [x]\n", ("upstreams", 0), "upstreams: []\n"),
        ("# top\na: 1\n# end\n", ("a",), "# top\n{}\n# end\n"),
        ("- a: 1\n", (0, "a"), None),
    ],
)
def test_what_becomes_empty_is_said_to_be_empty(text: str, path: tuple[str | int, ...], expected: str | None) -> None:
    """Never a null that a rule refuses; comments in it stay."""
    if expected is None:
        with pytest.raises(EditError, match="line 1: expected fields"):
            edit_text(text, [Remove(path=path)])
    else:
        assert edit_text(text, [Remove(path=path)]) == expected


def test_all_can_go() -> None:
    """Without a path, everything is meant."""
    assert edit_text("# c\na: 1\nb: 2\n", [Remove(path=())]) == "# c\n{}\n"


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (Set(path=("list", "x"), value=1), "list is a list; expected the number of an item in it, not x"),
        (Set(path=("list", 3), value=1), "list[3] is out of range: the list has 2 items"),
        (Set(path=("list", -1), value=1), "list[-1] is out of range: the list has 2 items"),
        (Set(path=("new", 1), value=1), "new[1] is out of range: the list has 0 items"),
        (Set(path=("a",), value={"b": {1: 2}}), "a.b: the key 1 is no text"),
        (Set(path=("a",), value=[{"b": b"x"}]), "a[0].b: expected text, a number, a list or a mapping, not b'x'"),
        (Set(path=("a",), value="\ud800"), "half a character (U+D800) has no place in YAML"),
        (Set(path=(), value=[]), "a config file is a mapping as a whole"),
    ],
)
def test_edit_that_cannot_be_is_refused(edit: Edit, reason: str) -> None:
    """In a sentence that names the place."""
    with pytest.raises(EditError) as refused:
        edit_text("list: [1, 2]\n", [edit])
    assert str(refused.value) == reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: 1\na: 2\n", "line 2: a: written twice, first in line 1"),
        ("a: [\n", "line 2: not YAML: column 1: did not find expected node content, while parsing a flow node"),
        ("a: *b\n", "line 1: not YAML: column 4: found undefined alias"),
        ("- a\n", "line 1: expected fields such as `endpoints:` at the top"),
        ("a: 1\n---\nb: 2\n", "line 2: not YAML: column 1: a second document; expected one"),
    ],
)
def test_text_that_is_no_mapping_is_refused(text: str, reason: str) -> None:
    """It is not made worse by an edit."""
    with pytest.raises(EditError) as refused:
        edit_text(text, [Set(path=("a",), value=1)])
    assert str(refused.value) == reason


def test_too_deep_a_value_is_refused() -> None:
    """What could not be read back is not written."""
    with pytest.raises(EditError, match=r"^the change cannot be written: nested more than 50 levels deep$"):
        edit_text("a: 1\n", [Set(path=tuple("abcde" * 11), value=1)])


@st.composite
def edited_texts(draw: st.DrawFn, *, has_aliases: bool) -> tuple[str, list[Edit]]:
    """A text as somebody may have written it, and edits of it."""
    random = draw(st.randoms(use_true_random=False))
    text = Hand(random, has_aliases=has_aliases).write(a_mapping(random, repeats=has_aliases))
    data = read_document(text).data
    edits = []
    for _ in range(draw(st.integers(1, 3))):
        edits.append(an_edit(random, data))
        data = edited(data, edits[-1:])
    return text, edits


@settings(max_examples=300)
@given(st.one_of(edited_texts(has_aliases=False), edited_texts(has_aliases=True)))
def test_text_says_what_the_edits_say(case: tuple[str, list[Edit]]) -> None:
    """Whatever somebody has written and whatever is edited: the text, read again, is the data with the edits made."""
    text, edits = case
    document = read_document(edit_text(text, edits))
    assert document.flaws == ()
    assert same(document.data, edited(read_document(text).data, edits))


@settings(max_examples=300)
@given(edited_texts(has_aliases=False))
def test_edits_twice_are_edits_once(case: tuple[str, list[Edit]]) -> None:
    """What was written by an edit is not written again by the next."""
    text, edits = case
    once = edit_text(text, edits)
    assert edit_text(once, [Set(path=(), value=edited(read_document(text).data, edits))]) == once


def around(text: str, key: str) -> tuple[str, str]:
    """What stands before and after a key of the top, less what may be about the key: comments and blank lines above."""
    document, lines = read_document(text), text.splitlines(keepends=True)
    start = document.line((key,)) - 1
    below = [line - 1 for name in document.data if (line := document.line((name,)) - 1) >= start and name != key]
    end = min(below, default=len(lines) - 1) + 1
    while lines[start - 1 : start] and (lines[start - 1].startswith("#") or not lines[start - 1].strip()):
        start -= 1
    while below and lines[end - 1].startswith("#"):
        end -= 1
    return "".join(lines[:start]), "".join(lines[end:])


@settings(max_examples=500)
@given(edited_texts(has_aliases=False))
def test_lines_around_an_edit_stay(case: tuple[str, list[Edit]]) -> None:
    """What stands before and after the key of the top that an edit is about is the same, byte for byte."""
    text, edits = case
    assume(edits[0].path[0] in read_document(text).data)
    before, after = around(text, str(edits[0].path[0]))
    changed = edit_text(text, edits[:1])
    assert changed.startswith(before if text.endswith("\n") else before.rstrip("\r\n"))
    assert changed.endswith(after)

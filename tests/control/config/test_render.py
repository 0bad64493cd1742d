"""Values as YAML: whoever reads them, in whatever version of YAML, reads what was written."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.control.config.document import read_document
from router.control.config.render import Rendered, RenderError, Style, inline, mapping_lines, render
from router.control.config.rewrite import same

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
tricky_texts = st.from_regex(r"[-+0-9.:eExoyYnN~<=#'\" \n&*!|>%@`?,\[\]{}]{0,8}", fullmatch=True)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts | tricky_texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts | tricky_texts, inner, max_size=4)
)
styles = st.builds(Style, indent=st.integers(1, 5), dash=st.integers(0, 4), is_json=st.booleans())


@settings(max_examples=200)
@given(st.dictionaries(texts | tricky_texts, values, min_size=1, max_size=4), styles)
def test_what_is_written_in_lines_is_read(data: dict[str, object], style: Style) -> None:
    """Every value that YAML can hold, in every style."""
    document = read_document("\n".join(mapping_lines(data, style)) + "\n")
    assert document.flaws == ()
    assert same(document.data, data)


@settings(max_examples=200)
@given(st.dictionaries(texts | tricky_texts, values, max_size=4), styles)
def test_what_is_written_in_one_line_is_read(data: dict[str, object], style: Style) -> None:
    """Every value that YAML can hold."""
    document = read_document(inline(data, style))
    assert document.flaws == ()
    assert same(document.data, data)


@pytest.mark.parametrize(
    "text",
    [
        "blue", "models/blue/model.pkl", "./models", "../x", "~/models", "azureml:churn:3", "http://127.0.0.1:9100",
        "unix:/run/green.sock", "127.0.0.1:8080", "1.2.3", "Standard_DS3_v2", "two words", "50 %", "a, b", "it's",
        "100MiB", "-q", "--verbose", "été", "a#b", "$HOME", "(x)",
    ],
)  # fmt: skip
def test_text_that_nobody_misreads_is_plain(text: str) -> None:
    """Paths, addresses and words as people write them."""
    assert inline(text, Style()) == text


@pytest.mark.parametrize(
    "text",
    [
        "on", "Off", "yes", "NO", "y", "N", "true", "False", "null", "Null", "~", "", "1", "-1", "+1", "1.5", ".5",
        "1.", "1e3", "1E-3", "0x1", "0o7", "007", "089", "1_000", "12:30", "1:2:3", "00:30", ".inf", "-.INF", ".nan",
        "nan", "2024-01-01", "2024-01-01 10:00:00", "=", "<<", " lead", "trail ", "a: b", "a:", "a #b", "#c", "- x",
        "-", "?", "&a", "*a", "!a", "%a", "@a", "`a", "|", ">", "[a", "{a", "]", "}", ",", "'a", "---", "...", "--- a",
    ],
)  # fmt: skip
def test_text_that_somebody_misreads_is_in_quotes(text: str) -> None:
    """What some version of YAML takes for a number, a truth, a date, nothing, or its own signs."""
    assert inline(text, Style()) == f'"{text}"'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('say "hi": x', "'say \"hi\": x'"),
        ("C:\\x: y", "'C:\\x: y'"),
        ("'\"", '"\'\\""'),
        ("tab\t", '"tab\\t"'),
        ("two\nlines", '"two\\nlines"'),
        ("\x00\x7f\x85\xa0\u2028\ufeff\U000e0001", '"\\0\\x7f\\x85\\xa0\\u2028\\ufeff\\U000e0001"'),
        ("😀: \n", '"😀: \\n"'),
    ],
)
def test_signs_are_escaped(text: str, expected: str) -> None:
    """With the quotation marks that need the fewest of it."""
    assert inline(text, Style()) == expected


@pytest.mark.parametrize("text", ["a,b", "a]", "{x}", "http://a?b"])
def test_brackets_need_more_quotes(text: str) -> None:
    """What ends an entry inside of brackets does not outside."""
    assert inline([text], Style()) == f'["{text}"]'


def test_numbers_and_nothing() -> None:
    """As a person writes them, and so that each stays what it is."""
    data = [33.3, 10.0, 1e20, 1e-7, float("inf"), -float("inf"), float("nan"), 5, True, False, None, {}, []]
    assert inline(data, Style()) == ("[33.3, 10.0, 1.0e+20, 1.0e-07, .inf, -.inf, .nan, 5, true, false, null, {}, []]")


def test_what_has_no_place_is_refused() -> None:
    """With what it is."""
    with pytest.raises(RenderError, match="a bytes has no place in YAML"):
        inline({"a": b""}, Style())
    with pytest.raises(RenderError, match=r"half a character \(U\+D800\) has no place in YAML"):
        inline("\ud800", Style())


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"blue": 90, "green": 10}, Rendered("{blue: 90, green: 10}")),
        ({"owner": "me"}, Rendered("", ("  owner: me",))),
        ({"on": True}, Rendered("", ('  "on": true',))),
        ({}, Rendered("{}")),
        ([], Rendered("[]")),
        (["a", {"b": [], "c": {"d": None}}], Rendered("", ("  - a", "  - b: []", "    c:", "      d: null"))),
        ([["a"], []], Rendered("", ("  - - a", "  - []"))),
        ("two\n\nlines\n", Rendered("|", ("  two", "", "  lines"))),
        ("two\nlines", Rendered("|-", ("  two", "  lines"))),
        (" two\nlines\n", Rendered('" two\\nlines\\n"')),
        ({"a" * 50: 1, "b" * 50: 2}, Rendered("", (f"  {'a' * 50}: 1", f"  {'b' * 50}: 2"))),
    ],
)  # fmt: skip
def test_value_behind_a_key(value: object, expected: Rendered) -> None:
    """In lines, except for what is empty and a few weights."""
    assert render(value, Style()) == expected


def test_style_of_the_file_decides() -> None:
    """Indentation, and brackets or lines by the key."""
    style = Style(indent=4, dash=0, flow={"model": True, "traffic": False})
    data = {"model": {"path": "x"}, "traffic": {"blue": 1}, "upstreams": ["a"], "text": "a\nb"}
    assert list(mapping_lines(data, style)) == [
        "model: {path: x}", "traffic:", "    blue: 1", "upstreams:", "- a", "text: |-", "    a", "    b"
    ]  # fmt: skip


def test_nested_and_long_is_never_in_brackets() -> None:
    """Even if the file has brackets for the same key."""
    style = Style(flow={"model": True})
    assert render({"tags": {"a": 1}}, style, key="model").lines == ("  tags: {a: 1}",)
    assert render({"path": "x" * 100}, style, key="model").lines == (f"  path: {'x' * 100}",)
    assert render({"note": "a\nb"}, style, key="model").lines == ("  note: |-", "    a", "    b")

"""Flask-like access to queries, headers and forms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.fields import Fields, parse_form, parse_parameters, query_pairs


def test_a_repeated_name_shows_its_first_value():
    """`getlist` has all of them."""
    fields = Fields([("a", "1"), ("b", "2"), ("a", "3")])
    assert (fields["a"], fields.getlist("a"), fields.getlist("c"), list(fields)) == ("1", ["1", "3"], [], ["a", "b"])


def test_names_of_headers_ignore_case():
    """The spelling of the first one is listed."""
    fields = Fields([("X-A", "1"), ("x-a", "2")], ignore_case=True)
    assert (fields["x-A"], "X-a" in fields, dict(fields)) == ("1", True, {"X-A": "1"})


@pytest.mark.parametrize(("value", "expected"), [("7", 7), ("seven", 0)])
def test_get_converts_or_takes_the_default(value, expected):
    """Like Flask's `args.get(name, 0, type=int)`."""
    assert Fields([("n", value)]).get("n", 0, type=int) == expected


def test_a_query_keeps_names_without_values():
    """An empty value is a value."""
    assert query_pairs("a&b=&c=%20+") == [("a", ""), ("b", ""), ("c", "  ")]


def test_an_urlencoded_form_is_read():
    """Text fields only."""
    form, files = parse_form("application/x-www-form-urlencoded", b"a=1&b=%C3%BC")
    assert (dict(form), len(files)) == ({"a": "1", "b": "ü"}, 0)


@pytest.mark.parametrize("kind", ["", "application/json", "multipart/form-data", "multipart/mixed; boundary=x"])
def test_any_other_body_has_no_fields(kind):
    """Not an error: Flask shows empty forms."""
    form, files = parse_form(kind, b"--x\r\n\r\n\r\n--x--")
    assert (len(form), len(files)) == (0, 0)


@given(st.binary().filter(lambda content: b"\r\n--edge" not in content))
def test_a_file_arrives_byte_by_byte(content):
    """Whatever is in it but the boundary itself."""
    head = b'--edge\r\nContent-Disposition: form-data; name="f"; filename="n"\r\n\r\n'
    _, files = parse_form("multipart/form-data; boundary=edge", head + content + b"\r\n--edge--\r\n")
    assert files["f"].read() == content


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("form-data; name=a", {"name": "a"}),
        ('form-data; Name="a;b"; filename=""', {"name": "a;b", "filename": ""}),
        (r'form-data; filename="a\"b"', {"filename": 'a"b'}),
        ("form-data", {}),
    ],
)
def test_parameters_of_a_header_are_read(header, expected):
    """Quoted or not, with escapes."""
    assert parse_parameters(header) == expected

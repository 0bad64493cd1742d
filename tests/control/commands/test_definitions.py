"""Definitions as Azure's commands take them, and values set over them."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from router.control.commands.definitions import (
    Definition,
    copied,
    read_definition,
    split,
    value_at,
    with_values,
    without,
)
from router.control.config.document import KeyPath
from router.control.refusal import Invalid

FILE = "/home/ann/green.yml"


def refused(text: str, file: str | None = FILE) -> list[str]:
    with pytest.raises(Invalid) as caught:
        read_definition(text, file)
    return [str(problem) for problem in caught.value.problems]


def unplaced(data: Mapping[str, object], path: KeyPath) -> list[str]:
    with pytest.raises(Invalid) as caught:
        with_values(data, [(path, "x")])
    return [str(problem) for problem in caught.value.problems]


def test_a_definition_is_plain_data() -> None:
    """With the file that its messages name."""
    definition = read_definition("name: green\ninstance_count: 2\n", FILE)
    assert (definition.fields, definition.file) == ({"name": "green", "instance_count": 2}, Path(FILE))


@pytest.mark.parametrize("text", ['{"name": "green",\n\t"tags": {"a": "b"}}', "\ufeffname: green\ntags: {a: b}\n"])
def test_json_and_a_byte_order_mark_are_read(text: str) -> None:
    """Whatever Azure's own client reads."""
    assert read_definition(text, FILE).fields == {"name": "green", "tags": {"a": "b"}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [f"{FILE}:1: the file is empty; expected at least `name: my-name`"]),
        ("# nothing\n", [f"{FILE}:1: the file is empty; expected at least `name: my-name`"]),
        ("\n- a\n", [f"{FILE}:2: expected fields such as `name:` at the top"]),
        ("a: 1\na: 2\n", [f"{FILE}:2: a: written twice, first in line 1"]),
        (
            "traffic:\n  on: 100\n",
            [f'{FILE}:2: traffic.on: YAML reads this key as true or false; put it in quotes: "on"'],
        ),
        ("a: !!python/name:os.system x\n", [f"{FILE}:1: a: the tag !!python/name:os.system is not supported"]),
    ],
)
def test_a_text_that_is_no_definition_is_refused(text: str, expected: list[str]) -> None:
    """With the line, and what would be right."""
    assert refused(text) == expected


def test_all_flaws_are_told_at_once() -> None:
    """One after the other would be tiresome."""
    assert refused("a: 1\na: 2\nb: 1\nb: 2\n") == [
        f"{FILE}:2: a: written twice, first in line 1",
        f"{FILE}:4: b: written twice, first in line 3",
    ]


def test_a_definition_that_is_no_yaml_is_refused() -> None:
    """With line and column."""
    (problem,) = refused("a: 1\nb: [\n")
    assert problem.startswith(f"{FILE}:3: not YAML: column 1: ")


def test_a_definition_without_a_file_has_lines_all_the_same() -> None:
    """A program may send the text alone."""
    assert refused("a: 1\na: 2\n", file=None) == ["line 2: a: written twice, first in line 1"]


def test_a_problem_of_a_field_has_its_line() -> None:
    """That of the field, or of the nearest one above it."""
    definition = read_definition("name: green\nrequest_settings:\n  request_timeout_ms: 0\n", FILE)
    told = [
        str(definition.problem(("request_settings", "request_timeout_ms"), "expected more")),
        str(definition.problem(("request_settings", "other"), "missing")),
    ]
    assert told == [
        f"{FILE}:3: request_settings.request_timeout_ms: expected more",
        f"{FILE}:2: request_settings.other: missing",
    ]


def test_a_problem_of_what_is_not_written_has_no_line() -> None:
    """The first line of the file would be a lie."""
    definition = read_definition("name: green\n", FILE)
    assert str(definition.problem(("model",), "missing")) == "model: missing"


def test_a_problem_of_a_definition_without_text_names_the_field() -> None:
    """As when a command has no file."""
    assert str(Definition(fields={}).problem(("model", "path"), "missing")) == "model.path: missing"


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("instance_count", ("instance_count",)),
        ("tags.owner", ("tags", "owner")),
        ("upstreams[0]", ("upstreams", 0)),
        ("upstreams.10", ("upstreams", 10)),
        ("a.b[2].c", ("a", "b", 2, "c")),
        ("tags.007", ("tags", "007")),
        ("tags.\u00b2", ("tags", "\u00b2")),
        ("tags.\u0663", ("tags", "\u0663")),
        ("tags.-1", ("tags", "-1")),
        ("tags.12345678901", ("tags", "12345678901")),
        ("0", ("0",)),
    ],
)
def test_a_dotted_field_is_a_path(field: str, expected: KeyPath) -> None:
    """Numbers count items; what is written in another way is a name."""
    assert split(field) == expected


@pytest.mark.parametrize("field", ["", ".", "a.", ".a", "a..b", "[0]", "a" + ".a" * 50])
def test_what_is_no_field_is_refused(field: str) -> None:
    """An empty part, or more parts than anything is nested."""
    with pytest.raises(Invalid, match=r"not a field; expected one such as tags\.owner"):
        split(field)


@pytest.mark.parametrize(
    ("data", "path", "expected"),
    [
        ({}, ("instance_count",), {"instance_count": "x"}),
        ({"tags": {"a": "1"}}, ("tags", "b"), {"tags": {"a": "1", "b": "x"}}),
        ({}, ("model", "path"), {"model": {"path": "x"}}),
        ({"model": "azureml:churn:1"}, ("model", "path"), {"model": {"path": "x"}}),
        ({"model": None}, ("model", "path"), {"model": {"path": "x"}}),
        ({"upstreams": ["a", "b"]}, ("upstreams", 1), {"upstreams": ["a", "x"]}),
        ({"upstreams": ["a"]}, ("upstreams", 1), {"upstreams": ["a", "x"]}),
        ({}, ("upstreams", 0), {"upstreams": ["x"]}),
        ({}, ("collections", 0, "name"), {"collections": [{"name": "x"}]}),
        ({"tags": {"2024": "a"}}, ("tags", 2024), {"tags": {"2024": "x"}}),
        ({}, ("tags", 2024), {"tags": {"2024": "x"}}),
    ],
)
def test_a_value_is_put_in_its_place(data: dict[str, object], path: KeyPath, expected: object) -> None:
    """What is missing above it is made, and what is no mapping makes way."""
    assert with_values(data, [(path, "x")]) == expected


@pytest.mark.parametrize("path", [("upstreams", 2), ("upstreams", "first"), ("upstreams", 2, "a")])
def test_a_place_that_a_list_has_not_is_refused(path: KeyPath) -> None:
    """By the whole field, and with what the list has."""
    field = ".".join(map(str, path[:2]))
    assert unplaced({"upstreams": ["a"]}, path) == [
        f"{field}: there is no such place in the list; it has 1 items, of which the first is 0"
    ]


def test_later_values_win() -> None:
    """In the order of the command line."""
    values: list[tuple[KeyPath, object]] = [(("a", "b"), 1), (("a",), {"c": 2}), (("a", "d"), 3)]
    assert with_values({}, values) == {"a": {"c": 2, "d": 3}}


def test_the_data_stays_as_it_was() -> None:
    """A change is planned again when somebody saves the file meanwhile."""
    data: dict[str, object] = {"tags": {"a": "1"}, "upstreams": ["a"]}
    with_values(data, [(("tags", "a"), "2"), (("upstreams", 0), "b")])
    without(data, [("tags", "a"), ("upstreams", 0)])
    assert data == {"tags": {"a": "1"}, "upstreams": ["a"]}


def test_a_value_put_twice_is_two_values() -> None:
    """What is then put into one of them is not in the other."""
    value = {"period": 5}
    values: list[tuple[KeyPath, object]] = [(("a",), value), (("b",), value), (("a", "period"), 1)]
    assert with_values({}, values) == {"a": {"period": 1}, "b": {"period": 5}}


def test_an_alias_is_two_values() -> None:
    """A value set in one probe is not set in the other that YAML calls the same."""
    definition = read_definition("liveness_probe: &probe {period: 5}\nreadiness_probe: *probe\n", FILE)
    assert with_values(definition.fields, [(("liveness_probe", "period"), 1)]) == {
        "liveness_probe": {"period": 1},
        "readiness_probe": {"period": 5},
    }


def test_values_nested_too_deep_are_refused() -> None:
    """No file could have them."""
    value: object = "x"
    for _ in range(60):
        value = [value]
    with pytest.raises(Invalid, match="tags: nested more than 50 levels deep"):
        copied(value, ("tags", "a"))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (("tags", "a"), {"tags": {"7": "d"}, "upstreams": ["b", "c"]}),
        (("tags", 7), {"tags": {"a": "1"}, "upstreams": ["b", "c"]}),
        (("upstreams", 0), {"tags": {"a": "1", "7": "d"}, "upstreams": ["c"]}),
        (("upstreams",), {"tags": {"a": "1", "7": "d"}}),
        (("upstreams", 2), {"tags": {"a": "1", "7": "d"}, "upstreams": ["b", "c"]}),
        (("upstreams", "b"), {"tags": {"a": "1", "7": "d"}, "upstreams": ["b", "c"]}),
        (("nothing", "at", "all"), {"tags": {"a": "1", "7": "d"}, "upstreams": ["b", "c"]}),
    ],
)
def test_what_is_removed_is_gone(path: KeyPath, expected: object) -> None:
    """And what is not there need not be."""
    assert without({"tags": {"a": "1", "7": "d"}, "upstreams": ["b", "c"]}, [path]) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (("a", "b"), 1),
        (("c", 1), "y"),
        (("c", 2), None),
        (("a", "b", "d"), None),
        (("e",), None),
        (("a", 5), 2),
    ],
)
def test_a_value_is_found_by_its_path(path: KeyPath, expected: object) -> None:
    """None where there is none."""
    data = {"a": {"b": 1, "5": 2}, "c": ["x", "y"]}
    assert value_at(data, path) == expected

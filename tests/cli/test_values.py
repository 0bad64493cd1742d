"""Options with a grammar of their own."""

import argparse

import pytest

from router.cli.values import LiveWeights, RemoveFields, SetFields, Tags, Weights, typed


def parse(action: type[argparse.Action], *arguments: str) -> object:
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--it", nargs="+", action=action)
    return parser.parse_args(arguments).it


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2", 2),
        ("-1", -1),
        ("0.5", 0.5),
        ("true", True),
        ("false", False),
        ("null", None),
        ("two", "two"),
        ("", ""),
        ("on", "on"),
        ("007", "007"),
        ("NaN", "NaN"),
        ("1e999", "1e999"),
        ("2024-01-01", "2024-01-01"),
        ("a=b", "a=b"),
        ("azureml:churn:1", "azureml:churn:1"),
        ("{a: 1, b: two}", {"a": 1, "b": "two"}),
        ('{"a":{"b":[1]}}', {"a": {"b": [1]}}),
        ("[1, 2]", [1, 2]),
        ('"2"', "2"),
        ("'true'", "true"),
    ],
)
def test_value_is_what_it_looks_like(text: str, value: object) -> None:
    """Numbers, truth values, null and what is in brackets; everything else is text."""
    assert typed(text) == value
    assert type(typed(text)) is type(value)


@pytest.mark.parametrize(
    "field",
    [
        "environment_variables.RELEASE", "tags.v", "tags.2024", "properties.p", "model.tags.v", "description",
        "version", "name", "model.version", "model.path", "environment.version", "instance_type",
        "code_configuration.code", "environment_variables.traffic",
    ],
)  # fmt: skip
@pytest.mark.parametrize("text", ["1.10", "1234e5", "1e3", "007", "2", "true", "null", "{a: 1}", "'tis", '"2"', ""])
def test_field_that_is_text_keeps_what_was_typed(field: str, text: str) -> None:
    """Whatever it looks like: a release 1.10 is none of 1.1."""
    assert parse(SetFields, "--it", f"{field}={text}") == {field: text}


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("traffic.blue=33.30", 33.3),
        ("traffic.version=10", 10),
        ("mirror_traffic.name=1e1", 10.0),
        ("readiness_probe.period=0.50", 0.5),
        ("instance_count=2", 2),
        ("app_insights_enabled=true", True),
        ("model={path: m.pkl, version: '1.10'}", {"path": "m.pkl", "version": "1.10"}),
        ("tags={v: two}", {"v": "two"}),
    ],
)
def test_other_field_is_typed_by_its_looks(word: str, value: object) -> None:
    """A weight is a number however it is written, and a whole mapping is one."""
    assert list(parse(SetFields, "--it", word).values()) == [value]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "value"), [("3.10", "3.10"), ("1e3", "1e3"), ("0.5", 0.5), ("2", 2), ("true", True), ("{a: 1}", {"a": 1})]
)
def test_number_in_a_structure_of_azure_is_written_as_itself(text: str, value: object) -> None:
    """Nobody here knows whether it is one: a Python 3.10 is none of 3.1."""
    field = "flavors.python_function.python_version"
    assert parse(SetFields, "--it", f"{field}={text}") == {field: value}


@pytest.mark.parametrize("text", ["{a: 1", "[1, 2", "'tis", "{a: 1, a: 2}", "[1]\nb: 2"])
def test_broken_structure_is_no_text(text: str) -> None:
    """Who opens a bracket or a quote means it."""
    with pytest.raises(ValueError, match="'"):
        typed(text)


def test_values_of_several_options_come_together() -> None:
    """As with `az`, an option may have several values, and may be given again."""
    assert parse(SetFields, "--it", "a.b=1", "c=x", "--it", "d=true") == {"a.b": 1, "c": "x", "d": True}


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("instance_count", "'instance_count' is not FIELD=VALUE; expected such as instance_count=2 or tags.owner=me"),
        ("=2", "'=2' names no field"),
        ("a..b=2", "'a..b' is not a field; expected one such as tags.owner"),
        ("tags={", "tags: '{' is neither YAML nor JSON"),
    ],
)
def test_assignment_that_is_none_is_refused(word: str, message: str) -> None:
    """The message says what would be right."""
    with pytest.raises(argparse.ArgumentError) as raised:
        parse(SetFields, "--it", word)
    assert message in str(raised.value)


def test_number_after_a_field_is_a_place_in_its_list() -> None:
    """As with `az`: `--remove upstreams 0`."""
    assert parse(RemoveFields, "--it", "upstreams", "0", "tags.owner") == ("upstreams.0", "tags.owner")


@pytest.mark.parametrize(
    ("words", "weights"),
    [
        (["blue=90 green=10"], {"blue": 90, "green": 10}),
        (["blue=90", "green=10"], {"blue": 90, "green": 10}),
        (["blue=90,green=10"], {"blue": 90, "green": 10}),
        (["blue=33.3%, green=66.7%"], {"blue": 33.3, "green": 66.7}),
        (["green=0"], {"green": 0}),
        ([""], {}),
    ],
)
def test_weights_are_percent_by_deployment(words: list[str], weights: dict[str, float]) -> None:
    """Spaces or commas between them, percent signs or none; nothing takes all weights away."""
    assert parse(Weights, "--it", *words) == weights


@pytest.mark.parametrize("words", [[""], [" "], [","], ["", ""]])
def test_live_weights_are_not_taken_away_by_nothing(words: list[str]) -> None:
    """A shell variable that is not set takes no endpoint offline; the message says what does."""
    with pytest.raises(argparse.ArgumentError, match='or "blue=0" to switch the endpoint off'):
        parse(LiveWeights, "--it", *words)


@pytest.mark.parametrize("action", [SetFields, RemoveFields, Weights, Tags])
def test_bytes_that_are_no_text_are_refused(action: type[argparse.Action]) -> None:
    """They would not come through JSON."""
    with pytest.raises(argparse.ArgumentError, match=r"'a=\\udcff' is not UTF-8 text"):
        parse(action, "--it", "a=\udcff")


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("blue", "'blue' is not DEPLOYMENT=PERCENT"),
        ("blue=most", "'blue=most' is not DEPLOYMENT=PERCENT"),
        ("blue=nan", "'blue=nan' is not DEPLOYMENT=PERCENT"),
        ("=10", "'=10' is not DEPLOYMENT=PERCENT"),
        ("blue=90 blue=10", "blue is given twice"),
    ],
)
def test_weight_that_is_none_is_refused(word: str, message: str) -> None:
    """The message names the word."""
    with pytest.raises(argparse.ArgumentError) as raised:
        parse(Weights, "--it", word)
    assert message in str(raised.value)


def test_tags_are_text_by_name() -> None:
    """What looks like a number stays text, as tags are."""
    assert parse(Tags, "--it", "owner=me", "year=2024") == {"owner": "me", "year": "2024"}
    with pytest.raises(argparse.ArgumentError):
        parse(Tags, "--it", "owner")

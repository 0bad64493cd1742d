"""What is wrong with a shape is said in sentences that say what would be right."""

import textwrap
from pathlib import Path

import pytest

from router.control.config.load import ConfigError, parse_config


def problem(text: str) -> str:
    """Field and message of the one problem of `text`."""
    with pytest.raises(ConfigError) as caught:
        parse_config(text, Path("teal.yaml"))
    (only,) = caught.value.problems
    return f"{only.field}: {only.message}"


def in_deployment(fields: str) -> str:
    return "endpoints:\n  churn:\n    deployments:\n      blue:\n" + textwrap.indent(fields, "        ")


def managed(fields: str) -> str:
    return in_deployment(f"code_configuration: {{code: c, scoring_script: s.py}}\n{fields}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("access_log: yes please", "access_log: the text 'yes please', expected true or false"),
        ("access_log: 1", "access_log: 1, expected true or false"),
        ("admin:", "admin: no value, expected a mapping"),
        ("admin: []", "admin: a list, expected a mapping"),
        ("admin: {http: 8081}", "admin.http: 8081, expected text"),
        ("endpoints: [a]", "endpoints: a list, expected a mapping"),
        ("endpoints: {churn: }", "churn: no value, expected a mapping"),
        ("limits: {max_body_bytes: on}", "limits.max_body_bytes: on means true in YAML, expected a whole number"),
        ("limits: {max_head_bytes: 10}", "limits.max_head_bytes: 10, expected at least 1024"),
        ("limits: {head_timeout_s: .inf}", "limits.head_timeout_s: .inf, expected a finite number"),
        ("limits: {head_timeout_s: 0}", "limits.head_timeout_s: 0, expected more than 0"),
        ("limits: {head_timeout_s: {}}", "limits.head_timeout_s: a mapping, expected a number"),
        ("limits: {head_timeout_s: 10s}", "limits.head_timeout_s: the text '10s', expected a number"),
        ("log: {level: warn}", "log.level: the text 'warn', expected debug, info, warning or error"),
        ("state_dir: 5", "state_dir: 5, expected a path"),
        ("state_dir: ''", "state_dir: empty, expected a path"),
        ("listen: []", "listen: an empty list; expected at least one"),
        ("listen: [1]", "listen[0]: 1, expected text"),
        ("listen: 12:30", "listen: 12:30, expected text"),
        ("endpoints: {churn: {mirror: {max_percent: 101}}}", "churn.mirror.max_percent: 101, expected at most 100"),
        ("endpoints: {churn: {tags: {a: [1]}}}", "churn.tags.a: a list, expected text"),
        ("endpoints: {churn: {traffic: {blue: on}}}", "churn.traffic.blue: on means true in YAML, expected a number"),
        ("endpoints: {churn: {traffic: {blue: '90'}}}", "churn.traffic.blue: the text '90', expected a number"),
        ("endpoints: {churn: {traffic: {blue: }}}", "churn.traffic.blue: no value, expected a number"),
        ("endpoints: {churn: {auth_mode: }}", "churn.auth_mode: no value, expected key, aml_token or none"),
    ],
)
def test_a_value_of_the_wrong_kind(text: str, expected: str) -> None:
    """What stands there, as it is written, and what should."""
    assert problem(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (in_deployment("upstreams: http://x:1"), "upstreams: the text 'http://x:1', expected a list"),
        (
            in_deployment("code_configuration: {code: c}"),
            "code_configuration.scoring_script: missing; it has no default",
        ),
        (
            in_deployment("code_configuration: {code: c, scoring_script: ''}"),
            "code_configuration.scoring_script: empty, expected text",
        ),
        (managed("instance_count: 51"), "instance_count: 51, expected at most 50"),
        (managed("instance_count: 1.5"), "instance_count: 1.5, expected a whole number"),
        (managed("model: 5"), "model: 5, expected a mapping"),
        (managed("model: {path: a, pth: b}"), "model.pth: unknown field; did you mean path?"),
        (managed("liveness_probe: {perod: 1}"), "liveness_probe.perod: unknown field; did you mean period?"),
        (managed("instances: 3"), "instances: unknown field; did you mean instance_count?"),
        (managed("replicas: 3"), "replicas: unknown field; did you mean instance_count?"),
        (managed("scale_settings: {type: x}"), "scale_settings.type: the text 'x', expected default"),
    ],
)
def test_a_deployment_of_the_wrong_shape(text: str, expected: str) -> None:
    """The field is named from the endpoint down."""
    assert problem(text) == f"churn.deployments.blue.{expected}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lisen: x", "lisen: unknown field; did you mean listen?"),
        ("log: {<inline>: 1}", "log.<inline>: unknown field; there is format, level"),
        ("log: {zzz: 1}", "log.zzz: unknown field; there is format, level"),
        ("endpoints: {churn: {Traffic: {}}}", "churn.Traffic: unknown field; did you mean traffic?"),
        ("endpoints: {traffic: {trafic: {}}}", "traffic.trafic: unknown field; did you mean traffic?"),
        ("endpoints: {churn: {scoring_uri: x}}", "churn.scoring_uri: read-only, the router sets it; remove it"),
    ],
)
def test_an_unknown_field(text: str, expected: str) -> None:
    """With the field that was probably meant, or all that there are."""
    assert problem(text) == expected


def test_a_long_value_is_cut() -> None:
    """A message stays a line."""
    assert problem(f"access_log: {'x' * 100}") == f"access_log: the text '{'x' * 40}...', expected true or false"

"""What is wrong with a deployment's fields is told whatever its paths lead to."""

import yaml

from router.control.commands.shape import deployment_problems

GOOD = {"code_configuration": {"code": "nowhere", "scoring_script": "score.py"}}


def test_deployment_of_the_right_shape_has_no_problems() -> None:
    """Its paths are another matter, as are inline conda files."""
    environment = {"conda_file": {"dependencies": ["python"]}}
    model = {"path": "https://example.org/m.pkl"}
    assert list(deployment_problems({**GOOD, "model": model, "environment": environment})) == []


def test_every_field_of_a_wrong_shape_is_told() -> None:
    """With the way to it from the deployment on."""
    fields = {
        **GOOD,
        "instance_count": "x",
        "request_settings": {"request_timeout_ms": 0},
        "model": {"path": 5},
        "scoring": 1,
    }
    assert list(deployment_problems(fields)) == [
        (("model", "path"), "5, expected a path"),
        (("instance_count",), "the text 'x', expected a whole number"),
        (("request_settings", "request_timeout_ms"), "0, expected more than 0"),
        (("scoring",), "unknown field; did you mean scoring_path?"),
    ]


def test_problem_of_the_whole_deployment_leads_nowhere() -> None:
    """No field of it is wrong."""
    assert list(deployment_problems({})) == [
        ((), "expected code_configuration (teal runs it) or upstreams (it runs elsewhere)")
    ]


def test_fields_stay_as_they_are() -> None:
    """The caller goes on with them."""
    fields = {"model": {"path": "m.pkl"}}
    list(deployment_problems(fields))
    assert fields == {"model": {"path": "m.pkl"}}


def test_what_is_nested_too_deep_is_left_to_the_config() -> None:
    """There it is refused in its own words."""
    deep = "{a: " * 47 + "1" + "}" * 47
    assert list(deployment_problems({**GOOD, "scoring": 1, "resources": yaml.safe_load(deep)})) == []

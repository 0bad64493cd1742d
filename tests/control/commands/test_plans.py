"""What commands make of the config file."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from router.control.api.messages import Change
from router.control.api.resources import deployment_resource, endpoint_resource
from router.control.commands.definitions import Definition, read_definition
from router.control.commands.plans import (
    Target,
    all_traffic_edits,
    deletion_edits,
    deployment_edits,
    endpoint_edits,
    explained,
    unheeded_shares,
)
from router.control.config.edit import Edit, Remove, Set, edit_text
from router.control.config.load import ConfigError, Loaded, load_content
from router.control.config.schema import EndpointConfig, RouterConfig
from router.control.refusal import Invalid, NotFound
from router.control.states import DeploymentKey

FILE = Path("/srv/teal.yaml")
OWN_FILE = "/home/ann/own.yml"
CONFIG = """\
endpoints:
  churn:
    properties: {team: risk}
    tags: {owner: ann, stage: test}
    traffic: {BLUE: 90, green: 10}
    mirror_traffic: {GREY: 0}
    deployments:
      blue:
        upstreams: [http://127.0.0.1:9100, http://127.0.0.1:9101]
        properties: {data: '2024'}
      green:
        upstreams: [http://127.0.0.1:9200]
      grey:
        code_configuration: {code: code, scoring_script: score.py}
        model: {path: model.pkl}
  idle: {}
"""
CHURN = Target(endpoint="churn")
BLUE, GREEN, GREY = (Target(endpoint="churn", deployment=name) for name in ("blue", "green", "grey"))
UPSTREAM: dict[str, Any] = {"upstreams": ["http://127.0.0.1:9300"]}


def loaded(text: str = CONFIG) -> Loaded:
    return load_content(text.encode(), FILE)


def definition(fields: Mapping[str, object]) -> Definition:
    """As a file has it, one field per line."""
    lines = (f"{name}: {json.dumps(value)}\n" for name, value in fields.items())
    return read_definition("".join(lines), OWN_FILE)


def unchanged(fields: Mapping[str, object]) -> Mapping[str, object]:
    """Takes nothing in."""
    return fields


def of_endpoint(change: Change | None = None, target: Target = CHURN, **fields: object) -> list[Edit]:
    """Edits of a command with a definition of these fields, if there are any."""
    return endpoint_edits(loaded(), target, change or Change(), definition(fields) if fields else None)


def of_deployment(change: Change | None = None, target: Target = GREEN, **fields: object) -> list[Edit]:
    return deployment_edits(loaded(), target, change or Change(), definition(fields) if fields else None, unchanged)


def config_after(edits: Sequence[Edit], text: str = CONFIG) -> RouterConfig:
    return load_content(edit_text(text, edits).encode(), FILE).config


def endpoint_after(edits: Sequence[Edit], text: str = CONFIG) -> EndpointConfig:
    return config_after(edits, text).endpoints["churn"]


def problems_after(edits: Sequence[Edit]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        config_after(edits)
    return [f"{problem.field}: {problem.message}" for problem in caught.value.problems]


# An endpoint that is new


def test_a_new_endpoint_asks_for_keys() -> None:
    """Unless it says otherwise."""
    edits = of_endpoint(target=Target(endpoint="fraud"), description="Fraud")
    assert edits == [Set(path=("endpoints", "fraud"), value={"auth_mode": "key", "description": "Fraud"})]


def test_a_new_endpoint_has_what_its_definition_says() -> None:
    """Values over it, what is removed not, and nothing that the router sets by itself."""
    change = Change(set={"tags.a": "1", "token_lifetime_s": 60}, remove=("description",))
    fields = {"name": "x", "auth_mode": "aml_token", "description": "d", "location": "local", "tags": {"b": "2"}}
    edits = of_endpoint(change, Target(endpoint="fraud"), **fields)
    value = {"auth_mode": "aml_token", "tags": {"b": "2", "a": "1"}, "token_lifetime_s": 60}
    assert edits == [Set(path=("endpoints", "fraud"), value=value)]


def test_a_new_endpoint_has_no_one_to_give_traffic_to() -> None:
    """What would be right is said by the config's own rules."""
    edits = of_endpoint(Change(traffic={"blue": 100}), Target(endpoint="fraud"))
    assert problems_after(edits) == ["fraud.traffic.blue: no deployment has this name; there is none yet"]


@pytest.mark.parametrize("name", ["a/b", "../etc", "..", "a.b", "a", "1abc", "caf\u00e9", "a\0b", "x" * 33])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    """Whatever the path of a request could carry."""
    (problem,) = problems_after(of_endpoint(target=Target(endpoint=name), auth_mode="key"))
    assert problem.partition(": ")[2].startswith("not a valid name; expected 3 to 32 letters")


@pytest.mark.parametrize("name", ["off", "yes", "null", "true"])
def test_a_name_that_yaml_has_another_word_for_is_a_name(name: str) -> None:
    """It is put in quotes."""
    edits = of_endpoint(target=Target(endpoint=name), auth_mode="aml_token")
    assert config_after(edits).endpoints[name].auth_mode == "aml_token"


# An endpoint that exists


def test_an_endpoint_that_exists_is_changed_in_what_is_named() -> None:
    """And in nothing else."""
    edits = of_endpoint(description="Churn", auth_mode="aml_token")
    assert edits == [
        Set(path=("endpoints", "churn", "description"), value="Churn"),
        Set(path=("endpoints", "churn", "auth_mode"), value="aml_token"),
    ]


def test_its_name_is_compared_without_case() -> None:
    """The file's spelling stays."""
    edits = endpoint_edits(loaded(), Target(endpoint="CHURN"), Change(set={"description": "x"}), None)
    assert edits == [Set(path=("endpoints", "churn", "description"), value="x")]


def test_values_leave_what_is_beside_them() -> None:
    """One tag is no reason to lose the others."""
    edits = of_endpoint(Change(set={"tags.owner": "bob"}))
    assert endpoint_after(edits).tags == {"owner": "bob", "stage": "test"}


def test_values_are_set_over_the_definition() -> None:
    """Of which nothing is lost."""
    edits = of_endpoint(Change(set={"tags.a": "9"}), tags={"a": "1", "b": "2"})
    assert edits == [Set(path=("endpoints", "churn", "tags"), value={"a": "9", "b": "2"})]


def test_what_is_removed_is_taken_away() -> None:
    """By its dotted field."""
    edits = of_endpoint(Change(remove=("tags.stage", "traffic.blue")))
    assert edits == [
        Remove(path=("endpoints", "churn", "tags", "stage")),
        Remove(path=("endpoints", "churn", "traffic", "BLUE")),
    ]


@pytest.mark.parametrize(
    ("change", "fields", "expected"),
    [
        (Change(), {"deployments": {"blue": UPSTREAM}}, f"{OWN_FILE}:1: deployments"),
        (Change(set={"deployments.blue.instance_count": 2}), {}, "deployments.blue.instance_count"),
        (Change(remove=("deployments.blue",)), {}, "deployments.blue"),
    ],
)
def test_deployments_are_no_field_of_an_endpoint(change: Change, fields: dict[str, Any], expected: str) -> None:
    """Their paths, copies and rules belong to commands of their own."""
    with pytest.raises(Invalid) as caught:
        of_endpoint(change, **fields)
    assert [str(problem) for problem in caught.value.problems] == [
        f"{expected}: deployments have definitions and commands of their own; see online-deployment"
    ]


# Weights


def test_traffic_of_those_not_named_is_zero() -> None:
    """Every deployment is written, so that the file tells all."""
    edits = of_endpoint(Change(traffic={"green": 100}))
    assert edits == [Set(path=("endpoints", "churn", "traffic"), value={"blue": 0, "green": 100, "grey": 0})]


@pytest.mark.parametrize(
    ("traffic", "expected"),
    [
        ({"Green": 33.3, "BLUE": 66.7}, {"blue": 66.7, "green": 33.3, "grey": 0.0}),
        (
            {"blue": 33.333333, "green": 33.333333, "grey": 33.333333},
            dict.fromkeys(["blue", "green", "grey"], 33.333333),
        ),
        ({"blue": 0, "green": 0}, {"blue": 0.0, "green": 0.0, "grey": 0.0}),
        ({}, {"blue": 0.0, "green": 0.0, "grey": 0.0}),
    ],
)
def test_traffic_follows_the_command(traffic: Mapping[str, float], expected: Mapping[str, float]) -> None:
    """Names without case, fractions as they are, zeros too."""
    assert endpoint_after(of_endpoint(Change(traffic=traffic))).traffic == expected


def test_whole_weights_are_written_as_people_write_them() -> None:
    """10, not 10.0."""
    edits = of_endpoint(Change(traffic={"blue": 90.0, "green": 10.0}))
    assert [json.dumps(edit.value) for edit in edits if isinstance(edit, Set)] == [
        '{"blue": 90, "green": 10, "grey": 0}'
    ]


def test_first_traffic_names_only_whom_it_is_for() -> None:
    """An endpoint that has had none yet."""
    text = CONFIG.replace("    traffic: {BLUE: 90, green: 10}\n", "")
    edits = endpoint_edits(loaded(text), CHURN, Change(traffic={"BLUE": 100}), None)
    assert edits == [Set(path=("endpoints", "churn", "traffic"), value={"blue": 100})]


@pytest.mark.parametrize(
    ("traffic", "expected"),
    [
        ({"blue": 60}, ["churn.traffic: weights add up to 60, expected 0 or 100"]),
        (
            {"blue": 110, "green": -10},
            ["churn.traffic.green: -10 is not a percentage; expected a number from 0 to 100"],
        ),
        ({"pink": 100}, ["churn.traffic.pink: no deployment has this name; there is blue, green, grey"]),
        ({"blue": float("nan")}, ["churn.traffic.blue: nan is not a percentage; expected a number from 0 to 100"]),
        ({"blue": float("inf")}, ["churn.traffic.blue: inf is not a percentage; expected a number from 0 to 100"]),
        (
            {"green": 50, "GREEN": 50},
            ["churn.traffic.GREEN: green and GREEN are the same deployment; write it once"],
        ),
    ],
)
def test_traffic_that_breaks_rules_is_left_for_them_to_see(traffic: Mapping[str, float], expected: list[str]) -> None:
    """Nothing is put right in silence."""
    assert problems_after(of_endpoint(Change(traffic=traffic))) == expected


def test_single_weights_are_set_in_the_spelling_of_the_file() -> None:
    """`--set traffic.blue=50` finds the weight that is written as BLUE."""
    edits = of_endpoint(Change(set={"traffic.blue": 50, "traffic.Green": 50, "traffic.GREY": 0}))
    assert edits == [
        Set(path=("endpoints", "churn", "traffic", "BLUE"), value=50),
        Set(path=("endpoints", "churn", "traffic", "green"), value=50),
        Set(path=("endpoints", "churn", "traffic", "grey"), value=0),
    ]
    assert endpoint_after(edits).traffic == {"blue": 50.0, "green": 50.0, "grey": 0.0}


def test_a_single_weight_is_set_over_the_definition_in_its_spelling() -> None:
    """However many spellings there are."""
    edits = of_endpoint(Change(set={"traffic.blue": 70}), traffic={"Blue": 60, "green": 30})
    assert edits == [Set(path=("endpoints", "churn", "traffic"), value={"Blue": 70, "green": 30})]


def test_traffic_of_a_definition_replaces_all_weights_and_leaves_the_mirror() -> None:
    """What is not named in it has none."""
    text = CONFIG.replace("{GREY: 0}", "{GREY: 10}")
    edits = endpoint_edits(loaded(text), CHURN, Change(), definition({"traffic": {"Green": 100}}))
    after = endpoint_after(edits, text)
    assert (after.traffic, after.mirror_traffic) == ({"green": 100.0}, {"grey": 10.0})


def test_traffic_of_the_command_wins_over_that_of_the_definition() -> None:
    """It is the last that is set."""
    edits = of_endpoint(Change(traffic={"blue": 100}), traffic={"green": 100}, description="d")
    assert endpoint_after(edits).traffic == {"blue": 100.0, "green": 0.0, "grey": 0.0}


def test_mirror_traffic_of_those_not_named_is_zero() -> None:
    """In the spelling of the deployments; live traffic stays."""
    edits = of_endpoint(Change(mirror_traffic={"Grey": 20}))
    assert edits == [Set(path=("endpoints", "churn", "mirror_traffic"), value={"grey": 20})]
    edits = of_endpoint(Change(mirror_traffic={}))
    assert edits == [Set(path=("endpoints", "churn", "mirror_traffic"), value={"grey": 0})]


def test_a_mirror_target_that_gets_live_traffic_is_refused() -> None:
    """The mirror is not switched off in silence."""
    text = CONFIG.replace("{GREY: 0}", "{GREY: 10}")
    edits = endpoint_edits(loaded(text), CHURN, Change(traffic={"grey": 100}), None)
    with pytest.raises(ConfigError, match=r"mirror_traffic\.grey: also has live weight 100, expected 0"):
        config_after(edits, text)


# Deployments


def test_a_new_deployment_has_what_its_definition_says() -> None:
    """Values over it, what is removed not, and nothing that `show` adds."""
    fields = {
        **UPSTREAM,
        "name": "pink",
        "endpoint_name": "churn",
        "type": "managed",
        "kind": "upstreams",
        "provisioning_state": "Succeeded",
        "traffic_percent": 10,
        "instances": [],
        "description": "d",
    }
    change = Change(set={"tags.a": 1, "upstreams[1]": "http://127.0.0.1:9301"}, remove=("description",))
    edits = of_deployment(change, Target(endpoint="CHURN", deployment="pink"), **fields)
    value = {"upstreams": ["http://127.0.0.1:9300", "http://127.0.0.1:9301"], "tags": {"a": 1}}
    assert edits == [Set(path=("endpoints", "churn", "deployments", "pink"), value=value)]


def test_a_definition_takes_the_place_of_a_deployment_that_exists() -> None:
    """Nothing of the former is left; the name is compared without case."""
    edits = of_deployment(target=Target(endpoint="churn", deployment="GREEN"), **UPSTREAM)
    assert edits == [Set(path=("endpoints", "churn", "deployments", "green"), value=UPSTREAM)]


@pytest.mark.parametrize(
    ("change", "fields", "expected"),
    [
        (Change(), {}, {"data": "2024"}),
        (Change(set={"properties.more": "x"}), {}, {"data": "2024", "more": "x"}),
        (Change(), {"properties": {"other": "y"}}, {"other": "y"}),
    ],
)
def test_properties_stay_where_a_definition_says_nothing_of_them(
    change: Change, fields: dict[str, Any], expected: Mapping[str, str]
) -> None:
    """They may not be removed, so silence is not meant to; what is said is left for the rules to see."""
    edits = of_deployment(change, BLUE, **UPSTREAM, **fields)
    assert endpoint_after(edits).deployments["blue"].properties == expected


def test_values_change_what_they_name_of_a_deployment() -> None:
    """And nothing else."""
    change = Change(set={"instance_count": 2, "environment_variables.1": "one"}, remove=("tags", "upstreams[0]"))
    assert of_deployment(change) == [
        Set(path=("endpoints", "churn", "deployments", "green", "instance_count"), value=2),
        Set(path=("endpoints", "churn", "deployments", "green", "environment_variables", "1"), value="one"),
        Remove(path=("endpoints", "churn", "deployments", "green", "tags")),
        Remove(path=("endpoints", "churn", "deployments", "green", "upstreams", 0)),
    ]


def test_a_value_may_be_an_item_of_a_list() -> None:
    """That the file has, and the command does not."""
    edits = of_deployment(Change(set={"upstreams[1]": "http://127.0.0.1:9109"}), BLUE)
    assert endpoint_after(edits).deployments["blue"].upstreams == ("http://127.0.0.1:9100", "http://127.0.0.1:9109")


def test_a_value_may_have_a_name_that_is_a_number() -> None:
    """A tag of a year is none of a list."""
    edits = of_deployment(Change(set={"tags.2024": "x"}), BLUE)
    assert edits == [Set(path=(*BLUE.path, "tags", "2024"), value="x")]
    assert endpoint_after(edits).deployments["blue"].tags == {"2024": "x"}


def test_a_list_begins_with_its_first_item() -> None:
    """Where the file has none yet."""
    edits = of_deployment(Change(set={"upstreams[0]": "http://127.0.0.1:9109"}), GREY)
    assert edits == [Set(path=(*GREY.path, "upstreams", 0), value="http://127.0.0.1:9109")]


def test_only_what_the_command_gives_is_taken_in() -> None:
    """Relative paths of the file start elsewhere."""
    seen: list[Mapping[str, object]] = []

    def take_in(fields: Mapping[str, object]) -> Mapping[str, object]:
        seen.append(fields)
        return {"model": {"path": "/assets/1/m.pkl"}, "tags": {"a": "1"}}

    change = Change(set={"model.path": "m.pkl", "tags.a": "1", "upstreams[0]": "http://127.0.0.1:1"})
    edits = deployment_edits(loaded(), GREY, change, None, take_in)
    path = GREY.path
    assert seen == [{"model": {"path": "m.pkl"}, "tags": {"a": "1"}}]
    assert edits == [
        Set(path=(*path, "model", "path"), value="/assets/1/m.pkl"),
        Set(path=(*path, "tags", "a"), value="1"),
        Set(path=(*path, "upstreams", 0), value="http://127.0.0.1:1"),
    ]


def test_a_mapping_that_becomes_a_name_is_set_as_a_whole() -> None:
    """As when a model with name and version is registered."""
    change = Change(set={"model.path": "m.pkl", "model.name": "churn", "model.version": "2"})
    edits = deployment_edits(loaded(), GREY, change, None, lambda _: {"model": "azureml:churn:2"})
    assert edits == [Set(path=(*GREY.path, "model"), value="azureml:churn:2")]


def test_a_value_that_takes_the_place_of_others_wins() -> None:
    """In the order of the command line."""
    edits = of_deployment(Change(set={"model.path": "m.pkl", "model": {"name": "x"}}), GREY)
    assert edits == [Set(path=(*GREY.path, "model"), value={"name": "x"})]


def test_a_definition_is_taken_in_as_a_whole() -> None:
    """With what is set over it."""
    change = Change(set={"model.path": "m.pkl"})
    given = definition({"model": {"name": "churn"}})
    edits = deployment_edits(loaded(), GREY, change, given, lambda fields: {**fields, "taken": True})
    assert edits == [Set(path=GREY.path, value={"model": {"name": "churn", "path": "m.pkl"}, "taken": True})]


@pytest.mark.parametrize(
    ("target", "fields", "expected"),
    [
        (Target(endpoint="fraud", deployment="blue"), UPSTREAM, "there is no endpoint fraud; there is churn, idle"),
        (Target(endpoint="idle", deployment="blue"), {}, "endpoint idle has no deployment blue; there is none"),
        (
            Target(endpoint="Churn", deployment="pink"),
            {},
            "endpoint churn has no deployment pink; there is blue, green, grey",
        ),
    ],
)
def test_what_a_deployment_needs_must_be_there(target: Target, fields: dict[str, Any], expected: str) -> None:
    """Its endpoint, and without a definition itself."""
    with pytest.raises(NotFound) as caught:
        of_deployment(Change(set={"instance_count": 1}), target, **fields)
    assert str(caught.value) == expected


# All traffic


def test_all_traffic_goes_to_one_deployment() -> None:
    """The others keep a weight of 0."""
    edits = all_traffic_edits(loaded(), Target(endpoint="churn", deployment="GREEN"))
    assert edits == [Set(path=("endpoints", "churn", "traffic"), value={"blue": 0, "green": 100, "grey": 0})]


@pytest.mark.parametrize(
    ("limit", "expected"), [("", {"grey": 0.0}), ("mirror: {allow_live_target: true}", {"grey": 10.0})]
)
def test_all_traffic_ends_the_copies_for_its_target(limit: str, expected: Mapping[str, float]) -> None:
    """Unless the endpoint allows both; the mirror may spell the name in another way."""
    text = CONFIG.replace("mirror_traffic: {GREY: 0}", f"mirror_traffic: {{GREY: 10}}\n    {limit}")
    after = endpoint_after(all_traffic_edits(loaded(text), GREY), text)
    assert (after.traffic["grey"], after.mirror_traffic) == (100.0, expected)


def test_all_traffic_needs_its_deployment() -> None:
    """It may have been deleted while it was starting."""
    with pytest.raises(NotFound, match="endpoint churn has no deployment pink"):
        all_traffic_edits(loaded(), Target(endpoint="churn", deployment="pink"))


# Deletion


def test_an_endpoint_is_deleted_with_all_that_it_has() -> None:
    """Live traffic or not."""
    edits = deletion_edits(loaded(), Target(endpoint="CHURN"))
    assert list(config_after(edits).endpoints) == ["idle"]


def test_a_deployment_with_live_weight_is_not_deleted() -> None:
    """Whatever the spelling of its weight; the line is that of the config."""
    with pytest.raises(Invalid) as caught:
        deletion_edits(loaded(), Target(endpoint="churn", deployment="Blue"))
    assert [str(problem) for problem in caught.value.problems] == [
        f"{FILE}:8: churn.deployments.blue: has live weight 90; move its traffic to others first"
    ]


def test_a_deployment_is_deleted_with_its_weights() -> None:
    """However they are spelled."""
    text = CONFIG.replace("{BLUE: 90, green: 10}", "{BLUE: 100, Green: 0}").replace("{GREY: 0}", "{GREEN: 10}")
    after = endpoint_after(deletion_edits(loaded(text), GREEN), text)
    assert (after.traffic, after.mirror_traffic) == ({"blue": 100.0}, {})
    assert list(after.deployments) == ["blue", "grey"]


@pytest.mark.parametrize("target", [Target(endpoint="fraud"), Target(endpoint="churn", deployment="pink")])
def test_what_is_deleted_must_be_there(target: Target) -> None:
    """A typing mistake is told."""
    with pytest.raises(NotFound):
        deletion_edits(loaded(), target)


# Targets


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (CHURN, True),
        (BLUE, True),
        (Target(endpoint="fraud"), False),
        (Target(endpoint="churn", deployment="pink"), False),
        (Target(endpoint="fraud", deployment="blue"), False),
    ],
)
def test_a_target_is_in_the_config_or_not(target: Target, expected: bool) -> None:
    """By endpoint and deployment."""
    assert target.is_in(loaded()) is expected


def test_a_name_that_is_new_keeps_its_spelling() -> None:
    """There is nothing that it could be spelled as."""
    assert Target(endpoint="Fraud", deployment="Blue").spelled(loaded()) == Target(endpoint="Fraud", deployment="Blue")


# What `show` prints, given back


def test_an_endpoint_may_be_given_what_show_prints() -> None:
    """It changes nothing."""
    config = loaded().config.endpoints["churn"]
    shown: dict[str, Any] = endpoint_resource(
        "churn", config, base_url="http://127.0.0.1:8080", state="Succeeded", held=""
    )
    after = endpoint_after(of_endpoint(**shown))
    assert after.traffic == {**config.traffic, "grey": 0.0}
    assert after.model_dump(exclude={"traffic"}) == config.model_dump(exclude={"traffic"})


@pytest.mark.parametrize("name", ["blue", "grey"])
def test_a_deployment_may_be_given_what_show_prints(name: str) -> None:
    """It changes nothing, for workers and for upstreams."""
    config = loaded().config.endpoints["churn"].deployments[name]
    shown: dict[str, Any] = deployment_resource(
        DeploymentKey(("churn", name)), config, None, weight=0, mirror_percent=0
    )
    after = endpoint_after(of_deployment(target=Target(endpoint="churn", deployment=name), **shown)).deployments[name]
    assert after.model_dump() == config.model_dump()


# Problems, in terms of what was given


def problems_explained(target: Target, change: Change, given: Definition | None) -> list[str]:
    """Of an endpoint or deployment that is made by a command, as the command tells them."""
    before = loaded()
    edits = (
        deployment_edits(before, target, change, given, unchanged)
        if target.deployment
        else endpoint_edits(before, target, change, given)
    )
    with pytest.raises(ConfigError) as caught:
        config_after(edits)
    return [str(explained(problem, target, change, given)) for problem in caught.value.problems]


def test_a_problem_of_the_definition_has_its_line_there() -> None:
    """And the names of the command's own file, whatever the case of its target."""
    given = definition({**UPSTREAM, "instance_count": 51, "tags": {"a": [1]}})
    assert problems_explained(Target(endpoint="CHURN", deployment="pink"), Change(), given) == [
        f"{OWN_FILE}:2: instance_count: 51, expected at most 50",
        f"{OWN_FILE}:3: tags.a: a list, expected text",
    ]


def test_an_unknown_field_of_the_definition_is_told_with_its_line() -> None:
    """As in the config."""
    assert problems_explained(GREEN, Change(), definition({**UPSTREAM, "instnce_count": 1})) == [
        f"{OWN_FILE}:2: instnce_count: unknown field; did you mean instance_count?"
    ]


@pytest.mark.parametrize(
    ("name", "shares", "expected"),
    [
        ("BLUE", {"traffic_percent": 90, "mirror_percent": 0}, []),
        ("blue", {"traffic_percent": 30}, ["traffic_percent: has no effect: it is 90"]),
        ("green", {"traffic_percent": "10"}, ["traffic_percent: has no effect: it is 10"]),
        ("grey", {"mirror_percent": 5}, ["mirror_percent: has no effect: it is 0"]),
    ],
)
def test_shares_that_a_deployment_has_not_are_warned_of(
    name: str, shares: dict[str, object], expected: list[str]
) -> None:
    """What `show` prints may be given back; who writes another number means to move traffic, and is told how."""
    warnings = unheeded_shares(loaded(), Target(endpoint="churn", deployment=name), definition(shares))
    told = [str(warning).partition(", and follows the endpoint's ")[0] for warning in warnings]
    assert told == [f"{OWN_FILE}:1: {text}" for text in expected]


def test_instances_that_are_no_list_are_not_taken_for_what_show_prints() -> None:
    """Who writes a number means how many there shall be; it is not dropped in silence."""
    assert problems_explained(GREEN, Change(), definition({**UPSTREAM, "instances": 3})) == [
        f"{OWN_FILE}:2: instances: unknown field; did you mean instance_count?"
    ]


def test_a_problem_of_a_value_has_no_line() -> None:
    """The definition does not have it, and the config was not written."""
    given = definition({"tags": {"a": "1"}, "description": "d"})
    assert problems_explained(CHURN, Change(set={"tags.b": [1]}), given) == ["churn.tags.b: a list, expected text"]


def test_a_problem_of_traffic_has_no_line() -> None:
    """The command's own takes the place of the definition's."""
    given = definition({"traffic": {"blue": 100}})
    assert problems_explained(CHURN, Change(traffic={"blue": 60}), given) == [
        "churn.traffic: weights add up to 60, expected 0 or 100"
    ]


def test_a_rule_that_a_definition_breaks_is_told_with_its_line() -> None:
    """Whatever else of the config it depends on."""
    code = {"code": "c", "scoring_script": "s.py"}
    given = definition({"code_configuration": code, "instance_count": 0})
    assert problems_explained(BLUE, Change(), given) == [
        f"{OWN_FILE}:2: instance_count: 0 instances under live weight 90; expected at least 1"
    ]


def test_a_problem_elsewhere_has_no_line() -> None:
    """A field of the same name in another place is not the definition's."""
    problem = loaded().problem(("endpoints", "idle", "description"), "wrong")
    given = definition({"description": "d"})
    assert str(explained(problem, CHURN, Change(), given)) == "idle.description: wrong"

"""Endpoints and deployments over HTTP: what there is, and what is passed on to be done."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest

from router.control.api.endpoints import EndpointRoutes
from router.control.api.messages import Change, Token
from router.control.commands.operations import Operations
from router.control.refusal import Conflict
from router.control.state import State
from router.control.states import DeploymentKey, DeploymentStatus
from tests.control.api.daemon import DONE, Asked, IdleApplier
from tests.control.api.site import Site, serve

ENDPOINTS = {
    "Churn": {
        "traffic": {"blue": 100},
        "mirror_traffic": {"Green": 10},
        "deployments": {
            "blue": {"upstreams": ["http://127.0.0.1:9100"]},
            "Green": {"code_configuration": {"code": "/srv/code", "scoring_script": "score.py"}},
        },
    },
    "fraud": {},
}
GREEN = DeploymentStatus(
    key=DeploymentKey(("Churn", "Green")), kind="managed", provisioning_state="Failed", reason="why"
)
CHANGE = {"definition": "description: d\n", "file": "/home/ann/e.yml", "traffic": {"blue": 90.5}}


@pytest.fixture
def applier() -> IdleApplier:
    return IdleApplier(ENDPOINTS, statuses=[GREEN], held={"Churn": "traffic stays as it was"})


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[Asked]:
    """What is asked for, with operations of its own."""
    state = State.open(tmp_path)
    yield Asked(Operations(state))
    state.close()


def routes_of(asked: Asked, applier: IdleApplier) -> EndpointRoutes:
    return EndpointRoutes(asked.as_commands, applier, lambda: "http://127.0.0.1:8080")


@pytest.fixture
async def site(asked: Asked, applier: IdleApplier) -> AsyncIterator[Site]:
    """For those who may do everything."""
    async with serve(routes_of(asked, applier).routes()) as site:
        yield site


# What there is


async def test_endpoints_are_listed(site: Site) -> None:
    """In the order of the file."""
    answer = await site.ask("GET", "/v1/endpoints")
    assert (answer.status, [endpoint["name"] for endpoint in answer.json]) == (200, ["Churn", "fraud"])


@pytest.mark.parametrize("name", ["Churn", "churn", "CHURN", "%43hurn"])
async def test_an_endpoint_is_found_without_its_case(site: Site, name: str) -> None:
    """And shown as it is written."""
    shown = (await site.ask("GET", f"/v1/endpoints/{name}")).json
    assert (shown["name"], shown["scoring_uri"]) == ("Churn", "http://127.0.0.1:8080/api/v1/endpoint/Churn/score")
    assert (shown["traffic"], shown["held"]) == ({"blue": 100, "Green": 0}, "traffic stays as it was")


async def test_an_endpoint_is_in_the_state_of_what_is_done_with_it(site: Site, asked: Asked) -> None:
    """However the command spelled it."""
    asked.operations.begin("online-endpoint delete", "CHURN")
    states = {
        endpoint["name"]: endpoint["provisioning_state"] for endpoint in (await site.ask("GET", "/v1/endpoints")).json
    }
    assert states == {"Churn": "Deleting", "fraud": "Succeeded"}


async def test_deployments_are_listed(site: Site) -> None:
    """Each with its share and its state."""
    answer = await site.ask("GET", "/v1/endpoints/churn/deployments")
    assert [
        (
            each["name"],
            each["endpoint_name"],
            each["traffic_percent"],
            each["mirror_percent"],
            each["provisioning_state"],
        )
        for each in answer.json
    ] == [("blue", "Churn", 100, 0, "Creating"), ("Green", "Churn", 0, 10, "Failed")]


async def test_a_deployment_is_found_without_its_case(site: Site) -> None:
    """With why it failed."""
    shown = (await site.ask("GET", "/v1/endpoints/CHURN/deployments/green")).json
    assert (shown["name"], shown["reason"]) == ("Green", "why")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("/v1/endpoints/pink", "there is no endpoint pink; there is Churn, fraud"),
        ("/v1/endpoints/pink/deployments", "there is no endpoint pink; there is Churn, fraud"),
        ("/v1/endpoints/a%2F..%2Fb", "there is no endpoint a/../b; there is Churn, fraud"),
        ("/v1/endpoints/churn/deployments/pink", "endpoint Churn has no deployment pink; there is blue, Green"),
        ("/v1/endpoints/fraud/deployments/pink", "endpoint fraud has no deployment pink; there is none"),
    ],
)
async def test_what_there_is_not_is_told_with_what_there_is(site: Site, target: str, message: str) -> None:
    """A typing mistake is seen."""
    assert (await site.ask("GET", target)).error == (404, "not_found", message)


# What is passed on


@pytest.mark.parametrize(
    ("method", "target", "call"),
    [
        ("PUT", "/v1/endpoints/new", ("put_endpoint", "new")),
        ("PATCH", "/v1/endpoints/CHURN", ("patch_endpoint", "CHURN")),
        ("PUT", "/v1/endpoints/churn/deployments/new", ("put_deployment", "churn", "new")),
        ("PATCH", "/v1/endpoints/churn/deployments/Green", ("patch_deployment", "churn", "Green")),
        ("PUT", "/v1/endpoints/a%2Fb/deployments/..%2Fc", ("put_deployment", "a/b", "../c")),
    ],
)
async def test_a_change_is_passed_on(site: Site, asked: Asked, method: str, target: str, call: tuple[str, ...]) -> None:
    """With its names as they are spelled; the answer is what has begun."""
    answer = await site.ask(method, target, CHANGE)
    assert (answer.status, answer.json) == (202, msgspec.json.decode(msgspec.json.encode(DONE)))
    change = Change(definition="description: d\n", file="/home/ann/e.yml", traffic={"blue": 90.5})
    assert asked.calls == [(*call, change)]


@pytest.mark.parametrize(
    ("target", "call"),
    [
        ("/v1/endpoints/CHURN", ("delete_endpoint", "CHURN")),
        ("/v1/endpoints/churn/deployments/Green", ("delete_deployment", "churn", "Green")),
    ],
)
async def test_a_deletion_is_passed_on(site: Site, asked: Asked, target: str, call: tuple[str, ...]) -> None:
    """It takes no body."""
    assert (await site.ask("DELETE", target)).status == 202
    assert asked.calls == [call]


@pytest.mark.parametrize("body", [b"name: green", b'{"trafic": {}}', b'{"traffic": {"blue": true}}'])
@pytest.mark.parametrize("target", ["/v1/endpoints/churn", "/v1/endpoints/churn/deployments/blue"])
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_what_is_no_change_is_not_passed_on(
    site: Site, asked: Asked, method: str, target: str, body: bytes
) -> None:
    """Nothing is done by half."""
    assert (await site.ask(method, target, body)).status == 400
    assert asked.calls == []


async def test_a_refusal_is_handed_back(applier: IdleApplier, asked: Asked) -> None:
    """With its status and its words."""
    refusing = Asked(asked.operations, Conflict("/srv/teal.yaml is not valid"))
    async with serve(routes_of(refusing, applier).routes()) as site:
        answer = await site.ask("PATCH", "/v1/endpoints/churn", {})
    assert answer.error == (409, "conflict", "/srv/teal.yaml is not valid")


# Credentials


async def test_keys_are_shown_in_azures_words(site: Site, asked: Asked) -> None:
    """As its own client prints them."""
    answer = await site.ask("GET", "/v1/endpoints/churn/credentials")
    assert answer.json == {"primaryKey": "first", "secondaryKey": "second"}
    assert asked.calls == [("credentials", "churn")]


async def test_a_token_is_shown_in_azures_words(site: Site, asked: Asked) -> None:
    """With when it expires, and when to ask for the next one."""
    asked.opens = Token(access_token="t", expiry_time_utc=3600, refresh_after_time_utc=1800)
    assert (await site.ask("GET", "/v1/endpoints/churn/credentials")).json == {
        "accessToken": "t",
        "expiryTimeUtc": 3600,
        "refreshAfterTimeUtc": 1800,
        "tokenType": "Bearer",
    }


async def test_a_key_is_replaced(site: Site, asked: Asked) -> None:
    """There is nothing to answer."""
    answer = await site.ask("POST", "/v1/endpoints/churn/keys", {"key_type": "secondary"})
    assert (answer.status, answer.text, asked.calls) == (204, "", [("regenerate", "churn", "secondary")])


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"key_type": "third"}, "Invalid enum value 'third' - at `$.key_type`"),
        ({}, "Object missing required field `key_type`"),
        ({"key_type": "primary", "key": "x"}, "Object contains unknown field `key`"),
    ],
)
async def test_what_is_no_key_is_refused(site: Site, asked: Asked, body: dict[str, str], expected: str) -> None:
    """None is replaced by mistake."""
    answer = await site.ask("POST", "/v1/endpoints/churn/keys", body)
    assert answer.error == (400, "bad_request", f"the body of the request: {expected}")
    assert asked.calls == []


# Who may


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/v1/endpoints", 200),
        ("GET", "/v1/endpoints/churn", 200),
        ("PUT", "/v1/endpoints/churn", 403),
        ("PATCH", "/v1/endpoints/churn", 403),
        ("DELETE", "/v1/endpoints/churn", 403),
        ("GET", "/v1/endpoints/churn/credentials", 403),
        ("POST", "/v1/endpoints/churn/keys", 403),
        ("GET", "/v1/endpoints/churn/deployments", 403),
        ("GET", "/v1/endpoints/churn/deployments/blue", 403),
        ("PUT", "/v1/endpoints/churn/deployments/blue", 403),
        ("PATCH", "/v1/endpoints/churn/deployments/blue", 403),
        ("DELETE", "/v1/endpoints/churn/deployments/blue", 403),
    ],
)
async def test_strangers_see_endpoints_and_change_nothing(
    asked: Asked, applier: IdleApplier, method: str, target: str, status: int
) -> None:
    """A deployment's environment variables may hold secrets."""
    async with serve(routes_of(asked, applier).routes(), is_trusted=False) as site:
        assert (await site.ask(method, target)).status == status
    assert asked.calls == []

"""What the API says of itself is whole, and true."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from aiohttp import web

from router.control.api.asset_routes import AssetRoutes, ContentRoutes
from router.control.api.config_routes import ConfigRoutes
from router.control.api.endpoints import EndpointRoutes
from router.control.api.messages import Change, Keys, Operation, Token
from router.control.api.observing import ObservingRoutes
from router.control.api.openapi import describe
from router.control.api.routes import Access, Route

NOTHING = cast("Any", None)  # routes are made without asking anybody


async def _handler(_request: web.Request) -> web.Response:
    return web.Response()


def every_route() -> list[Route]:
    """As the daemon serves them."""
    return [
        *EndpointRoutes(NOTHING, NOTHING, NOTHING).routes(),
        *ObservingRoutes(NOTHING, NOTHING, NOTHING).routes(),
        *AssetRoutes("model", NOTHING, NOTHING, NOTHING, NOTHING).routes(),
        *AssetRoutes("environment", NOTHING, NOTHING, NOTHING, NOTHING).routes(),
        *ContentRoutes(NOTHING).routes(),
        *ConfigRoutes(NOTHING, NOTHING, Path("teal.yaml")).routes(),
    ]


def described(*routes: Route) -> Any:
    """The document, as a client reads it."""
    return msgspec.json.decode(msgspec.json.encode(describe(routes)))


@pytest.fixture(scope="module")
def document() -> Any:
    return described(*every_route())


def references(value: object) -> Iterator[str]:
    """Every `$ref`, wherever it is."""
    if isinstance(value, dict):
        yield from (target for name, target in value.items() if name == "$ref")
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def operations(document: Any) -> dict[tuple[str, str], Any]:
    """By method and path."""
    return {
        (method.upper(), path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def test_every_route_is_in_it(document: Any) -> None:
    """And nothing else."""
    routes = [(route.method, route.path) for route in every_route()]
    assert sorted(operations(document)) == sorted(routes)


def test_no_route_is_there_twice() -> None:
    """One would never be reached."""
    routes = [(route.method, re.sub(r"{\w+}", "{}", route.path)) for route in every_route()]
    assert len(set(routes)) == len(routes)


def test_operations_have_names_of_their_own(document: Any) -> None:
    """Programs are generated from them."""
    names = [operation["operationId"] for operation in operations(document).values()]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", name) for name in names)


def test_every_reference_leads_somewhere(document: Any) -> None:
    """To a schema of the document."""
    schemas = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(references(document)) - schemas == set()


def test_every_schema_is_used(document: Any) -> None:
    """What nobody refers to describes nothing."""
    schemas = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert schemas - set(references(document)) == set()


def test_parameters_of_paths_are_declared(document: Any) -> None:
    """Each once, and each is needed."""
    for (_, path), operation in operations(document).items():
        declared = [each["name"] for each in operation["parameters"] if each["in"] == "path" and each["required"]]
        assert declared == re.findall(r"{(\w+)}", path)


def test_a_route_is_described() -> None:
    """What it takes and gives, and who may use it."""
    lines = {"lines": "How many."}
    route = Route(
        "PUT", "/v1/things/{thing}", _handler, "A thing.", query=lines, body=Change, answer=Operation, status=202
    )
    (operation,) = operations(described(route)).values()
    assert operation == {
        "operationId": "put_things_thing",
        "summary": "A thing.",
        "parameters": [
            {"name": "thing", "in": "path", "required": True, "schema": {"type": "string"}},
            {"name": "lines", "in": "query", "description": "How many.", "schema": {"type": "string"}},
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Change"}}},
        },
        "responses": {
            "202": {
                "description": "Done.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Operation"}}},
            },
            "default": {
                "description": "Refused; nothing was changed.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorBody"}}},
            },
        },
        "security": [{"token": []}],
    }


def test_what_everybody_may_use_asks_for_no_token() -> None:
    """Whoever reaches the site may look."""
    (operation,) = operations(described(Route("GET", "/v1/a", _handler, "A.", Access.READ))).values()
    assert "security" not in operation
    assert operation["responses"]["200"] == {"description": "Done."}


def test_an_answer_may_be_one_of_several() -> None:
    """As credentials are keys or a token."""
    (operation,) = operations(described(Route("GET", "/v1/a", _handler, "A.", answer=Keys | Token))).values()
    assert operation["responses"]["200"]["content"]["application/json"]["schema"] == {
        "anyOf": [{"$ref": "#/components/schemas/Keys"}, {"$ref": "#/components/schemas/Token"}]
    }


def test_a_change_is_described_with_its_fields(document: Any) -> None:
    """None of which is needed, and no other is taken."""
    schema = document["components"]["schemas"]["Change"]
    assert list(schema["properties"]) == [
        "definition",
        "file",
        "content",
        "set",
        "remove",
        "traffic",
        "mirror_traffic",
        "all_traffic",
    ]
    assert (schema.get("required", []), schema["additionalProperties"]) == ([], False)


def test_the_document_says_what_it_is(document: Any) -> None:
    """By version."""
    assert (document["openapi"], document["info"]["title"]) == ("3.1.0", "teal admin API")
    assert document["components"]["securitySchemes"] == {"token": {"type": "http", "scheme": "bearer"}}

"""What a route takes, and what it says of what it does not take."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from router.control.api.messages import Change
from router.control.api.routes import Route, read_body, read_choice, read_number, refuse, reply
from router.control.config.problem import Problem
from router.control.refusal import Conflict, Invalid, NotFound
from tests.control.api.site import Site, serve


async def _change(request: web.Request) -> web.Response:
    return reply(await read_body(request, Change))


async def _number(request: web.Request) -> web.Response:
    return reply(read_number(request, "lines", default=50, most=1000))


async def _choice(request: web.Request) -> web.Response:
    return reply(read_choice(request, "follow", ("false", "true")))


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """A server that answers with what it has understood."""
    routes = [
        Route("PUT", "/v1/change", _change, "A change."),
        Route("GET", "/v1/number", _number, "A number."),
        Route("GET", "/v1/choice", _choice, "A choice."),
    ]
    async with serve(routes) as site:
        yield site


async def test_a_change_is_read_as_it_is(site: Site) -> None:
    """Every field, with numbers and nothing as they are."""
    sent = {
        "definition": "name: green\n",
        "file": "/home/ann/green.yml",
        "content": {"model.path": "aa"},
        "set": {"instance_count": 2, "tags.a": None, "x": [1.5, True]},
        "remove": ["tags.b"],
        "traffic": {"blue": 66.7, "green": 33.3},
        "mirror_traffic": {},
        "all_traffic": True,
    }
    assert (await site.ask("PUT", "/v1/change", sent)).json == sent


@pytest.mark.parametrize("body", [None, b"", b"{}"])
async def test_no_body_is_an_empty_one(site: Site, body: bytes | None) -> None:
    """A command may change nothing."""
    answer = await site.ask("PUT", "/v1/change", body)
    assert msgspec.json.decode(answer.text, type=Change) == Change()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"x: green", "JSON is malformed: invalid character (byte 0)"),
        (b'{"set": ', "Input data was truncated"),
        (b"[]", "Expected `object`, got `array`"),
        (b"null", "Expected `object`, got `null`"),
        (b'{"trafic": {}}', "Object contains unknown field `trafic`"),
        (b'{"traffic": {"blue": true}}', "Expected `float`, got `bool` - at `$.traffic[...]`"),
        (b'{"traffic": {"blue": "90"}}', "Expected `float`, got `str` - at `$.traffic[...]`"),
        (b'{"traffic": [90]}', "Expected `object | null`, got `array` - at `$.traffic`"),
        (b'{"traffic": {"blue": NaN}}', "JSON is malformed: invalid character (byte 21)"),
        (b'{"traffic": {"blue": 1e999}}', "Number out of range - at `$.traffic[...]`"),
        (b'{"all_traffic": 1}', "Expected `bool`, got `int` - at `$.all_traffic`"),
        (b'{"remove": "tags"}', "Expected `array`, got `str` - at `$.remove`"),
        (b'{"definition": "\xff"}', "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
        (b'{"definition": "\\ud800"}', "Input data was truncated"),
        (
            b'{"set": {"a": ' + 100_000 * b"[" + 100_000 * b"]" + b"}}",
            "maximum recursion depth exceeded while deserializing an object",
        ),
    ],
    ids=lambda value: value[:30] if isinstance(value, bytes) else "",
)
async def test_a_body_that_is_no_change_is_refused(site: Site, body: bytes, expected: str) -> None:
    """With what is wrong, and where."""
    answer = await site.ask("PUT", "/v1/change", body)
    assert answer.error == (400, "bad_request", f"the body of the request: {expected}")


@pytest.mark.parametrize(("query", "expected"), [("", 50), ("?lines=0", 0), ("?lines=1000", 1000), ("?lines=007", 7)])
async def test_a_number_is_read(site: Site, query: str, expected: int) -> None:
    """Or has its default."""
    assert (await site.ask("GET", f"/v1/number{query}")).json == expected


@pytest.mark.parametrize(
    "text", ["", "-1", "1001", "1.5", "ten", "%C2%B2", "%D9%A3", "9999999999999999999999", "1_0", "+5", "0x5"]
)
async def test_what_is_no_number_is_refused(site: Site, text: str) -> None:
    """With what would be one."""
    status, code, message = (await site.ask("GET", f"/v1/number?lines={text}")).error
    assert (status, code) == (400, "bad_request")
    assert message.endswith(" in the query; expected a whole number from 0 to 1000")


@pytest.mark.parametrize(("query", "expected"), [("", "false"), ("?follow=true", "true"), ("?follow=false", "false")])
async def test_a_choice_is_read(site: Site, query: str, expected: str) -> None:
    """Or is the first there is."""
    assert (await site.ask("GET", f"/v1/choice{query}")).json == expected


async def test_what_is_no_choice_is_refused(site: Site) -> None:
    """With those that there are."""
    assert (await site.ask("GET", "/v1/choice?follow=True")).error == (
        400,
        "bad_request",
        "follow=True in the query; expected false or true",
    )


def test_a_refusal_carries_every_problem() -> None:
    """Each in one line, and in its parts."""
    problems = [
        Problem(path=Path("/home/ann/green.yml"), line=3, field="instance_count", message="51, expected at most 50"),
        Problem(path=None, line=None, field="tags.a", message="a list, expected text"),
        Problem(path=None, line=2, field="", message="not YAML"),
    ]
    answer = refuse(Invalid(problems))
    assert isinstance(answer.body, bytes)
    assert (answer.status, msgspec.json.decode(answer.body)) == (
        422,
        {
            "error": {
                "code": "invalid",
                "message": "/home/ann/green.yml:3: instance_count: 51, expected at most 50; "
                "tags.a: a list, expected text; line 2: not YAML",
                "problems": [
                    {
                        "text": "/home/ann/green.yml:3: instance_count: 51, expected at most 50",
                        "file": "/home/ann/green.yml",
                        "line": 3,
                        "field": "instance_count",
                        "message": "51, expected at most 50",
                    },
                    {
                        "text": "tags.a: a list, expected text",
                        "file": "",
                        "line": None,
                        "field": "tags.a",
                        "message": "a list, expected text",
                    },
                    {"text": "line 2: not YAML", "file": "", "line": 2, "field": "", "message": "not YAML"},
                ],
            }
        },
    )


def test_a_refusal_without_problems_is_its_message() -> None:
    """One sentence says it all."""
    answer = refuse(NotFound("there is no endpoint fraud; there is churn"))
    assert answer.text is not None
    assert msgspec.json.decode(answer.text) == {
        "error": {"code": "not_found", "message": "there is no endpoint fraud; there is churn", "problems": []}
    }


def test_a_conflict_tells_both_what_and_why() -> None:
    """As when the file on disk is not valid."""
    problem = Problem(path=Path("/srv/teal.yaml"), line=2, field="churn.traffic", message="weights add up to 90")
    refusal = Conflict("/srv/teal.yaml is not valid", [problem])
    assert (refusal.status, str(refusal), refusal.problems) == (409, "/srv/teal.yaml is not valid", (problem,))

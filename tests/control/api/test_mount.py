"""Who may use a route, and how it is refused."""

import asyncio
import io
from pathlib import Path

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from router.control.api.asset_routes import ContentRoutes
from router.control.api.messages import Change
from router.control.api.routes import MAX_BODY_BYTES, Access, Route, read_body, reply
from router.control.assets.store import ContentStore
from router.control.config.problem import Problem
from router.control.refusal import Conflict, Forbidden, Invalid, NotFound, NotWritten, Refusal, StorageFull, Unavailable
from router.control.state import StateError
from tests.control.api.site import serve


def failing(error: Exception) -> Route:
    """A route whose handler raises."""

    async def fail(_request: web.Request) -> web.Response:
        raise error

    return Route("GET", "/v1/thing", fail, "A thing.")


async def _named(request: web.Request) -> web.Response:
    return reply(dict(request.match_info))


async def _change(request: web.Request) -> web.Response:
    return reply(await read_body(request, Change))


ROUTES = [
    Route("GET", "/v1/things/{thing}", _named, "A thing.", Access.READ),
    Route("GET", "/v1/things/{thing}/secrets", _named, "What opens it."),
    Route("PUT", "/v1/things/{thing}", _change, "Change a thing.", body=Change),
]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Refusal("why"), (400, "bad_request")),
        (Forbidden("why"), (403, "forbidden")),
        (NotFound("why"), (404, "not_found")),
        (Conflict("why"), (409, "conflict")),
        (Unavailable("why"), (503, "unavailable")),
        (NotWritten("why"), (507, "not_written")),
        (StorageFull("why"), (507, "storage_full")),
        (StateError("why"), (507, "not_written")),
    ],
)
async def test_a_refusal_has_its_status(error: Exception, expected: tuple[int, str]) -> None:
    """And a word for programs."""
    async with serve([failing(error)]) as site:
        assert (await site.ask("GET", "/v1/thing")).error == (*expected, "why")


async def test_a_bug_tells_nothing_of_itself() -> None:
    """The log has it; a message of Python's could carry a secret."""
    async with serve([failing(KeyError("s3cr3t"))]) as site:
        assert (await site.ask("GET", "/v1/thing")).error == (
            500,
            "internal_error",
            "the daemon failed to do this; its log has the reason",
        )


async def test_a_client_that_goes_away_is_no_bug(tmp_path: Path) -> None:
    """Half of an upload leaves nothing behind, and no traceback in the log."""
    store = ContentStore(tmp_path / "assets")
    upload = ContentRoutes(store).routes()[1]
    has_ended = asyncio.Event()

    async def put(request: web.Request) -> web.StreamResponse:
        try:
            return await upload.handler(request)
        finally:
            has_ended.set()

    with capture_logs() as logs:
        async with serve([Route("PUT", upload.path, put, upload.summary)]) as site:
            url = site.url(f"/v1/content/{'0' * 64}")
            _, writer = await asyncio.open_connection(url.host, url.port)
            writer.write(f"PUT {url.path} HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nabc".encode())
            await writer.drain()
            writer.close()
            await has_ended.wait()
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [("api.client_gone", "debug")]
    store.close()
    assert list(store.root.iterdir()) == []


async def test_a_lost_connection_to_somebody_else_is_a_bug() -> None:
    """Whoever asks is still there, and is told."""
    with capture_logs() as logs:
        async with serve([failing(ConnectionResetError("elsewhere"))]) as site:
            assert (await site.ask("GET", "/v1/thing")).error[:2] == (500, "internal_error")
    assert [entry["event"] for entry in logs] == ["api.failed"]


async def test_who_is_trusted_may_do_everything() -> None:
    """On the Unix socket, or with the token."""
    async with serve(ROUTES) as site:
        asked = [
            (await site.ask("GET", "/v1/things/a")).status,
            (await site.ask("GET", "/v1/things/a/secrets")).status,
            (await site.ask("PUT", "/v1/things/a", {})).status,
        ]
    assert asked == [200, 200, 200]


async def test_who_is_not_trusted_may_look() -> None:
    """At what is no secret; why not more is said."""
    async with serve(ROUTES, is_trusted=False) as site:
        assert (await site.ask("GET", "/v1/things/a")).status == 200
        refused = [await site.ask("GET", "/v1/things/a/secrets"), await site.ask("PUT", "/v1/things/a", {})]
    message = "this needs the Unix socket run/admin.sock, or admin.token_file in the config and the token in it"
    assert [answer.error for answer in refused] == [(403, "forbidden", message)] * 2


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        ("GET", "/v1/nothing", (404, "not_found", "404: Not Found")),
        ("GET", "/v1/things/", (404, "not_found", "404: Not Found")),
        ("POST", "/v1/things/a", (405, "method_not_allowed", "405: Method Not Allowed")),
    ],
)
async def test_what_there_is_not_is_refused_in_the_same_form(
    method: str, target: str, expected: tuple[int, str, str]
) -> None:
    """A program reads one kind of refusal."""
    async with serve(ROUTES) as site:
        assert (await site.ask(method, target)).error == expected


async def test_a_method_that_there_is_not_is_told_which_there_are() -> None:
    """As HTTP asks for."""
    async with serve(ROUTES) as site, site.session.post(site.url("/v1/things/a")) as response:
        assert response.headers["allow"] == "GET,PUT"


async def test_a_body_over_the_limit_is_refused() -> None:
    """Definitions are small."""
    async with serve(ROUTES) as site:
        answer = await site.ask("PUT", "/v1/things/a", io.BytesIO(bytes(MAX_BODY_BYTES + 1)))
    assert answer.error[:2] == (413, "request_entity_too_large")


async def test_other_pages_are_refused_as_pages_are() -> None:
    """They are for people."""
    async with serve(ROUTES) as site:
        found, missing = await site.ask("GET", "/"), await site.ask("GET", "/nothing")
    assert (found.text, missing.status, missing.text) == ("the status page", 404, "404: Not Found")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a%2Fb", "a/b"),
        ("..%2F..%2Fetc", "../../etc"),
        ("%2e%2e", ".."),
        ("a.b-c", "a.b-c"),
        ("a%20b", "a b"),
        ("caf%C3%A9", "caf\u00e9"),
        ("a%252Fb", "a%2Fb"),
        ("a%00", "a\0"),
        ("%ff", "%ff"),
    ],
)
async def test_a_name_in_a_path_is_whatever_its_signs_say(text: str, expected: str) -> None:
    """One name and no path of several, so that the rules for names can refuse it."""
    async with serve(ROUTES) as site:
        assert (await site.ask("GET", f"/v1/things/{text}")).json == {"thing": expected}


@pytest.mark.parametrize("is_trusted", [True, False])
async def test_the_api_describes_itself(is_trusted: bool) -> None:
    """To whoever asks."""
    async with serve(ROUTES, is_trusted=is_trusted) as site:
        answer = await site.ask("GET", "/v1/openapi.json")
    assert (answer.status, answer.content_type) == (200, "application/json")
    assert list(answer.json["paths"]) == ["/v1/things/{thing}", "/v1/things/{thing}/secrets"]


async def test_a_refusal_of_several_problems_has_them_all() -> None:
    """None is left for the next try."""
    problems = [Problem(path=None, line=None, field=field, message="wrong") for field in ("a", "b")]
    async with serve([failing(Invalid(problems))]) as site:
        answer = await site.ask("GET", "/v1/thing")
    assert [problem["text"] for problem in answer.json["error"]["problems"]] == ["a: wrong", "b: wrong"]

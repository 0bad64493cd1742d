"""Operations, events and logs over HTTP, for those who watch."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import structlog
from aiohttp import web
from structlog.testing import capture_logs

from router.control.api.observing import ObservingRoutes
from router.control.api.routes import Route
from router.control.commands.operations import Operations
from router.control.events import KEPT, EventLog
from router.control.state import State
from tests.control.api.daemon import IdleApplier
from tests.control.api.site import Site, serve

CODE = {"code_configuration": {"code": "/srv/code", "scoring_script": "score.py"}}
ENDPOINTS = {"churn": {"deployments": {"blue": CODE, "green": {"upstreams": ["http://127.0.0.1:9100"]}}}}
LOGS = "/v1/endpoints/churn/deployments/blue/logs"
LOGGER = structlog.get_logger()

Tell = Callable[..., None]


@pytest.fixture
def events() -> EventLog:
    return EventLog()


@pytest.fixture
def tell(events: EventLog) -> Tell:
    """Logs events, each with these fields."""

    def log(*names: str, **fields: object) -> None:
        for name in names:
            events(LOGGER, "info", {"event": name, **fields})

    return log


@pytest.fixture
def operations(tmp_path: Path) -> Iterator[Operations]:
    state = State.open(tmp_path)
    yield Operations(state)
    state.close()


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """What two instances have printed."""
    folder = tmp_path / "logs" / "churn" / "blue"
    folder.mkdir(parents=True)
    (folder / "0.log").write_text("2026-01-01T00:00:01Z a\n2026-01-01T00:00:03Z c\n")
    (folder / "1.log").write_text("2026-01-01T00:00:02Z b\n")
    return folder


@pytest.fixture
def routes(operations: Operations, events: EventLog, tmp_path: Path) -> list[Route]:
    return ObservingRoutes(operations, events, IdleApplier(ENDPOINTS, state_dir=tmp_path)).routes()


@pytest.fixture
async def site(routes: list[Route]) -> AsyncIterator[Site]:
    async with serve(routes) as site:
        yield site


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


# Operations


async def test_operations_are_listed(site: Site, operations: Operations) -> None:
    """The newest last."""
    names = [operations.begin("online-endpoint update", endpoint) for endpoint in ("churn", "fraud")]
    answer = await site.ask("GET", "/v1/operations")
    assert (answer.status, [operation["id"] for operation in answer.json]) == (200, names)


async def test_an_operation_is_shown_as_it_is(site: Site, operations: Operations) -> None:
    """At once, when nobody asks to wait."""
    name = operations.begin("online-deployment create", "churn", "green")
    operations.tell(name, "starting")
    shown = (await site.ask("GET", f"/v1/operations/{name}")).json
    assert (shown["command"], shown["endpoint"], shown["deployment"]) == ("online-deployment create", "churn", "green")
    assert (shown["status"], [line["text"] for line in shown["progress"]]) == ("InProgress", ["starting"])


async def test_an_operation_can_be_waited_for(site: Site, operations: Operations) -> None:
    """Until there is news of it."""
    name = operations.begin("online-deployment create", "churn", "green")
    operations.tell(name, "starting")
    asking = asyncio.create_task(site.ask("GET", f"/v1/operations/{name}?wait_s=60&progress=1"))
    await asyncio.sleep(0)
    operations.tell(name, "ready")
    assert [line["text"] for line in (await asking).json["progress"]] == ["starting", "ready"]
    asking = asyncio.create_task(site.ask("GET", f"/v1/operations/{name}?wait_s=60&progress=2"))
    await asyncio.sleep(0)
    await operations.end(name, "Succeeded")
    assert (await asking).json["status"] == "Succeeded"


async def test_an_operation_that_there_is_not_is_told(site: Site) -> None:
    """It may have been long ago."""
    assert (await site.ask("GET", "/v1/operations/4711?wait_s=60")).error == (
        404,
        "not_found",
        "there is no operation 4711; the last 200 are kept",
    )


@pytest.mark.parametrize("query", ["wait_s=61", "wait_s=-1", "wait_s=1.5", "progress=x"])
async def test_waiting_has_bounds(site: Site, operations: Operations, query: str) -> None:
    """That are told."""
    name = operations.begin("online-endpoint update", "churn")
    answer = await site.ask("GET", f"/v1/operations/{name}?{query}")
    assert answer.error[:2] == (400, "bad_request")


# Events


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["one", "two", "three"]),
        ("?lines=2", ["two", "three"]),
        ("?lines=0", []),
        ("?lines=9", ["one", "two", "three"]),
    ],
)
async def test_the_last_events_are_json_lines(site: Site, tell: Tell, query: str, expected: list[str]) -> None:
    """Oldest first."""
    tell("one", "two", "three")
    answer = await site.ask("GET", f"/v1/events{query}")
    assert [json.loads(line)["event"] for line in answer.text.splitlines()] == expected
    assert answer.content_type == "application/x-ndjson; charset=utf-8"


async def test_fifty_events_are_shown_unless_more_are_asked_for(site: Site, tell: Tell) -> None:
    """Of all that are kept."""
    tell(*map(str, range(KEPT + 10)))
    shown = (await site.ask("GET", "/v1/events")).text.splitlines()
    all_kept = (await site.ask("GET", "/v1/events?lines=100000")).text.splitlines()
    assert (len(shown), len(all_kept), json.loads(all_kept[0])["event"]) == (50, KEPT, "10")


async def test_an_event_carries_whatever_was_logged(site: Site, tell: Tell) -> None:
    """A path, a number beyond 64 bits, bytes of a file name that is no UTF-8: no event keeps others from being seen."""
    tell("one", path=Path("/srv/teal.yaml"), number=2**70, name="caf\udce9", counts={1: 2}, error=ValueError("wrong"))
    (shown,) = (await site.ask("GET", "/v1/events")).text.splitlines()
    assert json.loads(shown) == {
        "event": "one",
        "path": "/srv/teal.yaml",
        "number": 2**70,
        "name": "caf\udce9",
        "counts": {"1": 2},
        "error": "wrong",
    }


async def test_events_can_be_followed(site: Site, tell: Tell) -> None:
    """From the last ones on, each once."""
    tell("one", "two")
    async with site.session.get(site.url("/v1/events?lines=1&follow=true")) as response:
        seen = [await response.content.readline()]
        tell("three", "four")
        seen += [await response.content.readline(), await response.content.readline()]
    assert [json.loads(line)["event"] for line in seen] == ["two", "three", "four"]
    assert response.headers["content-type"] == "application/x-ndjson; charset=utf-8"


# Logs


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (
            "",
            "2026-01-01T00:00:01Z [0] a\n2026-01-01T00:00:02Z [1] b\n2026-01-01T00:00:03Z [0] c\n",
        ),
        ("?lines=1", "2026-01-01T00:00:03Z [0] c\n"),
        ("?lines=0", ""),
        ("?instance=1", "2026-01-01T00:00:02Z [1] b\n"),
        ("?instance=0&lines=1", "2026-01-01T00:00:03Z [0] c\n"),
    ],
)
async def test_logs_are_lines_of_all_instances(site: Site, logs: Path, query: str, expected: str) -> None:
    """By time; or of one instance, or the last."""
    answer = await site.ask("GET", f"{LOGS}{query}")
    assert (answer.status, answer.content_type, answer.text) == (200, "text/plain; charset=utf-8", expected)


async def test_names_in_the_path_of_logs_are_compared_without_case(site: Site, logs: Path) -> None:
    """The folder has the spelling of the config."""
    answer = await site.ask("GET", "/v1/endpoints/CHURN/deployments/Blue/logs?lines=1")
    assert answer.text == "2026-01-01T00:00:03Z [0] c\n"


async def test_logs_of_a_deployment_that_printed_nothing_are_empty(site: Site) -> None:
    """There is no folder yet."""
    answer = await site.ask("GET", LOGS)
    assert (answer.status, answer.text) == (200, "")


async def test_bytes_that_are_no_text_are_shown_all_the_same(site: Site, logs: Path) -> None:
    """A worker may print anything."""
    (logs / "0.log").write_bytes(b"2026-01-01T00:00:04Z caf\xe9 \x00\n")
    assert (await site.ask("GET", f"{LOGS}?lines=1")).text == "2026-01-01T00:00:04Z [0] caf\ufffd \x00\n"


@pytest.mark.parametrize(("lines", "expected"), [("2", ["b", "c", "d", "e"]), ("0", ["d", "e"])])
async def test_logs_can_be_followed(site: Site, logs: Path, lines: str, expected: list[str]) -> None:
    """From the last lines on, each once; with none of them only what comes."""
    async with site.session.get(site.url(f"{LOGS}?lines={lines}&follow=true")) as response:
        append(logs / "0.log", "2026-01-01T00:00:04Z d\n")
        append(logs / "1.log", "2026-01-01T00:00:05Z e\n")
        seen = [await response.content.readline() for _ in expected]
    assert [line.decode().split()[-1] for line in seen] == expected


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (f"{LOGS}?instance=7", (404, "not_found", "churn/blue has no log of an instance 7; there is 0, 1")),
        (f"{LOGS}?instance=", (404, "not_found", "churn/blue has no log of an instance ; there is 0, 1")),
        (
            f"{LOGS}?instance=..%2Fgreen%2F0",
            (404, "not_found", "churn/blue has no log of an instance ../green/0; there is 0, 1"),
        ),
        (
            "/v1/endpoints/churn/deployments/green/logs",
            (409, "conflict", "churn/green runs elsewhere (upstreams); its logs are there"),
        ),
        (
            "/v1/endpoints/churn/deployments/..%2Fblue/logs",
            (404, "not_found", "endpoint churn has no deployment ../blue; there is blue, green"),
        ),
        (f"{LOGS}?follow=yes", (400, "bad_request", "follow=yes in the query; expected false or true")),
        (f"{LOGS}?lines=-1", (400, "bad_request", "lines=-1 in the query; expected a whole number from 0 to 100000")),
    ],
)
async def test_logs_that_there_are_not_are_told(
    site: Site, logs: Path, target: str, expected: tuple[int, str, str]
) -> None:
    """With those that there are."""
    assert (await site.ask("GET", target)).error == expected


# Who watches


@pytest.mark.parametrize("target", [f"{LOGS}?follow=true", "/v1/events?follow=true"])
async def test_a_reader_that_goes_away_is_no_failure(routes: list[Route], tell: Tell, logs: Path, target: str) -> None:
    """The answer ends, and nobody is told of a bug."""
    ended = asyncio.Event()

    def watched(route: Route) -> Route:
        async def handler(request: web.Request) -> web.StreamResponse:
            try:
                return await route.handler(request)
            finally:
                ended.set()

        return replace(route, handler=handler)

    tell("one")
    with capture_logs() as logged:
        async with serve([watched(route) for route in routes]) as site:
            response = await site.session.get(site.url(target))
            await response.content.readline()
            response.close()
            await ended.wait()
    assert logged == []


@pytest.mark.parametrize("target", ["/v1/operations", "/v1/events", LOGS])
async def test_strangers_see_nothing_that_workers_print(routes: list[Route], target: str) -> None:
    """It may be secret, and an operation that has failed carries it along."""
    async with serve(routes, is_trusted=False) as site:
        assert (await site.ask("GET", target)).status == 403


def test_every_query_is_described(routes: list[Route]) -> None:
    """As programs and people look it up."""
    assert {route.path: list(route.query) for route in routes} == {
        "/v1/operations": [],
        "/v1/operations/{operation}": ["wait_s", "progress"],
        "/v1/events": ["lines", "follow"],
        "/v1/endpoints/{endpoint}/deployments/{deployment}/logs": ["lines", "follow", "instance"],
    }

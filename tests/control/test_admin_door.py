"""Callers of the admin site use up nothing: each has a time for what it owes, and they are so many at most."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import msgspec
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from router.control.admin import AdminAddresses, AdminSite
from router.control.admin_caller import CallerLimits
from router.control.admin_socket import socket_path
from router.control.api.routes import Route, read_body, reply
from router.control.metrics import MetricsSource
from router.core.rules import HostPort
from router.core.stats import Totals
from router.core.table import TableSpec
from tests.control.a_status import STATUS

UNFINISHED = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-More: "
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
WAIT = b"GET /v1/wait HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
PUT = b"PUT /v1/thing HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n{"

Caller = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Start = Callable[[CallerLimits], Awaitable["Site"]]


class Thing(msgspec.Struct):
    """A body."""

    name: str = ""


class Site:
    """A site on a Unix socket and a TCP address, and what its routes saw."""

    def __init__(self, folder: Path, limits: CallerLimits) -> None:
        self.path = socket_path(folder)
        self.waiting = asyncio.Semaphore(0)
        self._go_on = asyncio.Event()
        self.site = AdminSite(
            AdminAddresses(socket=self.path, http=HostPort("127.0.0.1", 0), limits=limits),
            status=lambda: STATUS,
            metrics=lambda: MetricsSource(version="0.1.0", table=TableSpec(generation=7), totals=Totals()),
            readiness=list,
            reload=lambda: None,
            routes=[
                Route("GET", "/v1/wait", self._wait, "Answers when told."),
                Route("GET", "/v1/much", self._much, "More than a socket takes."),
                Route("PUT", "/v1/thing", self._put, "Takes a body.", body=Thing),
            ],
        )

    async def _wait(self, _request: web.Request) -> web.Response:
        self.waiting.release()
        await self._go_on.wait()
        return reply({})

    async def _much(self, _request: web.Request) -> web.Response:
        return web.Response(body=bytes(8_000_000))

    async def _put(self, request: web.Request) -> web.Response:
        return reply(msgspec.to_builtins(await read_body(request, Thing)))

    async def wait_for(self, number: int) -> None:
        """Until so many callers wait for us."""
        for _ in range(number):
            await self.waiting.acquire()

    def go_on(self) -> None:
        self._go_on.set()

    async def call(self, sent: bytes = b"") -> Caller:
        """One more caller on the Unix socket, and what it says."""
        reader, writer = await asyncio.open_unix_connection(self.path)
        writer.write(sent)
        return reader, writer

    async def health(self) -> int:
        """Status of a whole request by a caller of its own."""
        connector = aiohttp.UnixConnector(str(self.path))
        async with aiohttp.ClientSession(connector=connector) as session, session.get("http://teal/healthz") as answer:
            return answer.status


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts sites, and stops them after the test."""
    async with AsyncExitStack() as stack:

        async def run(limits: CallerLimits) -> Site:
            site = Site(tmp_path, limits)
            await site.site.start()
            stack.push_async_callback(site.site.stop)
            return site

        yield run


async def rest_of(caller: Caller) -> bytes:
    """All that a caller is sent until it is closed."""
    reader, writer = caller
    rest = b""
    try:
        while part := await reader.read(65536):
            rest += part
    except ConnectionError:
        pass
    writer.close()
    return rest


async def answered(caller: Caller) -> bytes:
    """The status line and fields of the next answer."""
    return await caller[0].readuntil(b"\r\n\r\n")


async def test_a_caller_has_a_time_for_its_head(start: Start) -> None:
    """Who has begun one is told so; who has not is closed."""
    site = await start(CallerLimits(head_s=0.3))
    begun, silent = await site.call(UNFINISHED), await site.call()
    said = await rest_of(begun)
    assert said.startswith(b"HTTP/1.1 408 Request Timeout\r\nx-teal-reason: head_timeout\r\n")
    assert await rest_of(silent) == b""
    assert await site.health() == 200


async def test_bytes_one_by_one_earn_no_time(start: Start) -> None:
    """The time for a head counts from its first byte, whatever comes after it."""
    site = await start(CallerLimits(head_s=0.3))
    caller = await site.call(UNFINISHED)
    ended = asyncio.create_task(rest_of(caller))
    while not ended.done():
        caller[1].write(b"x")
        await asyncio.sleep(0.01)
    assert ended.result()[:12] in {b"HTTP/1.1 408", b""}  # a byte that nobody has read takes the answer back


async def test_a_later_head_has_the_same_time(start: Start) -> None:
    """On a connection that has been answered before."""
    site = await start(CallerLimits(head_s=0.3))
    caller = await site.call(HEALTH)
    assert (await answered(caller)).startswith(b"HTTP/1.1 200 OK")
    caller[1].write(UNFINISHED)
    assert b"x-teal-reason: head_timeout" in await rest_of(caller)


async def test_a_caller_has_a_time_between_requests(start: Start) -> None:
    """It is closed without a word, since it asked for nothing."""
    site = await start(CallerLimits(idle_s=0.3))
    caller = await site.call(HEALTH)
    assert (await rest_of(caller)).endswith(b"\r\n\r\nok\n")


async def test_a_caller_has_a_time_for_its_body(start: Start) -> None:
    """The handler that reads it ends."""
    site = await start(CallerLimits(body_s=0.3))
    assert b"x-teal-reason: body_timeout" in await rest_of(await site.call(PUT))
    assert await site.health() == 200


async def test_a_long_answer_has_all_the_time(start: Start) -> None:
    """Who waits for us, as with `--follow`, is not late whatever the limits of its own."""
    site = await start(CallerLimits(head_s=0.2, body_s=0.2, idle_s=1))
    waiting, late = await site.call(WAIT), await site.call(UNFINISHED)
    assert b"408" in await rest_of(late)
    await site.wait_for(1)
    site.go_on()
    assert (await answered(waiting)).startswith(b"HTTP/1.1 200 OK")
    waiting[1].close()


async def test_who_rests_longest_makes_place(start: Start) -> None:
    """Of four places all are taken, and everybody who has a question gets an answer."""
    site = await start(CallerLimits(max_connections=4))
    resting = [await site.call(UNFINISHED) for _ in range(4)]
    with capture_logs() as events:
        assert await site.health() == 200
        assert await rest_of(resting[0]) == b""
        while not events:  # noqa: ASYNC110 - the log tells nobody
            await asyncio.sleep(0.01)
    assert events[0] == {
        "event": "admin.callers_cut",
        "log_level": "warning",
        "address": "admin.sock",
        "open": events[0]["open"],
        "limit": 4,
        "made_place": 1,
    }
    for _, writer in resting:
        writer.close()


async def test_a_crowd_of_resting_callers_stops_nobody(start: Start) -> None:
    """Each question is answered while callers without one come again and again."""
    site = await start(CallerLimits(max_connections=4))
    crowd = [await site.call(UNFINISHED) for _ in range(20)]
    assert [await site.health() for _ in range(3)] == [200, 200, 200]
    for _, writer in crowd:
        writer.close()


async def test_who_was_refused_before_its_body_came_makes_place(start: Start) -> None:
    """It has its answer, and keeps us waiting for the rest of what it said it would send."""
    site = await start(CallerLimits(max_connections=4))
    early = b"POST /nowhere HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n"
    crowd = [await site.call(early) for _ in range(4)]
    for reader, _ in crowd:
        assert (await reader.readline()).startswith(b"HTTP/1.1 40")
    assert await site.health() == 200
    for _, writer in crowd:
        writer.close()


async def test_an_answer_that_is_not_read_makes_place(start: Start) -> None:
    """Its caller holds more than anybody."""
    site = await start(CallerLimits(max_connections=4))
    much = b"GET /v1/much HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    unread = [await site.call(much) for _ in range(4)]
    assert await site.health() == 200
    for _, writer in unread:
        writer.close()


async def test_the_newest_is_refused_when_all_wait_for_us(start: Start) -> None:
    """Nobody who is owed an answer loses it; the refusal says that it may try again."""
    site = await start(CallerLimits(max_connections=4))
    waiting = [await site.call(WAIT) for _ in range(4)]
    await site.wait_for(4)
    refused = await rest_of(await site.call())
    assert refused.startswith(
        b"HTTP/1.1 503 Service Unavailable\r\nx-teal-reason: too_many_connections\r\nRetry-After: 1"
    )
    site.go_on()
    answers = [await answered(caller) for caller in waiting]
    assert [answer.split()[1] for answer in answers] == [b"200"] * 4
    for _, writer in waiting:
        writer.close()


async def test_callers_of_one_address_take_no_place_of_the_other(start: Start) -> None:
    """Strangers at the TCP address do not keep the operator from the socket."""
    site = await start(CallerLimits(max_connections=4))
    assert site.site.port is not None
    strangers = [await asyncio.open_connection("127.0.0.1", site.site.port) for _ in range(4)]
    with capture_logs() as events:
        assert await site.health() == 200
    assert events == []
    for _, writer in strangers:
        writer.close()

"""Routes for those who watch: operations, events, logs."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable

from aiohttp import web

from router.control.api.messages import Operation
from router.control.api.routes import Route, read_choice, read_number, reply
from router.control.applier import Applier
from router.control.commands.operations import Operations
from router.control.events import Event, EventLog
from router.control.refusal import Conflict, NotFound
from router.control.supervisor.log_reader import LogLine, LogReader
from router.control.threads import Threads
from router.logs import render_json

_MAX_WAIT_S = 60
_MAX_LINES = 100_000
_MOST_READERS = 64  # in the disk at the same time
_LOOK_EVERY_S = 0.25
_QUERY_LINES = {"lines": "How many of the last lines; default 50.", "follow": "true: go on with what comes."}
_QUERY_INSTANCE = {"instance": "Only this instance."}
_QUERY_WAIT = {
    "wait_s": f"Answer after this many seconds at most (0 to {_MAX_WAIT_S}), and sooner when it has ended ...",
    "progress": "... or has more lines of progress than this.",
}


class ObservingRoutes:
    """Answers for what goes on."""

    def __init__(self, operations: Operations, events: EventLog, applier: Applier) -> None:
        self._operations = operations
        self._events = events
        self._applier = applier
        self._threads = Threads("log-reader", limit=_MOST_READERS, busy=f"{_MOST_READERS} readers of logs are at it")

    def routes(self) -> list[Route]:
        """Its routes."""
        logs = "/v1/endpoints/{endpoint}/deployments/{deployment}/logs"
        one = "/v1/operations/{operation}"
        return [
            Route("GET", "/v1/operations", self._list, "The last operations.", answer=list[Operation]),
            Route("GET", one, self._show, "One of them.", query=_QUERY_WAIT, answer=Operation),
            Route("GET", "/v1/events", self._show_events, "The last log events, as JSON lines.", query=_QUERY_LINES),
            Route("GET", logs, self._show_logs, "What the instances print.", query=_QUERY_LINES | _QUERY_INSTANCE),
        ]

    async def _list(self, _request: web.Request) -> web.Response:
        return reply(self._operations.all())

    async def _show(self, request: web.Request) -> web.Response:
        wait_s = read_number(request, "wait_s", default=0, most=_MAX_WAIT_S)
        seen = read_number(request, "progress", default=0, most=_MAX_LINES)
        name = request.match_info["operation"]
        return reply(await self._operations.wait(name, progress=seen, timeout_s=wait_s))

    async def _show_events(self, request: web.Request) -> web.StreamResponse:
        lines = read_number(request, "lines", default=50, most=_MAX_LINES)
        kept, seen = self._events.after(0)
        last = kept[max(0, len(kept) - lines) :]
        return await _serve(request, "application/x-ndjson", _json_lines(last), _NewEvents(self._events, seen).lines)

    async def _show_logs(self, request: web.Request) -> web.StreamResponse:
        lines = read_number(request, "lines", default=50, most=_MAX_LINES)
        reader = await self._threads.run(self._reader, request)
        last = await self._threads.run(reader.last, lines)

        async def more() -> bytes | None:
            lines = await self._threads.run(reader.more)
            return _text(lines) if lines or self._is_there(request) else None

        return await _serve(request, "text/plain", _text(last), more)

    def _is_there(self, request: web.Request) -> bool:
        try:
            self._applier.deployment(request.match_info["endpoint"], request.match_info["deployment"])
        except NotFound:
            return False
        return True

    def _reader(self, request: web.Request) -> LogReader:
        key, config = self._applier.deployment(request.match_info["endpoint"], request.match_info["deployment"])
        if not config.is_managed:
            raise Conflict(f"{'/'.join(key)} runs elsewhere (upstreams); its logs are there")
        instance = request.query.get("instance")
        self._applier.settle_logs()
        folder = self._applier.log_dir(key)
        known = sorted(path.stem for path in folder.glob("*.log"))
        if instance is not None and instance not in known:
            raise NotFound(
                f"{'/'.join(key)} has no log of an instance {instance}; there is {', '.join(known) or 'none'}"
            )
        return LogReader(folder, instance)


class _NewEvents:
    """What has come since it was last asked, or after the first `seen` events."""

    def __init__(self, events: EventLog, seen: int) -> None:
        self._events = events
        self._seen = seen

    async def lines(self) -> bytes | None:
        news, self._seen = self._events.after(self._seen)
        return _json_lines(news)


async def _serve(
    request: web.Request, content_type: str, last: bytes, more: Callable[[], Awaitable[bytes | None]]
) -> web.StreamResponse:
    """Send what there is; with `follow=true` go on with what comes, until the reader goes away or nothing can come."""
    if read_choice(request, "follow", ("false", "true")) == "false":
        return web.Response(body=last, content_type=content_type, charset="utf-8")
    response = web.StreamResponse(headers={"content-type": f"{content_type}; charset=utf-8"})
    await response.prepare(request)
    block: bytes | None = last
    with contextlib.suppress(ConnectionError):  # gone between two looks
        while block is not None and request.transport is not None and not request.transport.is_closing():
            if block:
                await response.write(block)
            await asyncio.sleep(_LOOK_EVERY_S)
            block = await more()
    return response


def _text(lines: list[LogLine]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def _json_lines(events: Iterable[Event]) -> bytes:
    lines = (render_json(None, "", dict(event)) for event in events)  # as in the log
    return b"".join((line.encode() if isinstance(line, str) else line) + b"\n" for line in lines)

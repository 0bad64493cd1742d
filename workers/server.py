"""The worker's HTTP side: scoring, liveness, and the API description."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Awaitable, Callable, Dict, FrozenSet, List, Optional, Tuple

from aiohttp import HttpVersion11, web

from workers import fast
from workers.encode import CLIENT_REQUEST_ID, REQUEST_ID, Answer, refusal
from workers.messages import http_logger
from workers.request import ScoreRequest
from workers.runners import Runner, finish
from workers.swagger import Swagger
from workers.traffic import Phase, Traffic
from workers.wire import MAX_ID_LENGTH, WITHOUT_BODY, HeadRenderer

Route = Callable[[web.BaseRequest], Awaitable[Answer]]

ECHOED = (REQUEST_ID, CLIENT_REQUEST_ID)
MAX_HEAD_BYTES = 65536  # of one line; the router has its own, smaller limit
KEEP_ALIVE_S = 3600.0  # the router's pool decides; closing first would race with its next request
JOINED_BYTES = 65536  # a head and a body up to here are one write; above, joining costs more than a second write

QUIET_S = 0.2  # how long open connections must say nothing before a drain ends
POLL_S = 0.01

HEALTHY = Answer(200, b"Content-Type: text/html; charset=utf-8\r\n", b"Healthy")
STUCK = Answer(503, b"Content-Type: text/plain; charset=utf-8\r\n", b"run() goes on for requests that nobody waits for")
EMPTY = Answer(200, b"Content-Type: text/html; charset=utf-8\r\n", b"")
SCORE_METHODS = frozenset(("GET", "POST", "OPTIONS"))
READ_METHODS = frozenset(("GET", "HEAD"))


class Sent(web.StreamResponse):
    """Tells aiohttp that the answer is out already, and whether the connection stays. Has no state: two serve all."""

    def __init__(self, stays: bool) -> None:
        super().__init__()
        self._stays = stays

    @property
    def keep_alive(self) -> bool:
        """Whether the connection stays open."""
        return self._stays

    async def prepare(self, request: web.BaseRequest) -> None:
        """Nothing is left to prepare."""

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to write."""


class ScoreServer:
    """Accepts connections and answers on the running event loop; run() happens in `runner`."""

    def __init__(self, runner: Runner, swagger: Swagger, run_methods: FrozenSet[str]) -> None:
        self._runner = runner
        self._swagger = swagger
        self._run_methods = run_methods
        self._traffic = Traffic()
        self._renderer = HeadRenderer(os.environ)
        self._routes: Dict[str, Tuple[FrozenSet[str], Route]] = {
            "/": (READ_METHODS, self._answer_probe),
            "/score": (SCORE_METHODS, self._score),
            "/swagger.json": (READ_METHODS, self._describe),
        }
        self._stays, self._closes = Sent(stays=True), Sent(stays=False)
        self._listening: Optional[asyncio.AbstractServer] = None
        self._http = web.Server(
            self._handle,
            # A client that leaves cancels its handler, so that a request still waiting for its turn never runs.
            handler_cancellation=True,
            auto_decompress=False,  # like Azure's server: a script gets the bytes that were sent
            access_log=None,
            logger=http_logger(),
            keepalive_timeout=KEEP_ALIVE_S,
            max_line_size=MAX_HEAD_BYTES,
            max_field_size=MAX_HEAD_BYTES,
        )

    async def start(self, listener: socket.socket) -> None:
        """Accept connections from now on."""
        loop = asyncio.get_running_loop()
        if listener.family == socket.AF_UNIX:
            self._listening = await loop.create_unix_server(self._connect, sock=listener)
        else:
            self._listening = await loop.create_server(self._connect, sock=listener)

    def stop_accepting(self) -> None:
        """Accept nothing more; every answer from now on is the last of its connection."""
        self._traffic.phase = Phase.DRAINING
        self._runner.recall()
        self.watch_clients()
        if self._listening:
            self._listening.close()

    def watch_clients(self) -> None:
        """Notice who left though run() goes on for them; to be called now and then."""
        for client in self._traffic.fast:
            client.take_back()

    async def drain(self, timeout_s: float) -> int:
        """Answer what is here, once nothing more is accepted; return how many requests the timeout cut."""
        now = asyncio.get_running_loop().time
        deadline = now() + timeout_s
        begun, quiet_since = -1, now()
        # A request may be on its way on a connection that looks idle: closing it now would answer with a reset.
        while self._transports() and now() < deadline and now() - quiet_since < QUIET_S:
            if self._is_busy() or begun != self._traffic.begun:
                begun, quiet_since = self._traffic.begun, now()
            await asyncio.sleep(POLL_S)
        return self._traffic.in_flight

    async def close(self) -> None:
        """End the connections, which must be idle."""
        for client in list(self._traffic.fast):
            client.transport.close()
        self._http.pre_shutdown()
        await self._http.shutdown(timeout=1.0)

    def _connect(self) -> asyncio.Protocol:
        if not fast.IS_AVAILABLE:
            return self._http()
        return fast.FastConnection(self._runner, self._renderer, self._traffic, self._http)

    def _transports(self) -> List[asyncio.Transport]:
        connections = (connection.transport for connection in self._http.connections)
        fast_ones = [client.transport for client in self._traffic.fast]
        return [transport for transport in connections if transport] + fast_ones

    def _is_busy(self) -> bool:
        return self._traffic.in_flight > 0 or any(transport.get_write_buffer_size() for transport in self._transports())

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self._traffic.began()
        try:
            return await self._write(request, await self._answer(request))
        finally:
            self._traffic.ended()

    async def _answer(self, request: web.BaseRequest) -> Answer:
        for name in ECHOED:
            if len(request.headers.get(name, "")) > MAX_ID_LENGTH:
                return refusal(431, f"{name} must not exceed {MAX_ID_LENGTH} characters")
        route = self._routes.get(request.raw_path.partition("?")[0])
        if route is None:
            return refusal(404, f"The requested URL was not found; here are {', '.join(self._routes)}")
        methods, answer = route
        if request.method not in methods:
            return refusal(405, f"Method not allowed; here are {', '.join(sorted(methods))}")
        return await answer(request)

    async def _answer_probe(self, request: web.BaseRequest) -> Answer:
        return STUCK if self._runner.is_stuck else HEALTHY

    async def _score(self, request: web.BaseRequest) -> Answer:
        if request.method not in self._run_methods:
            return EMPTY
        await _send_continue(request)
        try:
            body = await request.content.read()
        except web.RequestPayloadError as error:
            return refusal(400, f"The body is not what its headers announce: {error}")
        return await finish(self._runner, ScoreRequest(request.method, request.raw_path, request.raw_headers, body))

    async def _describe(self, request: web.BaseRequest) -> Answer:
        return self._swagger.answer(request.query.get("version"))

    async def _write(self, request: web.BaseRequest, answer: Answer) -> Sent:
        stays = self._traffic.phase is Phase.SERVING and request.keep_alive and request.version >= HttpVersion11
        request_id, client_request_id = (
            request.headers.get(name, "").encode("utf-8", "surrogateescape") for name in ECHOED
        )
        head = self._renderer.render(answer, request_id, client_request_id, stays)
        body = b"" if request.method == "HEAD" or answer.status in WITHOUT_BODY else answer.body
        try:
            if len(body) <= JOINED_BYTES:
                await request.writer.write(head + body)
            else:
                await request.writer.write(head)
                await request.writer.write(body)
        except ConnectionError:  # the client left; nobody is there to be told
            return self._closes
        return self._stays if stays else self._closes


async def _send_continue(request: web.BaseRequest) -> None:
    # aiohttp's low-level server leaves this to its handler; a client would wait a second and more for it.
    if request.headers.get("Expect", "").lower() == "100-continue" and request.version >= HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")

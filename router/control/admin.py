"""The admin site: metrics, health, status, and on its Unix socket also what changes the daemon."""

import asyncio
import errno
import re
import socket
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from router.control.admin_caller import CallerLimits
from router.control.admin_door import Door
from router.control.admin_refusals import AdminCounts, Refusals
from router.control.admin_socket import SocketTaken, listen_at, listen_on
from router.control.api.mount import mount
from router.control.api.routes import MAX_BODY_BYTES, Route
from router.control.metrics import MetricsSource, render
from router.control.status import RouterStatus, without_output
from router.control.status_page import CONTENT_SECURITY_POLICY, PAGE
from router.control.threads import Threads
from router.core.auth import bearer, check_key, digest
from router.core.errors import RouterError
from router.core.rules import HostPort, is_loopback

log = structlog.get_logger()

_SHUTDOWN_S = 1.0
_MOST_SCRAPES = 16
# These tell nothing that is worth a token: an empty page, and that the process works.
_OPEN_PATHS = frozenset({"/", "/healthz"})
#: A Host header (RFC 9110, 7.2): a name or an address, and a port.
_HOST = re.compile(r"(?:\[(?P<address>[0-9A-Fa-f:.]+)\]|(?P<name>[\w.-]+))(?::\d+)?", re.ASCII)
#: Why `/readyz` answers 503; the body has the reasons in words.
NOT_READY = "not_ready"


class AdminError(Exception):
    """The admin site cannot start; the message is one sentence for the operator."""


class AdminAddressInUse(AdminError):
    """Another process has the address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminAddresses:
    """Where the site is.

    Attributes:
        socket: Path of the Unix socket; its file mode is all the protection it needs.
        http: TCP address, or None for none.
        token_file: Holds the bearer token that the TCP address asks for.
        limits: Of the callers of each.
    """

    socket: Path
    http: HostPort | None = None
    token_file: Path | None = None
    limits: CallerLimits = field(default_factory=CallerLimits)


class AdminSite:
    """Serves what the callables say; they are called on the event loop and must not block.

    Args:
        readiness: Reasons why the router is not ready; empty when it is.
        reload: Asks for a reload of the config file and returns at once.
        routes: The admin API.
    """

    def __init__(
        self,
        addresses: AdminAddresses,
        *,
        status: Callable[[], RouterStatus],
        metrics: Callable[[], MetricsSource],
        readiness: Callable[[], list[str]],
        reload: Callable[[], None],
        routes: Sequence[Route] = (),
    ) -> None:
        self._addresses = addresses
        self._status = status
        self._metrics = metrics
        self._readiness = readiness
        self._reload = reload
        self._routes = routes
        self._refusals = Refusals()
        self._threads = Threads("metrics", limit=_MOST_SCRAPES, busy=f"{_MOST_SCRAPES} scrapes are under way")
        self._runners: list[web.AppRunner] = []
        self._doors: list[Door] = []
        self._has_socket = False
        self.port: int | None = None  # that was bound, when the address asked for any

    async def start(self) -> None:
        """Listen on all addresses, or on none.

        Raises:
            AdminAddressInUse: another process listens there.
            AdminError: an address cannot be listened on, or the token cannot be read.
        """
        try:
            if self._addresses.http is not None:
                await self._start_http(self._addresses.http)
            await self._start_local(self._addresses.socket)
        except AdminError:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop listening, give answers that are being sent a moment, and remove the socket's file."""
        for door in self._doors:
            door.close()
        self._doors.clear()
        self._refusals.close_window()
        if self._has_socket:
            self._has_socket = False
            self._addresses.socket.unlink(missing_ok=True)
        runners, self._runners = self._runners, []
        await asyncio.gather(*(runner.cleanup() for runner in runners))

    async def _start_http(self, address: HostPort) -> None:
        guard = _Guard(address.host, _read_token(self._addresses.token_file))
        app = web.Application(middlewares=[guard.middleware], client_max_size=MAX_BODY_BYTES)
        mount(app, self._routes, is_trusted=guard.asks_for_token)
        shown = f"admin.http: {address.host}:{address.port}"
        try:
            listeners = await asyncio.to_thread(listen_on, address.host, address.port)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise AdminAddressInUse(
                    f"{shown} is in use by another program; stop it, or choose another address"
                ) from error
            raise AdminError(f"{shown} cannot be listened on: {error.strerror or error}") from error
        self.port = (await self._open("admin.http", app, listeners, is_trusted=guard.asks_for_token)).port

    async def _start_local(self, path: Path) -> None:
        try:
            listener = listen_at(path)
        except SocketTaken as error:
            raise AdminAddressInUse(f"{error}; stop the teal that does, or choose another state directory") from error
        except OSError as error:
            raise AdminError(f"cannot make the admin socket {path}: {error.strerror or error}") from error
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        mount(app, self._routes, is_trusted=True)
        app.router.add_post("/reload", self._serve_reload)
        self._has_socket = True
        await self._open(path.name, app, [listener], is_trusted=True)

    async def _open(self, name: str, app: web.Application, listeners: list[socket.socket], *, is_trusted: bool) -> Door:
        runner = await self._run(app, is_trusted=is_trusted)
        assert runner.server is not None
        door = Door(name, listeners, runner.server, self._addresses.limits, self._refusals)
        door.start()
        self._doors.append(door)
        return door

    async def _run(self, app: web.Application, *, is_trusted: bool) -> web.AppRunner:
        app.router.add_get("/", _serve_page)
        app.router.add_get("/healthz", _serve_health)
        app.router.add_get("/readyz", self._serve_readiness)
        app.router.add_get("/metrics", self._serve_metrics)
        app.router.add_get("/status", self._serve_status if is_trusted else self._serve_public_status)
        app.on_response_prepare.extend((_add_headers, self._note_refusal))
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_S)
        await runner.setup()
        self._runners.append(runner)
        return runner

    async def _note_refusal(self, request: web.Request, response: web.StreamResponse) -> None:
        """Note the reason that the answer carries, if it is a refusal; probes ask too often for theirs to be news."""
        reason = response.headers.get("x-teal-reason")
        if reason is not None and reason != NOT_READY:
            self._refusals.note(reason, method=request.method, path=request.path, status=response.status)

    async def _serve_readiness(self, _request: web.Request) -> web.Response:
        reasons = self._readiness()
        if not reasons:
            return web.Response(text="ready\n")
        headers = {"x-teal-reason": NOT_READY}
        return web.Response(text="\n".join(reasons) + "\n", status=503, headers=headers)

    async def _serve_metrics(self, request: web.Request) -> web.Response:
        counts = self._refusals.counts
        source = replace(self._metrics(), admin=AdminCounts(dict(counts.refused), dict(counts.cut)))
        # In a thread, as 2,000 deployments take most of a second to print; not one that files may hang in.
        body, content_type = await self._threads.run(render, source, request.headers.get("accept", ""))
        return web.Response(body=body, headers={"content-type": content_type})

    async def _serve_status(self, _request: web.Request) -> web.Response:
        return web.Response(body=msgspec.json.encode(self._status()), content_type="application/json")

    async def _serve_public_status(self, _request: web.Request) -> web.Response:
        body = msgspec.json.encode(without_output(self._status()))
        return web.Response(body=body, content_type="application/json")

    async def _serve_reload(self, _request: web.Request) -> web.Response:
        self._reload()
        return web.Response(text="reload requested\n", status=202)


class _Guard:
    """Keeps strangers, and web pages that run in the operator's own browser, from the TCP address."""

    def __init__(self, host: str, token: bytes | None) -> None:
        self._host = host.lower()
        self._digest = None if token is None else digest(token)

    @property
    def asks_for_token(self) -> bool:
        """Whether who gets through has shown the token."""
        return self._digest is not None

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not self._is_from_own_page(request):
            reason = {"x-teal-reason": "foreign_page"}
            return web.Response(text="This address does not answer other web sites.\n", status=403, headers=reason)
        if self._digest is not None and request.path not in _OPEN_PATHS:
            try:
                self._check_token(request, self._digest)
            except RouterError as error:
                headers = [*error.headers, ("x-teal-reason", error.code)]
                return web.Response(text=f"{error.message}\n", status=error.status, headers=headers)
        return await handler(request)

    def _check_token(self, request: web.Request, expected: bytes) -> None:
        authorization = request.headers.get("authorization")
        check_key(bearer(authorization.encode("utf-8", "surrogateescape") if authorization else None), (expected,))

    def _is_from_own_page(self, request: web.Request) -> bool:
        """Whether no foreign page can be behind the request.

        A page of another site announces itself as Origin. One that made its own name resolve to this address
        (DNS rebinding) has that name in Host; where a token is asked for it does not get further than that.
        """
        host = request.headers.get("host", "")
        origin = request.headers.get("origin")
        if origin is not None and origin.lower() not in {f"http://{host}".lower(), f"https://{host}".lower()}:
            return False
        name = _host_name(host)
        return self._digest is not None or name == self._host or is_loopback(name)


def _host_name(host: str) -> str:
    """The name in a Host header, without port and brackets; empty when it is none."""
    found = _HOST.fullmatch(host)
    return "" if found is None else (found["address"] or found["name"]).lower()


async def _serve_page(_request: web.Request) -> web.Response:
    return web.Response(
        text=PAGE, content_type="text/html", headers={"content-security-policy": CONTENT_SECURITY_POLICY}
    )


async def _serve_health(_request: web.Request) -> web.Response:
    return web.Response(text="ok\n")


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers["cache-control"] = "no-store"
    response.headers["x-content-type-options"] = "nosniff"


def _read_token(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        token, mode = path.read_bytes().strip(), path.stat().st_mode
    except OSError as error:
        raise AdminError(f"admin.token_file: {path}: {error.strerror or error}") from error
    if mode & stat.S_IROTH:
        log.warning("admin.token_exposed", path=str(path), mode=f"{stat.S_IMODE(mode):o}")
    if not token:
        raise AdminError(f"admin.token_file: {path} is empty; write the token into it")
    return token

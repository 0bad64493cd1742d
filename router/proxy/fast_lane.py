"""The lane for what nearly every client sends: one whole scoring request, of known length, in one piece."""

from time import monotonic

import structlog

from router.core.errors import InternalError, RouterError
from router.core.headers import VIA, PlainRequest, read_plain_request
from router.core.requests import authenticate
from router.core.table import Endpoint
from router.proxy.forward import Outgoing
from router.proxy.live import Client, LiveExchange, refuse
from router.proxy.mirror import Mirror
from router.proxy.routes import SCORE_LINE, Route, Routes
from router.proxy.runtime import Runtime

log = structlog.get_logger()

#: Up to here a body is joined to its head before it is sent.
_JOINED_BYTES = 16 * 1024
_CRLF = b"\r\n"
_HEAD_END = b"\r\n\r\n"


class FastLane:
    """Decides whether a request is plain, and answers those that are."""

    def __init__(self, runtime: Runtime, mirror: Mirror) -> None:
        self._runtime = runtime
        self._mirror = mirror
        self._routes = Routes(runtime)

    def take(self, client: Client, data: bytes) -> LiveExchange | int | None:
        """Answer `data` if it is one whole plain request.

        Returns:
            The exchange that gets its answer; 0 if it was answered already; the number of bytes of its body that are
            still to come; None for anything else, which nobody has looked at then.
        """
        self._routes.follow()
        head, end, body = data.partition(_HEAD_END)
        if not end or len(head) > self._routes.max_head_bytes:
            return None
        lines = head.split(_CRLF)
        line = lines[0]
        route = self._routes.find(line)
        if route is None and line == SCORE_LINE:
            route = self._routes.find_by_host(lines)
        if route is None or len(lines) > self._routes.max_lines:
            return None
        plain = read_plain_request(head, lines, route.keeps_credentials)
        if plain is None or plain.length > route.max_body_bytes:
            return None
        missing_bytes = plain.length - len(body)
        if missing_bytes == 0:
            return self._score(client, route, plain, body)
        return missing_bytes if missing_bytes > 0 and self._is_welcome(route, plain) else None

    def _is_welcome(self, route: Route, plain: PlainRequest) -> bool:
        """Whether `_score` would accept it: what is refused need not send its body first."""
        endpoint = route.endpoint
        try:
            authenticate(endpoint, plain.authorization, self._runtime.tokens, self._runtime.wall_now)
            if plain.deployment is not None:
                endpoint.pinned(plain.deployment)
        except RouterError:
            return False
        return endpoint.is_on or plain.deployment is not None

    def _score(self, client: Client, route: Route, plain: PlainRequest, body: bytes) -> LiveExchange | int:
        runtime = self._runtime
        request_id = runtime.request_id()
        endpoint = route.endpoint
        try:
            authenticate(endpoint, plain.authorization, runtime.tokens, runtime.wall_now)
            pin = plain.deployment
            spec = endpoint.choose(runtime.u()) if pin is None else endpoint.pinned(pin)
        except RouterError as error:
            self._refuse(client, route, plain, error, request_id=request_id)
            return 0
        leg = route.leg(spec)
        leg.state.pending += 1
        exchange = LiveExchange(runtime, client, leg, plain, request_id)
        try:
            lines = plain.lines
            lines.append(b"X-Request-Id: " + request_id)
            if plain.client_request_id:
                lines.append(b"X-Ms-Client-Request-Id: " + plain.client_request_id)
            lines.append(client.forwarded_for + plain.host)
            lines.append(VIA)
            if endpoint.has_mirror and pin is None and not plain.is_marked:
                self._mirror_copy(endpoint, lines, body)
            lines.append(b"Content-Length: " + plain.digits)
            lines.append(b"")
            exchange.lines = lines
            if len(body) < _JOINED_BYTES:
                lines.append(body)
            else:
                lines.append(b"")
                exchange.rest = body
            exchange.begin()
        except RouterError as error:
            exchange.fail(error)
        except Exception:
            log.exception("request.crashed", request_id=request_id.decode())
            exchange.fail(InternalError())
        else:
            return exchange
        return 0

    def _mirror_copy(self, endpoint: Endpoint, lines: list[bytes], body: bytes) -> None:
        target = endpoint.mirror(self._runtime.u())
        if target is not None:
            copy = Outgoing(
                method=b"POST",
                target=target.scoring_path.encode(),
                lines=[*lines],
                body=body,
                framing=b"Content-Length: %d" % len(body),
            )
            self._mirror.offer(endpoint, target, copy)

    def _refuse(
        self, client: Client, route: Route, plain: PlainRequest, error: RouterError, *, request_id: bytes
    ) -> None:
        runtime = self._runtime
        record = route.record(
            began=monotonic(),
            request_id=request_id.decode(),
            client_request_id=plain.client_request_id.decode(),
            user_agent=plain.user_agent.decode("latin-1"),
        )
        closes = refuse(runtime, client, record, error, closes=plain.closes)
        runtime.record(record)
        client.done(monotonic(), closes=closes)

"""The lane for what nearly every client sends: scoring requests of known length, none of them large."""

from time import monotonic

import structlog

from router.core.beginning import MAX_BYTES, is_harmless
from router.core.errors import InternalError, RouterError
from router.core.headers import VIA, PlainRequest, read_plain_request
from router.core.requests import authenticate
from router.core.table import DeploymentSpec, Endpoint
from router.proxy.forward import Outgoing
from router.proxy.incoming import Incoming
from router.proxy.live import Client, LiveExchange, refuse
from router.proxy.mirror import Mirror
from router.proxy.routes import SCORE_LINE, Route, Routes
from router.proxy.runtime import Runtime

log = structlog.get_logger()

#: Up to here a body is joined to its head before it is sent.
_JOINED_BYTES = 16 * 1024
_CRLF = b"\r\n"
_HEAD_END = b"\r\n\r\n"
#: What `take` gives beside an exchange: the request was answered already; its head is still coming.
ANSWERED, BEGUN = 0, 1


class FastLane:
    """Decides whether a request is plain, and answers those that are."""

    def __init__(self, runtime: Runtime, mirror: Mirror) -> None:
        self._runtime = runtime
        self._mirror = mirror
        self._routes = Routes(runtime)

    def take(self, client: Client, data: bytes) -> LiveExchange | Incoming | int | None:
        """Answer `data` if it is one whole plain request.

        Returns:
            The exchange that gets its answer; the request if more of its body is to come; `ANSWERED`; `BEGUN`; None for
            anything else, which nobody has looked at then.
        """
        self._routes.follow()
        head, end, body = data.partition(_HEAD_END)
        if len(head) > self._routes.max_head_bytes:
            return None
        if not end:
            return BEGUN if is_harmless(data, self._routes.max_lines) else None
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
        return self._receive(route, plain, body) if missing_bytes > 0 else None

    @property
    def max_begun_bytes(self) -> int:
        """Of the beginning of a head, up to which it may be `BEGUN`."""
        return min(MAX_BYTES, self._routes.max_head_bytes)

    def is_harmless(self, beginning: bytes) -> bool:
        """Whether the full lane, too, would have nothing to say to this beginning of a head."""
        return is_harmless(beginning, self._routes.max_lines)

    def go_on(self, client: Client, incoming: Incoming) -> LiveExchange | None:
        """Answer a request whose body is here now; None if it was answered already."""
        leg, plain, request_id = incoming.leg, incoming.plain, incoming.request_id
        exchange = LiveExchange(self._runtime, client, leg, plain, request_id)
        exchange.has_begun(incoming.began)
        _add_lines(client, plain, request_id)
        is_sent = self._forward(exchange, leg.route.endpoint, plain, request_id, bytes(incoming.body))
        return exchange if is_sent else None

    def _receive(self, route: Route, plain: PlainRequest, body: bytes) -> Incoming | None:
        """Choose where it will go; what is refused is the full lane's: it need not send its body first."""
        try:
            leg = route.leg(self._choose(route.endpoint, plain))
        except RouterError:
            return None
        return Incoming(self._runtime, leg, plain, body)

    def _choose(self, endpoint: Endpoint, plain: PlainRequest) -> DeploymentSpec:
        runtime = self._runtime
        authenticate(endpoint, plain.authorization, runtime.tokens, runtime.wall_now)
        return endpoint.choose(runtime.u()) if plain.deployment is None else endpoint.pinned(plain.deployment)

    def _score(self, client: Client, route: Route, plain: PlainRequest, body: bytes) -> LiveExchange | int:
        runtime = self._runtime
        request_id = runtime.request_id()
        try:
            leg = route.leg(self._choose(route.endpoint, plain))
        except RouterError as error:
            self._refuse(client, route, plain, error, request_id=request_id)
            return ANSWERED
        leg.state.pending += 1
        exchange = LiveExchange(runtime, client, leg, plain, request_id)
        _add_lines(client, plain, request_id)
        return exchange if self._forward(exchange, route.endpoint, plain, request_id, body) else ANSWERED

    def _forward(
        self, exchange: LiveExchange, endpoint: Endpoint, plain: PlainRequest, request_id: bytes, body: bytes
    ) -> bool:
        """Send a request that counts among those of its deployment; return whether its answer is still to come."""
        lines = plain.lines
        try:
            if endpoint.has_mirror and plain.deployment is None and not plain.is_marked:
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
            return True
        return False

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


def _add_lines(client: Client, plain: PlainRequest, request_id: bytes) -> None:
    """What the router tells the instance of every request."""
    lines = plain.lines
    lines.append(b"X-Request-Id: " + request_id)
    if plain.client_request_id:
        lines.append(b"X-Ms-Client-Request-Id: " + plain.client_request_id)
    lines.append(client.forwarded_for + plain.host)
    lines.append(VIA)

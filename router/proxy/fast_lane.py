"""The lane for what nearly every client sends: scoring requests of known length, none of them large."""

from time import monotonic

import structlog

from router.core.beginning import MAX_BYTES, is_harmless
from router.core.errors import InternalError, RouterError
from router.core.plain_reading import PlainRequest, first_line, read_plain_request
from router.core.requests import authenticate
from router.core.table import DeploymentSpec, Endpoint
from router.proxy.incoming import Incoming
from router.proxy.live import Client, LiveExchange, refuse
from router.proxy.mirror import Mirror, PlainCopy
from router.proxy.routes import SCORE_LINE, Route, Routes
from router.proxy.runtime import Runtime

log = structlog.get_logger()

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
        routes = self._routes
        line = first_line(data)
        route = routes.find(line)
        if route is None and line == SCORE_LINE:
            route = routes.find_by_host(data)
        if route is None:
            return self._begun(data)
        start = len(line) + len(_CRLF)
        plain = read_plain_request(data, start, routes.max_head_bytes, routes.max_fields, route.keeps_credentials)
        if plain is None:
            return self._begun(data)
        if plain.length > route.max_body_bytes or plain.received > plain.length:
            return None
        return self._score(client, route, plain) if plain.received == plain.length else self._receive(route, plain)

    @property
    def max_begun_bytes(self) -> int:
        """Of the beginning of a head, up to which it may be `BEGUN`."""
        return min(MAX_BYTES, self._routes.max_head_bytes)

    def is_harmless(self, beginning: bytes) -> bool:
        """Whether the full lane, too, would have nothing to say to this beginning of a head."""
        return is_harmless(beginning, 1 + self._routes.max_fields)

    def go_on(self, client: Client, incoming: Incoming) -> LiveExchange | None:
        """Answer a request whose body is here now; None if it was answered already."""
        plain, request_id = incoming.plain, incoming.request_id
        exchange = LiveExchange(self._runtime, client, incoming.leg, plain, request_id)
        exchange.has_begun(incoming.began)
        plain.complete(bytes(incoming.body))
        return exchange if self._forward(exchange, client, incoming.leg.route, plain, request_id) else None

    def _begun(self, data: bytes) -> int | None:
        if len(data) > self._routes.max_head_bytes or _HEAD_END in data:
            return None
        return BEGUN if self.is_harmless(data) else None

    def _receive(self, route: Route, plain: PlainRequest) -> Incoming | None:
        """Choose where it will go; what is refused is the full lane's: it need not send its body first."""
        try:
            leg = route.leg(self._choose(route.endpoint, plain))
        except RouterError:
            return None
        return Incoming(self._runtime, leg, plain)

    def _choose(self, endpoint: Endpoint, plain: PlainRequest) -> DeploymentSpec:
        runtime = self._runtime
        authenticate(endpoint, plain.authorization, runtime.tokens, runtime.wall_now)
        return endpoint.choose(runtime.u()) if plain.deployment is None else endpoint.pinned(plain.deployment)

    def _score(self, client: Client, route: Route, plain: PlainRequest) -> LiveExchange | int:
        runtime = self._runtime
        request_id = runtime.request_id()
        try:
            leg = route.leg(self._choose(route.endpoint, plain))
        except RouterError as error:
            self._refuse(client, route, plain, error, request_id=request_id)
            return ANSWERED
        leg.state.pending += 1
        exchange = LiveExchange(runtime, client, leg, plain, request_id)
        return exchange if self._forward(exchange, client, route, plain, request_id) else ANSWERED

    def _forward(
        self, exchange: LiveExchange, client: Client, route: Route, plain: PlainRequest, request_id: bytes
    ) -> bool:
        """Send a request that counts among those of its deployment; return whether its answer is still to come."""
        try:
            if route.endpoint.has_mirror and plain.deployment is None and not plain.is_marked:
                self._mirror_copy(route, plain, request_id, client.forwarded_for)
            exchange.begin()
        except RouterError as error:
            exchange.fail(error)
        except Exception:
            log.exception("request.crashed", request_id=request_id.decode())
            exchange.fail(InternalError())
        else:
            return True
        return False

    def _mirror_copy(self, route: Route, plain: PlainRequest, request_id: bytes, forwarded_for: bytes) -> None:
        target = route.endpoint.mirror(self._runtime.u())
        if target is not None:
            copy = PlainCopy(route, target, plain, request_id, forwarded_for)
            self._mirror.offer(route.endpoint, target, copy)

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

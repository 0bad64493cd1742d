"""The lane for what nearly every client sends: one whole scoring request, of known length, in one piece."""

from time import monotonic

import httptools
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
_FRAMING = b"\r\n" + VIA + b"\r\nContent-Length: %d\r\n\r\n"


class HeadParser:
    """Parses one request at a time; `renew` must follow one that does not end where the next begins.

    What the parser calls are methods of built-in types: calls from C to C, the cheapest there are.
    """

    def __init__(self) -> None:
        self.fields: dict[bytes, bytes] = {}  # a field that comes twice is not in it twice
        self._unfinished = [True]
        self.on_header = self.fields.setdefault
        self.on_message_complete = self._unfinished.clear
        self._parser = httptools.HttpRequestParser(self)

    def parse(self, data: bytes) -> bool | None:
        """Fill `fields`; whether all of the request is there, or None for what is malformed."""
        self.fields.clear()
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.renew()
            return None
        if self._unfinished:
            return False
        self._unfinished.append(True)
        return True

    def renew(self) -> None:
        """Forget what was parsed."""
        self._unfinished[:] = [True]
        self._parser = httptools.HttpRequestParser(self)


class FastLane:
    """Decides whether a request is plain, and answers those that are."""

    def __init__(self, runtime: Runtime, mirror: Mirror) -> None:
        self._runtime = runtime
        self._mirror = mirror
        self._routes = Routes(runtime)
        self._parser = HeadParser()

    def take(self, client: Client, data: bytes) -> LiveExchange | int | None:
        """Answer `data` if it is one whole plain request.

        Returns:
            The exchange that gets its answer; 0 if it was answered already; the number of bytes of its body that are
            still to come; None for anything else, which nobody has looked at then.
        """
        self._routes.follow()
        head_end = data.find(_HEAD_END)
        if not 0 < head_end <= self._routes.max_head_bytes:
            return None
        lines = data[:head_end].split(_CRLF)
        line = lines[0]
        route = self._routes.find(line)
        if (route is None and line != SCORE_LINE) or len(lines) > self._routes.max_lines:
            return None
        parser = self._parser
        is_complete = parser.parse(data)
        if is_complete is None:
            return None
        plain = None
        if route is None:
            route = self._routes.find_by_host(parser.fields)
        if route is not None:
            plain = read_plain_request(parser.fields, lines, route.keeps_credentials)
        if plain is None or not is_complete or plain.closes:
            parser.renew()
        if plain is None or route is None or plain.length > route.max_body_bytes:
            return None
        missing_bytes = head_end + 4 + plain.length - len(data)
        if missing_bytes or not is_complete:
            is_worth_waiting = missing_bytes > 0 and not is_complete and self._is_welcome(route, plain)
            return missing_bytes if is_worth_waiting else None
        return self._score(client, route, plain, data[head_end + 4 :])

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
        request_id = runtime.id_start % next(runtime.ids)
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
            framing = _FRAMING % len(body)
            if len(body) < _JOINED_BYTES:
                exchange.rest = b"\r\n".join(lines) + framing + body
            else:
                exchange.rest = b"\r\n".join(lines) + framing
                exchange.request_body = body
            if endpoint.has_mirror and pin is None and not plain.is_marked:
                self._mirror_copy(endpoint, lines, body)
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
                lines=[*lines, VIA],
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

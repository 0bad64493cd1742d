"""The lane for what nearly every client sends: one whole scoring request, of known length, in one piece."""

import httptools
import structlog

from router.core.errors import InternalError, RouterError
from router.core.headers import PlainRequest, RawHeaders, read_plain_request, single
from router.core.record import RequestRecord
from router.core.requests import authenticate
from router.core.table import DeploymentSpec
from router.proxy.forward import Outgoing
from router.proxy.live import Client, LiveExchange, refuse
from router.proxy.mirror import Mirror
from router.proxy.routes import SCORE_LINE, Leg, Route, Routes
from router.proxy.runtime import Runtime

log = structlog.get_logger()

#: Up to here the full lane, too, reads a body to its end before it asks for an instance.
MAX_BODY_BYTES = 256 * 1024
#: Up to here a body is joined to its head before it is sent.
_JOINED_BYTES = 16 * 1024
_MAX_FIELDS = 200
_HEAD_END = b"\r\n\r\n"


class Understood:
    """A request of which everything is understood; `missing_bytes` of its body are still to come."""

    __slots__ = ("body", "missing_bytes", "plain", "route")

    def __init__(self, route: Route, plain: PlainRequest, body: bytes) -> None:
        self.route = route
        self.plain = plain
        self.body = body
        self.missing_bytes = plain.length - len(body)


class HeadParser:
    """Parses one request at a time; `renew` must follow one that does not end where the next begins."""

    def __init__(self) -> None:
        self._fields: list[tuple[bytes, bytes]] = []
        self._is_complete = False
        self.renew()

    def parse(self, data: bytes) -> tuple[list[tuple[bytes, bytes]], bool] | None:
        """(fields, whether all of the request is there); None for what is malformed."""
        self._fields = []
        self._is_complete = False
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.renew()
            return None
        return self._fields, self._is_complete

    def renew(self) -> None:
        """Forget what was parsed."""
        self._parser = httptools.HttpRequestParser(self)

    def on_header(self, name: bytes, value: bytes | None) -> None:
        self._fields.append((name, value or b""))

    def on_message_complete(self) -> None:
        self._is_complete = True


class FastLane:
    """Decides whether a request is plain, and answers those that are."""

    def __init__(self, runtime: Runtime, mirror: Mirror) -> None:
        self._runtime = runtime
        self._mirror = mirror
        self._routes = Routes(runtime)
        self._parser = HeadParser()

    def understand(self, data: bytes) -> Understood | None:
        """What `data` asks for, if it is nothing but the whole head of a plain request and all or some of its body."""
        line_end = data.find(b"\r\n")
        line = data[:line_end]
        route = self._routes.find(line)
        if route is None and line != SCORE_LINE:
            return None
        head_end = data.find(_HEAD_END, line_end)
        # The parsers differ in what they do with blanks at the end of a line.
        if (
            not 0 < head_end <= self._runtime.limits.max_head_bytes
            or data.find(b" \r\n", line_end, head_end + 2) >= 0
            or data.find(b"\t\r\n", line_end, head_end + 2) >= 0
        ):
            return None
        parsed = self._parser.parse(data)
        if parsed is None:
            return None
        fields, is_complete = parsed
        found = self._sort(route, fields)
        understood = None if found is None else Understood(*found, data[head_end + 4 :])
        if understood is None or not is_complete or understood.plain.closes:
            self._parser.renew()
        if understood is None or understood.missing_bytes < 0 or is_complete != (understood.missing_bytes == 0):
            return None
        return understood

    def _sort(self, route: Route | None, fields: RawHeaders) -> tuple[Route, PlainRequest] | None:
        if len(fields) > _MAX_FIELDS:
            return None
        if route is None:
            route = self._routes.find_by_host(single(fields, b"host") or b"")
            if route is None:
                return None
        plain = read_plain_request(fields, keep_credentials=route.keeps_credentials)
        if plain is None or plain.length > MAX_BODY_BYTES or plain.length > route.spec.max_body_bytes:
            return None
        return route, plain

    def score(self, client: Client, request: Understood) -> LiveExchange | None:
        """Answer a request that is here; the exchange that does it, or None if the answer is written already."""
        runtime = self._runtime
        route, plain = request.route, request.plain
        record = RequestRecord(
            generation=route.generation,
            began=runtime.now(),
            request_id=runtime.request_id(),
            client_request_id=plain.client_request_id.decode(),
            method="POST",
            path=route.path,
            protocol="HTTP/1.1",
            user_agent=plain.user_agent.decode("latin-1"),
            endpoint=route.spec.name,
        )
        try:
            leg = self._choose(route, plain, record)
        except RouterError as error:
            closes = refuse(runtime, client, record, error, closes=plain.closes)
            runtime.record(record)
            client.done(closes=closes)
            return None
        leg.state.enter()
        return self._forward(client, request, leg, record)

    def _choose(self, route: Route, plain: PlainRequest, record: RequestRecord) -> Leg:
        runtime = self._runtime
        endpoint = route.endpoint
        authenticate(endpoint, plain.authorization, runtime.tokens, runtime.wall_now())
        pin = plain.deployment
        spec = endpoint.choose(runtime.u()) if pin is None else endpoint.pinned(pin)
        record.deployment = spec.name
        if pin is not None:
            record.route = "pinned"
        return route.leg(spec)

    def _forward(self, client: Client, request: Understood, leg: Leg, record: RequestRecord) -> LiveExchange | None:
        plain = request.plain
        record.request_bytes = plain.length
        lines = plain.lines
        lines.append(b"X-Request-Id: " + record.request_id.encode())
        if plain.client_request_id:
            lines.append(b"X-Ms-Client-Request-Id: " + plain.client_request_id)
        lines.append(client.forwarded_for + plain.host + b"\r\nX-Forwarded-Proto: http")
        framing = b"Content-Length: %d" % plain.length
        head = b"\r\n".join(lines) + b"\r\n" + framing + _HEAD_END
        body = request.body
        is_joined = plain.length < _JOINED_BYTES
        exchange = LiveExchange(
            self._runtime,
            client,
            leg,
            record,
            rest=head + body if is_joined else head,
            body=b"" if is_joined else body,
            closes=plain.closes,
        )
        try:
            if request.route.endpoint.has_mirror:
                self._mirror_copy(request, record.route, lines, framing)
            exchange.begin()
        except RouterError as error:
            exchange.fail(error)
        except Exception:
            log.exception("request.crashed", request_id=record.request_id)
            exchange.fail(InternalError())
        else:
            return exchange
        return None

    def _mirror_copy(self, request: Understood, route: str, lines: list[bytes], framing: bytes) -> None:
        endpoint = request.route.endpoint
        if route != "live" or request.plain.is_marked:
            return
        target: DeploymentSpec | None = endpoint.mirror(self._runtime.u())
        if target is not None:
            path = target.scoring_path.encode()
            copy = Outgoing(method=b"POST", target=path, lines=lines, body=request.body, framing=framing)
            self._mirror.offer(endpoint, target, copy)

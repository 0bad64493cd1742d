"""What requests of one generation to one scoring target have in common, made when the first of them comes."""

from typing import Any

from router.core.errors import EndpointNotFound
from router.core.record import RequestRecord
from router.core.replies import router_constant
from router.core.table import API_PREFIX, SCORE, DeploymentSpec, Endpoint, RoutingTable
from router.proxy.access_log import line_pieces
from router.proxy.runtime import Runtime

_START, _END = b"POST ", b" HTTP/1.1"
#: Up to here the full lane, too, reads a body to its end before it asks for an instance.
MAX_BODY_BYTES = 256 * 1024
#: More than that are the full lane's.
_MAX_FIELDS = 200
SCORE_LINE = _START + SCORE + _END


class Leg:
    """The way from a scoring target to one deployment, with all that its requests have in common.

    Attributes:
        constant: The router's own fields of every answer.
        log_pieces: Of the access log's line for a live request that was answered with 200.
    """

    __slots__ = (
        "_start",
        "constant",
        "is_idempotent",
        "log_pieces",
        "name",
        "route",
        "starts",
        "state",
        "timeout_s",
    )

    def __init__(self, runtime: Runtime, route: "Route", spec: DeploymentSpec) -> None:
        endpoint = route.spec
        self.name = spec.name
        self.route = route
        self.is_idempotent = endpoint.is_idempotent
        self.timeout_s = spec.request_timeout_s
        self.state = runtime.deployment(endpoint.name, spec)
        self.constant = router_constant(route.generation, spec.name)
        self.log_pieces = line_pieces(self.record(began=0.0, request_id="", status=200, model_status=200))
        self._start = b"POST " + spec.scoring_path.encode() + b" HTTP/1.1\r\nHost: "
        self.starts: dict[str, bytes] = {}

    def start(self, address: str) -> bytes:
        """The head of a request for the instance at `address`, up to and with its `Host`."""
        start = self.starts.get(address)
        if start is None:
            host = b"localhost" if address.startswith("unix:") else address.removeprefix("http://").encode()
            start = self.starts[address] = self._start + host + b"\r\n"
        return start

    def record(self, **fields: Any) -> RequestRecord:
        """A record of a request that went this way."""
        return self.route.record(deployment=self.name, **fields)


class Route:
    """From a scoring target to its endpoint."""

    __slots__ = ("_legs", "_runtime", "endpoint", "generation", "keeps_credentials", "max_body_bytes", "path", "spec")

    def __init__(self, runtime: Runtime, table: RoutingTable, endpoint: Endpoint, path: bytes) -> None:
        self._runtime = runtime
        self._legs: dict[str, Leg] = {}
        self.endpoint = endpoint
        self.spec = endpoint.spec
        self.generation = table.generation
        self.path = path.decode("latin-1")
        self.max_body_bytes = min(endpoint.spec.max_body_bytes, MAX_BODY_BYTES)
        self.keeps_credentials = endpoint.spec.auth_mode == "none"

    def record(self, **fields: Any) -> RequestRecord:
        """A record of a request that came this way."""
        return RequestRecord(
            generation=self.generation,
            method="POST",
            path=self.path,
            protocol="HTTP/1.1",
            endpoint=self.spec.name,
            **fields,
        )

    def leg(self, spec: DeploymentSpec) -> Leg:
        """The way to a deployment of this endpoint."""
        leg = self._legs.get(spec.name)
        if leg is None:
            leg = self._legs[spec.name] = Leg(self._runtime, self, spec)
        return leg


class Routes:
    """Routes by request line, of the table that was followed last; filled as requests come."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._table = runtime.table
        self._by_line: dict[bytes, Route] = {}
        self._take_over_limits()

    def follow(self) -> None:
        """Take over the newest table and its limits."""
        if self._table is not self._runtime.table:
            self._table = self._runtime.table
            self._by_line = {}
            self._take_over_limits()

    def find(self, line: bytes) -> Route | None:
        """The route of a scoring request by its first line; None for every other request."""
        return self._by_line.get(line) or self._find_slowly(line)

    def find_by_host(self, data: bytes) -> Route | None:
        """The route of a request that begins with `SCORE_LINE` where its Host names the endpoint."""
        head = data.partition(b"\r\n\r\n")[0]
        host = next((line[6:] for line in head.split(b"\r\n") if line[:6].lower() == b"host: "), b"")
        try:
            endpoint = self._table.find(SCORE, host).endpoint
        except EndpointNotFound:
            return None
        return self.find(_START + API_PREFIX + endpoint.spec.name.encode() + SCORE + _END)

    def _take_over_limits(self) -> None:
        limits = self._runtime.limits
        self.max_head_bytes = limits.max_head_bytes
        self.max_fields = min(limits.max_head_fields, _MAX_FIELDS)

    def _find_slowly(self, line: bytes) -> Route | None:
        if not (line.startswith(_START) and line.endswith(_END)):
            return None
        path = line[len(_START) : -len(_END)]
        endpoint = self._table.scoring_endpoint(path)
        if endpoint is None or endpoint.spec.bandwidth_bytes_per_s:  # delays are the full lane's
            return None
        route = self._by_line[line] = Route(self._runtime, self._table, endpoint, path)
        return route

"""What requests of one generation to one scoring target have in common, made when the first of them comes."""

from router.core.errors import EndpointNotFound
from router.core.table import API_PREFIX, SCORE, DeploymentSpec, Endpoint, EndpointSpec, RoutingTable
from router.proxy.runtime import Runtime

_START, _END = b"POST ", b" HTTP/1.1"
SCORE_LINE = _START + SCORE + _END


class Leg:
    """The way from an endpoint to one of its deployments."""

    __slots__ = ("_start", "_starts", "is_idempotent", "model_errors", "state", "stats", "timeout_s")

    def __init__(self, runtime: Runtime, endpoint: EndpointSpec, spec: DeploymentSpec) -> None:
        self.is_idempotent = endpoint.is_idempotent
        self.model_errors = endpoint.model_errors
        self.timeout_s = spec.request_timeout_s
        self.state = runtime.deployment(endpoint.name, spec)
        self.stats = runtime.totals.endpoint(endpoint.name).deployment(spec.name)
        self._start = b"POST " + spec.scoring_path.encode() + b" HTTP/1.1\r\nHost: "
        self._starts: dict[str, bytes] = {}

    def start(self, address: str) -> bytes:
        """The head of a request for the instance at `address`, up to and with its `Host`."""
        start = self._starts.get(address)
        if start is None:
            host = b"localhost" if address.startswith("unix:") else address.removeprefix("http://").encode()
            start = self._starts[address] = self._start + host + b"\r\n"
        return start


class Route:
    """From a scoring target to its endpoint."""

    __slots__ = ("_legs", "_runtime", "endpoint", "generation", "keeps_credentials", "path", "spec")

    def __init__(self, runtime: Runtime, table: RoutingTable, endpoint: Endpoint, path: bytes) -> None:
        self._runtime = runtime
        self._legs: dict[str, Leg] = {}
        self.endpoint = endpoint
        self.spec = endpoint.spec
        self.generation = table.generation
        self.path = path.decode("latin-1")
        self.keeps_credentials = endpoint.spec.auth_mode == "none"

    def leg(self, spec: DeploymentSpec) -> Leg:
        """The way to a deployment of this endpoint."""
        leg = self._legs.get(spec.name)
        if leg is None:
            leg = self._legs[spec.name] = Leg(self._runtime, self.spec, spec)
        return leg


class Routes:
    """Routes by request line; made anew for each table, filled as requests come."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._table = runtime.table
        self._by_line: dict[bytes, Route] = {}

    def find(self, line: bytes) -> Route | None:
        """The route of a scoring request by its first line; None for every other request."""
        if self._table is not self._runtime.table:
            self._table = self._runtime.table
            self._by_line = {}
        return self._by_line.get(line) or self._find_slowly(line)

    def find_by_host(self, host: bytes) -> Route | None:
        """The route of `SCORE_LINE` where its Host names the endpoint."""
        try:
            endpoint = self._table.find(SCORE, host).endpoint
        except EndpointNotFound:
            return None
        return self.find(_START + API_PREFIX + endpoint.spec.name.encode() + SCORE + _END)

    def _find_slowly(self, line: bytes) -> Route | None:
        if not (line.startswith(_START) and line.endswith(_END)):
            return None
        path = line[len(_START) : -len(_END)]
        endpoint = self._table.scoring_endpoint(path)
        if endpoint is None or endpoint.spec.bandwidth_bytes_per_s:  # delays are the full lane's
            return None
        route = self._by_line[line] = Route(self._runtime, self._table, endpoint, path)
        return route

"""A plain request whose body is still coming: it has its deployment already, and nothing else waits for it."""

from time import monotonic

from router.core.errors import RouterError
from router.core.pace import Pace
from router.core.plain_reading import PlainRequest
from router.core.record import RequestRecord
from router.proxy.live import CLIENT_GONE, Client, refuse
from router.proxy.routes import Leg
from router.proxy.runtime import Runtime


class Incoming:
    """Counts among the requests of its deployment until it is `taken`, refused, or its client is gone.

    Attributes:
        body: What has come of it.
        missing_bytes: What has not.
        pace: How late that may be.
    """

    __slots__ = ("began", "body", "leg", "missing_bytes", "pace", "plain", "request_id")

    def __init__(self, runtime: Runtime, leg: Leg, plain: PlainRequest) -> None:
        limits = runtime.limits
        self.leg = leg
        self.plain = plain
        self.request_id = runtime.request_id()
        self.began = monotonic()
        self.body = bytearray(plain.body)
        self.missing_bytes = plain.length - plain.received
        self.pace = Pace(limits.body_timeout_s, limits.min_body_bytes_per_s, self.began)
        leg.state.enter()

    def came(self, data: bytes, when: float) -> None:
        """More of the body came, the last of it at `when` (monotonic seconds)."""
        self.body += data
        self.missing_bytes -= len(data)
        self.pace.came(len(data), when)

    def refuse(self, runtime: Runtime, client: Client, error: RouterError) -> None:
        """Answer before the rest of the body comes; the connection has to end."""
        record = self._record()
        refuse(runtime, client, record, error, closes=True)
        self._leave(runtime, record)

    def client_gone(self, runtime: Runtime) -> None:
        """The rest of the body does not come."""
        record = self._record()
        record.status = CLIENT_GONE
        record.reason = "client_gone"
        self._leave(runtime, record)

    def _record(self) -> RequestRecord:
        plain = self.plain
        return self.leg.record(
            began=self.began,
            request_id=self.request_id.decode(),
            client_request_id=plain.client_request_id.decode(),
            user_agent=plain.user_agent.decode("latin-1"),
            route="live" if plain.deployment is None else "pinned",
        )

    def _leave(self, runtime: Runtime, record: RequestRecord) -> None:
        self.leg.state.leave()
        runtime.record(record)

"""Where clients come in: as many as there is room for."""

import asyncio
import resource
import socket
import ssl
from collections.abc import Mapping
from typing import NamedTuple, cast

import structlog

from router.core.admission import ConnectionRefusal, affordable_connections, client_of
from router.core.errors import NoDescriptors, RouterError, TooManyConnections, TooManyConnectionsOfAddress
from router.core.stats import count
from router.core.wire import Encrypt, share
from router.proxy.clients import Clients
from router.proxy.fast_connection import FastConnection
from router.proxy.listener import Accepted
from router.proxy.refused import RefusedConnection, answer_and_close, refuse_unread
from router.proxy.runtime import Runtime
from router.proxy.server import ClientConnection
from router.tls import TlsError, server_context

log = structlog.get_logger()

#: Refused clients that are waited for; each takes a descriptor. Others are closed at once.
_MAX_WAITED_FOR = 32
_LOG_EVERY_S = 10.0

_Connecting = asyncio.Task[tuple[asyncio.Transport, asyncio.Protocol]]


class _Arrival(NamedTuple):
    """An accepted socket whose connection is being made, since `began` (monotonic seconds)."""

    connection: socket.socket
    protocol: FastConnection | ClientConnection | RefusedConnection
    began: float


class Entrance:
    """Makes connections of accepted sockets, or refuses them."""

    def __init__(self, runtime: Runtime, clients: Clients) -> None:
        self._runtime = runtime
        self._clients = clients
        self._is_encrypted = False
        self._context: ssl.SSLContext | None = None
        self._affordable = affordable_connections(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        self._arriving: dict[_Connecting, _Arrival] = {}
        self._refused: set[RefusedConnection] = set()
        self._logged: Mapping[str, int] = {}
        self._log_due = 0.0

    def __repr__(self) -> str:
        return f"Entrance({len(self._arriving)} arriving, {len(self._refused)} refused)"

    @property
    def max_connections(self) -> int:
        """Clients that this process may have: the limit for all of them, or what it has descriptors for."""
        return min(self._runtime.limits.max_connections, self._affordable)

    @property
    def share_of_connections(self) -> int:
        """The same, divided among the processes: the sum of their shares is what all of them may have together."""
        most, ledger = self._runtime.limits.max_connections, self._runtime.ledger
        return min(most if ledger is None else share(most, ledger.slot, ledger.slots), self._affordable)

    def encrypt(self, message: Encrypt) -> None:
        """Meet clients like this from now on; what is open stays as it is."""
        try:
            context = server_context(message.certificate, message.key) if message.certificate else None
        except TlsError as error:
            log.error("tls.not_usable", error=str(error))  # the control process has tried it, so this is a riddle
            return
        self._is_encrypted, self._context = message.is_on, context

    # Door

    def take(self, accepted: Accepted) -> None:
        """Let a client in if there is room for it."""
        connection, address = accepted
        client = self._client(address[0]) if isinstance(address, tuple) else ""
        reason = self._refusal_of(client)
        if reason is None:
            self._connect(_Arrival(connection, self._clients.expect(client), self._runtime.now()), self._context)
        else:
            self._refuse(connection, reason)

    def refuse_exhausted(self, connection: socket.socket) -> None:
        """Close a connection that holds the last descriptor."""
        self._count("no_descriptors")
        self._close(connection, NoDescriptors())

    # What has a time limit

    def sweep(self) -> None:
        """Tell the log of those that were refused, now and then."""
        now = self._runtime.now()
        refused = self._runtime.totals.process.connections_refused
        if now >= self._log_due and refused != self._logged:
            new = {reason: number - self._logged.get(reason, 0) for reason, number in refused.items()}
            log.warning("connections.refused", open=self._clients.open_now, limit=self.max_connections, **new)
            self._logged = dict(refused)
            self._log_due = now + _LOG_EVERY_S

    def close_idle(self, idle_s: float) -> None:
        """Cut those that have not come in for `idle_s` seconds."""
        earlier = self._runtime.now() - idle_s
        for task, arrival in self._arriving.items():
            if arrival.began <= earlier:
                task.cancel()

    async def close(self) -> None:
        """Cut those that are not in yet, and those that are refused."""
        tasks = list(self._arriving)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for refused in list(self._refused):
            refused.abort()

    def _refusal_of(self, client: str) -> ConnectionRefusal | None:
        """Why a client may not come in; None if it is counted in."""
        if self._is_encrypted and self._context is None:
            return "no_certificate"
        limits = self._runtime.limits
        return self._clients.admission.admit(
            client,
            most=limits.max_connections,
            most_here=self._affordable,
            most_of_one=limits.max_connections_per_address,
        )

    def _client(self, host: str) -> str:
        """Whom a connection counts for; all the clients of a trusted proxy have its address, so it has no limit."""
        return "" if self._runtime.trusted_proxies.trust(host) else client_of(host)

    def _connect(self, arrival: _Arrival, context: ssl.SSLContext | None = None) -> None:
        arrival.connection.setblocking(False)
        loop = asyncio.get_running_loop()
        protocol = cast(asyncio.Protocol, arrival.protocol)  # in all but its base: a compiled class has none
        times = self._handshake_times() if context is not None else {}
        making = loop.connect_accepted_socket(lambda: protocol, arrival.connection, ssl=context, **times)
        task = loop.create_task(making, name="connect")
        self._arriving[task] = arrival
        task.add_done_callback(self._arrived)

    def _handshake_times(self) -> dict[str, float]:
        limits = self._runtime.limits
        # The time for the last handshake is also that for what was not sent yet of an answer.
        return {"ssl_handshake_timeout": limits.head_timeout_s, "ssl_shutdown_timeout": limits.answer_timeout_s}

    def _arrived(self, task: _Connecting) -> None:
        connection, protocol, _ = self._arriving.pop(task)
        failure = None if task.cancelled() else task.exception()
        if isinstance(protocol, RefusedConnection):
            if not protocol.is_made:
                self._refused.discard(protocol)
        elif self._clients.forget(protocol) and not task.cancelled():
            self._count("handshake")
            log.debug("connection.not_made", error=str(failure))
        if task.cancelled() or failure is not None:
            connection.close()
        if failure is not None and not isinstance(failure, OSError):
            log.error("connection.not_made", error=str(failure), exc_info=failure)

    def _refuse(self, connection: socket.socket, reason: ConnectionRefusal) -> None:
        self._count(reason)
        is_of_address = reason == TooManyConnectionsOfAddress.code
        error: RouterError = TooManyConnectionsOfAddress() if is_of_address else TooManyConnections()
        if self._is_encrypted or len(self._refused) >= _MAX_WAITED_FOR:
            self._close(connection, error)
            return
        refused = RefusedConnection(lambda begun: self._refusal(error, begun), self._refused.discard)
        self._refused.add(refused)
        self._connect(_Arrival(connection, refused, self._runtime.now()))

    def _close(self, connection: socket.socket, error: RouterError) -> None:
        """Refuse a client without waiting for it."""
        if self._is_encrypted:
            connection.close()  # an answer would take a handshake
        else:
            answer_and_close(connection, lambda begun: self._refusal(error, begun))

    def _count(self, reason: ConnectionRefusal) -> None:
        count(self._runtime.totals.process.connections_refused, reason)

    def _refusal(self, error: RouterError, begun: bytes) -> bytes:
        """The answer to a refused client, which has sent `begun`; it is logged, and counted as no request."""
        answer, record = refuse_unread(self._runtime, error, begun)
        self._runtime.access_log.write(record, record.began)
        return answer

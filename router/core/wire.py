"""The messages between the control process and a proxy, and their framing: 4 bytes of length, then msgpack."""

from collections.abc import Iterator

import msgspec

from router.core.stats import Totals
from router.core.table import TableSpec

_LENGTH_BYTES = 4
_MAX_FRAME_BYTES = 256 * 2**20


class ProxyLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a client may take up; seconds and bytes. Applied to connections made after it arrives.

    Attributes:
        trusted_proxies: Addresses and networks of clients whose word on their own clients is passed on.
    """

    max_connections: int = 20_000
    max_connections_per_address: int = 10_000
    max_requests_per_connection: int | None = None
    max_head_bytes: int = 32 * 1024
    max_head_fields: int = 256
    head_timeout_s: float = 10.0
    body_timeout_s: float = 30.0
    min_body_bytes_per_s: float = 1024.0
    answer_timeout_s: float = 60.0
    upgrade_idle_timeout_s: float = 300.0
    keepalive_timeout_s: float = 75.0
    drain_timeout_s: float = 30.0
    access_log: bool = True
    trusted_proxies: tuple[str, ...] = ()


def share(total: int, slot: int, slots: int) -> int:
    """The part of `total` that is the slot's; the parts of all slots add up to it."""
    return total // slots + (slot < total % slots)


class Apply(msgspec.Struct, frozen=True, tag=True):
    """Swap this table in."""

    table: TableSpec
    limits: ProxyLimits = ProxyLimits()


class Encrypt(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """How clients are met from their next connection on: in plain text, or by TLS with this pair, both PEM.

    Attributes:
        certificate: Empty while there is none to serve with: clients are refused.
    """

    is_on: bool
    certificate: bytes = b""
    key: bytes = b""

    def __repr__(self) -> str:
        return f"Encrypt(is_on={self.is_on}, {len(self.certificate)} bytes of certificate)"  # never the key


class Cover(msgspec.Struct, frozen=True, tag=True):
    """Accept on these inherited sockets of other slots too, and on no others: no process there accepts now."""

    fds: tuple[int, ...]


class Drain(msgspec.Struct, frozen=True, tag=True):
    """Stop accepting, finish what is in flight, exit; `hurry` cuts what is in flight."""

    hurry: bool = False


class Applied(msgspec.Struct, frozen=True, tag=True):
    """Every request from now on is routed by this generation."""

    generation: int


class Stats(msgspec.Struct, frozen=True, tag=True):
    """Cumulative counters, and what still needs each instance.

    Attributes:
        generation: The newest table applied.
        busy: Requests by instance address, of listed instances and of draining ones until they are idle.
        ejected: Addresses that are out of the choice after failures.
        kept_rows: Rows of the ledger that are still used though that table does not name them.
    """

    generation: int
    totals: Totals
    busy: dict[str, int]
    ejected: tuple[str, ...] = ()
    kept_rows: tuple[int, ...] = ()


Down = Apply | Encrypt | Cover | Drain
Up = Applied | Stats

_encoder = msgspec.msgpack.Encoder()
_down: msgspec.msgpack.Decoder[Down] = msgspec.msgpack.Decoder(Down)
_up: msgspec.msgpack.Decoder[Up] = msgspec.msgpack.Decoder(Up)


def frame(message: Down | Up) -> bytes:
    """A message as it goes over the socket."""
    payload = _encoder.encode(message)
    return len(payload).to_bytes(_LENGTH_BYTES, "big") + payload


class FrameReader:
    """Cuts a stream of bytes into payloads."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, received: bytes) -> Iterator[bytes]:
        """Payloads that are complete now.

        Raises:
            ValueError: a length that no message has; the stream is out of step.
        """
        self._buffer += received
        while len(self._buffer) >= _LENGTH_BYTES:
            length = int.from_bytes(self._buffer[:_LENGTH_BYTES], "big")
            if length > _MAX_FRAME_BYTES:
                raise ValueError(f"frame of {length} bytes, at most {_MAX_FRAME_BYTES}")
            end = _LENGTH_BYTES + length
            if len(self._buffer) < end:
                return
            payload = bytes(self._buffer[_LENGTH_BYTES:end])
            del self._buffer[:end]
            yield payload


def decode_down(payload: bytes) -> Down:
    """A message from the control process."""
    return _down.decode(payload)


def decode_up(payload: bytes) -> Up:
    """A message from a proxy."""
    return _up.decode(payload)

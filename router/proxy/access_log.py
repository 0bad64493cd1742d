"""One line per scoring request, in batches and without ever waiting for whoever reads them."""

import time
from typing import Literal

import msgspec

from router.core.record import RequestRecord
from router.line_writer import LineWriter

_USER_AGENT_CHARACTERS = 70
_NO_MODEL_ERROR = frozenset((0, 200))  # 0: the model gave no status


class AccessLog:
    """Azure's access log in snake_case, as JSON lines, or as short lines for a person at a terminal."""

    def __init__(self, writer: LineWriter, style: Literal["json", "console"]) -> None:
        self.is_on = True
        self._writer = writer
        self._format = _JsonLine() if style == "json" else _console_line

    @property
    def dropped(self) -> int:
        """Lines that were not written because nobody read them in time."""
        return self._writer.dropped

    def write(self, record: RequestRecord, now: float) -> None:
        """Log a request that ended at `now` (monotonic seconds)."""
        if self.is_on:
            self._writer.write(self._format(record, now))


class _Line(msgspec.Struct):
    """One line, in the order of its fields."""

    timestamp: str
    method: str
    path: str
    endpoint_name: str
    deployment_name: str
    route: str
    protocol: str
    response_code: int
    response_code_reason: str
    model_status_code: int
    model_status_reason: str
    request_payload_size: int
    response_payload_size: int
    user_agent: str
    x_request_id: str
    x_ms_client_request_id: str
    total_duration_ms: float
    request_duration_ms: float
    response_duration_ms: float
    request_throttling_delay_ms: float
    response_throttling_delay_ms: float
    generation: int
    event: str = "request.done"


class _JsonLine:
    """Makes a line of a record; most lines share their second's timestamp with the one before."""

    def __init__(self) -> None:
        self._encode = msgspec.json.Encoder().encode
        self._second = 0
        self._timestamp = ""

    def __call__(self, record: RequestRecord, now: float) -> bytes:
        sent = record.began if record.sent is None else record.sent
        answered = now if record.answered is None else record.answered
        line = _Line(
            self._now(),
            record.method,
            record.path,
            record.endpoint,
            record.deployment,
            record.route,
            record.protocol,
            record.status,
            record.reason,
            record.model_status,
            "model_error" if record.model_status not in _NO_MODEL_ERROR else "",
            record.request_bytes,
            record.response_bytes,
            record.user_agent[:_USER_AGENT_CHARACTERS],
            record.request_id,
            record.client_request_id,
            _ms(now - record.began),
            _ms(sent - record.began),
            _ms(now - answered),
            _ms(record.request_throttled_s),
            _ms(record.response_throttled_s),
            record.generation,
        )
        return self._encode(line) + b"\n"

    def _now(self) -> str:
        now = time.time()
        second = int(now)
        if second != self._second:
            self._second = second
            self._timestamp = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))
        return f"{self._timestamp}{int((now - second) * 1e6):06d}Z"


def _console_line(record: RequestRecord, now: float) -> bytes:
    where = f"{record.endpoint}/{record.deployment or '-'}" if record.endpoint else "-"
    reason = f" {record.reason}" if record.reason else ""
    clock = time.strftime("%H:%M:%S")
    took_ms = (now - record.began) * 1000
    printable = record.path.encode("unicode_escape").decode()
    return f"{clock} {record.method} {printable} {record.status}{reason} {where} {took_ms:.1f} ms\n".encode()


def _ms(seconds: float) -> float:
    return int(seconds * 1e6) / 1e3 if seconds > 0 else 0.0

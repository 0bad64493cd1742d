"""One line per scoring request, in batches and without ever waiting for whoever reads them."""

import time
from typing import Literal

import orjson

from router.core.record import RequestRecord
from router.line_writer import LineWriter

_USER_AGENT_CHARACTERS = 70


class AccessLog:
    """Azure's access log in snake_case, as JSON lines, or as short lines for a person at a terminal."""

    def __init__(self, writer: LineWriter, style: Literal["json", "console"]) -> None:
        self.is_on = True
        self._writer = writer
        self._format = _json_line if style == "json" else _console_line

    @property
    def dropped(self) -> int:
        """Lines that were not written because nobody read them in time."""
        return self._writer.dropped

    def write(self, record: RequestRecord, now: float) -> None:
        """Log a request that ended at `now` (monotonic seconds)."""
        if self.is_on:
            self._writer.write(self._format(record, now))


def _json_line(record: RequestRecord, now: float) -> bytes:
    sent = record.began if record.sent is None else record.sent
    answered = now if record.answered is None else record.answered
    return orjson.dumps(
        {
            "event": "request.done",
            "timestamp": _timestamp(),
            "method": record.method,
            "path": record.path,
            "endpoint_name": record.endpoint,
            "deployment_name": record.deployment,
            "route": record.route,
            "protocol": record.protocol,
            "response_code": record.status,
            "response_code_reason": record.reason,
            "model_status_code": record.model_status,
            "model_status_reason": "model_error" if record.model_status not in {0, 200} else "",
            "request_payload_size": record.request_bytes,
            "response_payload_size": record.response_bytes,
            "user_agent": record.user_agent[:_USER_AGENT_CHARACTERS],
            "x_request_id": record.request_id,
            "x_ms_client_request_id": record.client_request_id,
            "total_duration_ms": _ms(now - record.began),
            "request_duration_ms": _ms(sent - record.began),
            "response_duration_ms": _ms(max(0.0, now - answered)),
            "request_throttling_delay_ms": _ms(record.request_throttled_s),
            "response_throttling_delay_ms": _ms(record.response_throttled_s),
            "generation": record.generation,
        },
        option=orjson.OPT_APPEND_NEWLINE,
    )


def _console_line(record: RequestRecord, now: float) -> bytes:
    where = f"{record.endpoint}/{record.deployment or '-'}" if record.endpoint else "-"
    reason = f" {record.reason}" if record.reason else ""
    clock = time.strftime("%H:%M:%S")
    took_ms = (now - record.began) * 1000
    printable = record.path.encode("unicode_escape").decode()
    return f"{clock} {record.method} {printable} {record.status}{reason} {where} {took_ms:.1f} ms\n".encode()


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)


def _timestamp() -> str:
    now = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1e6):06d}Z"

"""One line per scoring request, in batches and without ever waiting for whoever reads them."""

import asyncio
import select
import time
from typing import Literal

import msgspec

from router.core.digits import milliseconds, whole
from router.core.record import RequestRecord, quoted_agent
from router.line_writer import LineWriter

#: What a pipe takes whole: a longer line would be torn by those of other processes that write to the same pipe.
LINE_BYTES = select.PIPE_BUF
# Where a line is too long: methods that anybody knows are shorter.
_METHOD_CHARACTERS = 40
# Of one character that is not plain text.
_WIDEST_BYTES = 6
_NO_MODEL_ERROR = frozenset((0, 101, 200))  # 0: the model gave no status
#: Lines are handed to the writer's thread together, at the latest after this time.
_GATHER_S = 0.02
_GATHER_LINES = 32  # less than what the writer sends in one piece

# A zero byte, which JSON never has, stands where lines of one kind differ.
_LINE = (
    '{"timestamp":"\0","method":%(method)s,"path":%(path)s,"endpoint_name":%(endpoint)s,'
    '"deployment_name":%(deployment)s,"route":"%(route)s","protocol":"%(protocol)s","response_code":%(status)d,'
    '"response_code_reason":"%(reason)s","model_status_code":%(model_status)d,"model_status_reason":"%(model_reason)s",'
    '"request_payload_size":\0,"response_payload_size":\0,"user_agent":\0,"x_request_id":"\0",'
    '"x_ms_client_request_id":"\0","total_duration_ms":\0,"request_duration_ms":\0,'
    '"response_duration_ms":\0,"request_throttling_delay_ms":%(request_throttled_ms).3f,'
    '"response_throttling_delay_ms":%(response_throttled_ms).3f,"generation":%(generation)d,"event":"request.done"}\n'
)
_encode = msgspec.json.Encoder().encode


class AccessLog:
    """Azure's access log in snake_case, as JSON lines, or as short lines for a person at a terminal."""

    def __init__(self, writer: LineWriter, style: Literal["json", "console"]) -> None:
        self.is_on = True
        self.is_json = style == "json"
        self.writer = writer
        self._lines: list[bytes] = []
        self._is_armed = False
        self._clock = _Clock()

    @property
    def dropped(self) -> int:
        """Lines that were not written because nobody read them in time."""
        return self.writer.dropped

    def write(self, record: RequestRecord, now: float) -> None:
        """Log a request that ended at `now` (monotonic seconds)."""
        if not self.is_on:
            return
        line = self._line(record, now)
        if len(line) > LINE_BYTES:
            path_bytes = len(_encode(record.path)) - 2 if self.is_json else len(_printable(record.path))
            line = self._line(_shortened(record, path_bytes, len(line) - LINE_BYTES), now)
        self.add(line)

    def _line(self, record: RequestRecord, now: float) -> bytes:
        if not self.is_json:
            return _console_line(record, now)
        sent = record.began if record.sent is None else record.sent
        answered = now if record.answered is None else record.answered
        between = (
            self.time(now),
            whole(record.request_bytes),
            whole(record.response_bytes),
            quoted_agent(record.user_agent),
            record.request_id.encode(),
            record.client_request_id.encode(),
            milliseconds(now - record.began),
            milliseconds(sent - record.began),
            milliseconds(now - answered),
            b"",
        )
        pairs = zip(line_pieces(record), between, strict=True)
        return b"".join(piece for pair in pairs for piece in pair)

    def add(self, line: bytes) -> None:
        """Log a line that is made of `line_pieces`."""
        lines = self._lines
        lines.append(line)
        if not self._is_armed:
            self._is_armed = True
            asyncio.get_running_loop().call_later(_GATHER_S, self._flush_rest)
        if len(lines) >= _GATHER_LINES:
            self.flush()

    def time(self, now: float) -> bytes:
        """The time as a line of JSON has it, at `now` (monotonic seconds)."""
        return self._clock.text(now)

    def flush(self) -> None:
        """Hand over what was gathered."""
        lines, self._lines = self._lines, []
        if lines:
            self.writer.write_lines(lines)

    def _flush_rest(self) -> None:
        self._is_armed = False
        self.flush()


def line_pieces(record: RequestRecord) -> list[bytes]:
    """The line of a request, cut where lines differ among those to one deployment that were answered alike."""
    text = _LINE % {
        "method": _json(record.method),
        "path": _json(record.path),
        "endpoint": _json(record.endpoint),
        "deployment": _json(record.deployment),
        "route": record.route,
        "protocol": record.protocol,
        "status": record.status,
        "reason": record.reason,
        "model_status": record.model_status,
        "model_reason": "model_error" if record.model_status not in _NO_MODEL_ERROR else "",
        "request_throttled_ms": record.request_throttled_s * 1000,
        "response_throttled_ms": record.response_throttled_s * 1000,
        "generation": record.generation,
    }
    return text.encode().split(b"\0")


def _shortened(record: RequestRecord, path_bytes: int, excess: int) -> RequestRecord:
    """The same with a path that takes at least `excess` bytes less in its line, and says how long it was.

    Args:
        path_bytes: That it takes now.
    """
    method, path = record.method[:_METHOD_CHARACTERS], record.path
    mark = f"... ({len(path)} characters)"
    room = path_bytes + len(record.method) - len(method) - excess - len(mark)
    kept = path[: max(0, room) // (1 if path_bytes == len(path) else _WIDEST_BYTES)]
    return msgspec.structs.replace(record, method=method, path=kept + mark)


def _json(text: str) -> str:
    return _encode(text).decode()


class _Clock:
    """Wall time as text, from the monotonic clock; most lines share their millisecond with the one before."""

    def __init__(self) -> None:
        self._millisecond = -1
        self._text = b""
        self._second = b""
        self._second_began = self._second_ends = 0.0

    def text(self, now: float) -> bytes:
        """The time at `now` (monotonic seconds), which is about now."""
        millisecond = int(now * 1000)
        if millisecond != self._millisecond:
            self._millisecond = millisecond
            self._text = self._render(now)
        return self._text

    def _render(self, now: float) -> bytes:
        if not self._second_began <= now < self._second_ends:
            wall = time.time()
            self._second_began = time.monotonic() - wall % 1.0
            self._second_ends = self._second_began + 1.0
            self._second = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(int(wall))).encode()
        fraction_ms = min(999, max(0, int((now - self._second_began) * 1000)))
        return b"%b.%03dZ" % (self._second, fraction_ms)


def _console_line(record: RequestRecord, now: float) -> bytes:
    where = f"{record.endpoint}/{record.deployment or '-'}" if record.endpoint else "-"
    reason = f" {record.reason}" if record.reason else ""
    clock = time.strftime("%H:%M:%S")
    took_ms = (now - record.began) * 1000
    return (
        f"{clock} {record.method} {_printable(record.path)} {record.status}{reason} {where} {took_ms:.1f} ms\n".encode()
    )


def _printable(text: str) -> str:
    return text.encode("unicode_escape").decode()

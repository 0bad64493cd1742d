"""From what run() returned to the answer that goes out."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Iterable, List, NamedTuple, Protocol, Tuple, runtime_checkable

from workers.aml import RUN_FUNCTION_FAILED

try:
    import orjson
except ImportError:
    orjson = None  # type: ignore[assignment,unused-ignore]

RUN_MS = "x-ms-run-fn-exec-ms"
REQUEST_ID = "x-request-id"
CLIENT_REQUEST_ID = "x-ms-client-request-id"
SERVER_VERSION = "x-ms-server-version"
SCRIPT_FAILED = "An unexpected error occurred in scoring script. Check the logs for more info."

JSON_HEAD = f"Content-Type: application/json\r\n{RUN_FUNCTION_FAILED}: False\r\n".encode()
FAILED_HEAD = f"Content-Type: application/json\r\n{RUN_FUNCTION_FAILED}: True\r\n".encode()
TOOK = f"{RUN_MS}: %.3f\r\n".encode()

# The worker itself says how long a body is, whether the connection stays, and whose answer this is.
FRAMING = frozenset(("connection", "content-length", "keep-alive", "trailer", "transfer-encoding", "upgrade"))
RESERVED = FRAMING | {RUN_MS, REQUEST_ID, CLIENT_REQUEST_ID, SERVER_VERSION}
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
HEADER_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")


class Answer(NamedTuple):
    """A response without its framing."""

    status: int
    headers: bytes
    """As they are sent, each with its line end. Ready-made, because most answers have the same ones."""
    body: bytes


@runtime_checkable
class HttpResponse(Protocol):
    """What AMLResponse and the responses of Flask and Werkzeug have in common."""

    status_code: int
    headers: Any

    def get_data(self) -> bytes:
        """Return the body."""
        ...


def encode_result(result: Any, run_ms: float) -> Answer:
    """Return the answer for a run() that returned `result` after `run_ms` milliseconds.

    Raises:
        TypeError, ValueError: the result has no JSON form, or is a response that cannot be sent.
    """
    # hasattr first: asking a Protocol costs microseconds, and most results are no response.
    if hasattr(result, "get_data") and isinstance(result, HttpResponse):
        return _pass_through(result, run_ms)
    return Answer(200, JSON_HEAD + TOOK % run_ms, b"{}" if result is None else encode_json(result))


def refusal(status: int, message: str) -> Answer:
    """Return the answer to a request that run() never saw."""
    return Answer(status, JSON_HEAD, encode_json({"message": message}))


def script_failure() -> Answer:
    """Return the answer for a run() that raised; what it raised stays in the log."""
    return Answer(500, FAILED_HEAD, encode_json({"message": SCRIPT_FAILED}))


def encode_json(value: Any) -> bytes:
    """Encode as JSON, numpy included; what JSON cannot say, NaN and infinities, becomes null."""
    if orjson is not None:
        try:
            return orjson.dumps(value, _as_plain, orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)
        except TypeError:
            # Integers over 64 bits and lone surrogates: only the standard library takes them.
            return _encode_slowly(value)
    return _encode_slowly(value)


def _encode_slowly(value: Any) -> bytes:
    try:
        return json.dumps(value, default=_as_plain, allow_nan=False, separators=(",", ":")).encode()
    except ValueError:
        return json.dumps(_finite(value), default=_as_plain, allow_nan=False, separators=(",", ":")).encode()


def _as_plain(value: Any) -> Any:
    # numpy arrays and scalars, pandas series, torch tensors.
    tolist = getattr(value, "tolist", None)
    if tolist is None:
        raise TypeError(f"run() returned a {type(value).__name__}, which has no JSON form")
    return _finite(tolist())


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value


def _pass_through(response: HttpResponse, run_ms: float) -> Answer:
    status = int(response.status_code)
    if not 200 <= status <= 599:
        raise ValueError(f"run() returned a response with status {status}, expected 200 to 599")
    headers = _checked(response.headers.items())
    if status >= 500:
        headers = [header for header in headers if header[0].lower() != RUN_FUNCTION_FAILED]
        headers.append((RUN_FUNCTION_FAILED, "True"))
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return Answer(status, lines.encode("utf-8", "surrogateescape") + TOOK % run_ms, response.get_data())


def _checked(headers: Iterable[Tuple[str, Any]]) -> List[Tuple[str, str]]:
    checked = [(name, str(value)) for name, value in headers if name.lower() not in RESERVED]
    for name, value in checked:
        if not HEADER_NAME.fullmatch(name) or not HEADER_VALUE.fullmatch(value):
            raise ValueError(f"run() returned a response with the header {name!r}: {value!r}, which cannot be sent")
    return checked

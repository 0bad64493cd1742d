"""The log of a process: structlog and the standard library's logging, as lines on standard output."""

import atexit
import json
import logging
import os
import re
from collections.abc import Mapping, Sequence
from typing import Literal

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from router.line_writer import LineWriter

Format = Literal["auto", "json", "console"]
Level = Literal["debug", "info", "warning", "error"]

REDACTED = "[redacted]"

_STDOUT = 1
_LEVELS: Mapping[Level, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_SECRET_NAME = re.compile(
    r"(^|[_-])(key|token|secret|password|credential|authorization|cookie|digest)s?$", re.IGNORECASE
)
_BEARER = re.compile(r"\b(bearer\s+)[^\s'\",]+", re.IGNORECASE)


def configure(
    log_format: Format,
    level: Level,
    process: str,
    *,
    writer: LineWriter | None = None,
    fd: int = _STDOUT,
    tap: Processor | None = None,
) -> LineWriter:
    """Log to `fd` from now on; replaces what was configured before.

    Args:
        log_format: `auto` is `console` on a terminal and `json` elsewhere.
        process: What every line says it comes from: `control`, `proxy-0`.
        writer: What a former call returned, to change format or level only.
        tap: Sees each event as it will be rendered, without secrets.

    Returns:
        The writer of the lines. It is closed at exit; a process that ends in another way closes it itself.
    """
    if writer is None:
        writer = LineWriter(fd)
        atexit.register(writer.close, 1.0)
    is_console = log_format == "console" or (log_format == "auto" and os.isatty(fd))
    structlog.configure(
        processors=[
            _Stamp(process),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.ExceptionRenderer(),
            _name_traceback,
            redact,
            *([tap] if tap else []),
            _console_renderer(is_coloured=os.isatty(fd)) if is_console else render_json,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=_LineLoggerFactory(writer),
        cache_logger_on_first_use=False,  # loggers made before a reload follow its level
    )
    _route_standard_logging(_LEVELS[level])
    return writer


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Blot out fields that are named like a secret, and credentials inside text. A net, not a licence to log them."""
    return {name: _redacted(name, value) for name, value in event.items()}


def render_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str | bytes:
    """One JSON object; a value that JSON has no word for appears as its `str()`."""
    first = {name: event.pop(name) for name in ("timestamp", "level", "event", "process") if name in event}
    line = {**first, **event}
    try:
        return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:  # lone surrogates, integers over 64 bits
        return json.dumps(line, default=str, skipkeys=True)


def _redacted(name: object, value: object) -> object:
    if isinstance(name, str) and _SECRET_NAME.search(name):
        return REDACTED
    match value:
        case str():
            return _BEARER.sub(rf"\1{REDACTED}", value)
        case Mapping():
            return {key: _redacted(key, item) for key, item in value.items()}
        case Sequence() if not isinstance(value, bytes | bytearray | memoryview):
            return [_redacted(None, item) for item in value]
        case _:
            return value


def _name_traceback(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    if "exception" in event:
        event["traceback"] = event.pop("exception")
    return event


def _console_renderer(*, is_coloured: bool) -> Processor:
    renderer = structlog.dev.ConsoleRenderer(colors=is_coloured, pad_event_to=24)

    def render(logger: WrappedLogger, method: str, event: EventDict) -> str:
        traceback = event.pop("traceback", None)
        line = renderer(logger, method, event)
        return f"{line}\n{traceback}" if traceback else line

    return render


class _Stamp:
    """Adds the name of the process."""

    def __init__(self, process: str) -> None:
        self._process = process

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["process"] = self._process
        return event


class _LineLogger:
    """Where structlog's rendered events end."""

    def __init__(self, writer: LineWriter) -> None:
        self._writer = writer

    def msg(self, line: str | bytes) -> None:
        raw = line.encode(errors="backslashreplace") if isinstance(line, str) else line
        self._writer.write(raw + b"\n")

    debug = info = warning = error = critical = msg


class _LineLoggerFactory:
    def __init__(self, writer: LineWriter) -> None:
        self._logger = _LineLogger(writer)

    def __call__(self, *_names: object) -> _LineLogger:
        return self._logger


class _ForwardHandler(logging.Handler):
    """Hands records of the standard library's logging to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except (TypeError, ValueError):  # a library's arguments do not fit its own format
            message = str(record.msg)
        level = max(level for level in (0, 10, 20, 30, 40, 50) if level <= record.levelno)
        log = structlog.get_logger()
        log.log(level or logging.DEBUG, message, logger=record.name, exc_info=record.exc_info)


def _route_standard_logging(level: int) -> None:
    logging.basicConfig(handlers=[_ForwardHandler()], level=level, force=True)
    # It reports every event in the config's folder, the growth of a log file there included: a loop.
    logging.getLogger("watchfiles").setLevel(logging.WARNING)
    logging.captureWarnings(True)

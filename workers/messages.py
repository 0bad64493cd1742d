"""The worker's own lines on stderr, next to whatever the script prints."""

from __future__ import annotations

import contextlib
import logging
import sys
import traceback


def say(text: str) -> None:
    """Print one line; a log that cannot be written never stops the scoring."""
    _write(f"teal worker: {one_line(text)}\n")


def show_traceback(error: BaseException) -> None:
    """Print the traceback of an exception of the script in one write, without the worker's own first frame."""
    frames = error.__traceback__
    shown = frames.tb_next if frames and frames.tb_next else frames
    _write("".join(traceback.format_exception(type(error), error, shown)))


def one_line(text: str, limit: int = 500) -> str:
    """Return `text` with all white space runs, line ends included, made single spaces."""
    return " ".join(text.split())[:limit]


def describe(error: BaseException) -> str:
    """Name an exception in one line: `ValueError: bad model`."""
    return one_line(f"{type(error).__name__}: {error}").rstrip(": ")


def http_logger() -> logging.Logger:
    """Return the logger for aiohttp: one line per event, whatever logging the script configures."""
    logger = logging.getLogger("teal.worker.http")
    logger.propagate = False
    logger.handlers = [_OneLine()]
    return logger


class _OneLine(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        say(f"{record.getMessage()}: {describe(error)}" if error else record.getMessage())


def _write(text: str) -> None:
    # ValueError: the script closed sys.stderr.
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(text)

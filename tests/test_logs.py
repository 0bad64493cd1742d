"""What a process logs arrives as lines that people or programs can read, without secrets."""

import asyncio
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
import structlog

from router.line_writer import LineWriter
from router.logs import configure, redact, render_json

Read = Callable[[], str]


@pytest.fixture
def log() -> Iterator[tuple[int, Read]]:
    """The descriptor to log to, and a function that closes it and returns all that was logged."""
    reader, writer = os.pipe()
    open_fds = {reader, writer}

    def read() -> str:
        os.close(writer)
        open_fds.discard(writer)
        with os.fdopen(reader, closefd=False) as lines:
            return lines.read()

    yield writer, read
    structlog.reset_defaults()
    logging.basicConfig(handlers=[], level=logging.WARNING, force=True)
    logging.captureWarnings(False)
    for fd in open_fds:
        os.close(fd)


def only_line(writer: LineWriter, read: Read) -> dict[str, object]:
    writer.close(timeout_s=5)
    line: dict[str, object] = json.loads(read())
    return line


def test_json_line_has_its_fields(log: tuple[int, Read]) -> None:
    """An event is one JSON object: when (UTC), how bad, what, from where, and its own fields."""
    writer = configure("json", "info", "control", fd=log[0])
    structlog.get_logger().info("config.applied", generation=7)
    line = only_line(writer, log[1])
    assert str(line.pop("timestamp")).endswith("Z")
    assert line == {"level": "info", "event": "config.applied", "process": "control", "generation": 7}


def test_time_level_and_event_come_first(log: tuple[int, Read]) -> None:
    """A person who reads JSON lines finds the event at the same place in each."""
    writer = configure("json", "info", "control", fd=log[0])
    structlog.get_logger().info("config.applied", a=1)
    assert list(only_line(writer, log[1])) == ["timestamp", "level", "event", "process", "a"]


def test_auto_is_json_without_a_terminal(log: tuple[int, Read]) -> None:
    """Under systemd or in a pipe, `auto` writes JSON."""
    writer = configure("auto", "info", "control", fd=log[0])
    structlog.get_logger().info("daemon.started")
    assert only_line(writer, log[1])["event"] == "daemon.started"


def test_level_filters(log: tuple[int, Read]) -> None:
    """Events below the level are not written."""
    writer = configure("json", "warning", "control", fd=log[0])
    structlog.get_logger().info("worker.started")
    structlog.get_logger().warning("worker.exited")
    assert only_line(writer, log[1])["event"] == "worker.exited"


def test_level_can_be_changed_later(log: tuple[int, Read]) -> None:
    """A reload changes the level of loggers that exist, without a second writer."""
    writer = configure("json", "error", "control", fd=log[0])
    existing = structlog.get_logger()
    assert configure("json", "debug", "control", writer=writer, fd=log[0]) is writer
    existing.debug("table.built")
    assert only_line(writer, log[1])["level"] == "debug"


def test_exception_is_a_traceback_field(log: tuple[int, Read]) -> None:
    """A logged exception stays in its line."""
    writer = configure("json", "info", "control", fd=log[0])
    try:
        raise ValueError("no such thing")
    except ValueError:
        structlog.get_logger().exception("config.refused")
    line = only_line(writer, log[1])
    assert str(line["traceback"]).endswith("ValueError: no such thing")
    assert line["level"] == "error"


def test_standard_logging_takes_the_same_way(log: tuple[int, Read]) -> None:
    """Records of asyncio and aiohttp become the same kind of line, under the name of their logger."""
    writer = configure("json", "info", "proxy-0", fd=log[0])
    logging.getLogger("asyncio").warning("Executing %s took %.1f seconds", "x", 0.2)
    line = only_line(writer, log[1])
    assert line["event"] == "Executing x took 0.2 seconds"
    assert (line["logger"], line["level"], line["process"]) == ("asyncio", "warning", "proxy-0")


def test_record_that_does_not_fit_its_format_is_logged_raw(log: tuple[int, Read]) -> None:
    """A library's broken logging call does not raise into our code."""
    writer = configure("json", "info", "control", fd=log[0])
    logging.getLogger("aiohttp").log(35, "%d items", "three")
    line = only_line(writer, log[1])
    assert (line["event"], line["level"]) == ("%d items", "warning")


async def test_exception_of_a_callback_is_logged(log: tuple[int, Read]) -> None:
    """What asyncio reports of a failed callback carries its traceback."""
    writer = configure("json", "info", "control", fd=log[0])
    asyncio.get_running_loop().call_exception_handler({"message": "callback failed", "exception": OSError("gone")})
    line = only_line(writer, log[1])
    assert str(line["event"]).startswith("callback failed")
    assert str(line["traceback"]).endswith("OSError: gone")


@pytest.mark.parametrize(
    "field", ["key", "primary_key", "token", "access-token", "Authorization", "token_secret", "key_digests", "cookies"]
)
def test_secret_fields_are_redacted(log: tuple[int, Read], field: str) -> None:
    """A field that is named like a secret is blotted out, whatever it holds."""
    writer = configure("json", "info", "control", fd=log[0])
    structlog.get_logger().info("key.made", **{field: "s3cr3t"})
    assert only_line(writer, log[1])[field] == "[redacted]"


def test_secrets_inside_values_are_redacted(log: tuple[int, Read]) -> None:
    """Nested fields and bearer credentials within text are blotted out too."""
    writer = configure("json", "info", "control", fd=log[0])
    structlog.get_logger().info("request.bad", headers=[{"authorization": "s3"}], text="got Bearer s3cr3t, refused")
    line = only_line(writer, log[1])
    assert line["headers"] == [{"authorization": "[redacted]"}]
    assert line["text"] == "got Bearer [redacted], refused"


def test_names_that_only_contain_a_secret_word_stay() -> None:
    """`token_file` is a path, `keyboard` is no key."""
    assert redact(None, "info", {"token_file": "/run/t", "keyboard": "us"}) == {
        "token_file": "/run/t",
        "keyboard": "us",
    }


@pytest.mark.parametrize(
    ("value", "expected"), [(2**70, 2**70), ("\ud800", "\ud800"), ({1, 2}, "{1, 2}"), (float("nan"), None)]
)
def test_odd_values_are_still_json(value: object, expected: object) -> None:
    """No value of a field can break a log line."""
    assert json.loads(render_json(None, "info", {"event": "e", "value": value}))["value"] == expected


def test_console_is_readable(log: tuple[int, Read]) -> None:
    """For people: the event and its fields in one line, without colour codes off a terminal."""
    writer = configure("console", "info", "control", fd=log[0])
    structlog.get_logger().warning("worker.exited", pid=4711)
    writer.close(timeout_s=5)
    line = log[1]()
    assert "[warning  ] worker.exited" in line
    assert line.endswith("pid=4711 process=control\n")


def test_console_puts_the_traceback_below(log: tuple[int, Read]) -> None:
    """For people: a traceback is text over several lines."""
    writer = configure("console", "info", "control", fd=log[0])
    try:
        raise ValueError("no such thing")
    except ValueError:
        structlog.get_logger().exception("config.refused")
    writer.close(timeout_s=5)
    assert log[1]().endswith("\nValueError: no such thing\n")


def test_process_ends_with_its_last_line_written() -> None:
    """Lines logged just before the exit are not lost."""
    code = (
        "import structlog; from router.logs import configure; configure('json', 'info', 'control'); "
        "structlog.get_logger().info('daemon.stopped')"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(result.stdout)["event"] == "daemon.stopped"


def test_process_survives_a_closed_standard_output() -> None:
    """Nobody to read the log is no reason to fail."""
    code = (
        "import structlog; from router.logs import configure; configure('json', 'info', 'control'); "
        "[structlog.get_logger().info('daemon.started') for _ in range(100)]"
    )
    reader, writer = os.pipe()
    os.close(reader)
    result = subprocess.run(
        [sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE, text=True, check=False, timeout=60
    )
    os.close(writer)
    assert (result.returncode, result.stderr) == (0, "")

"""The last log events of the control process, kept for those who ask and those who watch."""

import threading
from collections import deque
from collections.abc import Mapping
from itertools import islice

import msgspec
from structlog.typing import EventDict, WrappedLogger

#: The log itself goes on for ever elsewhere; this is what happened lately.
KEPT = 1000
_MAX_TEXT = 300

Event = Mapping[str, object]


class EventLog:
    """A structlog processor that remembers what passes; events may come from any thread."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._events: deque[Event] = deque(maxlen=KEPT)
        self._count = 0

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        with self._mutex:
            self._events.append(dict(event))
            self._count += 1
        return event

    def last(self, number: int) -> list[Event]:
        """The last events, oldest first."""
        return self.after(self._count - number)[0]

    def after(self, seen: int) -> tuple[list[Event], int]:
        """What has come after the first `seen` events, as far as it is kept, and how many there have been now."""
        with self._mutex:
            new = max(0, min(self._count - seen, len(self._events)))
            return list(islice(self._events, len(self._events) - new, None)), self._count


class EventView(msgspec.Struct, frozen=True, kw_only=True):
    """One event for people; `at` is ISO 8601, UTC, `text` its fields as `name=value`."""

    at: str
    level: str
    event: str
    text: str


def view(event: Event) -> EventView:
    """The event in one line, however much it carries."""
    said = {"timestamp", "level", "event", "process", "traceback"}
    text = " ".join(f"{name}={value}" for name, value in event.items() if name not in said and value is not None)
    return EventView(
        at=str(event.get("timestamp", "")),
        level=str(event.get("level", "")),
        event=str(event.get("event", "")),
        text=text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]} ...",
    )

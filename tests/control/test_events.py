"""What the daemon remembers of its own log."""

import asyncio

import structlog

from router.control.events import KEPT, EventLog

LOGGER = structlog.get_logger()


def tell(events: EventLog, *names: str) -> None:
    for name in names:
        events(LOGGER, "info", {"event": name})


def test_the_last_events_are_kept_in_order() -> None:
    """As many as are asked for, oldest first."""
    events = EventLog()
    tell(events, "one", "two", "three")
    assert [event["event"] for event in events.last(2)] == ["two", "three"]


def test_no_more_is_kept_than_fits() -> None:
    """A daemon that runs for a year remembers no more than one that runs for a day."""
    events = EventLog()
    tell(events, *map(str, range(KEPT + 5)))
    kept = events.last(10 * KEPT)
    assert (len(kept), kept[0]["event"]) == (KEPT, "5")


def test_the_event_goes_on_as_it_is() -> None:
    """Remembering changes nothing of what is logged, and what is done to it later changes no memory."""
    events = EventLog()
    event = {"event": "one"}
    assert events(LOGGER, "info", event) is event
    event.pop("event")
    assert events.last(1) == [{"event": "one"}]


async def test_a_watcher_gets_each_new_event_once() -> None:
    """Also those that another thread tells of."""
    events = EventLog()
    tell(events, "one", "two")
    _, seen = events.after(0)
    await asyncio.to_thread(tell, events, "three")
    news, seen = events.after(seen)
    assert ([event["event"] for event in news], events.after(seen)[0]) == (["three"], [])

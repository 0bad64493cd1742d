"""What a process measures of itself."""

import asyncio
import gc
from collections.abc import Iterator

import pytest

from router.core.stats import Vitals
from router.vitals import VitalSigns


@pytest.fixture(autouse=True)
def _without_collections() -> Iterator[None]:
    """The collector runs only when it is told to."""
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def signs() -> Iterator[VitalSigns]:
    """Those of this process."""
    signs = VitalSigns()
    yield signs
    signs.close()


def test_every_collection_counts(signs: VitalSigns) -> None:
    """Its pause is added to the sum at once, and is the longest as of the next tick."""
    gc.collect()
    first_s = signs.vitals.gc_pause_sum_s
    gc.collect()
    signs.tick(0.0)
    vitals = signs.vitals
    assert vitals.gc_pauses == 2
    assert 0.0 < first_s < vitals.gc_pause_sum_s
    assert vitals.gc_pause_max_s == pytest.approx(max(first_s, vitals.gc_pause_sum_s - first_s))


def test_without_collections_there_is_no_pause(signs: VitalSigns) -> None:
    """What does not run stops nobody."""
    signs.tick(0.0)
    assert signs.vitals == Vitals()


def test_the_lag_is_the_last_and_the_longest(signs: VitalSigns) -> None:
    """Two numbers: one for now, one that a scrape does not miss."""
    signs.tick(0.3)
    signs.tick(0.1)
    assert (signs.vitals.loop_lag_s, signs.vitals.loop_lag_max_s) == (0.1, 0.3)


def test_after_the_end_nothing_is_measured() -> None:
    """The collector does not call it any more."""
    signs = VitalSigns()
    signs.close()
    gc.collect()
    assert signs.vitals.gc_pauses == 0


def test_vitals_of_another_are_kept_up_to_date() -> None:
    """A proxy's are part of what it reports."""
    vitals = Vitals()
    signs = VitalSigns(vitals)
    signs.tick(0.2)
    signs.close()
    assert vitals.loop_lag_s == 0.2


async def test_a_loop_that_is_held_up_is_noticed(signs: VitalSigns) -> None:
    """Who holds up the loop makes the next measurement late by that."""
    ticked = asyncio.Event()
    watching = asyncio.create_task(signs.watch(0.01, ticked.set), name="watch")
    await ticked.wait()
    loop = asyncio.get_running_loop()
    until = loop.time() + 0.1
    while loop.time() < until:
        pass
    ticked.clear()
    await ticked.wait()
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert 0.05 < signs.vitals.loop_lag_s <= signs.vitals.loop_lag_max_s

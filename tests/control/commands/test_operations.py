"""Operations end once, tell what they do, and outlive the daemon."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from router.control.api.messages import Operation
from router.control.commands.operations import KEPT, MAX_PROGRESS, Operations
from router.control.refusal import NotFound
from router.control.state import State, StateError


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    state = State.open(tmp_path)
    yield state
    state.close()


@pytest.fixture
def operations(state: State) -> Operations:
    return Operations(state)


async def after_restart(state: State) -> Operations:
    """What another daemon knows of the operations."""
    operations = Operations(state)
    await operations.load()
    return operations


def texts(operation: Operation) -> list[str]:
    return [line.text for line in operation.progress]


async def test_an_operation_begins_under_way(operations: Operations) -> None:
    """With what it is about, and nothing that it could not know."""
    name = operations.begin("online-deployment create", "churn", "green")
    operation = operations.get(name)
    assert operation == Operation(
        id=name,
        command="online-deployment create",
        endpoint="churn",
        deployment="green",
        status="InProgress",
        started=operation.started,
    )
    assert operations.all() == [operation]


async def test_an_operation_that_is_not_known_is_told(operations: Operations) -> None:
    """With why it may not be known any more."""
    with pytest.raises(NotFound, match="there is no operation 4711; the last 200 are kept"):
        operations.get("4711")


async def test_an_operation_ends_once(operations: Operations) -> None:
    """What became of it first stays."""
    name = operations.begin("online-endpoint update", "churn")
    await operations.end(name, "Failed", reason="init() raised", log_tail=("ValueError",))
    await operations.end(name, "Succeeded")
    operation = operations.get(name)
    assert (operation.status, operation.reason, operation.log_tail) == ("Failed", "init() raised", ("ValueError",))
    assert operation.ended is not None


async def test_an_applied_operation_knows_its_generation(operations: Operations) -> None:
    """And is under way until its effect is there."""
    name = operations.begin("online-endpoint update", "churn")
    await operations.applied(name, 7, ("instance_type: has no effect",))
    operation = operations.get(name)
    assert (operation.status, operation.generation) == ("InProgress", 7)
    assert operation.warnings == ("instance_type: has no effect",)


async def test_progress_is_told_in_order(operations: Operations) -> None:
    """A line that repeats the last is one."""
    name = operations.begin("online-deployment create", "churn", "green")
    operations.tell(name, "starting")
    operations.tell(name, "starting")
    operations.tell(name, "ready")
    operations.tell(name, "starting")
    assert texts(operations.get(name)) == ["starting", "ready", "starting"]


async def test_progress_is_bounded(operations: Operations) -> None:
    """A build that prints without end fills no memory."""
    name = operations.begin("online-deployment create", "churn", "green")
    for number in range(MAX_PROGRESS + 5):
        operations.tell(name, str(number))
    assert texts(operations.get(name))[-1] == str(MAX_PROGRESS - 1)


async def test_nothing_is_told_after_the_end(operations: Operations) -> None:
    """Whoever still follows it comes too late."""
    name = operations.begin("online-deployment create", "churn", "green")
    await operations.end(name, "Canceled")
    operations.tell(name, "ready")
    assert texts(operations.get(name)) == []


# Waiting


async def test_waiting_ends_with_the_operation(operations: Operations) -> None:
    """However long it might have waited."""
    name = operations.begin("online-endpoint update", "churn")
    waiting = asyncio.create_task(operations.wait(name, progress=0, timeout_s=60))
    await asyncio.sleep(0)
    await operations.end(name, "Succeeded")
    assert (await waiting).status == "Succeeded"


async def test_waiting_ends_with_more_progress(operations: Operations) -> None:
    """Than the one who waits knows already."""
    name = operations.begin("online-endpoint update", "churn")
    operations.tell(name, "one")
    waiting = asyncio.create_task(operations.wait(name, progress=1, timeout_s=60))
    await asyncio.sleep(0)
    operations.tell(name, "two")
    assert texts(await waiting) == ["one", "two"]


async def test_waiting_goes_on_over_news_of_others(operations: Operations) -> None:
    """Only its own operation ends it."""
    name = operations.begin("online-endpoint update", "churn")
    other = operations.begin("online-endpoint update", "fraud")
    waiting = asyncio.create_task(operations.wait(name, progress=0, timeout_s=60))
    await asyncio.sleep(0)
    await operations.end(other, "Succeeded")
    assert not waiting.done()
    operations.tell(name, "one")
    assert texts(await waiting) == ["one"]


async def test_waiting_has_a_limit(operations: Operations) -> None:
    """Then the operation is as it is."""
    name = operations.begin("online-endpoint update", "churn")
    assert (await operations.wait(name, progress=0, timeout_s=0.01)).status == "InProgress"
    assert (await operations.wait(name, progress=0, timeout_s=0)).status == "InProgress"


async def test_waiting_for_what_has_ended_does_not_wait(operations: Operations) -> None:
    """It will not change any more."""
    name = operations.begin("online-endpoint update", "churn")
    await operations.end(name, "Succeeded")
    assert (await operations.wait(name, progress=9, timeout_s=60)).status == "Succeeded"


async def test_waiting_for_what_came_to_nothing_is_told(operations: Operations) -> None:
    """At once: nobody would ever end it."""
    name = operations.begin("online-endpoint update", "churn")
    waiting = asyncio.create_task(operations.wait(name, progress=0, timeout_s=60))
    await asyncio.sleep(0)
    await operations.forget(name)
    with pytest.raises(NotFound):
        await waiting


# Which are under way


async def test_operations_under_way_are_found_by_their_target(operations: Operations) -> None:
    """All, those of an endpoint, those of it alone, those of a deployment; names are compared without case."""
    endpoint = operations.begin("online-endpoint update", "Churn")
    green = operations.begin("online-deployment create", "churn", "Green")
    other = operations.begin("online-endpoint update", "fraud")
    done = operations.begin("online-endpoint update", "churn")
    await operations.end(done, "Succeeded")
    found = [
        [operation.id for operation in operations.under_way(*target)]
        for target in ((), ("churn",), ("CHURN", ""), ("churn", "green"), ("churn", "blue"))
    ]
    assert found == [[endpoint, green, other], [endpoint, green], [endpoint], [green], []]


# Across a restart


async def test_what_is_under_way_is_known_after_a_restart(operations: Operations, state: State) -> None:
    """With the content that it was to write, and whether it was in force."""
    announced = operations.begin("online-endpoint update", "churn")
    await operations.will_write(announced, "aa")
    applied = operations.begin("online-deployment create", "churn", "green", all_traffic=True)
    await operations.will_write(applied, "bb")
    await operations.applied(applied, 7)
    ended = operations.begin("online-endpoint update", "fraud")
    await operations.will_write(ended, "cc")
    await operations.end(ended, "Succeeded")
    records = await Operations(state).load()
    assert [
        (record.operation.id, record.config_sha256, record.all_traffic, record.is_applied) for record in records
    ] == [
        (announced, "aa", False, False),
        (applied, "bb", True, True),
    ]


async def test_what_has_ended_is_known_after_a_restart(operations: Operations, state: State) -> None:
    """As it was, with its progress."""
    name = operations.begin("online-deployment create", "churn", "green")
    operations.tell(name, "starting")
    await operations.end(name, "Failed", reason="init() raised", log_tail=("ValueError",))
    assert (await after_restart(state)).get(name) == operations.get(name)


async def test_what_was_never_announced_is_not_known_after_a_restart(operations: Operations, state: State) -> None:
    """Nothing can have come of it."""
    operations.begin("online-endpoint update", "churn")
    assert (await after_restart(state)).all() == []


async def test_what_came_to_nothing_leaves_nothing(operations: Operations, state: State) -> None:
    """Neither in memory nor on the disk."""
    name = operations.begin("online-endpoint update", "churn")
    await operations.will_write(name, "aa")
    await operations.forget(name)
    assert operations.all() == []
    assert (await after_restart(state)).all() == []


async def test_the_order_stays_over_a_restart(operations: Operations, state: State) -> None:
    """The newest is the last."""
    names = [operations.begin("online-endpoint update", "churn") for _ in range(3)]
    for name in reversed(names):
        await operations.end(name, "Succeeded")
    assert [operation.id for operation in (await after_restart(state)).all()] == names


async def test_the_order_stays_when_the_clock_is_set_back(operations: Operations, state: State) -> None:
    """What begins afterwards is newer than what began before, whatever the clock said then."""
    first = operations.begin("online-endpoint update", "churn")
    await operations.end(first, "Succeeded")
    with state.transaction() as database:  # it began in 2096
        database.execute("UPDATE operations SET started = 4e9, record = json_set(record, '$.began', 4e9)")
    operations = await after_restart(state)
    second = operations.begin("online-endpoint update", "churn")
    await operations.end(second, "Succeeded")
    assert [operation.id for operation in (await after_restart(state)).all()] == [first, second]


# Bounds and broken disks


async def test_the_last_operations_are_kept(operations: Operations, state: State, tmp_path: Path) -> None:
    """Of those that have ended, in memory and on the disk."""
    first = operations.begin("online-endpoint update", "churn")
    await operations.end(first, "Succeeded")
    second = operations.begin("online-endpoint update", "churn")
    for _ in range(KEPT):
        await operations.end(operations.begin("online-endpoint update", "churn"), "Succeeded")
    kept = [operation.id for operation in operations.all()]
    assert (len(kept), kept[0]) == (KEPT, second)
    with closing(sqlite3.connect(tmp_path / "state.db")) as database:
        assert database.execute("SELECT count(*) FROM operations").fetchone() == (KEPT,)


async def test_what_cannot_be_announced_is_refused(operations: Operations, state: State) -> None:
    """The config file is not changed before."""
    name = operations.begin("online-endpoint update", "churn")
    with state.transaction() as database:
        database.execute("DROP TABLE operations")
    with pytest.raises(StateError, match="no such table: operations"):
        await operations.will_write(name, "aa")


async def test_what_cannot_be_stored_is_known_in_memory(operations: Operations, state: State) -> None:
    """What was done is done, whatever the disk says."""
    name = operations.begin("online-endpoint update", "churn")
    with state.transaction() as database:
        database.execute("DROP TABLE operations")
    await operations.applied(name, 7)
    await operations.end(name, "Succeeded")
    assert operations.get(name).status == "Succeeded"
    await operations.forget(name)
    assert operations.all() == []


async def test_an_end_is_stored_though_newer_ones_push_it_out(operations: Operations) -> None:
    """The oldest may end while a new one begins."""
    oldest = operations.begin("online-endpoint update", "churn")
    for _ in range(KEPT - 1):
        await operations.end(operations.begin("online-endpoint update", "churn"), "Succeeded")
    ending = asyncio.create_task(operations.end(oldest, "Succeeded"))
    await asyncio.sleep(0)
    operations.begin("online-endpoint update", "churn")
    await ending
    with pytest.raises(NotFound):
        operations.get(oldest)


async def test_what_is_stored_last_is_what_is_known(operations: Operations, state: State) -> None:
    """Of two threads that write the same operation none brings back what it was before."""
    name = operations.begin("online-deployment create", "churn", "green")
    with state.transaction():
        storing = asyncio.create_task(operations.applied(name, 7))
        await asyncio.sleep(0)
        ending = asyncio.create_task(operations.end(name, "Succeeded"))
        await asyncio.sleep(0)
    await asyncio.gather(storing, ending)
    assert (await after_restart(state)).get(name).status == "Succeeded"

"""Rows of the proxies' memory: one for each limit, and none given away that is still in use."""

import os
from collections.abc import Iterator

import pytest

from router.control.shared_rows import SharedRows
from router.core.stats import Totals
from router.core.table import DeploymentSpec, EndpointSpec, InstanceSpec, TableSpec, rows
from router.core.wire import Stats
from router.proxy.shared_ledger import SharedLedger


@pytest.fixture
def shared() -> Iterator[SharedRows]:
    """For two slots."""
    one = SharedRows(2)
    yield one
    one.close()


def table(generation: int, *addresses: str, name: str = "blue") -> TableSpec:
    blue = DeploymentSpec(name=name, instances=tuple(InstanceSpec(address=address) for address in addresses))
    return TableSpec(generation=generation, endpoints=(EndpointSpec(name="churn", deployments=(blue,)),))


def report(generation: int, *kept_rows: int) -> Stats:
    return Stats(generation=generation, totals=Totals(), busy={}, kept_rows=kept_rows)


def row_of(spec: TableSpec, address: str) -> int:
    instances = spec.endpoints[0].deployments[0].instances
    return next(instance.row for instance in instances if instance.address == address)


def test_every_limit_has_a_row_of_its_own(shared: SharedRows) -> None:
    """Three of the endpoint, one of each queue and one of each instance; the first three are the proxies' own."""
    numbers = list(rows(shared.assign(table(1, "a", "b"))))
    assert sorted(numbers) == [3, 4, 5, 6, 7, 8]


def test_the_same_address_in_two_deployments_has_two_rows(shared: SharedRows) -> None:
    """Each deployment counts what it sends there."""
    both = (
        DeploymentSpec(name="blue", instances=(InstanceSpec(address="a"),)),
        DeploymentSpec(name="green", instances=(InstanceSpec(address="a"),)),
    )
    spec = TableSpec(generation=1, endpoints=(EndpointSpec(name="churn", deployments=both),))
    blue, green = shared.assign(spec).endpoints[0].deployments
    assert blue.instances[0].row != green.instances[0].row


def test_a_row_stays_from_table_to_table(shared: SharedRows) -> None:
    """What is in flight is counted where it was."""
    before = shared.assign(table(1, "a", "b"))
    after = shared.assign(table(2, "b", "c"))
    assert row_of(after, "b") == row_of(before, "b")
    assert row_of(after, "c") not in {row_of(before, "a"), row_of(before, "b")}


def test_what_comes_back_finds_its_row(shared: SharedRows) -> None:
    """Its last requests may still be counted there."""
    before = shared.assign(table(1, "a", "b"))
    shared.assign(table(2, "b"))
    assert row_of(shared.assign(table(3, "a", "b")), "a") == row_of(before, "a")
    shared.reclaim([report(3), report(3)])
    assert row_of(shared.assign(table(4, "a", "b")), "a") == row_of(before, "a")


@pytest.mark.parametrize(
    "reports",
    [
        [report(2), report(1)],  # one proxy has an older table
        [report(2), None],  # one has not told anything yet
        [report(2), report(2, 5)],  # one has requests there
    ],
)
def test_a_row_that_may_be_used_is_not_given_away(shared: SharedRows, reports: list[Stats | None]) -> None:
    """Another thing gets a new one."""
    before = shared.assign(table(1, "a", "b"))
    assert row_of(before, "a") == 5
    shared.assign(table(2, "b"))
    shared.reclaim(reports)
    assert row_of(shared.assign(table(3, "b", "c")), "c") == 9


def test_a_row_that_nobody_uses_is_used_again(shared: SharedRows) -> None:
    """Reloads without end take no memory without end."""
    shared.assign(table(1, "a", "b"))
    shared.assign(table(2, "b"))
    shared.reclaim([report(2), report(3)])
    assert row_of(shared.assign(table(3, "b", "c")), "c") == 5
    for generation in range(4, 1000):
        spec = shared.assign(table(generation, f"address-{generation}", name=f"name-{generation}"))
        shared.reclaim([report(generation)])
    assert max(rows(spec)) <= 13


def test_the_memory_grows_under_a_proxy(shared: SharedRows) -> None:
    """What it counted before stays counted, and the new rows are there."""
    one = SharedLedger(shared.memory_fd, shared.wake_fds, 0)
    first = one.row(2)
    first.claim(3, 9)
    size = os.fstat(shared.memory_fd).st_size
    spec = shared.assign(table(1, *(f"address-{number}" for number in range(500))))
    assert os.fstat(shared.memory_fd).st_size > size
    last = max(rows(spec))
    one.row(last).claim(4, 9)
    other = SharedLedger(shared.memory_fd, shared.wake_fds, 1)
    assert (other.row(2).total(), other.row(last).total()) == (3, 4)


def test_an_empty_slot_counts_nothing_and_everybody_looks(shared: SharedRows) -> None:
    """What the process that has ended held is free, in old rows and new ones."""
    ended, other = (SharedLedger(shared.memory_fd, shared.wake_fds, slot) for slot in range(2))
    last = max(rows(shared.assign(table(1, *(f"address-{number}" for number in range(500))))))
    for number in (2, last):
        ended.row(number).claim(1, 2)
        other.row(number).claim(1, 2)
    shared.clear(0)
    assert [other.row(number).total() for number in (2, last)] == [1, 1]
    assert [os.eventfd_read(fd) for fd in shared.wake_fds] == [1, 1]


def test_after_the_end_tables_change_nothing(shared: SharedRows) -> None:
    """A daemon that stops still builds tables while its workers end."""
    shared.close()
    shared.close()
    shared.clear(0)
    assert row_of(shared.assign(table(1, *(f"address-{number}" for number in range(500)))), "address-0") > 1

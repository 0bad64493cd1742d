"""A deployment that several proxies serve, without a clock, a socket or a process."""

import random

import pytest

from router.core.errors import NoReadyInstance, QueueFull
from router.core.instances import Instance
from router.core.ledger import RESERVED
from router.core.sharing import SharedDeployment
from router.core.table import DeploymentSpec, InstanceSpec
from tests.core.several_proxies import Proxies


def spec(*addresses: str, max_concurrent: int = 1, max_queue: int = 2, unready: str = "") -> DeploymentSpec:
    """A deployment with the instances `addresses` (of `abc`)."""
    instances = tuple(
        InstanceSpec(address=address, is_ready=address != unready, row=RESERVED + 1 + "abc".index(address))
        for address in addresses
    )
    return DeploymentSpec(
        name="blue", instances=instances, max_concurrent=max_concurrent, max_queue=max_queue, queue_row=RESERVED
    )


class Queued:
    """A queued request that remembers what it was given."""

    def __init__(self) -> None:
        self.granted: list[Instance] = []

    def grant(self, instance: Instance) -> None:
        self.granted.append(instance)

    @property
    def is_served(self) -> bool:
        return bool(self.granted)


class Bench:
    """The same deployment in several proxies."""

    def __init__(self, slots: int, first: DeploymentSpec) -> None:
        self.proxies = Proxies(slots)
        self.each = [SharedDeployment("churn", "blue", one, first.queue_row) for one in self.proxies.ledgers]
        self.update(first)

    def update(self, newer: DeploymentSpec | None) -> None:
        for one in self.each:
            one.update(newer)

    def wake(self) -> None:
        """Let proxies do what they were woken for until nobody is."""
        times = 0
        while any(one.take_up() for one in self.proxies.ledgers):
            times += 1
            assert times < 10, "they wake each other without end"


def acquired(one: SharedDeployment) -> Instance:
    instance = one.acquire()
    assert instance is not None
    return instance


def queued(one: SharedDeployment) -> Queued:
    assert one.acquire() is None
    waiter = Queued()
    one.enqueue(waiter)
    return waiter


# The sum


def test_an_instance_takes_its_limit_from_all_proxies_together() -> None:
    """Whoever they come from, and one proxy may have all of it."""
    bench = Bench(2, spec("a", max_concurrent=3))
    one, other = bench.each
    held = [acquired(one), acquired(one), acquired(other)]
    assert one.acquire() is None
    assert other.acquire() is None
    one.release(held[0])
    assert acquired(other).address == "a"


def test_the_least_busy_instance_is_that_of_all() -> None:
    """A proxy takes the instance that the others leave idle."""
    bench = Bench(3, spec("a", "b", "c", max_concurrent=5))
    assert [acquired(one).address for one in bench.each] == ["a", "b", "c"]
    assert [acquired(one).address for one in bench.each] == ["b", "a", "c"]


def test_the_queue_is_bounded_for_all_together() -> None:
    """`max_queue` per instance that is in the choice, however the requests came."""
    bench = Bench(2, spec("a", "b", max_queue=1))
    one, other = bench.each
    for _ in range(2):
        acquired(one)
    queued(other)
    queued(other)
    with pytest.raises(QueueFull):
        one.acquire()
    with pytest.raises(QueueFull):
        other.acquire()
    assert (one.queued, other.queued) == (0, 2)


def test_two_that_saw_the_last_place_in_the_queue_do_not_both_get_it() -> None:
    """The second is refused when it wants to take it."""
    bench = Bench(2, spec("a", max_queue=1))
    one, other = bench.each
    acquired(one)
    assert one.acquire() is None
    assert other.acquire() is None
    one.enqueue(Queued())
    with pytest.raises(QueueFull):
        other.enqueue(Queued())
    assert other.queued == 0


def test_a_request_that_lost_its_instance_is_queued_in_any_case() -> None:
    """It had been let in already; others wait outside for that."""
    bench = Bench(2, spec("a", max_queue=1))
    one, other = bench.each
    acquired(one)
    queued(one)
    other.enqueue(Queued(), is_admitted=True)
    with pytest.raises(QueueFull):
        one.acquire()
    assert other.queued == 1


def test_without_a_ready_instance_nobody_waits() -> None:
    """A request is refused at once."""
    bench = Bench(2, spec("a", unready="a"))
    with pytest.raises(NoReadyInstance):
        bench.each[0].acquire()


def test_an_ended_proxy_leaves_everything_to_the_others() -> None:
    """What it had in flight and in its queue counts no more."""
    bench = Bench(2, spec("a", max_concurrent=2, max_queue=1))
    one, other = bench.each
    acquired(one)
    acquired(one)
    queued(one)
    bench.proxies.end(0)
    acquired(other)
    acquired(other)
    queued(other)


def test_a_limit_follows_the_table() -> None:
    """A larger one serves those who wait; a smaller one waits for what is over it."""
    bench = Bench(2, spec("a", max_concurrent=1))
    one, other = bench.each
    first, second = acquired(one), queued(other)
    bench.update(spec("a", max_concurrent=2))
    assert second.is_served
    bench.update(spec("a", max_concurrent=1))
    third = queued(other)
    one.release(first)
    bench.wake()
    assert not third.is_served
    other.release(second.granted[0])
    assert third.is_served


# Waiting


def test_a_place_that_one_proxy_frees_serves_another() -> None:
    """The proxy where the request waits is woken."""
    bench = Bench(2, spec("a"))
    one, other = bench.each
    held = acquired(one)
    waiter = queued(other)
    one.finish(held)
    assert bench.proxies.ledgers[1].is_woken
    bench.wake()
    assert waiter.is_served


def test_the_longest_wait_of_all_is_next() -> None:
    """First come, first served, from proxy to proxy."""
    bench = Bench(2, spec("a", max_queue=9))
    held = acquired(bench.each[0])
    order = [1, 0, 0, 1, 0, 1]
    waiters = []
    for slot in order:
        waiters.append((bench.each[slot], queued(bench.each[slot])))
        bench.proxies.pass_time(0.01)
    last: tuple[SharedDeployment, Instance] = (bench.each[0], held)
    for number, (one, waiter) in enumerate(waiters):
        last[0].release(last[1])
        bench.wake()
        assert [each.is_served for _, each in waiters] == [True] * (number + 1) + [False] * (len(order) - number - 1)
        last = (one, waiter.granted[0])


def test_a_small_difference_is_not_worth_a_change_of_process() -> None:
    """Within 5 ms a proxy keeps the place for its own queue."""
    bench = Bench(2, spec("a"))
    one, other = bench.each
    held = acquired(one)
    theirs = queued(other)
    bench.proxies.pass_time(0.004)
    ours = queued(one)
    one.release(held)
    assert (ours.is_served, theirs.is_served) == (True, False)


def test_a_new_request_does_not_overtake_one_that_waits_elsewhere() -> None:
    """It queues, and the other one is woken."""
    bench = Bench(2, spec("a", "b"))
    one, other = bench.each
    held = [acquired(one), acquired(one)]
    waiter = queued(other)
    bench.proxies.pass_time(0.01)
    one.release(held[0])
    late = queued(one)
    bench.wake()
    assert (waiter.is_served, late.is_served) == (True, False)


def test_two_free_places_serve_a_request_in_each_proxy() -> None:
    """Who stood back for another gets what that one leaves."""
    bench = Bench(2, spec("a", max_concurrent=2))
    one, other = bench.each
    held = [acquired(one), acquired(one)]
    waiter = queued(other)
    bench.proxies.pass_time(0.01)
    late = queued(one)
    bench.update(spec("a", max_concurrent=0))
    one.release(held[0])
    one.release(held[1])
    bench.each[0].update(spec("a", max_concurrent=2))
    assert not waiter.is_served
    bench.each[1].update(spec("a", max_concurrent=2))
    bench.wake()
    assert (waiter.is_served, late.is_served) == (True, True)


def test_who_waits_for_an_instance_that_others_do_not_see_holds_up_nobody() -> None:
    """A proxy that has an instance ejected leaves its places to the others."""
    bench = Bench(2, spec("a", "b"))
    one, other = bench.each
    held = {instance.address: instance for instance in (acquired(one), acquired(one))}
    next(instance for instance in other.instances if instance.address == "b").failed(100.0, is_unreachable=True)
    waiter = queued(other)
    bench.proxies.pass_time(0.01)
    one.release(held["b"])
    assert acquired(one).address == "b"
    assert not waiter.is_served
    one.release(held["a"])
    bench.wake()
    assert waiter.is_served


def test_who_stands_still_does_not_hold_up_the_others() -> None:
    """A proxy that was woken and does nothing is passed over when another one has looked for itself several times."""
    bench = Bench(2, spec("a"))
    one, other = bench.each
    held = acquired(one)
    queued(other)
    bench.proxies.pass_time(0.01)
    late = queued(one)
    one.release(held)
    assert not late.is_served
    for _ in range(3):
        bench.proxies.ledgers[0].look()
    assert not late.is_served
    bench.proxies.ledgers[0].look()
    assert late.is_served


def test_patience_begins_anew_when_a_place_was_used() -> None:
    """To find it free now and then is no reason to overtake anybody."""
    bench = Bench(2, spec("a", max_queue=9))
    one, other = bench.each
    held = acquired(one)
    first, second = queued(other), queued(other)
    bench.proxies.pass_time(0.01)
    late = queued(one)
    one.release(held)
    for _ in range(3):
        bench.proxies.ledgers[0].look()
    bench.proxies.ledgers[1].serve()
    bench.proxies.ledgers[0].look()
    other.release(first.granted[0])
    bench.proxies.ledgers[0].look()
    assert second.is_served
    assert not late.is_served


def test_who_gives_up_waiting_is_not_waited_for() -> None:
    """Its place in the queue is free, and the next one does not stand back for it."""
    bench = Bench(2, spec("a", max_queue=1))
    one, other = bench.each
    held = acquired(one)
    waiter = queued(other)
    other.leave_queue(waiter)
    other.leave_queue(waiter)
    bench.proxies.pass_time(0.01)
    late = queued(one)
    one.release(held)
    assert (waiter.is_served, late.is_served) == (False, True)


def test_a_place_for_one_who_has_given_up_goes_to_the_next() -> None:
    """Also if the next one had already stood back."""
    bench = Bench(2, spec("a"))
    one, other = bench.each
    held = acquired(one)
    waiter = queued(other)
    bench.proxies.pass_time(0.01)
    late = queued(one)
    one.release(held)
    other.leave_queue(waiter)
    bench.wake()
    assert late.is_served


def test_looking_goes_on_while_somebody_waits() -> None:
    """A proxy with an empty queue has nothing to look after."""
    bench = Bench(1, spec("a"))
    one, ledger = bench.each[0], bench.proxies.ledgers[0]
    held = acquired(one)
    assert not ledger.waiting
    queued(one)
    assert ledger.is_watching
    assert list(ledger.waiting) == [one]
    one.release(held)
    assert not ledger.waiting


# Rows


def test_rows_are_kept_as_long_as_they_are_used() -> None:
    """That of an instance until it is drained, that of the queue until the deployment is forgotten."""
    bench = Bench(1, spec("a", "b"))
    one, ledger = bench.each[0], bench.proxies.ledgers[0]
    one.enter()
    held = acquired(one)
    ledger.listed = frozenset()
    bench.update(None)
    assert sorted(ledger.kept) == [RESERVED, RESERVED + 1, RESERVED + 2]
    one.finish(held)
    assert one.is_forgettable
    assert ledger.kept == (RESERVED,)
    one.close()
    assert ledger.kept == ()


def test_an_instance_that_drains_takes_no_new_request() -> None:
    """While another is in the choice."""
    bench = Bench(2, spec("a", "b", max_concurrent=2))
    one, other = bench.each
    held = acquired(one)
    assert held.address == "a"
    bench.update(spec("b", max_concurrent=2))
    assert [acquired(one).address, acquired(other).address] == ["b", "b"]
    assert one.acquire() is None
    one.release(held)
    assert dict(one.busy()) == {"b": 1}


# Everything at once


class Traffic:
    """Requests that come, end and give up at three proxies with two instances, and proxies that are killed."""

    spec = spec("a", "b", max_concurrent=2, max_queue=3)

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.bench = Bench(3, self.spec)
        self.held: list[tuple[SharedDeployment, Instance]] = []
        self.waiting: list[tuple[SharedDeployment, Queued]] = []

    def step(self) -> None:
        """One thing happens, and all that follows from it."""
        self.bench.proxies.pass_time(self.rng.random() * 0.004)
        what = self.rng.choices([self.come, self.finish, self.give_up, self.kill], [55, 35, 8, 0.5])[0]
        what()
        self.bench.wake()
        self.held += [(one, waiter.granted[0]) for one, waiter in self.waiting if waiter.is_served]
        self.waiting = [(one, waiter) for one, waiter in self.waiting if not waiter.is_served]

    def come(self) -> None:
        one = self.rng.choice(self.bench.each)
        try:
            instance = one.acquire()
        except QueueFull:
            assert len(self.waiting) == 6
            return
        if instance is not None:
            self.held.append((one, instance))
        else:
            waiter = Queued()
            self.waiting.append((one, waiter))
            one.enqueue(waiter)

    def finish(self) -> None:
        if self.held:
            one, instance = self.held.pop(self.rng.randrange(len(self.held)))
            one.release(instance)

    def give_up(self) -> None:
        if self.waiting:
            one, waiter = self.waiting.pop(self.rng.randrange(len(self.waiting)))
            one.leave_queue(waiter)

    def kill(self) -> None:
        slot = self.rng.randrange(3)
        ended, proxies = self.bench.each[slot], self.bench.proxies
        proxies.end(slot)
        self.held = [(one, instance) for one, instance in self.held if one is not ended]
        self.waiting = [(one, waiter) for one, waiter in self.waiting if one is not ended]
        self.bench.each[slot] = SharedDeployment("churn", "blue", proxies.ledgers[slot], RESERVED)
        self.bench.each[slot].update(self.spec)
        for ledger in proxies.ledgers:
            ledger.is_woken = True

    @property
    def in_flight(self) -> list[int]:
        return [sum(instance.address == address for _, instance in self.held) for address in "ab"]


@pytest.mark.parametrize("seed", range(5))
def test_whatever_happens_the_sum_holds_and_no_free_place_is_overlooked(seed: int) -> None:
    """No instance has more than its limit, and as long as anybody waits, every instance has as much as that."""
    traffic = Traffic(seed)
    for _ in range(2000):
        traffic.step()
        assert max(traffic.in_flight) <= 2
        assert not traffic.waiting or traffic.in_flight == [2, 2]
    assert len(traffic.waiting) <= 6

"""The choice of an instance, the queue, ejection and draining, without a clock or a socket."""

import pytest

from router.core.errors import NoReadyInstance, QueueFull
from router.core.instances import Deployment, Instance
from router.core.table import DeploymentSpec, InstanceSpec


class Queued:
    """A queued request that remembers what it was given."""

    def __init__(self) -> None:
        self.granted: list[str] = []

    def grant(self, instance: Instance) -> None:
        self.granted.append(instance.address)


def spec(
    *addresses: str, max_concurrent: int = 1, max_queue: int = 2, not_ready: tuple[str, ...] = ()
) -> DeploymentSpec:
    instances = tuple(InstanceSpec(address=address, is_ready=address not in not_ready) for address in addresses)
    return DeploymentSpec(name="blue", instances=instances, max_concurrent=max_concurrent, max_queue=max_queue)


def deployment(
    *addresses: str, max_concurrent: int = 1, max_queue: int = 2, not_ready: tuple[str, ...] = ()
) -> Deployment:
    one = Deployment("churn", "blue")
    one.update(spec(*addresses, max_concurrent=max_concurrent, max_queue=max_queue, not_ready=not_ready))
    return one


def acquired(one: Deployment) -> Instance:
    instance = one.acquire()
    assert instance is not None
    return instance


def by_address(one: Deployment) -> dict[str, Instance]:
    return {instance.address: instance for instance in one.instances}


def queued(one: Deployment) -> Queued:
    assert one.acquire() is None
    waiter = Queued()
    one.enqueue(waiter)
    return waiter


# The choice


def test_equally_busy_instances_take_turns() -> None:
    """The one that rested longest is next, also when each is released at once."""
    one = deployment("a", "b", "c")
    seen = []
    for _ in range(6):
        instance = acquired(one)
        seen.append(instance.address)
        one.release(instance)
    assert seen == ["a", "b", "c", "a", "b", "c"]


def test_the_least_busy_instance_is_chosen() -> None:
    """A request goes to the instance with the fewest in flight."""
    one = deployment("a", "b", max_concurrent=3)
    first, second, third = acquired(one), acquired(one), acquired(one)
    assert [first.address, second.address, third.address] == ["a", "b", "a"]
    one.release(first)
    one.release(third)
    assert acquired(one).address == "a"


def test_an_instance_that_is_not_ready_is_out_of_the_choice() -> None:
    """Only ready instances are chosen."""
    one = deployment("a", "b", not_ready=("a",))
    assert acquired(one).address == "b"


@pytest.mark.parametrize("one", [deployment(), deployment("a", not_ready=("a",))])
def test_nothing_ready_is_said_so(one: Deployment) -> None:
    """Without an instance in the choice a request is refused at once, not queued."""
    with pytest.raises(NoReadyInstance):
        one.acquire()


# The queue


def test_past_its_concurrency_requests_queue_and_then_are_refused() -> None:
    """`max_queue` requests wait per instance; one more is refused."""
    one = deployment("a", "b", max_queue=1)
    acquired(one)
    acquired(one)
    queued(one)
    queued(one)
    with pytest.raises(QueueFull):
        one.acquire()
    assert one.queued == 2


def test_without_a_queue_a_busy_deployment_refuses() -> None:
    """`max_queue` 0 means that nothing waits."""
    one = deployment("a", max_queue=0)
    acquired(one)
    with pytest.raises(QueueFull):
        one.acquire()


def test_a_free_place_goes_to_the_longest_wait() -> None:
    """First come, first served; each is granted once."""
    one = deployment("a")
    busy = acquired(one)
    first, second = queued(one), queued(one)
    one.release(busy)
    assert (first.granted, second.granted) == (["a"], [])
    one.release(busy)
    assert (first.granted, second.granted) == (["a"], ["a"])
    assert busy.in_flight == 1


def test_nothing_overtakes_the_queue() -> None:
    """A request that comes while others wait queues behind them."""
    one = deployment("a")
    busy = acquired(one)
    first = queued(one)
    one.release(busy)
    late = queued(one)
    assert (first.granted, late.granted) == (["a"], [])


def test_who_gives_up_waiting_gets_nothing() -> None:
    """A waiter that left is passed over, and may leave twice."""
    one = deployment("a")
    busy = acquired(one)
    gone, next_one = queued(one), queued(one)
    one.leave_queue(gone)
    one.leave_queue(gone)
    one.release(busy)
    assert (gone.granted, next_one.granted) == ([], ["a"])


def test_a_new_instance_serves_the_queue() -> None:
    """A table that brings places hands them to those who wait."""
    one = deployment("a")
    acquired(one)
    waiter = queued(one)
    one.update(spec("a", "b"))
    assert waiter.granted == ["b"]


def test_a_higher_concurrency_serves_the_queue() -> None:
    """More places on the same instance go to those who wait."""
    one = deployment("a")
    acquired(one)
    waiter = queued(one)
    one.update(spec("a", max_concurrent=2))
    assert waiter.granted == ["a"]


def test_a_returned_instance_serves_the_queue() -> None:
    """A good check makes room for those who wait."""
    one = deployment("a", "b")
    acquired(one)
    by_address(one)["b"].failed(0.0, is_unreachable=True)
    waiter = queued(one)
    by_address(one)["b"].check_passed()
    one.serve_queue()
    assert waiter.granted == ["b"]


# A second instance for the same request


def test_another_instance_is_none_of_those_that_failed() -> None:
    """A request that may be sent again goes to an instance that has not failed it."""
    one = deployment("a", "b")
    first = acquired(one)
    other = one.acquire_other([first])
    assert other is not None
    assert (other.address, other.in_flight) == ("b", 1)


def test_there_is_no_other_when_all_failed_or_are_busy() -> None:
    """No place is made up: None, and the caller may ask whether waiting makes sense."""
    one = deployment("a", "b")
    first, second = acquired(one), acquired(one)
    assert one.acquire_other([first]) is None
    assert one.has_other([first])
    assert not one.has_other([first, second])


def test_an_ejected_instance_is_no_other() -> None:
    """An instance out of the choice helps no retry."""
    one = deployment("a", "b")
    first = acquired(one)
    by_address(one)["b"].failed(0.0, is_unreachable=True)
    assert one.acquire_other([first]) is None
    assert not one.has_other([first])


# Ejection


def test_five_failures_in_a_row_eject() -> None:
    """The fifth failure ejects for a second, and says so."""
    instance = acquired(deployment("a"))
    assert [instance.failed(10.0) for _ in range(5)] == [False, False, False, False, True]
    assert (instance.is_ejected, instance.can_take, instance.check_at) == (True, False, 11.0)


def test_an_answer_ends_the_row() -> None:
    """Failures that an answer lies between are not in a row."""
    instance = acquired(deployment("a"))
    for _ in range(4):
        instance.failed(10.0)
    instance.answered()
    assert not instance.failed(10.0)
    assert not instance.is_ejected


def test_an_unreachable_instance_is_ejected_at_once() -> None:
    """One connection that cannot be made is enough."""
    instance = acquired(deployment("a"))
    assert instance.failed(10.0, is_unreachable=True)
    assert instance.check_at == 11.0


def test_failures_of_an_ejected_instance_do_not_prolong_its_time() -> None:
    """What was in flight when it was ejected may fail too; it is out already."""
    instance = acquired(deployment("a"))
    instance.failed(10.0, is_unreachable=True)
    assert not instance.failed(10.9, is_unreachable=True)
    assert instance.check_at == 11.0


def test_every_failed_check_doubles_the_time_up_to_a_minute() -> None:
    """1, 2, 4 ... seconds, at most 60."""
    instance = acquired(deployment("a"))
    instance.failed(0.0, is_unreachable=True)
    times = [instance.check_at]
    for _ in range(7):
        instance.check_failed(0.0)
        times.append(instance.check_at)
    assert times == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]


def test_a_thousand_failed_checks_stay_at_a_minute() -> None:
    """The time is bounded however long an instance is away."""
    instance = acquired(deployment("a"))
    for _ in range(1000):
        instance.check_failed(0.0)
    assert instance.check_at == 60.0


def test_a_returned_instance_is_on_probation() -> None:
    """After a good check one more failure ejects again, for longer than before."""
    one = deployment("a")
    instance = acquired(one)
    one.release(instance)
    instance.failed(0.0, is_unreachable=True)
    instance.check_passed()
    assert acquired(one) is instance
    assert instance.failed(100.0)
    assert instance.check_at == 102.0


def test_an_answer_ends_the_probation() -> None:
    """After a good answer an instance is as trusted as a new one."""
    instance = acquired(deployment("a"))
    instance.failed(0.0, is_unreachable=True)
    instance.check_passed()
    instance.answered()
    assert [instance.failed(50.0) for _ in range(5)] == [False, False, False, False, True]
    assert instance.check_at == 51.0


def test_an_ejected_instance_stays_ejected_across_a_reload() -> None:
    """State is keyed by address and outlives the table."""
    one = deployment("a", "b")
    by_address(one)["a"].failed(0.0, is_unreachable=True)
    one.update(spec("a", "b"))
    assert by_address(one)["a"].is_ejected
    assert [acquired(one).address] == ["b"]


def test_with_every_instance_ejected_nothing_is_ready() -> None:
    """Ejection has no exception for the last one: its deployment answers at once instead of timing out."""
    one = deployment("a")
    by_address(one)["a"].failed(0.0, is_unreachable=True)
    with pytest.raises(NoReadyInstance):
        one.acquire()


# Draining


def test_an_unlisted_instance_takes_no_new_request_while_another_is_there() -> None:
    """An instance that left the table drains."""
    one = deployment("a", "b", max_concurrent=5)
    one.enter()
    acquired(one)
    one.update(spec("b", max_concurrent=5))
    assert [acquired(one).address, acquired(one).address] == ["b", "b"]


def test_a_draining_instance_is_forgotten_once_idle() -> None:
    """It stays known, and busy, until its last request ended."""
    one = deployment("a", "b")
    one.enter()
    busy = acquired(one)
    one.update(spec("b"))
    assert dict(one.busy()) == {"a": 1, "b": 0}
    one.release(busy)
    assert dict(one.busy()) == {"b": 0}


def test_an_idle_instance_is_forgotten_at_once() -> None:
    """Nothing of an idle instance is left when its table goes."""
    one = deployment("a", "b")
    one.update(spec("b"))
    assert list(by_address(one)) == ["b"]


def test_a_retired_deployment_finishes_what_was_begun() -> None:
    """A request that chose a deployment before it left the table still gets one of its instances."""
    one = deployment("a")
    one.enter()
    one.update(None)
    assert dict(one.busy()) == {"a": 1}
    instance = acquired(one)
    assert (instance.address, dict(one.busy())) == ("a", {"a": 1})
    one.release(instance)
    one.leave()
    assert one.is_forgettable


def test_those_who_wait_at_a_retired_deployment_are_served() -> None:
    """The queue of a deployment that left the table is worked off by its draining instances."""
    one = deployment("a")
    one.enter()
    one.enter()
    busy = acquired(one)
    waiter = queued(one)
    one.update(None)
    one.release(busy)
    one.leave()
    assert waiter.granted == ["a"]
    assert not one.is_forgettable


def test_a_retired_deployment_that_is_idle_is_forgettable() -> None:
    """With nothing pending it is gone at once."""
    one = deployment("a")
    one.update(None)
    assert one.is_forgettable


def test_a_deployment_that_comes_back_serves_again() -> None:
    """Removed and added in quick succession, an instance in flight is the same one."""
    one = deployment("a", max_concurrent=2)
    one.enter()
    busy = acquired(one)
    one.update(None)
    one.update(spec("a", max_concurrent=2))
    assert acquired(one) is busy

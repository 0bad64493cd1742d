"""Which instances of a deployment to start and which to drain next, so that it becomes what is wanted.

Rules
- New first: an old instance that can serve is drained only for a new one that is ready, or when fewer are wanted.
- While old ones are left, at most one process more than wanted runs, those that are still draining included.
- An old instance that was never ready serves nobody, and is drained at once.
- A new version that does not become ready leaves the old one as it is; it is itself tried again by its back-off.
- When the wanted version is the old one again, its instances stay and those of the new one go.
- A change of the count alone starts or drains only the difference; those that serve least go first.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import count, islice

from router.core.lifecycle import State

_LEAVING = frozenset((State.DRAINING, State.STOPPING, State.GONE))


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """One instance that exists. `number` is unique within the deployment; `version` tells old from new."""

    number: int
    version: str
    state: State
    has_served: bool

    @property
    def is_ready(self) -> bool:
        return self.state is State.READY


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What to do now: numbers for instances to start, numbers of instances to drain."""

    start: tuple[int, ...] = ()
    drain: tuple[int, ...] = ()


def next_step(version: str, wanted: int, present: Collection[Present]) -> Step:
    """The next step towards `wanted` instances of `version`; call again whenever an instance changed its state."""
    staying = [instance for instance in present if instance.state not in _LEAVING]
    current = [instance for instance in staying if instance.version == version]
    old = [instance for instance in staying if instance.version != version and instance.has_served]
    useless = [instance for instance in staying if instance.version != version and not instance.has_served]
    drain = useless + _surplus(current, len(current) - wanted)
    drain += _surplus(old, sum(instance.is_ready for instance in current) + len(old) - wanted)
    missing = wanted - len(current)
    if old:
        missing = min(missing, wanted + 1 - sum(instance.state is not State.GONE for instance in present))
    return Step(start=_free_numbers(present, missing), drain=tuple(instance.number for instance in drain))


def is_settled(version: str, wanted: int, present: Collection[Present]) -> bool:
    """Whether exactly `wanted` ready instances of `version` are there, apart from some that are leaving."""
    staying = [instance for instance in present if instance.state not in _LEAVING]
    return len(staying) == wanted and all(i.version == version and i.is_ready for i in staying)


def _surplus(instances: Iterable[Present], amount: int) -> list[Present]:
    """The `amount` instances that are missed least: not ready ones first, then those with the highest numbers."""
    return sorted(instances, key=lambda instance: (instance.is_ready, -instance.number))[: max(0, amount)]


def _free_numbers(present: Iterable[Present], amount: int) -> tuple[int, ...]:
    taken = {instance.number for instance in present}
    return tuple(islice((number for number in count() if number not in taken), max(0, amount)))

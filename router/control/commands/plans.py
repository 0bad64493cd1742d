"""What a command makes of the config file: the edits, from what the file says and what the command was given."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from router.control.api.messages import Change
from router.control.commands.definitions import Definition, copied, settable, split, value_at, with_values, without
from router.control.config.document import KeyPath
from router.control.config.edit import Edit, Remove, Set
from router.control.config.load import Loaded
from router.control.config.problem import Problem
from router.control.config.schema import EndpointConfig, RouterConfig
from router.control.refusal import Invalid, NotFound, there_is
from router.core import rules

#: Takes copies and versions into a deployment's fields, where the command was given paths and names.
TakeIn = Callable[[Mapping[str, object]], Mapping[str, object]]

_WEIGHTS = ("traffic", "mirror_traffic")
#: What `show` prints of a deployment's share, and which weights of its endpoint it comes from.
_SHARES = {"traffic_percent": "traffic", "mirror_percent": "mirror_traffic"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a command is about; `deployment` is empty for an endpoint."""

    endpoint: str
    deployment: str = ""

    def spelled(self, loaded: Loaded) -> "Target":
        """The same in the config's spelling: names are compared without case."""
        endpoint = _spelled(self.endpoint, loaded.config.endpoints)
        config = loaded.config.endpoints.get(endpoint)
        return Target(endpoint=endpoint, deployment=_spelled(self.deployment, config.deployments if config else ()))

    @property
    def path(self) -> KeyPath:
        """Where it stands in the file."""
        above = ("endpoints", self.endpoint)
        return (*above, "deployments", self.deployment) if self.deployment else above

    def config(self, loaded: Loaded) -> EndpointConfig:
        """The endpoint as it is.

        Raises:
            NotFound: it, or the deployment, is not in the config.
        """
        endpoint = loaded.config.endpoints.get(self.endpoint)
        if endpoint is None:
            raise NotFound(f"there is no endpoint {self.endpoint}; {there_is(loaded.config.endpoints)}")
        if self.deployment and self.deployment not in endpoint.deployments:
            raise NotFound(
                f"endpoint {self.endpoint} has no deployment {self.deployment}; {there_is(endpoint.deployments)}"
            )
        return endpoint

    def is_in(self, loaded: Loaded) -> bool:
        """Whether the config has it."""
        endpoint = loaded.config.endpoints.get(self.endpoint)
        return endpoint is not None and (not self.deployment or self.deployment in endpoint.deployments)


def endpoint_edits(loaded: Loaded, target: Target, change: Change, definition: Definition | None) -> list[Edit]:
    """Create an endpoint, or change what the command names of it and nothing else.

    Raises:
        Invalid: the command names the endpoint's deployments, which have commands of their own.
    """
    target = target.spelled(loaded)
    given = settable(definition.fields if definition else {})
    _check_no_deployments(given, change, definition)
    spelled = partial(_spelled_weight, loaded, target, given)
    values = [(spelled(path), value) for path, value in _values(change)]
    removed = [spelled(split(field)) for field in change.remove]
    given = with_values(given, ((path, value) for path, value in values if path[0] in given))
    weights = _weights(loaded, target, change)
    if not target.is_in(loaded):
        fields = without({"auth_mode": "key", **with_values(given, values)}, removed)
        return [Set(path=target.path, value=fields | weights)]
    return [
        *(Set(path=(*target.path, name), value=value) for name, value in given.items()),
        *(Set(path=_in_file(loaded, target, path), value=value) for path, value in values if path[0] not in given),
        *(Remove(path=_in_file(loaded, target, path)) for path in removed),
        *(Set(path=(*target.path, name), value=value) for name, value in weights.items()),
    ]


def given_fields(
    change: Change, definition: Definition | None, lasting: Mapping[str, object] | None = None
) -> dict[str, object]:
    """What a command gives of a deployment.

    Args:
        lasting: What stays of the deployment in whose place the definition is put.
    """
    if definition is None:
        # No item of a list is a path or a name that is taken in, and where it goes only the file can tell.
        return with_values({}, ((path, value) for path, value in _values(change) if not _is_in_list(path)))
    given = without(settable(definition.fields), [("type",)])
    return without(with_values({**(lasting or {}), **given}, _values(change)), map(split, change.remove))


def deployment_edits(
    loaded: Loaded, target: Target, change: Change, definition: Definition | None, take_in: TakeIn
) -> list[Edit]:
    """Create a deployment or put another in its place (with a definition), or change what the command names of it.

    Raises:
        NotFound: its endpoint, or without a definition the deployment itself, is not there.
    """
    target = target.spelled(loaded)
    Target(endpoint=target.endpoint).config(loaded)
    if definition is not None:
        fields = given_fields(change, definition, _lasting(loaded, target))
        return [Set(path=target.path, value=dict(take_in(fields)))]
    target.config(loaded)
    taken = take_in(given_fields(change, None))
    found = [(path, value) if _is_in_list(path) else _placed(taken, path) for path, value in _values(change)]
    placed = dict(place for place in found if place is not None)
    return [
        *(Set(path=_in_file(loaded, target, path), value=value) for path, value in placed.items()),
        *(Remove(path=_in_file(loaded, target, split(field))) for field in change.remove),
    ]


def unheeded_shares(loaded: Loaded, target: Target, definition: Definition) -> Iterator[Problem]:
    """Shares that a definition of a deployment names and that it has not: the endpoint gives them."""
    target = target.spelled(loaded)
    endpoint = target.config(loaded)
    for field, weights in _SHARES.items():
        share = rules.plain_number(getattr(endpoint, weights).get(target.deployment, 0))
        if field in definition.fields and definition.fields[field] != share:
            yield definition.problem((field,), f"has no effect: it is {share}, and follows the endpoint's {weights}")


def all_traffic_edits(loaded: Loaded, target: Target) -> list[Edit]:
    """All live traffic to one deployment."""
    target = target.spelled(loaded)
    endpoint = target.config(loaded)
    weights = _shifted(endpoint.traffic, {target.deployment: 100}, endpoint.deployments)
    path = ("endpoints", target.endpoint)
    edits: list[Edit] = [Set(path=(*path, "traffic"), value=weights)]
    if endpoint.mirror_traffic.get(target.deployment, 0) > 0 and not endpoint.mirror.allow_live_target:
        edits.append(Set(path=_written(loaded, (*path, "mirror_traffic", target.deployment)), value=0))
    return edits


def deletion_edits(loaded: Loaded, target: Target) -> list[Edit]:
    """Take an endpoint away with all that it has, or a deployment that carries no live traffic.

    Raises:
        NotFound: it is not there.
        Invalid: the deployment has live weight.
    """
    target = target.spelled(loaded)
    endpoint = target.config(loaded)
    if not target.deployment:
        return [Remove(path=target.path)]
    path = ("endpoints", target.endpoint)
    breaches = rules.deletion_breaches(target.deployment, endpoint.traffic)
    if breaches:
        raise Invalid(loaded.problem((*path, *breach.path), breach.message) for breach in breaches)
    return [
        Remove(path=target.path),
        Remove(path=_written(loaded, (*path, "traffic", target.deployment))),
        Remove(path=_written(loaded, (*path, "mirror_traffic", target.deployment))),
    ]


def targets_of(before: RouterConfig, after: RouterConfig) -> list[Target]:
    """Every endpoint and deployment of a config that is not as it was in another one; deployments first."""
    endpoints, deployments = [], []
    for name, endpoint in after.endpoints.items():
        old = before.endpoints.get(name, EndpointConfig())
        if endpoint != old:
            endpoints.append(Target(endpoint=name))
        changed = [key for key, deployment in endpoint.deployments.items() if deployment != old.deployments.get(key)]
        deployments += [Target(endpoint=name, deployment=key) for key in changed]
    return deployments + endpoints


def explained(problem: Problem, target: Target, change: Change, definition: Definition | None) -> Problem:
    """A problem of the changed config, in terms of what the command was given."""
    above = len(target.path)
    path = problem.key[above:]
    is_below = _lower(problem.key[:above]) == _lower(target.path)
    if is_below and path and definition is not None and _is_from_definition(str(path[0]), change, definition):
        return definition.problem(path, problem.message)
    return Problem(path=None, line=None, field=problem.field, message=problem.message, key=problem.key)


def _is_from_definition(name: str, change: Change, definition: Definition) -> bool:
    """Whether all of a field is as the definition has it."""
    given = {split(field)[0] for field in change.set}
    given |= {"traffic"} if change.traffic is not None else set()
    given |= {"mirror_traffic"} if change.mirror_traffic is not None else set()
    return name in definition.fields and name not in given


def _check_no_deployments(given: Mapping[str, object], change: Change, definition: Definition | None) -> None:
    message = "deployments have definitions and commands of their own; see online-deployment"
    problems = [
        Problem(path=None, line=None, field=field, message=message)
        for field in (*change.set, *change.remove)
        if split(field)[0] == "deployments"
    ]
    if definition is not None and "deployments" in given:
        problems.append(definition.problem(("deployments",), message))
    if problems:
        raise Invalid(problems)


def _values(change: Change) -> list[tuple[KeyPath, object]]:
    paths = [(split(field), value) for field, value in change.set.items()]
    return [(path, copied(value, path)) for path, value in paths]


def _is_in_list(path: KeyPath) -> bool:
    return any(isinstance(step, int) for step in path)


def _placed(taken: Mapping[str, object], path: KeyPath) -> tuple[KeyPath, object] | None:
    """What was taken in for a path, and where: in the place of a mapping there may be a name by now."""
    value: object = taken
    for depth, step in enumerate(path):
        if not isinstance(value, Mapping):
            return path[:depth], value
        if step not in value:  # a later value took the place of what it was in
            return None
        value = value[step]
    return path, value


def _in_file(loaded: Loaded, target: Target, path: KeyPath) -> KeyPath:
    """Where a field stands in the file; a number is a name where there is no list that it could count."""
    found: KeyPath = target.path
    for step in path:
        is_name = step != 0 and not isinstance(value_at(loaded.document.data, found), list)
        found = (*found, str(step) if is_name else step)
    return found


def _lasting(loaded: Loaded, target: Target) -> dict[str, object]:
    """What a deployment keeps when another definition takes its place and says nothing of it."""
    properties = value_at(loaded.document.data, (*target.path, "properties"))
    return {"properties": properties} if properties else {}


def _spelled_weight(loaded: Loaded, target: Target, given: Mapping[str, object], path: KeyPath) -> KeyPath:
    """The path; if it is that of a weight, with the name of its deployment as it is written there."""
    if path[0] not in _WEIGHTS or len(path) != 2:
        return path
    before = value_at(loaded.document.data, (*target.path, path[0]))
    endpoint = loaded.config.endpoints.get(target.endpoint, EndpointConfig())
    names = [name for weights in (given.get(str(path[0])), before, endpoint.deployments) for name in _names(weights)]
    return path[0], _spelled(str(path[1]), names)


def _written(loaded: Loaded, path: KeyPath) -> KeyPath:
    """The path with its last name as the file has it: weights may spell it in another way than deployments do."""
    return *path[:-1], _spelled(str(path[-1]), _names(value_at(loaded.document.data, path[:-1])))


def _names(weights: object) -> list[str]:
    return [str(name) for name in weights] if isinstance(weights, Mapping) else []


def _weights(loaded: Loaded, target: Target, change: Change) -> dict[str, object]:
    endpoint = loaded.config.endpoints.get(target.endpoint, EndpointConfig())
    weights: dict[str, object] = {}
    if change.traffic is not None:
        weights["traffic"] = _shifted(endpoint.traffic, change.traffic, endpoint.deployments)
    if change.mirror_traffic is not None:
        named = rules.spell_as(change.mirror_traffic, endpoint.deployments)
        weights["mirror_traffic"] = _shifted(endpoint.mirror_traffic, named, ())
    return weights


def _shifted(
    before: Mapping[str, float], named: Mapping[str, float], deployments: Iterable[str]
) -> dict[str, float | int]:
    """The weights with those that are named; the others get 0."""
    spelled = rules.spell_as(named, [*before, *deployments])
    names = dict.fromkeys([*before, *(name for name in deployments if before), *spelled])
    return {name: rules.plain_number(spelled.get(name, 0)) for name in names}


def _spelled(name: str, names: Iterable[str]) -> str:
    return next((known for known in names if known.lower() == name.lower()), name)


def _lower(path: KeyPath) -> list[str]:
    return [str(step).lower() for step in path]

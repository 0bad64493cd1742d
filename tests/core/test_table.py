"""Table look-ups and the weighted choice."""

import random

import pytest

from router.core.errors import DeploymentNotFound, EndpointNotFound, NoLiveDeployment, PathNotFound
from router.core.table import (
    DeploymentSpec,
    Endpoint,
    EndpointSpec,
    InstanceSpec,
    MirrorSpec,
    RoutingTable,
    TableSpec,
    Target,
    Weights,
    addresses,
    rows,
    share_weights,
)

BLUE = DeploymentSpec(name="blue", scoring_path="/v2/score")
GREEN = DeploymentSpec(name="Green", passes_paths=True)
RED = DeploymentSpec(name="red")


def endpoint(traffic: Weights = (("blue", 100.0),), mirror: Weights = (), name: str = "churn") -> Endpoint:
    return Endpoint(EndpointSpec(name=name, traffic=traffic, mirror_traffic=mirror, deployments=(BLUE, GREEN, RED)))


def table(*names: str) -> RoutingTable:
    return RoutingTable(TableSpec(generation=7, endpoints=tuple(endpoint(name=name).spec for name in names)))


def chi_square(observed: dict[str, int], expected: dict[str, float]) -> float:
    return sum((observed.get(name, 0) - count) ** 2 / count for name, count in expected.items())


def draws(chooser: Endpoint, number: int, seed: int) -> dict[str, int]:
    rng = random.Random(seed)
    seen: dict[str, int] = {}
    for _ in range(number):
        name = chooser.choose(rng.random()).name
        seen[name] = seen.get(name, 0) + 1
    return seen


@pytest.mark.parametrize(
    ("u", "expected"), [(0.0, "blue"), (0.8999, "blue"), (0.9, "Green"), (0.9999, "Green"), (1 - 2**-53, "Green")]
)
def test_choice_follows_the_weights(u: float, expected: str) -> None:
    """The first 90 percent of [0, 1) are the first deployment's, the rest the other's."""
    assert endpoint((("blue", 90.0), ("Green", 10.0))).choose(u).name == expected


@pytest.mark.parametrize("u", [0.0, 0.5, 1 - 2**-53])
@pytest.mark.parametrize("traffic", [(("blue", 0.0), ("red", 100.0)), (("red", 100.0), ("blue", 0.0))])
def test_weight_zero_gets_nothing(traffic: Weights, u: float) -> None:
    """A deployment of weight 0 is not chosen, at either end of the range."""
    assert endpoint(traffic).choose(u).name == "red"


@pytest.mark.parametrize("traffic", [(), (("blue", 0.0), ("red", 0.0))])
def test_an_endpoint_without_live_weight_is_off(traffic: Weights) -> None:
    """Where every weight is 0 there is no live deployment to choose."""
    with pytest.raises(NoLiveDeployment):
        endpoint(traffic).choose(0.5)
    assert not endpoint(traffic).is_on


@pytest.mark.parametrize("total", [33.33, 33.3333333, 33.4])
def test_weights_that_do_not_quite_add_up_still_choose(total: float) -> None:
    """The end of the range has a deployment, whichever way a sum of fractions errs."""
    chooser = endpoint((("blue", total), ("Green", total), ("red", total)))
    assert chooser.choose(1 - 2**-53).name == "red"


@pytest.mark.parametrize(
    ("traffic", "expected"),
    [
        ((("blue", 90.0), ("Green", 10.0)), {"blue": 90_000, "Green": 10_000}),
        ((("blue", 99.9), ("Green", 0.1)), {"blue": 99_900, "Green": 100}),
        (
            (("blue", 33.333333), ("Green", 33.333333), ("red", 33.333334)),
            {"blue": 33_333.3, "Green": 33_333.3, "red": 33_333.4},
        ),
        ((("blue", 0.0), ("Green", 100.0)), {"Green": 100_000}),
    ],
)
def test_many_choices_have_the_proportions_of_the_weights(traffic: Weights, expected: dict[str, float]) -> None:
    """Of 100,000 seeded draws the shares fit the weights (chi-square far below its 0.1 % point)."""
    seen = draws(endpoint(traffic), 100_000, seed=20_240)
    assert seen.keys() == expected.keys()
    assert chi_square(seen, expected) < 10.8  # 0.1 % point at one degree of freedom, stricter at two


def test_mirror_sampling_is_independent_of_the_split() -> None:
    """A copied request is as often blue as any other, since each decision draws anew."""
    chooser = endpoint((("blue", 80.0), ("Green", 20.0)), (("red", 25.0),))
    rng = random.Random(11)
    seen: dict[tuple[str, bool], int] = {}
    for _ in range(100_000):
        cell = chooser.choose(rng.random()).name, chooser.mirror(rng.random()) is not None
        seen[cell] = seen.get(cell, 0) + 1
    expected = {("blue", True): 20_000, ("blue", False): 60_000, ("Green", True): 5_000, ("Green", False): 15_000}
    assert sum((seen[cell] - count) ** 2 / count for cell, count in expected.items()) < 16.3  # 0.1 %, 3 degrees


@pytest.mark.parametrize(
    ("mirror", "u", "expected"),
    [
        ((), 0.0, None),
        ((("red", 0.0),), 0.0, None),
        ((("red", 10.0),), 0.0, "red"),
        ((("red", 10.0),), 0.0999, "red"),
        ((("red", 10.0),), 0.1, None),
        ((("red", 10.0), ("Green", 5.0)), 0.12, "Green"),
        ((("red", 10.0), ("Green", 5.0)), 0.15, None),
        ((("red", 100.0),), 1 - 2**-53, "red"),
    ],
)
def test_mirror_takes_its_percent_and_leaves_the_rest(mirror: Weights, u: float, expected: str | None) -> None:
    """Copies are taken for the first percents of [0, 1) only."""
    target = endpoint(mirror=mirror).mirror(u)
    assert (target and target.name) == expected


@pytest.mark.parametrize("name", [b"green", b"GREEN", b"Green"])
def test_a_pin_is_compared_without_case(name: bytes) -> None:
    """A pinned deployment is found in any case and keeps its own spelling."""
    assert endpoint().pinned(name).name == "Green"


def test_a_pin_to_nothing_names_what_there_is() -> None:
    """The refusal of an unknown pin lists the deployments and cuts the client's text."""
    with pytest.raises(DeploymentNotFound) as refused:
        endpoint().pinned(b"grene" + b"x" * 100)
    assert refused.value.message == f"endpoint churn has no deployment 'grene{'x' * 35}'; it has blue, Green, red"


def test_live_means_weight_above_zero() -> None:
    """A deployment is live while it has weight."""
    chooser = endpoint((("blue", 100.0), ("red", 0.0)))
    assert (chooser.is_live("blue"), chooser.is_live("red"), chooser.is_live("Green")) == (True, False, False)


@pytest.mark.parametrize(
    ("path", "host", "name", "below"),
    [
        (b"/api/v1/endpoint/churn/score", b"", "churn", None),
        (b"/api/v1/endpoint/CHURN/score", b"", "churn", None),
        (b"/api/v1/endpoint/Fraud/score", b"", "Fraud", None),
        (b"/api/v1/endpoint/fraud/score", b"", "Fraud", None),
        (b"/api/v1/endpoint/fRAUD/score", b"", "Fraud", None),
        (b"/api/v1/endpoint/churn/score", b"fraud.example.com", "churn", None),
        (b"/api/v1/endpoint/churn/swagger.json", b"", "churn", b"/swagger.json"),
        (b"/api/v1/endpoint/churn", b"", "churn", b"/"),
        (b"/api/v1/endpoint/churn/", b"", "churn", b"/"),
        (b"/api/v1/endpoint/churn/score/", b"", "churn", b"/score/"),
        (b"/api/v1/endpoint/churn/a%2Fb/../c", b"", "churn", b"/a%2Fb/../c"),
        (b"/api/v1/endpoint/churn//score", b"", "churn", b"//score"),
        (b"/score", b"churn.example.com", "churn", None),
        (b"/score", b"CHURN.example.com:8080", "churn", None),
        (b"/score", b"fraud.", "Fraud", None),
        (b"/v1/models", b"fraud.example.com", "Fraud", b"/v1/models"),
        (b"/", b"fraud.example.com", "Fraud", b"/"),
    ],
)
def test_an_address_leads_to_an_endpoint(path: bytes, host: bytes, name: str, below: bytes | None) -> None:
    """The path names the endpoint, or else the first label of the Host does; what is below stays as it came."""
    found = table("churn", "Fraud").find(path, host)
    assert (found.endpoint.spec.name, found.path) == (name, below)


@pytest.mark.parametrize(
    ("path", "host"),
    [
        (b"/api/v1/endpoint/nothing/score", b"churn.example.com"),
        (b"/api/v1/endpoint//score", b""),
        (b"/api/v1/endpoint/", b""),
        (b"/api/v1/endpoint", b""),
        (b"/api/v1/endpoint/ch%75rn/score", b""),
        (b"//api/v1/endpoint/churn/score", b""),
        (b"/score", b""),
        (b"/score", b"churn"),
        (b"/score", b".churn"),
        (b"/score", b"nothing.example.com"),
        (b"*", b""),
        (b"", b""),
    ],
)
def test_an_address_of_nothing_is_refused(path: bytes, host: bytes) -> None:
    """Where neither path nor Host names an endpoint there is none."""
    with pytest.raises(EndpointNotFound):
        table("churn", "Fraud").find(path, host)


@pytest.mark.parametrize(("path", "below"), [(b"/score", None), (b"/swagger.json", b"/swagger.json")])
def test_a_single_endpoint_needs_no_name(path: bytes, below: bytes | None) -> None:
    """Where there is one endpoint, the bare scoring paths are its own."""
    found = table("churn").find(path, b"127.0.0.1:8080")
    assert (found.endpoint.spec.name, found.path) == ("churn", below)


@pytest.mark.parametrize("path", [b"/", b"/other", b"/score/", b"*"])
def test_a_single_endpoint_owns_no_other_bare_path(path: bytes) -> None:
    """Bare paths other than the scoring ones lead nowhere."""
    with pytest.raises(EndpointNotFound):
        table("churn").find(path, b"127.0.0.1:8080")


@pytest.mark.parametrize("name", ["churn", "CHURN"])
def test_an_endpoint_is_found_by_name(name: str) -> None:
    """Names of endpoints compare without case."""
    assert table("churn").endpoint(name).spec.name == "churn"


def test_an_unknown_endpoint_name_is_refused() -> None:
    """A name that is not in the table raises."""
    with pytest.raises(EndpointNotFound):
        table("churn").endpoint("fraud")


@pytest.mark.parametrize(
    ("deployment", "path", "query", "expected"),
    [
        (BLUE, None, b"", b"/v2/score"),
        (BLUE, None, b"?", b"/v2/score?"),
        (BLUE, None, b"?a=%7e+b", b"/v2/score?a=%7e+b"),
        (BLUE, b"/swagger.json", b"?version=3", b"/swagger.json?version=3"),
        (GREEN, b"/a%2Fb/../c;d//", b"", b"/a%2Fb/../c;d//"),
    ],
)
def test_an_instance_sees_its_own_path(
    deployment: DeploymentSpec, path: bytes | None, query: bytes, expected: bytes
) -> None:
    """Scoring goes to the deployment's scoring path, any other path as it came; the query is kept."""
    assert Target(endpoint(), path).upstream_target(deployment, query) == expected


def test_a_path_that_a_deployment_lacks_is_refused() -> None:
    """A scoring server has no path of its own choice."""
    with pytest.raises(PathNotFound):
        Target(endpoint(), b"/other").upstream_target(BLUE, b"")


def test_share_weights_keeps_order_and_fractions() -> None:
    """A mapping of percents becomes pairs of floats in its own order."""
    assert share_weights({"b": 33.3, "a": 66}) == (("b", 33.3), ("a", 66.0))


def test_addresses_are_those_of_each_deployment() -> None:
    """Ready or not."""
    instances = (InstanceSpec(address="unix:/a"), InstanceSpec(address="unix:/b", is_ready=False))
    blue, green = DeploymentSpec(name="blue", instances=instances), DeploymentSpec(name="green")
    spec = EndpointSpec(name="churn", deployments=(blue, green))
    listed = addresses(TableSpec(generation=3, endpoints=(spec,)))
    assert listed == {"churn": {"blue": {"unix:/a", "unix:/b"}, "green": frozenset()}}


def test_every_row_of_a_table_is_listed() -> None:
    """Those of the endpoint, of its mirror, of each deployment's queue and of each instance."""
    blue = DeploymentSpec(name="blue", queue_row=5, instances=(InstanceSpec(address="unix:/a", row=6),))
    mirror = MirrorSpec(slots_row=3, bucket_row=4)
    spec = EndpointSpec(name="churn", mirror=mirror, bandwidth_row=2, deployments=(blue,))
    assert list(rows(TableSpec(generation=3, endpoints=(spec,)))) == [2, 3, 4, 5, 6]

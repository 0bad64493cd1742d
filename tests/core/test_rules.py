"""The rules of a config, on plain values."""

import pytest

from router.core.rules import (
    Breach,
    HostPort,
    admin_breaches,
    auth_breaches,
    deployment_name_breaches,
    instance_breaches,
    is_loopback,
    mirror_breaches,
    name_breaches,
    parse_host_port,
    self_target_breaches,
    spell_as,
    stated_name_breaches,
    traffic_breaches,
)

BOTH = ["blue", "green"]
WRONG_NAME = (
    "not a valid name; expected 3 to 32 letters, digits and hyphens, "
    "starting with a letter and ending with a letter or digit"
)


@pytest.mark.parametrize(
    "traffic",
    [
        {},
        {"blue": 0.0, "green": 0.0},
        {"blue": 100.0},
        {"blue": 90.0, "green": 10.0},
        {"blue": 99.9, "green": 0.1},
        {"blue": 66.666667, "green": 33.333333},
        {"blue": 99.999999},
    ],
)
def test_weights_that_add_up_to_0_or_100_are_accepted(traffic: dict[str, float]) -> None:
    """The sum may miss by a millionth, so that thirds can be written."""
    assert traffic_breaches(traffic, BOTH) == []


@pytest.mark.parametrize(
    ("traffic", "total"),
    [
        ({"blue": 90.0}, "90"),
        ({"blue": 90.0, "green": 20.0}, "110"),
        ({"blue": 99.99999}, "99.99999"),
        ({"blue": 1e-5}, "1e-05"),
    ],
)
def test_weights_that_add_up_to_something_else_are_refused(traffic: dict[str, float], total: str) -> None:
    """The message has the sum and what it should be."""
    assert traffic_breaches(traffic, BOTH) == [Breach((), f"weights add up to {total}, expected 0 or 100")]


@pytest.mark.parametrize(
    ("weight", "shown"), [(-10.0, "-10"), (float("nan"), "nan"), (float("inf"), "inf"), (float("-inf"), "-inf")]
)
def test_a_weight_that_is_no_percentage_is_refused(weight: float, shown: str) -> None:
    """Negative weights would let the sum come out right."""
    assert traffic_breaches({"blue": weight, "green": 110.0}, BOTH) == [
        Breach(("blue",), f"{shown} is not a percentage; expected a number from 0 to 100")
    ]


def test_a_weight_of_an_unknown_deployment_is_refused_even_if_0() -> None:
    """The message names the deployments that exist."""
    assert traffic_breaches({"grene": 0.0}, BOTH) == [
        Breach(("grene",), "no deployment has this name; there is blue, green")
    ]


def test_one_deployment_under_two_spellings_is_refused() -> None:
    """Names are compared without case, so these are two weights of one deployment."""
    assert traffic_breaches(spell_as({"blue": 50.0, "BLUE": 50.0}, BOTH), BOTH) == [
        Breach(("BLUE",), "blue and BLUE are the same deployment; write it once")
    ]


def test_names_take_the_spelling_of_their_deployment() -> None:
    """A name without a deployment stays as it is written."""
    assert spell_as({"BLUE": 90.0, "Other": 10.0}, ["Blue"]) == {"Blue": 90.0, "Other": 10.0}


def mirror(
    mirror_traffic: dict[str, float],
    live: dict[str, float] | None = None,
    *,
    max_percent: float = 50,
    max_targets: int = 1,
    allow_live_target: bool = False,
) -> list[Breach]:
    return mirror_breaches(
        mirror_traffic,
        [*BOTH, "grey"],
        live={"blue": 100.0} if live is None else live,
        max_percent=max_percent,
        max_targets=max_targets,
        allow_live_target=allow_live_target,
    )


@pytest.mark.parametrize(
    "mirror_traffic", [{}, {"green": 0.0}, {"green": 10.0}, {"green": 50.0}, {"green": 0.5, "grey": 0.0}]
)
def test_a_mirror_within_azures_limits_is_accepted(mirror_traffic: dict[str, float]) -> None:
    """One target, at most 50 percent, without live weight; zeros do not count."""
    assert mirror(mirror_traffic) == []


def test_a_mirror_over_its_percentage_is_refused() -> None:
    """The message names the setting that lifts the limit."""
    assert mirror({"green": 60.0}) == [Breach((), "60 percent, at most 50 (mirror.max_percent)")]


def test_two_mirror_targets_are_refused() -> None:
    """The message names the targets."""
    assert mirror({"green": 10.0, "grey": 10.0}) == [
        Breach((), "2 targets (green, grey), at most 1 (mirror.max_targets)")
    ]


def test_a_mirror_target_with_live_weight_is_refused() -> None:
    """The shadow carries no live traffic."""
    assert mirror({"green": 10.0}, {"blue": 90.0, "green": 10.0}) == [
        Breach(("green",), "also has live weight 10, expected 0 for a mirror target (mirror.allow_live_target)")
    ]


def test_lifted_mirror_limits_are_honoured() -> None:
    """Each of Azure's limits can be lifted."""
    live = {"blue": 90.0, "green": 10.0}
    assert mirror({"green": 60.0, "grey": 40.0}, live, max_percent=100, max_targets=2, allow_live_target=True) == []


@pytest.mark.parametrize("name", ["abc", "A-1", "a" * 32, "my-endpoint", "a--b"])
def test_a_name_of_letters_digits_and_hyphens_is_accepted(name: str) -> None:
    """3 to 32 characters, first a letter, last no hyphen."""
    assert name_breaches([name]) == []


@pytest.mark.parametrize(
    "name", ["", "ab", "a" * 33, "1abc", "-abc", "abc-", "a_b", "a.b", "a b", "abc\n", "äbc", "123"]
)
def test_any_other_name_is_refused(name: str) -> None:
    """Names are part of paths, hosts and metric labels."""
    assert name_breaches([name]) == [Breach((name,), WRONG_NAME)]


def test_names_that_differ_in_case_only_are_refused() -> None:
    """The second one is the problem."""
    assert name_breaches(["churn", "Churn"]) == [
        Breach(("Churn",), "differs from churn only in case; names are compared without it")
    ]


def test_at_most_20_deployments() -> None:
    """Azure's limit."""
    names = [f"dep-{number}" for number in range(21)]
    assert deployment_name_breaches(names[:20]) == []
    assert deployment_name_breaches(names) == [Breach((), "21 deployments, at most 20")]


def test_a_stated_name_is_the_key() -> None:
    """Azure's files have their name inside; case does not count."""
    assert stated_name_breaches(("name",), None, "blue") == []
    assert stated_name_breaches(("name",), "Blue", "blue") == []
    assert stated_name_breaches(("name",), "green", "blue") == [
        Breach(("name",), "green stands under blue; expected blue, or no such field")
    ]


def test_no_instances_under_live_weight_are_refused() -> None:
    """Without live weight a deployment may have none."""
    assert instance_breaches({"blue": 0, "green": 0, "grey": 1}, {"blue": 100.0, "green": 0.0}) == [
        Breach(("blue", "instance_count"), "0 instances under live weight 100; expected at least 1")
    ]


@pytest.mark.parametrize("auth_mode", ["key", "aml_token"])
def test_an_authenticated_endpoint_may_be_served_anywhere(auth_mode: str) -> None:
    """Only `none` asks for loopback."""
    assert auth_breaches(auth_mode, [HostPort("0.0.0.0", 80)]) == []


def test_an_open_endpoint_is_served_on_loopback_only() -> None:
    """Every listener counts."""
    listen = [HostPort("127.0.0.1", 80), HostPort("10.0.0.1", 80)]
    assert auth_breaches("none", listen[:1]) == []
    assert auth_breaches("none", listen) == [
        Breach(("auth_mode",), "none is for loopback only, and the router listens on 10.0.0.1; use key or aml_token")
    ]


def test_an_open_admin_address_is_loopback() -> None:
    """With a token it may be anywhere."""
    assert admin_breaches(None, has_token=False) == []
    assert admin_breaches(HostPort("localhost", 1), has_token=False) == []
    assert admin_breaches(HostPort("0.0.0.0", 1), has_token=True) == []
    assert admin_breaches(HostPort("0.0.0.0", 1), has_token=False) == [
        Breach(("http",), "0.0.0.0 is not loopback; set admin.token_file, or listen on 127.0.0.1")
    ]


@pytest.mark.parametrize(
    ("upstream", "own"),
    [
        (HostPort("127.0.0.1", 8080), HostPort("127.0.0.1", 8080)),
        (HostPort("localhost", 8080), HostPort("127.0.0.1", 8080)),
        (HostPort("127.0.0.1", 8080), HostPort("0.0.0.0", 8080)),
        (HostPort("::1", 8080), HostPort("::", 8080)),
        (HostPort("0.0.0.0", 8080), HostPort("127.0.0.1", 8080)),
        (HostPort("Host.Example", 8080), HostPort("host.example", 8080)),
    ],
)
def test_an_upstream_that_is_the_router_itself_is_refused(upstream: HostPort, own: HostPort) -> None:
    """However the address is spelled."""
    assert self_target_breaches([None, upstream], [own]) == [
        Breach((1,), "this is the router's own listen address; its requests would come back to it for ever")
    ]


@pytest.mark.parametrize(
    ("upstream", "own"),
    [
        (HostPort("127.0.0.1", 8081), HostPort("127.0.0.1", 8080)),
        (HostPort("127.0.0.2", 8080), HostPort("127.0.0.1", 8080)),
        (HostPort("10.0.0.2", 8080), HostPort("0.0.0.0", 8080)),
        (HostPort("127.0.0.1", 8080), HostPort("127.0.0.1", 0)),
    ],
)
def test_another_address_is_no_self_target(upstream: HostPort, own: HostPort) -> None:
    """A host of the same port elsewhere is an upstream like any other."""
    assert self_target_breaches([upstream], [own]) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:8080", HostPort("127.0.0.1", 8080)),
        ("[::1]:0", HostPort("::1", 0)),
        ("host.example:65535", HostPort("host.example", 65535)),
        ("8080", None),
        (":8080", None),
        ("host", None),
        ("host:", None),
        ("host:65536", None),
        ("host:-1", None),
        ("::1:80", None),
        ("a/b:80", None),
        ("user@host:80", None),
        ("host:²", None),
        ("host:" + "9" * 5000, None),
    ],
)
def test_addresses(text: str, expected: HostPort | None) -> None:
    """A host and a port, an IPv6 host in brackets; nothing else."""
    assert parse_host_port(text) == expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("LocalHost", True),
        ("0.0.0.0", False),
        ("127.example", False),
    ],
)
def test_loopback_by_spelling(host: str, expected: bool) -> None:
    """No name is looked up."""
    assert is_loopback(host) is expected

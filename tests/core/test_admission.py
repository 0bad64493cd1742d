"""Who may connect."""

import pytest

from router.core.admission import Admission, affordable_connections, client_of


def test_a_client_may_connect_while_there_is_room() -> None:
    """Up to the limit in all, whoever the others are."""
    admission = Admission()
    for client in ("10.0.0.1", "10.0.0.2", ""):
        assert admission.refusal(client, most=3, most_of_one=3) is None
        admission.enter(client)
    assert admission.refusal("10.0.0.3", most=3, most_of_one=3) == "too_many"
    admission.leave("10.0.0.2")
    assert admission.refusal("10.0.0.3", most=3, most_of_one=3) is None


def test_one_client_may_not_take_the_room_of_all() -> None:
    """Up to the limit of its own; others do not feel it."""
    admission = Admission()
    admission.enter("10.0.0.1")
    admission.enter("10.0.0.1")
    assert admission.refusal("10.0.0.1", most=9, most_of_one=2) == "too_many_of_address"
    assert admission.refusal("10.0.0.2", most=9, most_of_one=2) is None
    admission.leave("10.0.0.1")
    assert admission.refusal("10.0.0.1", most=9, most_of_one=2) is None


def test_a_client_without_address_has_no_limit_of_its_own() -> None:
    """Whoever comes over a Unix socket is counted with all others only."""
    admission = Admission()
    admission.enter("")
    assert admission.refusal("", most=2, most_of_one=1) is None


def test_a_client_that_left_is_forgotten() -> None:
    """Nothing is kept of addresses that were seen once."""
    admission = Admission()
    admission.enter("10.0.0.1")
    admission.leave("10.0.0.1")
    assert repr(admission) == "Admission(0 connections of 0 clients)"


@pytest.mark.parametrize(
    ("host", "client"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
    ],
)
def test_addresses_that_one_client_has_count_as_one(host: str, client: str) -> None:
    """An IPv4 address, however written; a network of IPv6 that is handed out as one."""
    assert client_of(host) == client


@pytest.mark.parametrize(("descriptors", "connections"), [(256, 96), (1024, 480), (20_000, 9968), (40, 1)])
def test_descriptors_are_left_for_instances(descriptors: int, connections: int) -> None:
    """Half of what the process does not need itself; one client is always let in."""
    assert affordable_connections(descriptors) == connections

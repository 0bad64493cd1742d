"""Who may connect."""

import pytest

from router.core.admission import Admission, ConnectionRefusal, affordable_connections, client_of
from router.core.crowd import Crowd, crowd_bytes, put_key
from router.core.ledger import CONNECTIONS, Count
from tests.core.several_proxies import Proxies


def admission() -> Admission:
    """Of a proxy that is the only one."""
    return Admission(Count())


def admit(
    admission: Admission, client: str = "", *, most: int = 9, most_here: int = 9, most_of_one: int = 9
) -> ConnectionRefusal | None:
    return admission.admit(client, most=most, most_here=most_here, most_of_one=most_of_one)


def test_a_client_may_connect_while_there_is_room() -> None:
    """Up to the limit in all, whoever the others are."""
    door = admission()
    assert [admit(door, client, most=3) for client in ("10.0.0.1", "10.0.0.2", "")] == [None, None, None]
    assert admit(door, "10.0.0.3", most=3) == "too_many_connections"
    door.leave("10.0.0.2")
    assert admit(door, "10.0.0.3", most=3) is None


def test_one_client_may_not_take_the_room_of_all() -> None:
    """Up to the limit of its own; others do not feel it."""
    door = admission()
    assert [admit(door, "10.0.0.1", most_of_one=2) for _ in range(3)] == [None, None, "too_many_connections_of_address"]
    assert admit(door, "10.0.0.2", most_of_one=2) is None
    door.leave("10.0.0.1")
    assert admit(door, "10.0.0.1", most_of_one=2) is None


def test_a_client_without_address_has_no_limit_of_its_own() -> None:
    """Whoever comes over a Unix socket is counted with all others only."""
    door = admission()
    assert [admit(door, "", most=2, most_of_one=1) for _ in range(3)] == [None, None, "too_many_connections"]


def test_a_process_has_no_more_clients_than_it_has_descriptors_for() -> None:
    """However much room there is with the others."""
    door = admission()
    assert [admit(door, most_here=1) for _ in range(2)] == [None, "too_many_connections"]


def test_a_client_that_left_is_forgotten() -> None:
    """Nothing is kept of addresses that were seen once."""
    door = admission()
    admit(door, "10.0.0.1")
    door.leave("10.0.0.1")
    assert repr(door) == "Admission(0 connections of 0 clients)"


def test_one_that_is_there_already_is_counted_whatever_the_limit() -> None:
    """It takes a place from those that come later."""
    door = admission()
    door.enter("10.0.0.1")
    assert admit(door, "10.0.0.2", most=1) == "too_many_connections"


def test_the_limit_holds_for_the_sum_of_all_proxies() -> None:
    """One proxy may have all of it; who leaves one makes room at the other."""
    proxies = Proxies(2)
    first, second = (Admission(ledger.row(CONNECTIONS)) for ledger in proxies.ledgers)
    assert [admit(first, most=3) for _ in range(3)] == [None, None, None]
    assert admit(second, most=3) == "too_many_connections"
    first.leave("")
    assert admit(second, most=3) is None
    assert admit(first, most=3) == "too_many_connections"


def test_what_is_refused_for_another_reason_takes_no_place() -> None:
    """A client that is over its own limit leaves the room of all as it was."""
    proxies = Proxies(2)
    first, second = (Admission(ledger.row(CONNECTIONS)) for ledger in proxies.ledgers)
    admit(first, "10.0.0.1", most=2, most_of_one=1)
    assert admit(first, "10.0.0.1", most=2, most_of_one=1) == "too_many_connections_of_address"
    assert admit(second, "10.0.0.2", most=2) is None


def test_the_places_of_a_proxy_that_has_ended_are_free() -> None:
    """Its clients have gone with it."""
    proxies = Proxies(2)
    first, second = (Admission(ledger.row(CONNECTIONS)) for ledger in proxies.ledgers)
    admit(first, most=1)
    proxies.end(0)
    assert admit(second, most=1) is None


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


def test_the_limit_of_one_client_holds_for_all_proxies() -> None:
    """Whichever it comes to; what it gives back at one it may have at the other."""
    memory = memoryview(bytearray(crowd_bytes(2)))
    put_key(memory, b"0123456789abcdef")
    proxies = Proxies(2)
    one, other = (Admission(ledger.row(CONNECTIONS), Crowd(memory, ledger.slot, 2)) for ledger in proxies.ledgers)
    assert [admit(door, "10.0.0.1", most_of_one=3) for door in (one, other, other)] == [None, None, None]
    assert [admit(door, "10.0.0.1", most_of_one=3) for door in (one, other)] == ["too_many_connections_of_address"] * 2
    assert admit(one, "10.0.0.2", most_of_one=3) is None
    assert admit(one, most_of_one=1) is None
    other.leave("10.0.0.1")
    assert [admit(door, "10.0.0.1", most_of_one=3) for door in (one, other)] == [
        None,
        "too_many_connections_of_address",
    ]
    assert (one.number, other.number) == (4, 1)
    assert repr(other) == "Admission(1 connections of 1 clients)"

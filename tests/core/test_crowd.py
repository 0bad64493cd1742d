"""What each proxy knows of the clients of the others."""

from router.core.crowd import KEY_BYTES, PLACES, Crowd, clear_crowd, crowd_bytes, put_key

KEY = b"0123456789abcdef"


def crowds(slots: int = 3, key: bytes = KEY) -> tuple[memoryview, list[Crowd]]:
    memory = memoryview(bytearray(crowd_bytes(slots)))
    put_key(memory, key)
    return memory, [Crowd(memory, slot, slots) for slot in range(slots)]


def others(crowd: Crowd, client: str) -> int:
    return crowd.others(crowd.seats(client))


def test_each_sees_what_the_others_have() -> None:
    """Not what it has itself, which it knows better."""
    _, (a, b, c) = crowds()
    seats = a.seats("10.0.0.1")
    for one in (a, b, b, c):
        one.enter(seats)
    assert [others(one, "10.0.0.1") for one in (a, b, c)] == [3, 2, 3]
    assert others(a, "10.0.0.2") == 0
    b.leave(seats)
    assert [others(one, "10.0.0.1") for one in (a, b, c)] == [2, 2, 2]


def test_all_find_a_client_at_the_same_seats() -> None:
    """One in each row, within it, and apart from the words of another slot."""
    _, (a, b, _) = crowds()
    seats = a.seats("2001:db8::/64")
    assert b.seats("2001:db8::/64") == seats
    assert [seat // (PLACES * 3) for seat in seats] == [0, 1, 2]
    assert [seat % 3 for seat in seats] == [0, 0, 0]


def test_another_key_gives_other_seats() -> None:
    """Nobody can tell who shares a place with whom."""
    _, (one, *_) = crowds()
    _, (other, *_) = crowds(key=KEY[::-1])
    assert one.seats("10.0.0.1") != other.seats("10.0.0.1")


def test_what_a_proxy_had_that_has_ended_is_forgotten() -> None:
    """The others' counts and the key stay."""
    memory, (a, b, c) = crowds()
    seats = a.seats("10.0.0.1")
    for one in (a, b, c):
        one.enter(seats)
    clear_crowd(memory, 1, 3)
    assert [one.others(seats) for one in (a, b, c)] == [1, 2, 1]
    assert memory[-KEY_BYTES:] == KEY


def test_strangers_are_hardly_ever_taken_for_a_client() -> None:
    """With 400 clients of 10 connections each at the other proxy, none of 1000 others is charged for them."""
    _, (a, b, _) = crowds()
    for number in range(400):
        seats = a.seats(f"10.1.{number // 200}.{number % 200}")
        for _ in range(10):
            b.enter(seats)
    charged = [others(a, f"10.2.{number // 200}.{number % 200}") for number in range(1000)]
    assert sum(number > 0 for number in charged) <= 5

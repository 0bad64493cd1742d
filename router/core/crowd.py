"""How many connections each client has at the other proxies, in a table of fixed size that all proxies share.

Rules
- A client has one place in each of the table's rows, by a hash whose key nobody outside knows: nobody can choose with
  whom to share a place. A place has a word for each proxy, which writes its own words only: nobody waits for anybody,
  and what a proxy had that was killed is cleared with its words.
- Strangers may share some of a client's places, hardly ever all: of the sums the least is taken. It is never too small.
- Who counts one more writes first and looks at the others afterwards. So the sum of all is never over the limit; of two
  who reach for the last place at the same moment both may be refused.
"""

from hashlib import blake2b

from router.core.ledger import clear, fence

ROWS = 3
PLACES = 4096  # in each row
KEY_BYTES = 16
_WORD_BYTES = 8
_HASH_BYTES = 2


def crowd_bytes(slots: int) -> int:
    """Size of the memory that `slots` proxies share; the key is at its end."""
    return ROWS * PLACES * slots * _WORD_BYTES + KEY_BYTES


def put_key(memory: memoryview, random: bytes) -> None:
    """Begin with this key, of 16 bytes."""
    memory[-KEY_BYTES:] = random


def clear_crowd(memory: memoryview, slot: int, slots: int) -> None:
    """Forget whom the proxy of `slot` had; it must have ended."""
    clear(memory[:-KEY_BYTES], slot, slots)


class Crowd:
    """One proxy's way to the table."""

    def __init__(self, memory: memoryview, slot: int, slots: int) -> None:
        self._words = memory[:-KEY_BYTES].cast("Q")
        self._key = bytes(memory[-KEY_BYTES:])
        self._slot = slot
        self._slots = slots

    def seats(self, client: str) -> tuple[int, ...]:
        """Where a client is counted."""
        digest = blake2b(client.encode(), key=self._key, digest_size=ROWS * _HASH_BYTES).digest()
        numbers = (int.from_bytes(digest[row * _HASH_BYTES : (row + 1) * _HASH_BYTES]) for row in range(ROWS))
        return tuple((row * PLACES + number % PLACES) * self._slots for row, number in enumerate(numbers))

    def enter(self, seats: tuple[int, ...]) -> None:
        """One more connection of whoever sits there. What is read afterwards is newer than that."""
        for seat in seats:
            self._words[seat + self._slot] += 1
        fence()

    def leave(self, seats: tuple[int, ...]) -> None:
        """One less."""
        for seat in seats:
            self._words[seat + self._slot] -= 1

    def others(self, seats: tuple[int, ...]) -> int:
        """How many the other proxies have, at most."""
        words, slot, slots = self._words, self._slot, self._slots
        return min(sum(words[seat : seat + slots]) - words[seat + slot] for seat in seats)

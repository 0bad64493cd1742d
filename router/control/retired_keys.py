"""Takes the keys of endpoints that cannot come back out of the state."""

from collections.abc import Iterable

from router.control.state import State


def forget_retired_keys(state: State, names: Iterable[str], texts: Iterable[str]) -> list[str]:
    """Forget the keys of endpoints that neither `names` has nor any of `texts`; return these endpoints.

    An undo, by command or by hand, brings an endpoint back with the keys that it had. Once no text has its name, no
    undo does, and what would open an endpoint of that name is of no use but to a thief.

    Args:
        names: Of the endpoints that there are.
        texts: Of the config files that may come back.

    Raises:
        StateError: they cannot be read or stored.
    """
    there = {name.lower() for name in names}
    retired = {name for name in state.keyed_endpoints() if name.lower() not in there}
    for text in texts:
        lowered = text.lower()
        # Anywhere in the text: a name too many that is kept harms nobody.
        retired = {name for name in retired if name.lower() not in lowered}
    for name in retired:
        state.forget_credentials(name)
    return sorted(retired)

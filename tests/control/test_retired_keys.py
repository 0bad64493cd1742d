"""Keys of endpoints that are gone are kept for as long as something may bring the endpoint back."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from router.control.retired_keys import forget_retired_keys
from router.control.state import State


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    state = State.open(tmp_path)
    for endpoint in ("churn", "fraud", "spam"):
        state.credentials(endpoint)
    yield state
    state.close()


def test_only_keys_that_nothing_can_bring_back_are_forgotten(state: State) -> None:
    """Those of the config stay, and those of earlier files, in whatever case they are written there."""
    kept = [state.credentials(endpoint) for endpoint in ("churn", "fraud")]
    assert forget_retired_keys(state, ["Churn"], ["endpoints: {FRAUD: {}}", ""]) == ["spam"]
    assert state.keyed_endpoints() == ["churn", "fraud"]
    assert [state.credentials(endpoint) for endpoint in ("churn", "fraud")] == kept


def test_without_anything_left_to_bring_back_all_are_forgotten(state: State) -> None:
    """The last endpoint was deleted long ago."""
    assert forget_retired_keys(state, [], []) == ["churn", "fraud", "spam"]
    assert state.keyed_endpoints() == []

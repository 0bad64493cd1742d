"""`teal config`."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from router.control.history import ConfigHistory
from router.control.state import State
from tests.cli.conftest import Teal
from tests.cli.fake_daemon import Asked, FakeDaemon, operation


def version(number: int, **fields: object) -> dict[str, Any]:
    return {
        "number": number,
        "applied": "2026-03-01T10:00:00.000Z",
        "source": "file",
        "is_current": False,
        "is_applied": True,
        "restores": None,
        "added": 2,
        "removed": 1,
        **fields,
    }


HISTORY = [
    version(1),
    version(2, source="online-endpoint update"),
    version(3, is_applied=False),
    version(4, restores=1, is_current=True),
]


async def test_history_is_a_table(teal: Teal, daemon: FakeDaemon) -> None:
    """Number, time, what made it, how much it changed, what it is."""
    daemon.answer("GET", "/v1/config/history", HISTORY)
    outcome = await teal("config", "history", "-o", "table")
    rows = [" ".join(line.split()) for line in outcome.stdout.splitlines()]
    assert rows[0] == "Number Applied Source Lines Note"
    assert rows[2:] == [
        "1 2026-03-01 10:00:00 file +2 -1",
        "2 2026-03-01 10:00:00 online-endpoint update +2 -1",
        "3 2026-03-01 10:00:00 file +2 -1 never in force",
        "4 2026-03-01 10:00:00 file +2 -1 current, brings back 1",
    ]


@pytest.mark.parametrize(("number", "target"), [([], "/v1/config/diff"), (["3"], "/v1/config/diff?number=3")])
async def test_diff_is_that_of_the_daemon(teal: Teal, daemon: FakeDaemon, number: list[str], target: str) -> None:
    """Printed as it is, so that `patch` can read it."""
    daemon.answer("GET", "/v1/config/diff", "--- a\n+++ b\n")
    outcome = await teal("config", "diff", *number)
    assert (outcome.stdout, daemon.asked) == ("--- a\n+++ b\n", [Asked("GET", target)])


async def test_diff_of_another_file_is_with_what_is_in_force(teal: Teal, daemon: FakeDaemon, tmp_path: Path) -> None:
    """What would a new file change?"""
    daemon.answer("GET", "/v1/config/history", HISTORY)
    daemon.answer("GET", "/v1/config/versions/4", "a: 1\nb: 1\n")
    (tmp_path / "new.yaml").write_text("a: 1\nb: 2\n")
    outcome = await teal("config", "diff", "--config", "new.yaml")
    assert outcome.stdout == "--- version 4\n+++ new.yaml\n@@ -1,2 +1,2 @@\n a: 1\n-b: 1\n+b: 2\n"


async def test_diff_of_another_file_with_a_version(teal: Teal, daemon: FakeDaemon, tmp_path: Path) -> None:
    """Both are named."""
    daemon.answer("GET", "/v1/config/versions/2", "a: 1\n")
    (tmp_path / "new.yaml").write_text("a: 1\n")
    outcome = await teal("config", "diff", "2", "--config", "new.yaml")
    assert (outcome.returncode, outcome.stdout) == (0, "")


async def test_number_of_a_version_is_a_number(teal: Teal, daemon: FakeDaemon) -> None:
    """Wrong usage, in one sentence."""
    outcome = await teal("config", "diff", "last")
    assert (outcome.returncode, daemon.asked) == (2, [])
    assert "'last' is not a whole number from 1 on" in outcome.stderr


@pytest.mark.parametrize(("number", "body"), [([], {}), (["3"], {"number": 3})])
async def test_undo_is_an_operation(teal: Teal, daemon: FakeDaemon, number: list[str], body: dict[str, object]) -> None:
    """It is waited for, and printed."""
    daemon.obey("POST", "/v1/config/undo", command="config undo", endpoint="", deployment="")
    outcome = await teal("config", "undo", *number, "--yes")
    assert json.loads(outcome.stdout) == operation(command="config undo", endpoint="", deployment="")
    assert daemon.asked == [Asked("POST", "/v1/config/undo", body)]


async def test_undo_asks_first(teal: Teal, daemon: FakeDaemon) -> None:
    """Without a terminal nobody can answer."""
    outcome = await teal("config", "undo")
    assert (outcome.returncode, daemon.asked) == (1, [])
    assert outcome.stderr.endswith("There is no terminal to ask on; say so with --yes\n")


# Without a daemon


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """The state directory that a daemon has left, beside its config file, which has been edited since."""
    (tmp_path / "config").mkdir()
    place = tmp_path / "config" / ".teal"
    state = State.open(place)
    history = ConfigHistory(state)
    history.record(b"a: 1\n")
    history.record(b"a: 2\n", source="online-endpoint update")
    state.close()
    (tmp_path / "config" / "teal.yaml").write_text("a: 3\n")
    return place


@pytest.mark.parametrize(("number", "before"), [([], "a: 2"), (["1"], "a: 1")])
async def test_diff_without_a_daemon_reads_what_it_left(teal: Teal, left: Path, number: list[str], before: str) -> None:
    """And says that it does."""
    outcome = await teal("config", "diff", *number)
    assert outcome.returncode == 0
    assert outcome.stdout.splitlines()[2:] == ["@@ -1 +1 @@", f"-{before}", "+a: 3"]
    assert outcome.stderr == (
        "no daemon is running; config/teal.yaml is compared with what it left in config/.teal/state.db\n"
    )


async def test_another_file_is_compared_with_what_was_in_force(teal: Teal, left: Path, tmp_path: Path) -> None:
    """Even if it is the same."""
    (tmp_path / "new.yaml").write_text("a: 2\n")
    outcome = await teal("config", "diff", "--config", "new.yaml")
    assert (outcome.returncode, outcome.stdout) == (0, "")


async def test_version_that_is_not_there_is_refused(teal: Teal, left: Path) -> None:
    """The message says which there are."""
    outcome = await teal("config", "diff", "9")
    assert (outcome.returncode, outcome.stderr.splitlines()[-1]) == (
        1,
        "there is no version 9 of the config; there are 1 to 2",
    )


async def test_state_of_somebody_else_is_named(teal: Teal, left: Path) -> None:
    """Keys are in there, so it is not for everybody."""
    (left / "state.db").unlink()
    (left / "state.db").mkdir()
    outcome = await teal("config", "diff")
    assert outcome.returncode == 1
    assert "config/.teal/state.db: Is a directory" in outcome.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_state_that_may_not_be_read_is_named(teal: Teal, left: Path) -> None:
    """Whose it is, and what would help."""
    (left / "state.db").chmod(0)
    outcome = await teal("config", "diff")
    assert "only the daemon's user may read it; become that user" in outcome.stderr


async def test_damaged_state_is_named(teal: Teal, left: Path) -> None:
    """One sentence, no traceback."""
    (left / "state.db").write_bytes(b"nonsense" * 1000)
    outcome = await teal("config", "diff")
    assert outcome.returncode == 1
    assert "config/.teal/state.db cannot be read: file is not a database" in outcome.stderr


async def test_without_state_there_is_nothing_to_compare_with(teal: Teal) -> None:
    """Where it was looked for, and how a daemon is started."""
    outcome = await teal("config", "diff")
    assert (outcome.returncode, outcome.stdout) == (1, "")
    assert outcome.stderr.splitlines()[1:] == ["there is no state.db in those places to compare with"]


async def test_without_a_file_it_says_how_to_name_one(teal: Teal, left: Path) -> None:
    """The daemon's file is not known without it."""
    (left.parent / "teal.yaml").unlink()
    outcome = await teal("config", "diff")
    assert outcome.stderr.splitlines()[1:] == [
        "there is no config/teal.yaml here; say which file to compare with --config"
    ]

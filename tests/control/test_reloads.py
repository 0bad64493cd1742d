"""What becomes of new content of the config file."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from router.control.config.watch import Changed, FileEvent, Gone, Unreadable
from router.control.reloads import Reloads

PATH = Path("/etc/teal.yaml")
GOOD = b"endpoints: {churn: {}}\n"
BAD = b"endpoints: {churn: {traffic: {blue: 100}}}\n"


@pytest.fixture
def reloads() -> Reloads:
    return Reloads(PATH)


async def apply(reloads: Reloads, content: bytes) -> None:
    loaded = await reloads.judge(Changed(content))
    assert loaded is not None
    reloads.applied(loaded)


async def refuse(reloads: Reloads, event: FileEvent) -> list[str]:
    """The problems that were logged."""
    with capture_logs() as events:
        assert await reloads.judge(event) is None
    return [problem for event in events if event["event"] == "config.refused" for problem in event["problems"]]


async def test_good_content_is_applied_and_counted(reloads: Reloads) -> None:
    """It clears the problems of what came before."""
    await refuse(reloads, Changed(BAD))
    await apply(reloads, GOOD)
    assert reloads.counts == {"applied": 1, "unchanged": 0, "refused": 1}
    assert (reloads.problems, reloads.last and reloads.last.outcome) == ((), "applied")


async def test_the_same_content_is_not_applied_again(reloads: Reloads) -> None:
    """Going back to what is in force clears the problems."""
    await apply(reloads, GOOD)
    await refuse(reloads, Changed(BAD))
    assert await reloads.judge(Changed(GOOD)) is None
    assert reloads.counts == {"applied": 1, "unchanged": 1, "refused": 1}
    assert reloads.problems == ()


async def test_flapping_content_is_applied_each_time(reloads: Reloads) -> None:
    """Only what is in force counts as unchanged."""
    other = GOOD + b"access_log: false\n"
    for content in (GOOD, other, GOOD, other):
        await apply(reloads, content)
    assert reloads.counts["applied"] == 4


async def test_a_problem_is_logged_once_and_counted_each_time(reloads: Reloads) -> None:
    """And once more after it had been repaired."""
    first = await refuse(reloads, Changed(BAD))
    assert [problem.partition(": ")[0] for problem in first] == ["/etc/teal.yaml:1"]
    assert await refuse(reloads, Changed(BAD + b"# again\n")) == []
    assert reloads.counts["refused"] == 2
    await apply(reloads, GOOD)
    assert await refuse(reloads, Changed(BAD)) == first


@pytest.mark.parametrize(
    ("event", "problem"),
    [
        (Gone(), "/etc/teal.yaml: the file is gone; what was applied last stays in force"),
        (Unreadable("Permission denied"), "/etc/teal.yaml: cannot be read: Permission denied"),
    ],
)
async def test_a_file_without_content_is_refused(reloads: Reloads, event: FileEvent, problem: str) -> None:
    """What is in force stays, and is unchanged when the file is back."""
    await apply(reloads, GOOD)
    assert await refuse(reloads, event) == [problem]
    assert reloads.problems == (problem,)
    assert await reloads.judge(Changed(GOOD)) is None
    assert reloads.problems == ()


async def test_fields_without_effect_are_said_once(reloads: Reloads) -> None:
    """With their line; again when they were gone meanwhile, not with every other change of the file."""
    with capture_logs() as events:
        await apply(reloads, b"endpoints:\n  churn:\n    compute: gpu-cluster\n")
        await apply(reloads, b"endpoints:\n  churn:\n    tags: {a: b}\n    compute: gpu-cluster\n")
        await apply(reloads, b"endpoints:\n  churn: {}\n")
        await apply(reloads, b"endpoints:\n  churn:\n    compute: gpu-cluster\n")
    problems = [event["problem"] for event in events if event["event"] == "config.no_effect"]
    assert [problem.partition(" ")[0] for problem in problems] == ["/etc/teal.yaml:3:", "/etc/teal.yaml:3:"]

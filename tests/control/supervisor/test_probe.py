"""Answers in a row turn a verdict."""

import pytest

from router.control.supervisor.probe import Verdict
from router.control.supervisor.spec import Probe

PROBE = Probe(success_threshold=2, failure_threshold=3)


@pytest.mark.parametrize(
    ("before", "answers", "turns"),
    [
        (None, "+", [True]),
        (None, "-", [True]),
        (True, "+++", [False, False, False]),
        (True, "---", [False, False, True]),
        (True, "--+--", [False, False, False, False, False]),
        (False, "++", [False, True]),
        (False, "+-+-", [False, False, False, False]),
        (False, "++---", [False, True, False, False, True]),
    ],
)
def test_verdict_turns_after_enough_answers_in_a_row(before: bool | None, answers: str, turns: list[bool]) -> None:
    """Thresholds count what speaks against the verdict, without a break; the very first answer decides alone."""
    verdict = Verdict(is_healthy=before)
    assert [verdict.count(answer == "+", PROBE) for answer in answers] == turns

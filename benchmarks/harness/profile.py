"""What the Locust profile decides: how many users there are, what they send, how an answer is counted."""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

DEPLOYMENT_HEADER = "azureml-model-deployment"
VARIATION = 0.02  # each number moves by up to this share of itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Ramp:
    """Some users for a while, then steadily more, then all of them until the end."""

    warm_users: int
    warm_s: float
    peak_users: int
    ramp_s: float
    hold_s: float

    def users_at(self, elapsed_s: float) -> int | None:
        """How many users there are `elapsed_s` seconds into the test; None when it is over."""
        since_warm = elapsed_s - self.warm_s
        if since_warm < 0:
            return self.warm_users
        if since_warm < self.ramp_s:
            return round(self.warm_users + since_warm / self.ramp_s * (self.peak_users - self.warm_users))
        return self.peak_users if since_warm < self.ramp_s + self.hold_s else None


def load_rows(path: Path) -> list[list[float]]:
    """The `data` of a sample request."""
    rows: list[list[float]] = json.loads(path.read_text())["data"]
    return rows


def vary(rows: Sequence[Sequence[float]], source: random.Random) -> list[list[float]]:
    """The same rows, every number a little off, so that no two requests are alike."""
    return [[number * source.uniform(1 - VARIATION, 1 + VARIATION) for number in row] for row in rows]


def statistics_name(headers: Mapping[str, str] | None, is_pinned: bool) -> str:
    """`blue`, `blue (pinned)`, or `no deployment` for an answer that none gave."""
    deployment = (headers or {}).get(DEPLOYMENT_HEADER)
    if deployment is None:
        return "no deployment"
    return f"{deployment} (pinned)" if is_pinned else deployment

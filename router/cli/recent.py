"""What happened lately, from the difference of two snapshots."""

from collections import deque
from typing import NamedTuple

from router.control.status import DeploymentView, Latency, RouterStatus, latency

_WINDOW_S = 30.0


class Recent(NamedTuple):
    """One deployment over the window; since its start as long as there is one snapshot only.

    Attributes:
        rate: Requests per second; None if not known yet.
        seen_percent: Its share of the endpoint's live requests; None if there were none.
    """

    rate: float | None
    seen_percent: float | None
    latency: Latency
    mirror_latency: Latency


class History:
    """Snapshots of the last half minute."""

    def __init__(self) -> None:
        self._snapshots: deque[tuple[float, RouterStatus]] = deque()

    @property
    def latest(self) -> RouterStatus:
        return self._snapshots[-1][1]

    def add(self, now: float, status: RouterStatus) -> None:
        """Remember a snapshot; those of a daemon that has been restarted since are forgotten."""
        if self._snapshots and self.latest.started != status.started:
            self._snapshots.clear()
        self._snapshots.append((now, status))
        while self._snapshots[0][0] < now - _WINDOW_S:
            self._snapshots.popleft()

    def recent(self) -> dict[tuple[str, str], Recent]:
        """By endpoint and deployment."""
        then, before = self._snapshots[0]
        elapsed_s = self._snapshots[-1][0] - then
        older = _by_name(before) if elapsed_s > 0 else {}
        live = {key: _live(view, older.get(key)) for key, view in _by_name(self.latest).items()}
        return {
            key: _recent(view, older.get(key), live[key], _endpoint_sum(live, key[0]), elapsed_s)
            for key, view in _by_name(self.latest).items()
        }


def _by_name(status: RouterStatus) -> dict[tuple[str, str], DeploymentView]:
    return {(view.endpoint, view.name): view for endpoint in status.endpoints for view in endpoint.deployments}


def _live(view: DeploymentView, before: DeploymentView | None) -> int:
    return sum(view.live.values()) - (sum(before.live.values()) if before else 0)


def _endpoint_sum(live: dict[tuple[str, str], int], endpoint: str) -> int:
    return sum(number for (owner, _), number in live.items() if owner == endpoint)


def _recent(
    view: DeploymentView, before: DeploymentView | None, live: int, endpoint_live: int, elapsed_s: float
) -> Recent:
    answers = _since(view.latency, before.latency if before else None)
    return Recent(
        rate=answers.count / elapsed_s if before else None,
        seen_percent=100 * live / endpoint_live if endpoint_live > 0 else None,
        latency=answers,
        mirror_latency=_since(view.mirror_latency, before.mirror_latency if before else None),
    )


def _since(now: Latency, before: Latency | None) -> Latency:
    if before is None:
        return now
    return latency([later - earlier for later, earlier in zip(now.counts, before.counts, strict=True)])

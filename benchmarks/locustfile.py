"""Locust profile: posts variations of the example's sample request to one endpoint, in a ramp.

The statistics have one line per answering deployment, so that Locust's page shows how traffic is split and how long
each deployment takes. Endpoint and key come from TEAL_ENDPOINT and TEAL_KEY:

    TEAL_KEY=... locust -f benchmarks/locustfile.py --host http://127.0.0.1:8080
"""

import os
import random
from pathlib import Path

from harness.profile import DEPLOYMENT_HEADER, Ramp, load_rows, statistics_name, vary
from locust import FastHttpUser, LoadTestShape, events, task
from locust.argument_parser import LocustArgumentParser

ROWS = load_rows(Path(__file__).parent.parent / "config" / "models" / "sample-request.json")
PATH = f"/api/v1/endpoint/{os.environ.get('TEAL_ENDPOINT', 'my-endpoint')}/score"
KEY = os.environ.get("TEAL_KEY", "")


def add_options(parser: LocustArgumentParser) -> None:
    options = parser.add_argument_group("Ramp and requests of this profile")
    options.add_argument("--warm-users", type=int, default=2, help="users while warming up")
    options.add_argument("--warm-seconds", type=float, default=10, help="length of the warm-up")
    options.add_argument("--peak-users", type=int, default=50, help="users after the ramp")
    options.add_argument("--ramp-seconds", type=float, default=30, help="time from warm-up to peak")
    options.add_argument("--hold-seconds", type=float, default=60, help="time at the peak, then the test ends")
    options.add_argument("--pause-seconds", type=float, default=0, help="pause of a user between two requests")
    options.add_argument("--pinned-percent", type=float, default=0, help="share of requests that name a deployment")
    options.add_argument("--pinned-deployment", default="green", help="the deployment that they name")


events.init_command_line_parser.add_listener(add_options)  # type: ignore[no-untyped-call]  # locust has no types here


class WarmRampHold(LoadTestShape):
    """Asked once a second how many users there should be."""

    def tick(self) -> tuple[int, float] | None:
        if self.runner is None or (options := self.runner.environment.parsed_options) is None:
            return None
        ramp = Ramp(
            warm_users=options.warm_users,
            warm_s=options.warm_seconds,
            peak_users=options.peak_users,
            ramp_s=options.ramp_seconds,
            hold_s=options.hold_seconds,
        )
        users = ramp.users_at(self.get_run_time())  # type: ignore[no-untyped-call]  # nor here
        # As many per second as there can be: the ramp is in the number of users, not in the rate of their start.
        return None if users is None else (users, max(ramp.peak_users, 1))


class ScoringClient(FastHttpUser):
    """One client on one keep-alive connection."""

    host = "http://127.0.0.1:8080"

    def on_start(self) -> None:
        self._options = self.environment.parsed_options
        self._random = random.Random()

    def wait_time(self) -> float:
        return float(self._options.pause_seconds)

    @task
    def score(self) -> None:
        is_pinned = self._random.random() * 100 < self._options.pinned_percent
        headers = {"Authorization": f"Bearer {KEY}"} if KEY else {}
        if is_pinned:
            headers[DEPLOYMENT_HEADER] = self._options.pinned_deployment
        with self.client.post(
            PATH, json={"data": vary(ROWS, self._random)}, headers=headers, catch_response=True
        ) as answer:
            answer.request_meta["name"] = statistics_name(answer.headers, is_pinned)

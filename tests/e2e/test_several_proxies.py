"""A daemon with several proxies is one router: what its config limits holds for all of them together."""

import asyncio
import json
from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.project import Project, ask

SAYS_HOW_MANY_AT_ONCE = """
import os
import threading
import time

running = []
lock = threading.Lock()

def init():
    pass

def run(data):
    with lock:
        running.append(data)
        most = len(running)
    open(os.environ["BEGUN"], "w").close()
    while not os.path.exists(os.environ["GATE"]):
        time.sleep(0.01)
    time.sleep(0.005)
    with lock:
        running.remove(data)
    return most
"""


@pytest.fixture
def gate(project: Project) -> Path:
    """Lets requests to `blue`, which takes two at a time and has a queue of five, be answered once it is there."""
    gate = project.folder / "gate"
    blue = project.deployments["blue"] = project.worker("blue", SAYS_HOW_MANY_AT_ONCE)
    blue["request_settings"] = {
        "request_timeout_ms": 100_000,
        "max_concurrent_requests_per_instance": 2,
        "max_queue_per_instance": 5,
    }
    blue["environment_variables"] = {"GATE": str(gate), "BEGUN": str(project.folder / "begun")}
    project.data["proxy"] = {"processes": 3}
    return gate


def open_gate(gate: Path) -> None:
    gate.touch()


async def test_queue_and_concurrency_hold_for_all_proxies(serve, project: Project, gate: Path) -> None:
    """Of 20 clients that come at once, two are worked on, five wait, and 13 get 429, whichever proxy they got."""
    teal = await serve(project.save())
    url = await teal.url()
    asking = [asyncio.create_task(ask(url)) for _ in range(20)]
    await teal.counted('teal_requests_total{code="429",deployment="blue",endpoint="churn",route="live"}', 13)
    open_gate(gate)
    replies = await asyncio.gather(*asking)
    assert Counter(reply.status for reply in replies) == {200: 7, 429: 13}
    assert {json.loads(reply.text) for reply in replies if reply.status == 200} <= {1, 2}
    refused = next(reply for reply in replies if reply.status == 429)
    assert (refused.text, refused.headers["ms-azureml-model-error-reason"]) == ("", "too_many_pending_request")
    assert "Retry-After" in refused.headers


async def test_a_reload_under_load_keeps_the_count(serve, project: Project, gate: Path) -> None:
    """New limits hold for what was begun before them, too."""
    teal = await serve(project.save())
    url = await teal.url()
    asking = [asyncio.create_task(ask(url)) for _ in range(7)]
    await teal.counted('teal_requests_queued{deployment="blue",endpoint="churn"}', 5)
    project.deployments["blue"]["request_settings"]["max_queue_per_instance"] = 6
    await teal.apply(project.save)
    await teal.reads_ready()
    asking.append(asyncio.create_task(ask(url)))
    await teal.counted('teal_requests_queued{deployment="blue",endpoint="churn"}', 6)
    assert (await ask(url)).status == 429
    open_gate(gate)
    assert {reply.status for reply in await asyncio.gather(*asking)} == {200}

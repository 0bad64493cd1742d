"""Traffic moves to what can take it, and nothing fails on the way."""

from collections.abc import Awaitable
from pathlib import Path

import psutil
import pytest

from tests.e2e.conftest import Load
from tests.e2e.project import Project, Upstream, ask, replace, until

GATED = """
import os
import time

def init():
    while not os.path.exists(os.environ["GATE"]):
        time.sleep(0.01)

def run(data):
    return os.environ["NAME"]
"""


class Gate:
    """Holds up the init() of every deployment that waits for it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self) -> None:
        self.path.touch()

    def deployment(self, project: Project, name: str) -> dict[str, object]:
        deployment = project.worker(name, GATED)
        deployment["environment_variables"]["GATE"] = str(self.path)
        return deployment


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path / "gate")


def answered_by(answers: list[tuple[int, str, int]]) -> set[tuple[int, str]]:
    return {(status, deployment) for status, deployment, _ in answers}


async def requests_during(upstream: Upstream, meanwhile: Awaitable[object]) -> int:
    before = upstream.requests
    await meanwhile
    return upstream.requests - before


async def test_all_traffic_moves_to_a_deployment_that_the_same_save_brings(serve, project: Project, gate: Gate) -> None:
    """Blue, which the file has no more, answers until green is ready, then green does; no request fails."""
    teal = await serve(project.save())
    load = Load(await teal.url(), think_s=0.01)
    load.start(clients=4)

    project.endpoint["deployments"] = {"green": gate.deployment(project, "green")}
    project.endpoint["traffic"] = {"green": 100}
    held = await teal.after(project.save, '"traffic.held"')
    assert held["reason"] == "traffic stays as it was until green has a ready instance"
    assert answered_by(await load.more(50)) == {(200, "blue")}
    await teal.reads_ready(503, f"churn: {held['reason']}\n")
    assert (await teal.status())["endpoints"][0]["held"] == held["reason"]

    await teal.after(gate.open, '"worker.exited".*"blue"')
    await load.settle()
    assert answered_by(await load.more(50)) == {(200, "green")}
    await load.stop()
    assert (load.failures, set(load.statuses())) == ([], {200})
    await teal.reads_ready()
    assert [each["name"] for each in (await teal.status())["endpoints"][0]["deployments"]] == ["green"]


async def test_traffic_stays_where_it_is_when_the_new_deployment_fails(serve, project: Project) -> None:
    """Blue serves on, also after a crash of its own; /readyz says why; taking the change back clears it."""
    teal = await serve(project.save())
    before = project.text()
    project.deployments["green"] = project.worker("green", "def init(): raise ValueError('bad')\ndef run(data): ...\n")
    del project.deployments["blue"]
    project.endpoint["traffic"] = {"green": 100}
    await teal.after(project.save, '"deployment.failed".*"green"')
    url = await teal.url()
    assert (await ask(url)).text == '"blue"'
    assert (await teal.readyz())[0] == 503

    (blue,) = (await teal.deployment("blue"))["instances"]
    ready = await teal.after(psutil.Process(blue["pid"]).kill, '"worker.ready".*"blue"')

    async def is_pushed() -> bool:
        return any(event["timestamp"] >= ready["timestamp"] for event in teal.events("table.pushed"))

    await until(is_pushed)

    await teal.after(lambda: replace(project.path, before), '"traffic.released"')
    await teal.reads_ready()
    assert (await ask(url)).text == '"blue"'


async def test_a_deployment_is_not_scaled_to_nothing_while_it_carries_the_traffic(
    serve, project: Project, gate: Gate
) -> None:
    """instance_count 0 counts for blue once green has taken over."""
    teal = await serve(project.save())
    load = Load(await teal.url(), think_s=0.01)
    load.start(clients=4)
    project.deployments["green"] = gate.deployment(project, "green")
    project.deployments["blue"]["instance_count"] = 0
    project.endpoint["traffic"] = {"blue": 0, "green": 100}
    await teal.after(project.save, '"traffic.held"')
    assert answered_by(await load.more(50)) == {(200, "blue")}
    await teal.after(gate.open, '"worker.exited".*"blue"')
    assert answered_by(await load.more(50)) >= {(200, "green")}
    await load.stop()
    assert (load.failures, set(load.statuses())) == ([], {200})


async def test_upstreams_are_replaced_by_others_without_a_failed_request(serve, project: Project, upstreams) -> None:
    """One deployment's addresses for others in place, and one deployment for another."""
    one, two, three = upstreams
    project.deployments["blue"] = {"upstreams": [one.address]}
    teal = await serve(project.save())
    load = Load(await teal.url(), think_s=0.01)
    load.start(clients=4)
    await load.more(20)

    project.deployments["blue"] = {"upstreams": [two.address]}
    await teal.apply(project.save)
    await two.asked.wait()
    await load.settle()
    assert await requests_during(one, load.more(20)) == 0

    project.endpoint["deployments"] = {"green": {"upstreams": [three.address]}}
    project.endpoint["traffic"] = {"green": 100}
    await teal.apply(project.save)
    await three.asked.wait()
    await load.settle()
    assert await requests_during(two, load.more(20)) == 0
    await load.stop()
    assert (load.failures, set(load.statuses())) == ([], {200})


async def test_a_new_model_rolls_without_a_failed_request(serve, project: Project) -> None:
    """Two instances become three, then their model changes: new ones are there before old ones go."""
    project.deployments["blue"]["instance_count"] = 2
    teal = await serve(project.save())
    load = Load(await teal.url(), think_s=0.01)
    load.start(clients=6)
    await load.more(20)

    project.deployments["blue"]["instance_count"] = 3
    await teal.after(project.save, '"deployment.changed".*"Succeeded"')
    assert len((await teal.deployment("blue"))["instances"]) == 3

    project.deployments["blue"]["environment_variables"]["NAME"] = "blue-2"
    await teal.after(project.save, '"deployment.changed".*"Succeeded"')
    await load.settle()
    assert (await ask(await teal.url())).text == '"blue-2"'

    project.deployments["blue"]["instance_count"] = 1
    await teal.after(project.save, '"deployment.changed".*"Succeeded"')
    await load.more(20)
    await load.stop()
    assert (load.failures, set(load.statuses())) == ([], {200})

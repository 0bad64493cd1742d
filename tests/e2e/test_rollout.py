"""The story that teal is for: from blue to green by editing one file, under load, and no request fails."""

import asyncio
import json
import re
import shlex
import subprocess

import psutil

from tests.e2e.conftest import Load


async def test_a_rollout_by_editing_the_file_fails_no_request(serve, example) -> None:
    """Paste the line, shift traffic in steps with a mirrored share in between, break the file, remove blue, stop."""
    sample = example.parent / "models" / "sample-request.json"
    teal = await serve(example, "--try", str(sample))
    curl = shlex.split(await teal.said(r"^curl "))

    pasted = await asyncio.create_subprocess_exec(*curl, "-s", stdout=subprocess.PIPE)
    prediction = json.loads((await pasted.communicate())[0])
    assert prediction["model"] == "blue"

    key = re.search(r"Bearer (\S+)", " ".join(curl)).group(1)
    load = Load(curl[1], key, sample.read_bytes())
    load.start(clients=8)
    assert {where for _, where, _ in await load.more(50)} == {"blue"}

    await teal.edit("mirror_traffic: {}", "mirror_traffic: {green: 50}")
    await load.more(100)
    while not (await teal.metrics()).get('teal_mirror_requests_total{endpoint="my-endpoint",outcome="sent"}'):
        await load.more(20)
    assert {where for _, where, _ in load.answers} == {"blue"}

    await teal.edit("mirror_traffic: {green: 50}", "mirror_traffic: {}")
    generation = await teal.edit("traffic: {blue: 100, green: 0}", "traffic: {blue: 50, green: 50}")
    await load.settle(generation)  # what was in flight finishes where it began
    since = await load.more(200)
    assert {where for _, where, _ in since} == {"blue", "green"}
    assert min(number for _, _, number in since) >= generation

    refused = len(teal.lines)
    good = example.read_text()
    example.write_text(good.replace("traffic: {blue: 50, green: 50}", "traffic: {blue: 50, green: 40}"))
    assert "weights add up to 90, expected 0 or 100" in await teal.said('"config.refused"', after=refused)
    await load.more(50)

    example.write_text(good)
    generation = await teal.edit("traffic: {blue: 50, green: 50}", "traffic: {blue: 0, green: 100}")
    await load.settle(generation)
    assert {where for _, where, _ in await load.more(100)} == {"green"}

    without_blue = re.sub(r"      blue:\n(        .*\n)+", "", example.read_text())
    exited = len(teal.lines)
    example.write_text(without_blue.replace("{blue: 0, green: 100}", "{green: 100}"))
    await teal.said('"worker.exited".*"blue"', after=exited)
    await load.more(100)

    await load.stop()
    assert load.failures == []
    assert set(load.statuses()) == {200}
    assert [d["name"] for d in (await teal.status())["endpoints"][0]["deployments"]] == ["green"]

    children = teal.children()
    assert await teal.stop() == 0
    assert not [child for child in children if psutil.pid_exists(child.pid) and child.status() != "zombie"]

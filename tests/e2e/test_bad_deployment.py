"""Deployments that do not come up: each says why, and everybody else is served."""

import asyncio

from tests.e2e.conftest import Teal
from tests.e2e.project import ANSWERS_ITS_NAME, Project, ask

BAD = {
    "syntax": "def init(:\n",
    "no-run": "def init(): pass\n",
    "raises": "def init():\n    raise ValueError('bad model')\n\ndef run(data): ...\n",
    "hangs": "import time\n\ndef init():\n    time.sleep(600)\n\ndef run(data): ...\n",
    "exits": "import os\n\ndef init():\n    print('no licence', flush=True)\n    os._exit(7)\n\ndef run(data): ...\n",
}
SOON = {"initial_delay": 0, "period": 1, "failure_threshold": 1}


def add_bad(project: Project, *names: str) -> None:
    """Deployments beside `blue`, each bad in the way of its name."""
    for name in names:
        project.deployments[name] = project.worker(name, BAD.get(name, ""))
    if "missing" in names:
        (project.folder / "code" / "missing" / "score.py").unlink()


async def failed(teal: Teal, name: str) -> None:
    await teal.said(f'"deployment.failed".*"deployment":"{name}"')


async def became_ready(teal: Teal, name: str) -> None:
    await teal.said(f'"worker.ready".*"deployment":"{name}"')


async def test_a_bad_deployment_says_why_and_the_others_serve(serve, project: Project) -> None:
    """Each is Failed with its reason and the end of its log; a request pinned to it gets 424 model_not_ready."""
    names = [*BAD, "missing"]
    add_bad(project, *names)
    project.deployments["hangs"]["startup_probe"] = SOON
    teal = await serve(project.save())
    await asyncio.gather(*(failed(teal, name) for name in names))
    shown = {name: await teal.deployment(name) for name in names}
    assert {name: each["provisioning_state"] for name, each in shown.items()} == dict.fromkeys(names, "Failed")
    code = project.folder / "code"
    where = "code_configuration.scoring_script"
    assert {name: each["reason"] for name, each in shown.items()} == {
        "missing": f"churn.deployments.missing.{where}: {code}/missing/score.py: No such file or directory",
        "syntax": f"churn.deployments.syntax.{where}: {code}/syntax/score.py:1: invalid syntax",
        "no-run": f"churn.deployments.no-run.{where}: {code}/no-run/score.py has no run(); "
        "a scoring script has init() and run(data)",
        "raises": "init() raised ValueError: bad model",
        "hangs": "init() did not finish in 1 s",
        "exits": "exit status 7",
    }
    assert any("ValueError: bad model" in line for line in shown["raises"]["log_tail"])
    assert any("no licence" in line for line in shown["exits"]["log_tail"])

    url = await teal.url()
    replies = {name: await ask(url, deployment=name) for name in names}
    assert {reply.status for reply in replies.values()} == {424}
    assert {reply.headers["ms-azureml-model-error-reason"] for reply in replies.values()} == {"model_not_ready"}
    assert (await ask(url)).text == '"blue"'
    await teal.reads_ready()


async def test_a_bad_deployment_with_live_weight_makes_the_router_unready(serve, project: Project) -> None:
    """The start does not wait for what has failed; /readyz names it; the requests of its share get 424."""
    add_bad(project, "missing")
    project.endpoint["traffic"] = {"missing": 100}
    teal = await serve(project.save())
    await teal.reads_ready(503, "churn/missing has live traffic and no ready instance\n")
    assert (await ask(await teal.url())).status == 424
    await became_ready(teal, "blue")  # has no live weight, so the start has not waited for it
    assert (await ask(await teal.url(), deployment="blue")).text == '"blue"'


async def test_a_repaired_deployment_becomes_ready(serve, project: Project) -> None:
    """A script that was put right is taken up by itself, and a config that was put right once it is saved."""
    add_bad(project, "missing", "syntax", "raises")
    project.deployments["astray"] = project.worker("astray")
    project.deployments["astray"]["code_configuration"]["code"] = "code/nowhere"
    teal = await serve(project.save())
    await asyncio.gather(*(failed(teal, name) for name in ("missing", "syntax", "raises", "astray")))

    for name in ("missing", "syntax", "raises"):
        project.script(name, ANSWERS_ITS_NAME)
    await asyncio.gather(*(became_ready(teal, name) for name in ("missing", "syntax", "raises")))

    project.deployments["astray"]["code_configuration"]["code"] = "code/astray"
    await teal.apply(project.save)
    await became_ready(teal, "astray")
    url = await teal.url()
    names = ("missing", "syntax", "raises", "astray")
    assert [(await ask(url, deployment=name)).text for name in names] == [f'"{name}"' for name in names]
    assert (await teal.deployment("raises"))["log_tail"] == []

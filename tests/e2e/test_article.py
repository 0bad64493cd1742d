"""Azure's how-to for safe rollout, command by command, with `teal` in place of `az ml`."""

import json
import platform
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.e2e.cli import Cli
from tests.e2e.conftest import Load, Teal
from tests.e2e.project import ask, until

ENDPOINT = "my-model"

ENDPOINT_YML = """\
$schema: https://azuremlschemas.azureedge.net/latest/managedOnlineEndpoint.schema.json
name: my-endpoint
auth_mode: key
"""

DEPLOYMENT_YML = """\
$schema: https://azuremlschemas.azureedge.net/latest/managedOnlineDeployment.schema.json
name: {name}
endpoint_name: my-endpoint
model:
  path: ../../model-{number}/model/
code_configuration:
  code: ../../model-{number}/onlinescoring/
  scoring_script: score.py
environment:
  conda_file: ../../model-{number}/environment/conda.yaml
  image: mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu20.04:latest
instance_type: Standard_DS3_v2
instance_count: 1
"""

SCORE = """\
import json
import logging
import os


def init():
    global model
    with open(os.path.join(os.getenv("AZUREML_MODEL_DIR"), "model", "weights.json")) as file:
        model = json.load(file)
    logging.info("Init complete")


def run(raw_data):
    logging.info("model %s: request received", model["name"])
    data = json.loads(raw_data)["data"]
    return [model["factor"] * sum(row) for row in data]
"""

CONDA = """\
name: model-env
channels:
  - conda-forge
dependencies:
  - python={python}
  - pip
"""


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    """The folder of Azure's samples: two models, and the YAML files of an endpoint with two deployments."""
    folder = tmp_path / "samples"
    for number, (name, factor) in enumerate((("blue", 1), ("green", 10)), start=1):
        model = folder / f"model-{number}"
        for part in ("model", "onlinescoring", "environment"):
            (model / part).mkdir(parents=True)
        (model / "model" / "weights.json").write_text(json.dumps({"name": name, "factor": factor}))
        (model / "onlinescoring" / "score.py").write_text(SCORE)
        (model / "environment" / "conda.yaml").write_text(CONDA.format(python=platform.python_version()))
        (model / "sample-request.json").write_text('{"data": [[1, 2, 3], [4, 5, 6]]}')
        sample = folder / "managed" / "sample"
        sample.mkdir(parents=True, exist_ok=True)
        (sample / f"{name}-deployment.yml").write_text(DEPLOYMENT_YML.format(name=name, number=number))
    (folder / "managed" / "sample" / "endpoint.yml").write_text(ENDPOINT_YML)
    return folder


@pytest.fixture
async def teal(serve: Callable[[Path], Awaitable[Teal]], tmp_path: Path) -> Teal:
    """A daemon that serves nothing yet, from a file in which somebody has left a comment."""
    config = tmp_path / "teal.yaml"
    config.write_text("# the router of the fraud team\nlisten: 127.0.0.1:0\nadmin: {http: null}\n")
    return await serve(config)


@pytest.fixture
def cli(teal: Teal, samples: Path) -> Cli:
    """`teal` in the folder of the samples."""
    return Cli(teal.state_dir, samples)


async def test_every_command_of_the_article_works_in_its_order(teal: Teal, cli: Cli) -> None:
    """Create, try, scale, add green, try it alone, mirror, shift, remove blue, remove all; no request fails."""
    await creates_the_endpoint_and_blue(cli)
    await scores_and_scales_blue(teal, cli)
    load, uri, key = await asks_all_the_time(cli)
    await adds_green_and_calls_it_by_name(cli, load, uri, key)
    await mirrors_a_tenth_to_green(teal, cli, load)
    await moves_the_traffic_to_green(cli, load)
    await deletes_blue(teal, cli, load)
    await load.stop()
    assert (load.failures, set(load.statuses())) == ([], {200})
    await deletes_the_endpoint(cli)
    assert (await ask(uri, key=key)).status == 404
    assert teal.config.read_text().startswith(
        "# the router of the fraud team\nlisten: 127.0.0.1:0\nadmin: {http: null}\n"
    )


async def creates_the_endpoint_and_blue(cli: Cli) -> None:
    created = await cli.done(f"online-endpoint create --name {ENDPOINT} -f managed/sample/endpoint.yml")
    assert (created.data["name"], created.data["provisioning_state"]) == (ENDPOINT, "Succeeded")
    blue = f"--name blue --endpoint-name {ENDPOINT} -f managed/sample/blue-deployment.yml"
    created = await cli.done(f"online-deployment create {blue} --all-traffic")
    assert (created.data["name"], created.data["provisioning_state"]) == ("blue", "Succeeded")
    assert "instance_type" in created.err  # is kept, and has no effect
    shown = await cli.done(f"online-endpoint show -n {ENDPOINT}")
    assert shown.data["traffic"] == {"blue": 100}
    shown = await cli.done(f"online-deployment show --name blue --endpoint {ENDPOINT}")
    assert (shown.data["instance_count"], Path(shown.data["model"]["path"]).name) == (1, "model")


async def scores_and_scales_blue(teal: Teal, cli: Cli) -> None:
    invoke = f"online-endpoint invoke --name {ENDPOINT} --request-file model-1/sample-request.json"
    assert json.loads((await cli.done(invoke)).data) == [6, 15]
    assert (await cli.done(f"{invoke} -o tsv")).out == "[6,15]\n"
    await cli.done(f"online-deployment update --name blue --endpoint-name {ENDPOINT} --set instance_count=2")
    assert len((await teal.deployment("blue", ENDPOINT))["instances"]) == 2


async def asks_all_the_time(cli: Cli) -> tuple[Load, str, str]:
    key = (await cli.done(f"online-endpoint get-credentials -n {ENDPOINT} -o tsv --query primaryKey")).out.strip()
    uri = (await cli.done(f"online-endpoint show -n {ENDPOINT} -o tsv --query scoring_uri")).out.strip()
    load = Load(uri, key, b'{"data": [[1, 2, 3]]}', think_s=0.005)
    load.start(clients=4)
    return load, uri, key


async def adds_green_and_calls_it_by_name(cli: Cli, load: Load, uri: str, key: str) -> None:
    green = f"--name green --endpoint-name {ENDPOINT} -f managed/sample/green-deployment.yml"
    await cli.done(f"online-deployment create {green}")
    shown = await cli.done(f"online-endpoint show -n {ENDPOINT} --query traffic")
    assert shown.data == {"blue": 100, "green": 0}
    pinned = f"online-endpoint invoke --name {ENDPOINT} --deployment-name green"
    answer = await cli.done(f"{pinned} --request-file model-2/sample-request.json")
    assert json.loads(answer.data) == [60, 150]
    answered = await ask(uri, deployment="green", key=key, body=b'{"data": [[1]]}')
    assert (answered.status, answered.text, answered.headers["azureml-model-deployment"]) == (200, "[10]", "green")
    assert {where for _, where, _ in load.answers} == {"blue"}


async def mirrors_a_tenth_to_green(teal: Teal, cli: Cli, load: Load) -> None:
    await cli.done(f'online-endpoint update --name {ENDPOINT} --mirror-traffic "green=10"')
    await teal.counted(f'teal_mirror_requests_total{{endpoint="{ENDPOINT}",outcome="sent"}}', 3)
    logs = await cli.done(f"online-deployment get-logs --name green --endpoint {ENDPOINT}")
    assert "model green: request received" in logs.out
    assert {where for _, where, _ in load.answers} == {"blue"}
    updated = await cli.done(f'online-endpoint update --name {ENDPOINT} --mirror-traffic "green=0"')
    assert updated.data["mirror_traffic"] == {"green": 0}


async def moves_the_traffic_to_green(cli: Cli, load: Load) -> None:
    await cli.done(f'online-endpoint update --name {ENDPOINT} --traffic "blue=90 green=10"')
    await load.settle()  # what was in flight finishes where it began
    assert {where for _, where, _ in await load.more(200)} == {"blue", "green"}
    await cli.done(f'online-endpoint update --name {ENDPOINT} --traffic "blue=0 green=100"')
    await load.settle()
    assert {where for _, where, _ in await load.more(50)} == {"green"}


async def deletes_blue(teal: Teal, cli: Cli, load: Load) -> None:
    await cli.done(f"online-deployment delete --name blue --endpoint {ENDPOINT} --yes --no-wait")

    async def is_gone() -> bool:
        return [each["name"] for each in (await teal.status())["endpoints"][0]["deployments"]] == ["green"]

    await until(is_gone)
    await load.more(50)


async def deletes_the_endpoint(cli: Cli) -> None:
    await cli.done(f"online-endpoint delete --name {ENDPOINT} --yes --no-wait")

    async def is_empty() -> bool:
        return (await cli.done("online-endpoint list -o json")).data == []

    await until(is_empty)


async def test_registered_assets_take_the_place_of_paths(cli: Cli, samples: Path) -> None:
    """Models and environments have names and versions; a deployment names them as Azure's do."""
    (samples / "model.yml").write_text("name: weights\nversion: 1\npath: model-1/model\ntype: custom_model\n")
    (samples / "environment.yml").write_text("name: plain\nversion: '7'\nconda_file: model-1/environment/conda.yaml\n")
    (samples / "blue.yml").write_text(
        "name: blue\nendpoint_name: churn\nmodel: azureml:weights@latest\nenvironment: azureml:plain:7\n"
        "code_configuration: {code: model-1/onlinescoring, scoring_script: score.py}\n"
    )
    assert (await cli.done("model create -f model.yml")).data["id"] == "azureml:weights:1"
    assert (await cli.done("environment create -f environment.yml")).data["id"] == "azureml:plain:7"
    assert [(each["name"], each["version"]) for each in (await cli.done("model list -o json")).data] == [
        ("weights", "1")
    ]

    await cli.done("online-endpoint create --name churn")
    created = await cli.done("online-deployment create -f blue.yml --all-traffic")
    assert created.data["model"] == "azureml:weights:1"
    invoked = await cli.done("online-endpoint invoke --name churn --request-file model-1/sample-request.json -o tsv")
    assert json.loads(invoked.out) == [6, 15]

    refused = await cli.run("model delete --name weights --version 1 --yes")
    assert (refused.code, "churn/blue" in refused.err) == (1, True)

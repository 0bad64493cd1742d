"""The options of `az ml`: what a script says is understood, and what means nothing here is named."""

import shlex

import pytest

from router.cli.framework import TealCLI
from tests.cli.conftest import Teal
from tests.cli.fake_daemon import FakeDaemon

ARTICLE = """\
online-endpoint create --name my -f endpoint.yml
online-deployment create --name blue --endpoint-name my -f blue-deployment.yml --all-traffic
online-endpoint show -n my
online-endpoint show --name my --query "provisioning_state" -o tsv
online-deployment show --name blue --endpoint my
online-endpoint invoke --name my --request-file sample-request.json
online-deployment update --name blue --endpoint-name my --set instance_count=2
online-deployment create --name green --endpoint-name my -f green-deployment.yml
online-endpoint show -n my --query traffic
online-endpoint invoke --name my --deployment-name green --request-file sample-request.json
online-endpoint get-credentials -n my -o tsv --query primaryKey
online-endpoint show -n my -o tsv --query scoring_uri
online-endpoint update --name my --mirror-traffic "green=10"
online-deployment get-logs --name blue --endpoint my
online-endpoint update --name my --mirror-traffic "green=0"
online-endpoint update --name my --traffic "blue=90 green=10"
online-endpoint update --name my --traffic "blue=0 green=100"
online-deployment delete --name blue --endpoint my --yes --no-wait
online-endpoint delete --name my --yes --no-wait
online-endpoint list
online-deployment list --endpoint my
model create -f model.yml
model list
environment create -f environment.yml
environment list"""


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """What each command that is parsed would run with; none is run."""
    calls: list[dict[str, object]] = []
    monkeypatch.setattr("knack.commands.CLICommand.__call__", lambda _, arguments: calls.append(arguments))
    return calls


@pytest.mark.parametrize("command", ARTICLE.splitlines())
def test_command_of_the_article_is_understood(ran: list[dict[str, object]], command: str) -> None:
    """Word for word, abbreviated options included."""
    assert TealCLI().invoke(shlex.split(command)) == 0
    assert len(ran) == 1


@pytest.mark.parametrize("command", ARTICLE.splitlines())
def test_command_with_its_workspace_is_understood(
    ran: list[dict[str, object]], command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Scripts name resource group, workspace and subscription; one line says that they have no effect."""
    options = ["-g", "rg", "--workspace-name", "ws", "--subscription", "sub"]
    assert TealCLI().invoke([*shlex.split(command), *options]) == 0
    expected = "--resource-group, --workspace-name, --subscription have no effect here (warning)\n"
    assert capsys.readouterr().err == expected
    assert not [name for arguments in ran for name in arguments if "workspace" in name]


async def test_warning_can_be_kept_back(teal: Teal, daemon: FakeDaemon) -> None:
    """With the option that `az` has for it."""
    daemon.answer("GET", "/v1/endpoints", [])
    outcome = await teal("online-endpoint", "list", "-g", "rg", "--only-show-errors")
    assert (outcome.stdout, outcome.stderr) == ("[]\n", "")


def test_local_may_be_false(ran: list[dict[str, object]]) -> None:
    """That is how it is."""
    command = "online-deployment create -n blue -e churn --local false --vscode-debug false --skip-script-validation"
    assert TealCLI().invoke(command.split()) == 0


@pytest.mark.parametrize("option", ["--local", "--local true", "--vscode-debug true"])
def test_local_deployment_is_refused(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It would deploy to somewhere else than the user thinks."""
    with pytest.raises(SystemExit) as raised:
        TealCLI().invoke(["online-deployment", "create", *option.split()])
    assert raised.value.code == 2
    assert "everything runs where the daemon runs; leave it out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("online-endpoint update -n c --traffic blue=100", {"traffic": {"blue": 100}}),
        ("online-endpoint update -n c -r blue=100", {"traffic": {"blue": 100}}),
        ("online-endpoint invoke -n c -r f -d green", {"request_file": "f", "deployment_name": "green"}),
        ("online-endpoint create -n c --auth-mode Key", {"auth_mode": "key"}),
        ("online-endpoint regenerate-keys -n c --key secondary", {"key_type": "secondary"}),
        ("online-deployment get-logs -n b -e c -l 7", {"lines": 7, "endpoint_name": "c"}),
        ("online-deployment update -n b -e c --set a=1 b=2 --set c=3", {"values": {"a": 1, "b": 2, "c": 3}}),
        ("online-deployment update -n b -e c --instance-count 0", {"instance_count": 0}),
        ("model create -n m -v 3 -p x -t mlflow_model", {"version": "3", "path": "x", "type_": "mlflow_model"}),
        ("environment create -n e -c c.yml -i img", {"conda_file": "c.yml", "image": "img"}),
        ("config diff 3", {"number": 3}),
    ],
)
def test_option_means_what_it_says(ran: list[dict[str, object]], command: str, arguments: dict[str, object]) -> None:
    """Long and short names, typed values."""
    TealCLI().invoke(command.split())
    assert {name: ran[0][name] for name in arguments} == arguments


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("online-endpoint", "teal online-endpoint: a command is missing; see teal online-endpoint -h\n"),
        (
            "online-endpoint show",
            "teal online-endpoint show: the following arguments are required: --name/-n; "
            "see teal online-endpoint show -h\n",
        ),
        (
            "online-endpoint show -n c --colour red",
            "teal online-endpoint show: unrecognized arguments: --colour red; see teal online-endpoint show -h\n",
        ),
        (
            "online-deployment update --n blue",
            "teal online-deployment update: ambiguous option: --n could match ",
        ),
    ],
)
def test_wrong_usage_is_one_sentence(command: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, on standard error, without a page of options."""
    with pytest.raises(SystemExit) as raised:
        TealCLI().invoke(command.split())
    shown = capsys.readouterr()
    assert (raised.value.code, shown.out) == (2, "")
    assert shown.err.startswith(message)
    assert shown.err.count("\n") == 1


async def test_script_for_az_ml_runs_with_an_alias(teal: Teal, daemon: FakeDaemon) -> None:
    """`alias az=teal`: the `ml` that is left does not disturb."""
    daemon.answer("GET", "/v1/endpoints", [])
    outcome = await teal("ml", "online-endpoint", "list")
    assert (outcome.returncode, outcome.stdout) == (0, "[]\n")

"""Which texts no option has."""

import pytest

from tests.cli.conftest import Teal
from tests.cli.fake_daemon import FakeDaemon


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["online-endpoint", "show", "-n", ""], "--name is empty\n"),
        (["online-endpoint", "create", "-n", ""], "--name is empty\n"),
        (["online-endpoint", "delete", "-n", ""], "--name is empty\n"),
        (["online-endpoint", "invoke", "-n", "churn", "-r", "x", "-d", ""], "--deployment-name is empty\n"),
        (["online-deployment", "create", "-n", "", "-f", "f.yml"], "--name is empty\n"),
        (["online-deployment", "get-logs", "-n", "", "-e", ""], "--name is empty\n--endpoint-name is empty\n"),
        (["model", "delete", "-n", "m", "--version", "", "-y"], "--version is empty\n"),
        (["operation", "show", ""], "the operation's id is empty\n"),
        (["online-endpoint", "create", "-f", ""], "--file is empty\n"),
    ],
)
async def test_empty_text_is_wrong_usage(teal: Teal, daemon: FakeDaemon, command: list[str], message: str) -> None:
    """A shell variable was not set; nothing is asked, of the user or the daemon, and no file takes its place."""
    outcome = await teal(*command)
    assert (outcome.returncode, outcome.stdout, outcome.stderr, daemon.asked) == (2, "", message, [])


@pytest.mark.parametrize(
    "command",
    ["online-endpoint show", "online-endpoint create", "online-deployment create -e churn", "model show -v 1",
     "online-deployment get-logs -e churn"],
)  # fmt: skip
async def test_bytes_that_are_no_text_are_wrong_usage(teal: Teal, daemon: FakeDaemon, command: str) -> None:
    """Nothing is called so, and no address could say it."""
    outcome = await teal(*command.split(), "-n", "\udcff")
    assert (outcome.returncode, outcome.stdout, daemon.asked) == (2, "", [])
    assert outcome.stderr == "--name: '\\udcff' is not UTF-8 text\n"


async def test_file_may_be_called_as_it_likes(teal: Teal, daemon: FakeDaemon) -> None:
    """The names of files are bytes; this one is not there."""
    outcome = await teal("online-endpoint", "create", "-f", "\udcff.yml")
    assert (outcome.returncode, outcome.stderr) == (1, "\\udcff.yml: No such file or directory\n")


async def test_description_may_be_empty(teal: Teal, daemon: FakeDaemon) -> None:
    """That takes it away."""
    daemon.answer("POST", "/v1/models", {"name": "m"}, 201)
    outcome = await teal("model", "create", "-n", "m", "--description", "")
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert daemon.bodies("POST")[0]["set"] == {"name": "m", "description": ""}

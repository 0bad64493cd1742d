"""Help: every command says what it does, with examples that are commands."""

import shlex

import pytest
from knack.help_files import _load_help_file

import router.cli.help
from router.cli.commands import COMMANDS
from router.cli.framework import TealCLI

GROUPS = sorted({name.rpartition(" ")[0] for name in COMMANDS} - {""})


@pytest.mark.parametrize("name", COMMANDS)
def test_command_has_help_with_examples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A summary, its options, at least one example, nothing on standard error."""
    with pytest.raises(SystemExit) as raised:
        TealCLI().invoke([*name.split(), "-h"])
    shown = capsys.readouterr()
    assert (raised.value.code, shown.err) == (0, "")
    assert f"teal {name} : " in shown.out
    assert f"teal {name}" in shown.out.partition("Examples\n")[2]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_explained(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """No option stands there without a word."""
    with pytest.raises(SystemExit):
        TealCLI().invoke([*name.split(), "-h"])
    arguments = capsys.readouterr().out.partition("Arguments\n")[2].partition("Examples\n")[0]
    assert [line for line in arguments.splitlines() if line.startswith("    -") and " : " not in line] == []


@pytest.mark.parametrize("group", GROUPS)
def test_group_lists_its_commands(group: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each with its summary."""
    with pytest.raises(SystemExit):
        TealCLI().invoke([group, "-h"])
    shown = [line.split(":")[0].strip() for line in capsys.readouterr().out.splitlines() if " : " in line]
    assert shown[1:] == sorted(name.rpartition(" ")[2] for name in COMMANDS if name.startswith(f"{group} "))


def test_nothing_else_has_help() -> None:
    """A command that is gone takes its text with it."""
    texts = {**router.cli.help.DAEMON, **router.cli.help.ENDPOINTS}
    texts |= {**router.cli.help.MODELS, **router.cli.help.ENVIRONMENTS}
    assert (set(texts), set(router.cli.help.GROUPS)) == (set(COMMANDS), set(GROUPS))


def _examples() -> list[str]:
    lines = [
        line
        for name in COMMANDS
        for example in _load_help_file(name)["examples"]
        for line in example["text"].splitlines()
        if line.startswith("teal ")
    ]
    return [line.partition(" > ")[0] for line in lines]


@pytest.mark.parametrize("example", _examples())
def test_example_can_be_typed(example: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its options are those that the command takes."""
    monkeypatch.setattr("knack.commands.CLICommand.__call__", lambda *_: None)
    assert TealCLI().invoke(shlex.split(example)[1:]) == 0

"""knack, the framework of `az`, as teal uses it: exit codes, plain error sentences, no settings folder."""

import sys
from collections.abc import Iterable

from knack.cli import CLI
from knack.config import CLIConfig
from knack.events import EVENT_PARSER_GLOBAL_CREATE
from knack.help import CLIHelp
from knack.output import OutputProducer
from knack.util import CLIError

from router import __version__
from router.cli.commands import TealCommands


class Refused(CLIError):  # type: ignore[misc]  # knack has no types
    """What was asked for was not done; each line goes to standard error as it is."""

    def __init__(self, lines: Iterable[str]) -> None:
        super().__init__("\n".join(lines))


class TealCLI(CLI):  # type: ignore[misc]
    """The command line, ready to `invoke`."""

    def __init__(self) -> None:
        super().__init__(
            cli_name="teal",
            config_cls=_Settings,
            output_cls=_Output,
            commands_loader_cls=TealCommands,
            help_cls=_Help,
        )

    def show_version(self) -> None:
        print(f"teal {__version__}", file=self.out_file)

    def exception_handler(self, error: Exception) -> int:
        if not isinstance(error, CLIError):
            return int(super().exception_handler(error))
        print(error, file=sys.stderr)
        return 1


class _Settings(CLIConfig):  # type: ignore[misc]
    """Settings from `TEAL_...` variables only: a service's tool makes no folder in anybody's home."""

    def __init__(self, config_dir: str, config_env_var_prefix: str) -> None:
        self.config_dir = config_dir
        self.config_path = ""
        self.defaults_section_name = "defaults"
        self.use_local_config = False
        self._env_var_format = f"{config_env_var_prefix}_{{section}}_{{option}}"
        self._config_file_chain: list[object] = []


class _Help(CLIHelp):  # type: ignore[misc]
    """Help without a first-run notice, which knack would note in a settings folder."""

    def __init__(self, cli_ctx: CLI) -> None:
        super().__init__(cli_ctx, welcome_message="teal: safe rollout of machine-learning models.")

    def show_privacy_statement(self) -> None:
        return


class _Output(OutputProducer):  # type: ignore[misc]
    """Prints JSON unless told otherwise, and lets a command see whether it was told."""

    def __init__(self, cli_ctx: CLI) -> None:
        super().__init__(cli_ctx=cli_ctx)
        cli_ctx.register_event(EVENT_PARSER_GLOBAL_CREATE, _forget_default)

    def get_formatter(self, format_type: str | None) -> object:
        return super().get_formatter(format_type or "json")


def _forget_default(_cli: CLI, arg_group: object, **_: object) -> None:
    (action,) = (action for action in arg_group._group_actions if action.dest == OutputProducer.ARG_DEST)  # type: ignore[attr-defined]
    action.default = None

"""knack, the framework of `az`, as teal uses it: exit codes, plain error sentences, no settings folder."""

import argparse
import errno
import sys
from typing import NoReturn

from knack.cli import CLI
from knack.config import CLIConfig
from knack.events import EVENT_INVOKER_POST_PARSE_ARGS, EVENT_PARSER_GLOBAL_CREATE
from knack.help import CLIHelp
from knack.output import OutputProducer
from knack.parser import CLICommandParser
from knack.util import CLIError

from router import __version__
from router.cli.commands import COMMANDS, TealCommands
from router.cli.errors import Interrupted, Refused
from router.cli.option_texts import check_texts

#: What writing ends with where there is no room, or no such device any more.
_UNWRITABLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF, errno.EAGAIN})


class TealCLI(CLI):  # type: ignore[misc]  # knack has no types
    """The command line, ready to `invoke`."""

    def __init__(self) -> None:
        super().__init__(
            cli_name="teal",
            config_cls=_Settings,
            output_cls=_Output,
            parser_cls=_Parser,
            commands_loader_cls=TealCommands,
            help_cls=_Help,
        )
        self.register_event(EVENT_INVOKER_POST_PARSE_ARGS, _check_texts)
        self.register_event(EVENT_INVOKER_POST_PARSE_ARGS, _warn_of_options_without_effect)

    def invoke(self, args: list[str]) -> int:
        """Run a command; the answer is its exit code.

        Raises:
            OSError: standard output cannot be written.
            SystemExit: the command line is wrong, or asks for help, or the command has an exit code of its own.
        """
        code = int(super().invoke(args))
        if isinstance(self.result.error, KeyboardInterrupt):
            print("interrupted", file=sys.stderr)
            return Interrupted.exit_code
        return code

    def show_version(self) -> None:
        print(f"teal {__version__}", file=self.out_file)

    def exception_handler(self, error: Exception) -> int:
        if _is_about_output(error):  # `main` knows what to do
            raise error
        if not isinstance(error, CLIError):
            return int(super().exception_handler(error))
        print(error, file=sys.stderr)
        return error.exit_code if isinstance(error, Refused) else 1


class _Settings(CLIConfig):  # type: ignore[misc]
    """Settings from `TEAL_...` variables only: a service's tool makes no folder in anybody's home."""

    def __init__(self, config_dir: str, config_env_var_prefix: str) -> None:
        self.config_dir = config_dir
        self.config_path = ""
        self.defaults_section_name = "defaults"
        self.use_local_config = False
        self._env_var_format = f"{config_env_var_prefix}_{{section}}_{{option}}"
        self._config_file_chain: list[object] = []


class _Parser(CLICommandParser):  # type: ignore[misc]
    """Says in one sentence what is wrong with a command line; argparse prints all options first."""

    def error(self, message: str) -> NoReturn:
        words = [self.prog]
        if self.cli_ctx is not None and self.cli_ctx.invocation is not None:
            words = [self.cli_ctx.name, self.cli_ctx.invocation.data["command_string"] or ""]
        command = " ".join(filter(None, words))
        if message.endswith("_command") or message.endswith("_subcommand"):
            message = "a command is missing"
        print(f"{command}: {message}; see {command} -h", file=sys.stderr)
        raise SystemExit(2)


class _Help(CLIHelp):  # type: ignore[misc]
    """Help from `router.cli.help`, without a first-run notice, which knack would note in a settings folder."""

    def __init__(self, cli_ctx: CLI) -> None:
        super().__init__(cli_ctx, welcome_message="teal: safe rollout of machine-learning models.")

    def show_privacy_statement(self) -> None:
        return

    def show_welcome(self, parser: argparse.ArgumentParser) -> None:
        _load_help()
        super().show_welcome(parser)

    def show_help(self, cli_name: str, nouns: list[str], parser: argparse.ArgumentParser, is_group: bool) -> None:
        _load_help()
        super().show_help(cli_name, nouns, parser, is_group)


class _Output(OutputProducer):  # type: ignore[misc]
    """Prints JSON unless told otherwise, and lets a command see whether it was told; people get tables for lists."""

    def __init__(self, cli_ctx: CLI) -> None:
        super().__init__(cli_ctx=cli_ctx)
        cli_ctx.register_event(EVENT_PARSER_GLOBAL_CREATE, _forget_default)

    def get_formatter(self, format_type: str | None) -> object:
        return super().get_formatter(format_type or self._default_format())

    def _default_format(self) -> str:
        told = self.cli_ctx.invocation.data
        is_list = told["command"] in COMMANDS and COMMANDS[told["command"]].is_list
        return "table" if is_list and not told["query_active"] and sys.stdout.isatty() else "json"


def _forget_default(_cli: CLI, arg_group: object, **_: object) -> None:
    (action,) = (action for action in arg_group._group_actions if action.dest == OutputProducer.ARG_DEST)  # type: ignore[attr-defined]
    action.default = None


def _is_about_output(error: Exception) -> bool:
    """Whether it comes from writing: the commands say themselves what is wrong with files and sockets."""
    is_unwritable = isinstance(error, OSError) and error.filename is None and error.errno in _UNWRITABLE
    return is_unwritable or isinstance(error, BrokenPipeError)


def _check_texts(_cli: CLI, args: argparse.Namespace, **_: object) -> None:
    check_texts(args)


def _warn_of_options_without_effect(cli: CLI, args: argparse.Namespace, **_: object) -> None:
    options = getattr(args, "_without_effect", ())
    if options and not cli.only_show_errors:
        verb = "has" if len(options) == 1 else "have"
        print(f"{', '.join(options)} {verb} no effect here (warning)", file=sys.stderr)


def _load_help() -> None:
    # Texts for people who ask; the other commands do not wait for them.
    import router.cli.help  # noqa: PLC0415, F401

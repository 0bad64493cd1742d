"""Which commands there are.

A command is named here as text, `module#function`, and its module is imported when it runs: `teal status` does not pay
for what `teal serve` needs.
"""

from collections.abc import Mapping
from typing import NamedTuple

from knack.commands import CLICommand, CLICommandsLoader, CommandGroup

from router.cli import tables
from router.cli.arguments import describe_arguments
from router.cli.confirm import Confirmation, asking, asking_people

DEFAULT_CONFIG = "config/teal.yaml"

_STATUS_TABLE = (
    "endpoints[].deployments[].{Endpoint: endpoint, Deployment: name, State: provisioning_state, Weight: weight, "
    "Mirror: mirror_percent, InFlight: in_flight, Queued: queued, P50ms: latency.p50_ms, P99ms: latency.p99_ms}"
)


class Command(NamedTuple):
    """How a command is run and shown.

    Attributes:
        operation: `module#function` below `router.cli`.
        table: Makes rows of its result, as JMESPath or as a function.
        question: Asked before it is run.
        is_list: A person on a terminal gets its result as a table.
    """

    operation: str
    table: str | tables.Table | None = None
    question: Confirmation | None = None
    is_list: bool = False


def _list(operation: str, table: tables.Table) -> Command:
    return Command(operation, table, is_list=True)


COMMANDS: Mapping[str, Command] = {
    "serve": Command("serve#serve"),
    "check": Command("check#check"),
    "schema": Command("check#schema"),
    "status": Command("status#status", _STATUS_TABLE),
    "events": Command("events#events", tables.events),
    "completion": Command("completion#completion"),
    "online-endpoint create": Command("endpoints#create", tables.endpoints),
    "online-endpoint update": Command("endpoints#update", tables.endpoints),
    "online-endpoint show": Command("endpoints#show", tables.endpoints),
    "online-endpoint list": _list("endpoints#list_all", tables.endpoints),
    "online-endpoint delete": Command(
        "endpoints#delete", question=asking("Delete endpoint {name} and its deployments?")
    ),
    "online-endpoint invoke": Command("invoke#invoke"),
    "online-endpoint get-credentials": Command("endpoints#get_credentials"),
    "online-endpoint regenerate-keys": Command(
        "endpoints#regenerate_keys",
        question=asking_people("Replace the {key_type} key of endpoint {name}? The old one opens nothing any more."),
    ),
    "online-deployment create": Command("deployments#create", tables.deployments),
    "online-deployment update": Command("deployments#update", tables.deployments),
    "online-deployment show": Command("deployments#show", tables.deployments),
    "online-deployment list": _list("deployments#list_all", tables.deployments),
    "online-deployment delete": Command(
        "deployments#delete", question=asking("Delete deployment {name} of endpoint {endpoint_name}?")
    ),
    "online-deployment get-logs": Command("deployments#get_logs"),
    "model create": Command("assets#create_model", tables.models),
    "model list": _list("assets#list_models", tables.models),
    "model show": Command("assets#show_model", tables.models),
    "model archive": Command("assets#archive_model"),
    "model restore": Command("assets#restore_model"),
    "model delete": Command("assets#delete_model", question=asking("Delete version {version} of model {name}?")),
    "environment create": Command("assets#create_environment", tables.environments),
    "environment list": _list("assets#list_environments", tables.environments),
    "environment show": Command("assets#show_environment", tables.environments),
    "environment archive": Command("assets#archive_environment"),
    "environment restore": Command("assets#restore_environment"),
    "environment delete": Command(
        "assets#delete_environment", question=asking("Delete version {version} of environment {name}?")
    ),
    "config history": _list("config_commands#history", tables.versions),
    "config diff": Command("config_commands#diff"),
    "config undo": Command(
        "config_commands#undo",
        tables.operations,
        question=asking("Put an earlier version of the config file in its place (see: teal config diff)?"),
    ),
    "operation list": _list("operations#list_all", tables.operations),
    "operation show": Command("operations#show", tables.operations),
    "operation wait": Command("operations#wait", tables.operations),
}


class TealCommands(CLICommandsLoader):  # type: ignore[misc]  # knack has no types
    """The table of commands."""

    def load_command_table(self, args: list[str]) -> Mapping[str, CLICommand]:
        for name, command in COMMANDS.items():
            self._add(name, command)
        table: Mapping[str, CLICommand] = super().load_command_table(args)
        return table

    def load_arguments(self, command: str) -> None:
        if command in COMMANDS:
            describe_arguments(self, command)
        super().load_arguments(command)

    def _add(self, name: str, command: Command) -> None:
        group, _, verb = name.rpartition(" ")
        module, _, function = command.operation.partition("#")
        CommandGroup(self, group, f"router.cli.{module}#{{}}", deprecate_info=None).command(
            verb, function, table_transformer=command.table, confirmation=command.question
        )
        # The texts are in `router.cli.help`; knack would import the module of every command to list them.
        self.command_table[name].description = ""

"""Which commands there are and what options they take.

A command is named here as text, `module#function`, and its module is imported when it runs: `teal status` does not pay
for what `teal serve` needs.
"""

from collections.abc import Mapping

from knack.arguments import ArgumentsContext
from knack.commands import CLICommand, CLICommandsLoader, CommandGroup

DEFAULT_CONFIG = "config/teal.yaml"

_STATUS_TABLE = (
    "endpoints[].deployments[].{Endpoint: endpoint, Deployment: name, State: provisioning_state, Weight: weight, "
    "Mirror: mirror_percent, InFlight: in_flight, Queued: queued, P50ms: latency.p50_ms, P99ms: latency.p99_ms}"
)


class TealCommands(CLICommandsLoader):  # type: ignore[misc]  # knack has no types
    """The table of commands."""

    def load_command_table(self, args: list[str]) -> Mapping[str, CLICommand]:
        self._add("serve", "router.cli.serve#serve", "Run the router daemon.")
        self._add("check", "router.cli.check#check", "Say what is wrong with a config file.")
        self._add("schema", "router.cli.check#schema", "Print the JSON Schema of the config file, for editors.")
        self._add("status", "router.cli.status#status", "Show what the daemon does.", table_transformer=_STATUS_TABLE)
        table: Mapping[str, CLICommand] = super().load_command_table(args)
        return table

    def load_arguments(self, command: str) -> None:
        self._describe_router_commands()
        super().load_arguments(command)

    def _add(self, name: str, operation: str, summary: str, **options: object) -> None:
        group, _, verb = name.rpartition(" ")
        module, _, function = operation.partition("#")
        CommandGroup(self, group, f"{module}#{{}}", deprecate_info=None).command(verb, function, **options)
        # As text, where knack would import the module of every command to list them.
        self.command_table[name].description = summary

    def _describe_router_commands(self) -> None:
        with ArgumentsContext(self, "serve") as arguments:
            arguments.argument("config", help="Config file, watched for changes.")
            arguments.argument("state_dir", help="Folder of keys, logs and the admin socket; default: the config's.")
            arguments.argument(
                "try_file", options_list=["--try"], help="Request body; once ready, print the command that scores it."
            )
        with ArgumentsContext(self, "check") as arguments:
            arguments.positional(
                "file", nargs="?", default=DEFAULT_CONFIG, help=f"Config file; default: {DEFAULT_CONFIG}."
            )
        with ArgumentsContext(self, "status") as arguments:
            arguments.argument("state_dir", help="The daemon's state directory; default: $TEAL_STATE_DIR.")
            arguments.argument("once", help="Show one picture and end, as without a terminal.")
            arguments.argument("watch", help="Keep showing, as on a terminal.")

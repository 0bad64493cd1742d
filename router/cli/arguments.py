"""Which options the commands take: `az ml`'s names, long and short."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from knack.arguments import ArgumentsContext, enum_choice_list
from knack.commands import CLICommandsLoader

from router.cli.completers import complete_deployments, complete_endpoints, complete_names
from router.cli.values import LiveWeights, RemoveFields, SetFields, Tags, Weights

Settings = Mapping[str, Any]


class NoEffect(argparse.Action):
    """An option that is taken for the sake of scripts; it is noted, and one warning names all."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        noted = (*getattr(namespace, "_without_effect", ()), self.option_strings[0])
        namespace._without_effect = tuple(dict.fromkeys(noted))


class NotHere(argparse.Action):
    """An option for what Azure does on the user's own machine; `false` is fine."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        if str(values).lower() not in {"false", "0", "no", "n", "f"}:
            raise argparse.ArgumentError(self, "everything runs where the daemon runs; leave it out")


_NO_EFFECT: Settings = {"action": NoEffect, "help": "Has no effect here; accepted for scripts."}
_NOT_HERE: Settings = {
    "action": NotHere,
    "nargs": "?",
    "const": "true",
    "help": "Only false: everything runs where the daemon runs.",
}
_WORKSPACE: Sequence[tuple[Sequence[str], Settings]] = (
    (["--resource-group", "-g"], _NO_EFFECT),
    (["--workspace-name", "-w"], _NO_EFFECT),
    (["--subscription"], _NO_EFFECT),
)
#: Options that only mean something in the cloud, by group of commands.
_AZURE_ONLY: Mapping[str, Sequence[tuple[Sequence[str], Settings]]] = {
    "model": _WORKSPACE,
    "environment": _WORKSPACE,
    "online-endpoint": (*_WORKSPACE, (["--local"], _NOT_HERE)),
    "online-deployment": (
        *_WORKSPACE,
        (["--local"], _NOT_HERE),
        (["--local-enable-gpu"], _NOT_HERE),
        (["--vscode-debug"], _NOT_HERE),
        (["--skip-script-validation"], {**_NO_EFFECT, "nargs": 0}),
    ),
}


def _positive(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return number


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 on")
    return int(text)


_FILE = {
    "options_list": ["--file", "-f"],
    "help": "YAML file, as Azure has it; relative paths in it start at its folder. "
    "- is standard input, whose paths start here.",
}
_SET = {
    "options_list": ["--set"],
    "nargs": "+",
    "action": SetFields,
    "metavar": "FIELD=VALUE",
    "help": "Values by dotted field, over the file's. Fields that are text keep what is typed; "
    "elsewhere 2, true, {a: 1} are what they look like.",
}
_REMOVE = {
    "options_list": ["--remove"],
    "nargs": "+",
    "action": RemoveFields,
    "metavar": "FIELD",
    "help": "Dotted fields to take away.",
}
_NO_WAIT = {"options_list": ["--no-wait"], "help": "Return at once with the operation, which goes on."}
_NAME = ["--name", "-n"]
_ENDPOINT_NAME = ["--endpoint-name", "-e"]
_ASSET: Mapping[str, Settings] = {
    "version": {"options_list": ["--version", "-v"], "help": "Version; a new one gets the next number."},
    "label": {"options_list": ["--label", "-l"], "help": "In place of a version: latest, the newest not archived."},
    "description": {"options_list": ["--description", "-d"], "help": "Text for people."},
    "tags": {"nargs": "+", "action": Tags, "metavar": "NAME=VALUE", "help": "Tags, such as owner=me stage=test."},
    "archived_only": {"help": "Only those that are archived."},
    "include_archived": {"help": "Those that are archived, too."},
}

#: By scope, which is a command or a group of them, and by parameter.
_ARGUMENTS: Mapping[str, Mapping[str, Settings]] = {
    "": {
        "state_dir": {"help": "The daemon's state directory; default: $TEAL_STATE_DIR, then the usual places."},
        "file": _FILE,
        "values": _SET,
        "remove": _REMOVE,
        "no_wait": _NO_WAIT,
    },
    "serve": {
        "config": {"help": "Config file, watched for changes."},
        "state_dir": {"help": "Folder of keys, logs and the admin socket; default: the config's."},
        "try_file": {
            "options_list": ["--try"],
            "help": "Request body; once ready, print the command that scores it.",
        },
    },
    "status": {
        "once": {"help": "Show one picture and end, as without a terminal."},
        "watch": {"help": "Keep showing, as on a terminal."},
    },
    "events": {
        "lines": {"options_list": ["--lines", "-l"], "type": _count, "help": "How many of the last events."},
        "follow": {"help": "Go on with what comes, until Ctrl-C."},
    },
    "online-endpoint": {
        "name": {"options_list": _NAME, "help": "Name of the endpoint.", "completer": complete_endpoints},
        "auth_mode": {
            "options_list": ["--auth-mode"],
            "help": "How clients show who they are; none only on a loopback listener.",
            **enum_choice_list(["key", "aml_token", "aad_token", "none"]),
        },
        "traffic": {
            "options_list": ["--traffic", "-r"],
            "nargs": "+",
            "action": LiveWeights,
            "metavar": "DEPLOYMENT=PERCENT",
            "help": 'Live percent by deployment, such as "blue=90 green=10"; those not named get 0.',
        },
        "mirror_traffic": {
            "options_list": ["--mirror-traffic"],
            "nargs": "+",
            "action": Weights,
            "metavar": "DEPLOYMENT=PERCENT",
            "help": 'Percent of the live requests that are copied, such as "green=10"; "" or "green=0" ends it.',
        },
    },
    "online-endpoint invoke": {
        "request_file": {"options_list": ["--request-file", "-r"], "help": "File with the body of the request."},
        "deployment_name": {
            "options_list": ["--deployment-name", "-d"],
            "help": "Ask this deployment, whatever the weights say.",
            "completer": complete_deployments,
        },
    },
    "online-endpoint regenerate-keys": {
        "no_wait": {"help": "As at Azure; here it is done when the command ends."},
        "key_type": {
            "options_list": ["--key-type"],
            "help": "Which of the two.",
            **enum_choice_list(["primary", "secondary"]),
        },
    },
    "online-deployment": {
        "name": {"options_list": _NAME, "help": "Name of the deployment.", "completer": complete_deployments},
        "endpoint_name": {
            "options_list": _ENDPOINT_NAME,
            "help": "Name of its endpoint.",
            "completer": complete_endpoints,
        },
        "all_traffic": {"help": "Give it all live traffic once it is ready."},
        "instance_count": {"type": _count, "help": "How many instances; the same as --set instance_count=N."},
        "lines": {"options_list": ["--lines", "-l"], "type": _count, "help": "How many of the last lines."},
        "follow": {"help": "Go on with what comes, until Ctrl-C."},
        "instance": {"help": "Number of one instance; default: all, merged by time."},
        "container": {
            "options_list": ["--container", "-c"],
            "help": "As at Azure; here there is only the inference server.",
            **enum_choice_list(["inference-server", "storage-initializer"]),
        },
    },
    "model": {
        **_ASSET,
        "name": {"options_list": _NAME, "help": "Name of the model.", "completer": complete_names("models")},
        "path": {"options_list": ["--path", "-p"], "help": "File or folder of the model, which is copied."},
        "type_": {"options_list": ["--type", "-t"], "help": "As at Azure, such as custom_model; kept and shown."},
    },
    "environment": {
        **_ASSET,
        "name": {
            "options_list": _NAME,
            "help": "Name of the environment.",
            "completer": complete_names("environments"),
        },
        "conda_file": {"options_list": ["--conda-file", "-c"], "help": "conda.yaml, which is copied."},
        "image": {"options_list": ["--image", "-i"], "help": "Container image; kept, and has no effect here."},
    },
    "config diff": {"config": {"help": "A file to compare in place of the daemon's."}},
}

_NUMBER: Settings = {"nargs": "?", "type": _positive, "help": "Number of a version; see teal config history."}
_OPERATION: Settings = {"help": "Id of the operation; see teal operation list."}
#: What stands by itself, by command.
_POSITIONALS: Mapping[str, tuple[str, Settings]] = {
    "check": ("file", {"nargs": "?", "help": "Config file; default: config/teal.yaml."}),
    "completion": ("shell", {"choices": ["bash", "zsh", "fish"], "help": "Which shell."}),
    "config diff": ("number", _NUMBER),
    "config undo": ("number", _NUMBER),
    "operation show": ("operation", _OPERATION),
    "operation wait": ("operation", _OPERATION),
}


def describe_arguments(loader: CLICommandsLoader, command: str) -> None:
    """Tell knack about the options of a command."""
    for scope in _scopes(command):
        with ArgumentsContext(loader, scope) as context:
            for name, settings in _ARGUMENTS.get(scope, {}).items():
                context.argument(name, **settings)
    with ArgumentsContext(loader, command) as context:
        if command in _POSITIONALS:
            name, settings = _POSITIONALS[command]
            context.positional(name, **settings)
        for options, settings in _AZURE_ONLY.get(command.partition(" ")[0], ()):
            # What begins with an underscore is not handed to the command.
            dest = options[0].replace("-", "_")
            context.extra(dest, options_list=options, arg_group="Azure", default=None, **settings)


def _scopes(command: str) -> Iterator[str]:
    words = command.split()
    yield from (" ".join(words[:length]) for length in range(len(words) + 1))

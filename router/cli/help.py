"""The texts of `-h`: what each command does, and examples of it. Importing this gives them to knack."""

import json
from collections.abc import Mapping
from typing import NamedTuple

from knack.help_files import helps


class Text(NamedTuple):
    """What is said about a command.

    Attributes:
        summary: One sentence.
        examples: Command line by what it does.
        more: Further sentences.
    """

    summary: str
    examples: Mapping[str, str]
    more: str = ""


GROUPS: Mapping[str, str] = {
    "online-endpoint": "Endpoints: a stable scoring address with deployments behind it.",
    "online-deployment": "Deployments: one version of a model behind an endpoint.",
    "model": "Models by name and version, for deployments to name.",
    "environment": "Environments by name and version, for deployments to name.",
    "config": "Versions of the config file: what changed, and the way back.",
    "operation": "Operations: what commands have begun, and what became of it.",
}

DAEMON: dict[str, Text] = {
    "serve": Text(
        "Run the router daemon.",
        {
            "Serve a config file": "teal serve --config config/teal.yaml",
            "And print a command that scores a request": "teal serve --try request.json",
        },
    ),
    "check": Text(
        "Say what is wrong with a config file.",
        {"Check a file before it is saved where the daemon sees it": "teal check new.yaml"},
        "Works without a daemon.",
    ),
    "schema": Text(
        "Print the JSON Schema of the config file, for editors.",
        {"Save it for an editor": "teal schema > teal.schema.json"},
        "Works without a daemon.",
    ),
    "status": Text(
        "Show what the daemon does.",
        {
            "Keep an eye on it": "teal status",
            "One look, for a script": "teal status -o json",
            "Deployments that have failed": (
                "teal status -o tsv --query \"endpoints[].deployments[?provisioning_state=='Failed'].name[]\""
            ),
        },
    ),
    "events": Text(
        "Show what the daemon has logged lately.",
        {
            "The last hundred events": "teal events --lines 100",
            "What happens from now on": "teal events --lines 0 --follow",
            "Only what went wrong": "teal events --query \"[?level=='error'].event\"",
        },
    ),
    "completion": Text(
        "Print the code that makes Tab complete teal's commands, options and names.",
        {
            "In bash, from now on": "echo 'eval \"$(teal completion bash)\"' >> ~/.bashrc",
            "In zsh, from now on": "echo 'eval \"$(teal completion zsh)\"' >> ~/.zshrc",
            "In fish, from now on": "teal completion fish > ~/.config/fish/completions/teal.fish",
        },
    ),
    "config history": Text(
        "List the versions of the config file.",
        {"What was changed, when, by which command": "teal config history -o table"},
    ),
    "config diff": Text(
        "Show how the config file differs from a version of it.",
        {
            "What the last change was": "teal config diff",
            "What has changed since version 3": "teal config diff 3",
            "What a new file would change": "teal config diff --config new.yaml",
        },
        "Without a daemon the file is compared with what the daemon has left in its state directory.",
    ),
    "config undo": Text(
        "Put an earlier version of the config file in its place.",
        {
            "Take the last change back": "teal config undo",
            "Go back to version 3 without being asked": "teal config undo 3 --yes",
        },
        "An undo can be undone: what was in the file is kept as a version.",
    ),
    "operation list": Text(
        "List the last operations.",
        {"Those under way": "teal operation list --query \"[?status=='InProgress']\" -o table"},
    ),
    "operation show": Text(
        "Show an operation: its progress, and why it failed.",
        {"What became of one": "teal operation show 5f0c2d9a81e4"},
    ),
    "operation wait": Text(
        "Wait until an operation has ended; exit code 1 if it has failed.",
        {
            "Begin several, then wait": (
                "id=$(teal online-deployment create -f green.yml --no-wait -o tsv --query id)\n"
                'teal operation wait "$id"'
            )
        },
    ),
}

ENDPOINTS: dict[str, Text] = {
    "online-endpoint create": Text(
        "Create an endpoint, or change one that exists.",
        {
            "From a file": "teal online-endpoint create --name churn -f endpoint.yml",
            "With keys, without a file": "teal online-endpoint create --name churn --auth-mode key",
            "With a tag": "teal online-endpoint create -f endpoint.yml --set tags.owner=fraud-team",
        },
    ),
    "online-endpoint update": Text(
        "Change an endpoint: above all, which deployment gets how much.",
        {
            "A tenth of the live requests to green": (
                'teal online-endpoint update -n churn --traffic "blue=90 green=10"'
            ),
            "Copy a tenth to green, whose answers are dropped": (
                'teal online-endpoint update -n churn --mirror-traffic "green=10"'
            ),
            "Stop copying": 'teal online-endpoint update -n churn --mirror-traffic "green=0"',
            "Set a field and remove another": (
                "teal online-endpoint update -n churn --set tags.stage=test --remove tags.owner"
            ),
        },
        "Traffic moves once the deployment has a ready instance; until then the old weights hold.",
    ),
    "online-endpoint show": Text(
        "Show an endpoint.",
        {
            "All of it": "teal online-endpoint show -n churn",
            "Its scoring address": "teal online-endpoint show -n churn -o tsv --query scoring_uri",
            "Its weights": "teal online-endpoint show -n churn --query traffic",
        },
    ),
    "online-endpoint list": Text(
        "List the endpoints.",
        {
            "As a table": "teal online-endpoint list -o table",
            "Their names": "teal online-endpoint list -o tsv --query [].name",
        },
    ),
    "online-endpoint delete": Text(
        "Delete an endpoint with its deployments.",
        {"Without being asked, without waiting": "teal online-endpoint delete -n churn --yes --no-wait"},
        "Its deployments finish what is in flight. An endpoint that is created again has other keys; one that is "
        "brought back by an undo or by hand has those it had.",
    ),
    "online-endpoint invoke": Text(
        "Send a scoring request, through the router, as any client would.",
        {
            "Whatever deployment gets it": "teal online-endpoint invoke -n churn --request-file request.json",
            "One deployment, whatever the weights": (
                "teal online-endpoint invoke -n churn -r request.json --deployment-name green"
            ),
            "The answer as it is": "teal online-endpoint invoke -n churn -r request.json -o tsv",
        },
        "An answer other than 200 goes to standard error with its reason, and the exit code is 1.",
    ),
    "online-endpoint get-credentials": Text(
        "Show the keys of an endpoint, or a fresh token.",
        {
            "A key for curl": "KEY=$(teal online-endpoint get-credentials -n churn -o tsv --query primaryKey)",
            "A token, with auth_mode aml_token": (
                "teal online-endpoint get-credentials -n churn -o tsv --query accessToken"
            ),
        },
    ),
    "online-endpoint regenerate-keys": Text(
        "Replace one of the two keys of an endpoint.",
        {"Once all clients use the other one": "teal online-endpoint regenerate-keys -n churn --key-type primary"},
        "The old key opens nothing any more when the command has ended; the other stays as it is.",
    ),
    "online-deployment create": Text(
        "Create a deployment, or put another in the place of one that exists.",
        {
            "From a file, with all live traffic": (
                "teal online-deployment create --name blue --endpoint-name churn -f blue.yml --all-traffic"
            ),
            "From a file that names both": "teal online-deployment create -f green.yml",
            "With a value over the file's": "teal online-deployment create -f green.yml --set instance_count=2",
        },
        "Models, code and environment files are copied to the daemon. Relative paths start at the file's folder, those "
        "of --set too; without a file, at the current one.",
    ),
    "online-deployment update": Text(
        "Change a deployment; new instances are ready before old ones go.",
        {
            "Two instances": "teal online-deployment update -n blue --endpoint-name churn --set instance_count=2",
            "Another model": "teal online-deployment update -n blue -e churn --set model.path=models/v2/model.pkl",
            "As a file says": "teal online-deployment update -n blue -e churn -f blue.yml",
        },
        "If a new instance fails, the old ones go on and the command says why.",
    ),
    "online-deployment show": Text(
        "Show a deployment.",
        {
            "All of it": "teal online-deployment show -n blue --endpoint-name churn",
            "Where it stands": "teal online-deployment show -n blue -e churn -o tsv --query provisioning_state",
        },
    ),
    "online-deployment list": Text(
        "List the deployments of an endpoint.",
        {"As a table": "teal online-deployment list --endpoint-name churn -o table"},
    ),
    "online-deployment delete": Text(
        "Delete a deployment that has no live traffic.",
        {"Without being asked, without waiting": "teal online-deployment delete -n blue -e churn --yes --no-wait"},
        "What is in flight finishes first.",
    ),
    "online-deployment get-logs": Text(
        "Show what the instances of a deployment have printed.",
        {
            "All instances, merged by time": "teal online-deployment get-logs -n blue --endpoint-name churn",
            "The last hundred lines of one, and on": (
                "teal online-deployment get-logs -n blue -e churn --instance 0 --lines 100 --follow"
            ),
        },
    ),
}


def _asset_texts(group: str, article: str, name: str, create: Mapping[str, str]) -> dict[str, Text]:
    noun, one = f"{article} {group}", f"-n {name} --version 1"
    return {
        f"{group} create": Text(
            f"Register a version of {noun}.",
            create,
            "A version never changes: the same content again gives the same version, other content is refused. "
            "Without a version, new content gets the next number.",
        ),
        f"{group} list": Text(
            f"List the {group}s.",
            {
                "Those that are not archived": f"teal {group} list -o table",
                "All versions of one": f"teal {group} list -n {name} --include-archived",
            },
        ),
        f"{group} show": Text(
            f"Show a version of {noun}.",
            {
                "One version": f"teal {group} show {one}",
                "The newest": f"teal {group} show -n {name} --label latest",
            },
        ),
        f"{group} archive": Text(
            f"Take a version of {noun} out of the list.",
            {"Archive a version": f"teal {group} archive {one}"},
            "Deployments that use it go on.",
        ),
        f"{group} restore": Text(
            f"Put an archived version of {noun} back in the list.",
            {"Restore a version": f"teal {group} restore {one}"},
        ),
        f"{group} delete": Text(
            f"Delete a version of {noun} that no deployment uses.",
            {"Without being asked": f"teal {group} delete {one} --yes"},
        ),
    }


MODELS = _asset_texts(
    "model",
    "a",
    "churn-model",
    {
        "From a file": "teal model create -f model.yml",
        "A folder as the next version": "teal model create -n churn-model --path models/v2",
    },
)
ENVIRONMENTS = _asset_texts(
    "environment",
    "an",
    "churn-env",
    {
        "From a file": "teal environment create -f environment.yml",
        "A conda file as version 1": "teal environment create -n churn-env -v 1 --conda-file conda.yaml",
    },
)


def _as_knack_has_it(kind: str, text: Text) -> str:
    """JSON, which is YAML."""
    examples = [{"name": f"{name}.", "text": command} for name, command in text.examples.items()]
    return json.dumps(
        {"type": kind, "short-summary": text.summary, "long-summary": text.more, "examples": examples},
        ensure_ascii=False,
    )


helps.update({name: _as_knack_has_it("group", Text(summary, {})) for name, summary in GROUPS.items()})
helps.update(
    {name: _as_knack_has_it("command", text) for name, text in (DAEMON | ENDPOINTS | MODELS | ENVIRONMENTS).items()}
)

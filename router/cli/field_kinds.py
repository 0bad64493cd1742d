"""Which fields of definitions are text, by name.

The shapes themselves know it, but the command line is started often and does not wait for their library; a test keeps
the two together.
"""

from router.control.config.document import KeyPath

#: What is in them is text, whatever it is called.
_TEXT_MAPS = frozenset({"environment_variables", "tags", "properties"})
#: What is in them are percent, by names that may be those of fields.
_WEIGHTS = frozenset({"traffic", "mirror_traffic"})
_TEXTS = frozenset(
    {
        "$schema", "auth_mode", "code", "compute", "content_type", "datastore", "description",
        "egress_public_network_access", "endpoint_name", "image", "instance_type", "model_errors", "model_mount_path",
        "name", "os_type", "path", "public_network_access", "python", "requirements", "scoring_path",
        "scoring_script", "stage", "type", "version",
    }
)  # fmt: skip
#: Azure's own structures, kept and shown; nobody here knows what is a number in them.
_UNKNOWN = frozenset({"build", "data_collector", "flavors", "identity", "inference_config", "resources"})


def is_text(path: KeyPath) -> bool:
    """Whether a field has text, and keeps what was typed whatever it looks like."""
    container = path[-2] if len(path) > 1 else None
    return container in _TEXT_MAPS or (path[-1] in _TEXTS and container not in _WEIGHTS)


def is_unknown(path: KeyPath) -> bool:
    """Whether a field is one of which only the user knows what it has."""
    return path[0] in _UNKNOWN or any(step in _UNKNOWN for step in path[1:-1])

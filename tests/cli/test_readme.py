"""The README's reference of the config file is what the schema says.

`python tests/cli/test_readme.py` writes it anew.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from router.control.config.schema import json_schema

README = Path(__file__).resolve().parents[2] / "README.md"
BLOCK = re.compile(r"(<!-- config reference -->\n).*?(<!-- end of config reference -->)", re.DOTALL)
SECTIONS = (
    ("The file", "RouterConfig"),
    ("`tls`", "TlsConfig"),
    ("`admin`", "AdminConfig"),
    ("`proxy`", "ProxyConfig"),
    ("`limits`", "LimitsConfig"),
    ("`log`", "LogConfig"),
    ("An endpoint", "EndpointConfig"),
    ("An endpoint's `mirror`", "MirrorConfig"),
    ("An endpoint's `limits`", "EndpointLimits"),
    ("A deployment", "DeploymentConfig"),
    ("`model`", "ModelConfig"),
    ("`code_configuration`", "CodeConfig"),
    ("`environment`", "EnvironmentConfig"),
    ("`request_settings`", "RequestSettings"),
    ("`liveness_probe`, `readiness_probe`, `startup_probe`", "ProbeConfig"),
    ("`warmup_request`", "WarmupConfig"),
    ("`scale_settings`", "ScaleSettings"),
)


def reference() -> str:
    """A table for each part of the config file."""
    schema = json_schema()
    parts = {"RouterConfig": schema, **schema["$defs"]}
    return "\n".join("\n".join(_section(title, parts[name], parts)) for title, name in SECTIONS)


def _section(title: str, part: dict[str, Any], parts: dict[str, Any]) -> Iterator[str]:
    yield f"\n#### {title}\n\n| field | default | meaning |\n|---|---|---|"
    for name, field in part["properties"].items():
        if name in part.get("required", ()):
            default = "required"
        elif isinstance(field.get("default"), dict | list | None):
            default = ""
        else:
            default = f"`{field['default']}`"
        # Where a field says the same as its part, the schema says it once.
        meaning = field.get("description") or parts[field["$ref"].rpartition("/")[2]]["description"]
        yield f"| `{name}` | {default} | {meaning} |"


def test_the_readme_documents_every_field() -> None:
    """Every field of the schema is in the README, with its default and its meaning."""
    block = BLOCK.search(README.read_text())
    assert block is not None
    assert block.group(0) == f"{block.group(1)}{reference()}\n{block.group(2)}"


if __name__ == "__main__":
    README.write_text(BLOCK.sub(lambda found: f"{found.group(1)}{reference()}\n{found.group(2)}", README.read_text()))

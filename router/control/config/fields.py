"""The kinds of values that the fields of a config have."""

import os
import re
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    Strict,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from router.core.rules import parse_host_port
from router.core.upgrades import carries_http, is_protocol

T = TypeVar("T")

_BASES = {"": 1000, "b": 1000, "i": 1024, "ib": 1024}
_UNITS = {"": 1, "b": 1} | {
    prefix + suffix: base**power for power, prefix in enumerate("kmgt", start=1) for suffix, base in _BASES.items()
}


class Config(BaseModel):
    """A part of the config: frozen, closed to unknown fields, and strict, so `on` is no number and `'5'` is no `5`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)


def _resolved(value: object, info: ValidationInfo) -> Path:
    """The path below the config file's folder, which the caller passes as `context={"folder": ...}`.

    Symbolic links are left in place: Kubernetes swaps the link `..data`, and what it points to now is soon deleted.
    """
    if not isinstance(value, str | Path):
        raise PydanticCustomError("path_type", "expected a path")
    value = str(value)
    if not value or "\0" in value:
        raise ValueError("empty, expected a path" if not value else "a path has no NUL")
    if "://" in value or value.startswith("azureml:"):
        raise ValueError("only files on this machine are served; expected a path")
    folder = info.context["folder"] if info.context else ""
    # One Path per field: pathlib is most of what a large config costs here.
    return Path(os.path.join(folder, os.path.expanduser(value)))  # noqa: PTH111, PTH118


def parse_bytes(value: object) -> object:
    """A number of bytes from `512MB` or `2GiB`; any other kind of value as it is.

    Raises:
        ValueError: Text that is no size.
    """
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", value.strip().lower())
    if match is None or match[2] not in _UNITS:
        raise ValueError(f"{value!r} is not a size; expected bytes such as 1000000, or 512MB, 2GiB")
    return int(float(match[1]) * _UNITS[match[2]])


def _plain_text(value: object) -> object:
    """A YAML scalar as the text that a shell or JSON would use for it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def _address(value: str) -> str:
    if parse_host_port(value) is None:
        raise ValueError(f"{value!r} is not an address; expected HOST:PORT such as 127.0.0.1:8080")
    return value


def _network(value: str) -> str:
    try:
        return str(ip_network(value))
    except ValueError as error:
        example = "10.1.2.3, 10.0.0.0/8 or 2001:db8::/32"
        raise ValueError(f"{value!r} is no address and no network: {error}; expected such as {example}") from error


def _upstream(value: str) -> str:
    """The upstream in its one spelling: `http://HOST:PORT` or `unix:/PATH`."""
    if value.startswith("unix:"):
        if not value.startswith("unix:/"):
            raise ValueError("expected an absolute path after unix:, such as unix:/run/green.sock")
        return value
    if value.startswith("https:"):
        raise ValueError(
            "https upstreams are not supported yet; use http:// on a trusted network, or a local TLS proxy"
        )
    parts = re.fullmatch(r"http://(?P<host>[^/?#:]+|\[[^]]*\])(?P<port>:\d+)?/?", value)
    address = parse_host_port(parts["host"] + (parts["port"] or ":80")) if parts else None
    if parts is None or address is None or address.port == 0:
        raise ValueError(
            f"{value!r} is not an upstream; expected http://HOST:PORT or unix:/PATH (a path is scoring_path)"
        )
    return f"http://{parts['host']}:{address.port}"


def _protocol(value: str) -> str:
    if not is_protocol(value):
        raise ValueError(f"{value!r} is not a protocol; expected a name as in the field Upgrade, such as websocket")
    if carries_http(value):
        raise ValueError(
            f"{value!r} carries requests past the router, which could not route, check or count them; "
            "expected protocols other than HTTP, such as websocket"
        )
    return value.lower()


def _asset(value: str) -> str:
    if re.fullmatch(r"azureml:[^:@/\s]+(:[^:@/\s]+|@latest)", value) is None:
        raise ValueError(f"{value!r} is not an asset; expected azureml:NAME:VERSION or azureml:NAME@latest")
    return value


def _target(value: str) -> str:
    if re.fullmatch(r"/[!-~]*", value) is None:
        raise ValueError(f"{value!r} is not a path of a URL; expected printable ASCII starting with /, such as /score")
    return value


def _has_one(values: tuple[T, ...]) -> tuple[T, ...]:
    if not values:
        raise ValueError("an empty list; expected at least one")
    return values


def one_or_many(value: object) -> object:
    """A single value as a list of one."""
    return value if isinstance(value, list | tuple) else [value]


FilePath = Annotated[Path, PlainValidator(_resolved), WithJsonSchema({"type": "string", "format": "path"})]
Address = Annotated[str, AfterValidator(_address)]
Upstream = Annotated[str, AfterValidator(_upstream)]
Network = Annotated[str, AfterValidator(_network)]
Protocol = Annotated[str, AfterValidator(_protocol)]
Target = Annotated[str, AfterValidator(_target)]
AssetName = Annotated[str, AfterValidator(_asset), WithJsonSchema({"type": "string", "pattern": "^azureml:"})]
Text = Annotated[str, BeforeValidator(_plain_text), WithJsonSchema({"type": ["string", "number", "boolean"]})]
TextMap = Mapping[str, Text]
Bytes = Annotated[
    int,
    BeforeValidator(parse_bytes),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": r"^[\d.]+\s*[a-zA-Z]*$"}]}
    ),
]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
PositiveSeconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Listed = Annotated[tuple[T, ...], Strict(False), AfterValidator(_has_one)]
FileName = Annotated[str, StringConstraints(min_length=1)]

"""The shape of the config file.

What a field means is its description, which is also the JSON Schema that `teal schema` prints. Rules that hold between
fields are in `router.core.rules`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, JsonValue, PlainValidator, Strict, WithJsonSchema, model_validator

from router.control.config.deployment import (
    KEPT,
    CodeConfig,
    DeploymentConfig,
    EnvironmentConfig,
    ModelConfig,
    ProbeConfig,
    RequestSettings,
    ScaleSettings,
    WarmupConfig,
)
from router.control.config.fields import (
    Address,
    Bytes,
    Config,
    FilePath,
    Listed,
    Network,
    PositiveSeconds,
    Seconds,
    Text,
    TextMap,
    one_or_many,
)
from router.core.rules import HostPort, parse_host_port, spell_as

__all__ = [
    "AdminConfig",
    "CodeConfig",
    "DeploymentConfig",
    "EndpointConfig",
    "EndpointLimits",
    "EnvironmentConfig",
    "LimitsConfig",
    "LogConfig",
    "MirrorConfig",
    "ModelConfig",
    "ProbeConfig",
    "ProxyConfig",
    "RequestSettings",
    "RouterConfig",
    "ScaleSettings",
    "TlsConfig",
    "WarmupConfig",
    "json_schema",
]


class AdminConfig(Config):
    """The admin address: metrics, health and the status page."""

    http: Address | None = Field(
        default="127.0.0.1:8081",
        description="HOST:PORT of /metrics, /healthz, /readyz and the status page; null for none.",
    )
    token_file: FilePath | None = Field(
        default=None,
        description="File with the bearer token that the address asks for; needed when it is not loopback.",
    )
    max_connections: int = Field(
        default=64,
        ge=4,
        description="Callers at a time, of the address and of the admin socket each; less where descriptors are few.",
    )
    head_timeout_s: PositiveSeconds = Field(
        default=10, description="Seconds a caller may take to send a request's head. Past it: 408."
    )
    body_timeout_s: PositiveSeconds = Field(
        default=30, description="Seconds a body may be silent, or behind 1024 bytes per second in all. Past it: 408."
    )
    idle_timeout_s: PositiveSeconds = Field(default=75, description="Seconds a connection is kept between requests.")

    @property
    def address(self) -> HostPort | None:
        """`http` as host and port."""
        return parse_host_port(self.http) if self.http else None


def _processes(value: object) -> object:
    if value == "auto" or (isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_PROCESSES):
        return value
    raise ValueError(f"expected auto, or a number of processes from 1 to {MAX_PROCESSES}")


MAX_PROCESSES = 256
Processes = Annotated[
    int | Literal["auto"],
    PlainValidator(_processes),
    WithJsonSchema({"anyOf": [{"const": "auto"}, {"type": "integer", "minimum": 1, "maximum": MAX_PROCESSES}]}),
]


class ProxyConfig(Config):
    """The processes that carry scoring traffic."""

    processes: Processes = Field(default=1, description="Number of proxy processes; `auto` is one per CPU.")


class TlsConfig(Config):
    """What clients are shown; the files are read again when they change."""

    certificate: FilePath = Field(
        description="PEM file with the server's certificate first, then those between it and the root."
    )
    key: FilePath = Field(description="PEM file with the private key of that certificate, without a passphrase.")


class LimitsConfig(Config):
    """What a client may send, and how long it may take."""

    max_connections: int = Field(
        default=20_000, ge=1, description="Client connections at a time, on all processes. Past it: 503."
    )
    max_connections_per_address: int = Field(
        default=10_000, ge=1, description="The same for one client address (IPv6: one /64 network). Past it: 503."
    )
    max_requests_per_connection: int | None = Field(
        default=None, ge=1, description="Requests after which a connection is closed, by its last answer; null for any."
    )
    max_body_bytes: Annotated[Bytes, Field(ge=0)] = Field(
        default=104_857_600, description="Largest request body in bytes, or such as 100MiB. Past it: 413."
    )
    max_head_bytes: Annotated[Bytes, Field(ge=1024)] = Field(
        default=32_768, description="Largest request line and headers together, in bytes. Past it: 431."
    )
    max_head_fields: int = Field(default=256, ge=16, description="Most header fields of a request. Past it: 431.")
    head_timeout_s: PositiveSeconds = Field(
        default=10, description="Seconds a client may take to send a request's head. Past it: 408."
    )
    body_timeout_s: PositiveSeconds = Field(
        default=30,
        description="Seconds a body may be silent, or behind `min_body_bytes_per_s` in all. Past it: 408.",
    )
    min_body_bytes_per_s: Annotated[Bytes, Field(ge=0)] = Field(
        default=1024, description="Slowest pace at which a client may send a body, in bytes per second; 0 for any."
    )
    answer_timeout_s: PositiveSeconds = Field(
        default=60,
        description="Seconds an answer that has begun may rest, be it the instance or the client; past it, it is cut.",
    )
    upgrade_idle_timeout_s: PositiveSeconds = Field(
        default=300,
        description="Seconds a WebSocket, or another upgraded connection, may be silent in both directions; "
        "past it, it is cut.",
    )
    keepalive_timeout_s: PositiveSeconds = Field(
        default=75, description="Seconds an idle client connection is kept open."
    )
    drain_timeout_s: Seconds = Field(
        default=30, description="Seconds that requests in flight may finish in after SIGTERM."
    )


class LogConfig(Config):
    """The daemon's own log."""

    format: Literal["auto", "json", "console"] = Field(
        default="auto",
        description="`json` lines, `console` for people, or `auto`: console on a terminal, otherwise json.",
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe level to write."
    )


class MirrorConfig(Config):
    """What the copies of live traffic may cost, and Azure's limits, each one liftable."""

    rate_bytes_per_s: Annotated[Bytes, Field(gt=0)] = Field(
        default=5_000_000,
        description="Bytes per second of copies, and of answers over 64 KiB. A copy that does not fit is dropped.",
    )
    burst_bytes: Annotated[Bytes, Field(gt=0)] = Field(
        default=5_000_000, description="Bytes of copies that may be sent at once after a quiet time."
    )
    max_in_flight: int = Field(default=64, ge=1, description="Copies that may be on their way at a time.")
    max_body_bytes: Annotated[Bytes, Field(ge=0)] = Field(
        default=1_000_000, description="Largest body that is copied, in bytes. A larger one is dropped and counted."
    )
    max_percent: float = Field(default=50, ge=0, le=100, description="Most percent of traffic that may be mirrored.")
    max_targets: int = Field(default=1, ge=1, description="Most deployments that may get copies.")
    allow_live_target: bool = Field(default=False, description="Whether a deployment with live weight may get copies.")


class EndpointLimits(Config):
    """Limits of one endpoint."""

    bandwidth_bytes_per_s: Annotated[Bytes, Field(gt=0)] | None = Field(
        default=None,
        description="Bytes per second of requests and answers; past it bytes are delayed. null for no limit.",
    )
    max_body_bytes: Annotated[Bytes, Field(ge=0)] | None = Field(
        default=None, description="Largest request body in bytes for this endpoint; null for the router's own limit."
    )


def _lower_auth_mode(value: object) -> object:
    mode = value.lower() if isinstance(value, str) else value
    if mode == "aad_token":
        raise ValueError("aad_token is not supported: teal cannot verify Microsoft Entra tokens; use key or aml_token")
    return mode


AuthMode = Annotated[
    Literal["key", "aml_token", "none"],
    BeforeValidator(_lower_auth_mode),
]


class EndpointConfig(Config):
    """A name that clients score at, the deployments behind it, and who gets which share."""

    schema_url: str | None = Field(default=None, alias="$schema", description="Azure's schema URL; ignored.")
    name: str | None = Field(default=None, description="If given, the same as the endpoint's key.")
    description: Text | None = Field(default=None, description="Free text, kept and shown.")
    tags: TextMap = Field(default_factory=dict, description="Free labels, kept and shown.")
    properties: TextMap = Field(
        default_factory=dict, description="Free labels that may be added but not changed, kept and shown."
    )

    auth_mode: AuthMode = Field(
        default="key", description="`key`, `aml_token` (signed, expiring), or `none` (only on a loopback listener)."
    )
    token_lifetime_s: int = Field(default=3600, gt=0, description="Seconds that an `aml_token` is valid.")
    traffic: Mapping[str, float] = Field(
        default_factory=dict, description="Percent of live traffic per deployment; adds up to 0 (endpoint off) or 100."
    )
    mirror_traffic: Mapping[str, float] = Field(
        default_factory=dict, description="Percent of live traffic copied to a deployment, whose answers are dropped."
    )
    idempotent: bool = Field(
        default=False, description="Whether a request whose instance died may be sent once more, to another instance."
    )
    model_errors: Literal["azure", "passthrough"] = Field(
        default="azure", description="`azure`: a model's error becomes 424. `passthrough`: the model's own status."
    )
    mirror: MirrorConfig = Field(default=MirrorConfig(), description="Limits of the copies.")
    limits: EndpointLimits = Field(default=EndpointLimits(), description="Limits of this endpoint.")
    deployments: Mapping[str, DeploymentConfig] = Field(
        default_factory=dict,
        description="Deployments by name; at most 20, each with 3 to 32 letters, digits and hyphens.",
    )

    compute: Text | None = Field(default=None, description=KEPT + "teal runs on this host.")
    identity: Mapping[str, object] | None = Field(default=None, description=KEPT + "workers run as teal's user.")
    public_network_access: Text | None = Field(default=None, description=KEPT + "`listen` decides who can connect.")

    @model_validator(mode="before")
    @classmethod
    def _spell_names_as_the_deployments_do(cls, data: object) -> object:
        if not isinstance(data, dict) or not isinstance(data.get("deployments"), dict):
            return data
        names = [name for name in data["deployments"] if isinstance(name, str)]
        spelled = {
            field: spell_as(weights, names)
            for field in ("traffic", "mirror_traffic")
            if isinstance(weights := data.get(field), dict) and all(isinstance(name, str) for name in weights)
        }
        return data | spelled


class RouterConfig(Config):
    """The whole config file."""

    schema_url: str | None = Field(default=None, alias="$schema", description="Schema URL for editors; ignored.")
    listen: Annotated[
        Listed[Address],
        BeforeValidator(one_or_many),
        WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
    ] = Field(
        default=("127.0.0.1:8080",),
        description="HOST:PORT of scoring traffic, or a list of them; sockets passed by systemd take their place.",
    )
    trusted_proxies: Annotated[
        tuple[Network, ...],
        Strict(False),
        BeforeValidator(one_or_many),
        WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
    ] = Field(
        default=(),
        description="Addresses or networks (10.0.0.0/8) of proxies before teal, whose `X-Forwarded-*` are passed on.",
    )
    tls: TlsConfig | None = Field(
        default=None, description="Certificate and key; with them scoring traffic is HTTPS on every listening socket."
    )
    admin: AdminConfig = Field(default=AdminConfig(), description="Admin address.")
    state_dir: FilePath = Field(
        default=Path(".teal"), validate_default=True, description="Folder of keys, assets, logs and the admin socket."
    )
    proxy: ProxyConfig = Field(default=ProxyConfig(), description="Proxy processes.")
    limits: LimitsConfig = Field(default=LimitsConfig(), description="Limits of every client connection.")
    access_log: bool = Field(default=True, description="Whether every scoring request writes one log event.")
    log: LogConfig = Field(default=LogConfig(), description="The daemon's own log.")
    endpoints: Mapping[str, EndpointConfig] = Field(
        default_factory=dict, description="Endpoints by name; each with 3 to 32 letters, digits and hyphens."
    )

    @property
    def listen_addresses(self) -> tuple[HostPort, ...]:
        """`listen` as hosts and ports, in the order written."""
        return tuple(address for text in self.listen if (address := parse_host_port(text)) is not None)


def json_schema() -> dict[str, JsonValue]:
    """The JSON Schema of the config file, for editors and `teal schema`."""
    schema = RouterConfig.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "teal.yaml"}

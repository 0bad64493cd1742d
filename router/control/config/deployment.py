"""The shape of a deployment in the config: Azure ML's own fields, and teal's further ones."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, Strict, Tag, model_validator

from router.control.config.fields import (
    AssetName,
    Bytes,
    Config,
    FileName,
    FilePath,
    Listed,
    PositiveSeconds,
    Protocol,
    Seconds,
    Target,
    Text,
    TextMap,
    Upstream,
)
from router.core.rules import MAX_INSTANCES

#: A week. Azure's 180000 is not applied; without any bound a number of 400 digits is no duration.
MAX_TIMEOUT_MS = 7 * 24 * 3600 * 1000

# A field whose description starts so has no effect; the rest of it is the warning that `teal check` prints.
KEPT = "Kept and shown; "

# A server that teal does not run queues by itself and is watched from outside, so it is probed early and often.
_UPSTREAM_DEFAULTS: Mapping[str, Mapping[str, object]] = {
    "request_settings": {"max_concurrent_requests_per_instance": 1000},
    "readiness_probe": {"initial_delay": 0, "period": 5, "timeout": 2, "success_threshold": 1, "failure_threshold": 2},
}


class ModelConfig(Config):
    """A model on this machine."""

    path: FilePath | None = Field(
        default=None, description="File or folder of the model. A folder appears as `AZUREML_MODEL_DIR/<folder name>/`."
    )
    name: Text | None = Field(default=None, description="Name to register the model under.")
    version: Text | None = Field(default=None, description="Version to register the model under.")
    type: Literal["custom_model", "mlflow_model", "triton_model"] = Field(
        default="custom_model",
        description="Kind of model. Kept and shown; the scoring script loads the model either way.",
    )
    description: Text | None = Field(default=None, description="Free text, kept and shown.")
    tags: TextMap = Field(default_factory=dict, description="Free labels, kept and shown.")
    properties: TextMap = Field(
        default_factory=dict, description="Free labels that may be added but not changed, kept and shown."
    )

    @model_validator(mode="after")
    def _has_source(self) -> Self:
        if self.path is None:
            raise ValueError("expected a path, or azureml:NAME:VERSION in place of the mapping")
        return self


class CodeConfig(Config):
    """The scoring script of a deployment."""

    code: FilePath = Field(description="Folder of the scoring script; on `sys.path` and the working directory.")
    scoring_script: FileName = Field(description="Script with `init()` and `run(data)`, relative to `code`.")


class EnvironmentConfig(Config):
    """What the scoring script runs in. Without a source it is teal's own interpreter."""

    conda_file: FilePath | None = Field(
        default=None, description="Conda file; its pip dependencies are installed with uv, conda channels are not used."
    )
    requirements: FilePath | None = Field(
        default=None, description="pip requirements file, installed with uv (not in Azure)."
    )
    python: FilePath | None = Field(
        default=None, description="Interpreter of an environment that exists (not in Azure)."
    )
    name: Text | None = Field(default=None, description="Name to register the environment under.")
    version: Text | None = Field(default=None, description="Version to register the environment under.")
    image: Text | None = Field(default=None, description=KEPT + "teal runs no containers.")
    build: Mapping[str, object] | None = Field(default=None, description=KEPT + "teal builds no images.")
    inference_config: Mapping[str, object] | None = Field(
        default=None, description=KEPT + "routes belong to images, which teal does not run."
    )
    os_type: Text | None = Field(default=None, description=KEPT + "the host's operating system is used.")
    description: Text | None = Field(default=None, description="Free text, kept and shown.")
    tags: TextMap = Field(default_factory=dict, description="Free labels, kept and shown.")
    properties: TextMap = Field(
        default_factory=dict, description="Free labels that may be added but not changed, kept and shown."
    )

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        given = [name for name in ("conda_file", "requirements", "python") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} exclude each other; expected one of them")
        return self


class RequestSettings(Config):
    """How many requests an instance takes, and for how long."""

    request_timeout_ms: int = Field(
        default=5000,
        gt=0,
        le=MAX_TIMEOUT_MS,
        description="Milliseconds a scoring request may take, queueing included. Past it: 408.",
    )
    max_concurrent_requests_per_instance: int = Field(
        default=1, gt=0, description="Requests that one instance works on at a time. Default 1, for `upstreams` 1000."
    )
    max_queue_per_instance: int = Field(
        default=100,
        ge=0,
        description="Requests that wait per instance; past it: 429. 1 gives Azure's rule (not in Azure).",
    )
    max_queue_wait_ms: int = Field(
        default=500, ge=0, description=KEPT + "deprecated at Azure, queueing counts towards `request_timeout_ms`."
    )


class ProbeConfig(Config):
    """When an instance counts as healthy. Times are seconds."""

    initial_delay: Seconds = Field(
        default=10, description="Seconds before the first probe. Never delays an instance that says it is ready."
    )
    period: PositiveSeconds = Field(default=10, description="Seconds between probes.")
    timeout: PositiveSeconds = Field(default=2, description="Seconds an answer may take.")
    success_threshold: int = Field(default=1, gt=0, description="Successes in a row that make the instance healthy.")
    failure_threshold: int = Field(default=30, gt=0, description="Failures in a row that make the instance unhealthy.")
    path: Target = Field(default="/", description="Path that a probe of an upstream asks for (not in Azure).")


class WarmupConfig(Config):
    """A request that a worker scores before it counts as ready (not in Azure)."""

    path: FilePath = Field(description="File with the request body.")
    content_type: str = Field(default="application/json", description="Content type of the body.")


class ScaleSettings(Config):
    """How the number of instances changes."""

    type: Literal["default"] = Field(default="default", description="`default`: exactly `instance_count` instances.")


# pydantic puts these into the location of an error; `explain` takes them out again.
ASSET, INLINE = "<asset>", "<inline>"


def _kind(value: object) -> str:
    return ASSET if isinstance(value, str) else INLINE


Model = Annotated[Annotated[ModelConfig, Tag(INLINE)] | Annotated[AssetName, Tag(ASSET)], Discriminator(_kind)]
Environment = Annotated[
    Annotated[EnvironmentConfig, Tag(INLINE)] | Annotated[AssetName, Tag(ASSET)], Discriminator(_kind)
]


class DeploymentConfig(Config):
    """One model version: workers that teal runs (`code_configuration`), or servers elsewhere (`upstreams`)."""

    schema_url: str | None = Field(default=None, alias="$schema", description="Azure's schema URL; ignored.")
    name: str | None = Field(default=None, description="If given, the same as the deployment's key.")
    endpoint_name: str | None = Field(default=None, description="If given, the same as the endpoint's key.")
    description: Text | None = Field(default=None, description="Free text, kept and shown.")
    tags: TextMap = Field(default_factory=dict, description="Free labels, kept and shown.")
    properties: TextMap = Field(
        default_factory=dict, description="Free labels that may be added but not changed, kept and shown."
    )

    model: Model | None = Field(
        default=None, description="The model: `{path: ...}`, or `azureml:NAME:VERSION` (or `@latest`)."
    )
    code_configuration: CodeConfig | None = Field(default=None, description="Scoring script that teal runs in workers.")
    environment: Environment = Field(
        default=EnvironmentConfig(), description="What the script runs in; default: teal's own interpreter."
    )
    environment_variables: TextMap = Field(
        default_factory=dict, description="Environment of the workers; values become text."
    )
    instance_count: int = Field(default=1, ge=0, le=MAX_INSTANCES, description="Number of workers, 0 to 50.")
    warmup_request: WarmupConfig | None = Field(
        default=None, description="Request that each worker scores before it is ready (not in Azure)."
    )
    max_memory_bytes: Annotated[Bytes, Field(gt=0)] | None = Field(
        default=None,
        description="Memory a worker may use, in bytes or such as 2GiB; past it, it is restarted (not in Azure).",
    )
    max_tasks: int | None = Field(
        default=None,
        gt=0,
        description="Threads that a worker and the processes that it starts may have; past it, it is restarted "
        "(not in Azure).",
    )

    upstreams: Listed[Upstream] | None = Field(
        default=None, description="Servers that run elsewhere: `http://HOST:PORT` or `unix:/PATH` (not in Azure)."
    )
    scoring_path: Target = Field(default="/score", description="Path that upstreams score at (not in Azure).")
    upgrades: Annotated[tuple[Protocol, ...], Strict(False)] = Field(
        default=("websocket",),
        description="Protocols that upstreams may upgrade to, by default `websocket`; `[]` for none (not in Azure).",
    )

    request_settings: RequestSettings = Field(default=RequestSettings(), description="Concurrency, queue and timeout.")
    liveness_probe: ProbeConfig = Field(default=ProbeConfig(), description="Failing it restarts the worker.")
    readiness_probe: ProbeConfig = Field(
        default=ProbeConfig(),
        description="Failing it takes the instance out of the choice. "
        "Defaults for `upstreams`: initial_delay 0, period 5, failure_threshold 2.",
    )
    startup_probe: ProbeConfig | None = Field(
        default=None,
        description="While it holds, a slow `init()` is not restarted by the liveness probe (not in Azure's YAML).",
    )
    scale_settings: ScaleSettings = Field(default=ScaleSettings(), description="Only `{type: default}`.")

    type: Text | None = Field(default=None, description=KEPT + "teal has one kind of compute.")
    instance_type: Text | None = Field(default=None, description=KEPT + "this host is the instance type.")
    model_mount_path: Text | None = Field(default=None, description=KEPT + "use `AZUREML_MODEL_DIR`.")
    app_insights_enabled: bool | None = Field(default=None, description=KEPT + "metrics are at the admin address.")
    egress_public_network_access: Text | None = Field(default=None, description=KEPT + "networks are the host's.")
    private_network_connection: bool | None = Field(default=None, description=KEPT + "networks are the host's.")
    data_collector: Mapping[str, object] | None = Field(default=None, description=KEPT + "no payload is collected.")
    resources: Mapping[str, object] | None = Field(default=None, description=KEPT + "see `max_memory_bytes`.")

    @property
    def is_managed(self) -> bool:
        """Whether teal starts the instances itself."""
        return self.upstreams is None

    @model_validator(mode="before")
    @classmethod
    def _fill_upstream_defaults(cls, data: object) -> object:
        if not isinstance(data, dict) or data.get("upstreams") is None:
            return data
        merged = dict(data)
        for name, defaults in _UPSTREAM_DEFAULTS.items():
            given = data.get(name, {})
            if isinstance(given, dict):
                merged[name] = {**defaults, **given}
        return merged

    @model_validator(mode="after")
    def _is_of_one_kind(self) -> Self:
        if self.upstreams is not None and self.code_configuration is not None:
            raise ValueError("code_configuration and upstreams exclude each other; expected one of them")
        if self.upstreams is None and self.code_configuration is None:
            raise ValueError("expected code_configuration (teal runs it) or upstreams (it runs elsewhere)")
        return self

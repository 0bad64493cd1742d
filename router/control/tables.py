"""From the config, and what is ready, to the routing table and the specs of what has to run."""

from collections.abc import Callable, Mapping

from router.control.config.deployment import DeploymentConfig, EnvironmentConfig, ModelConfig, ProbeConfig
from router.control.config.schema import EndpointConfig, MirrorConfig, RouterConfig
from router.control.environments import EnvironmentSpec
from router.control.state import Credentials
from router.control.states import DeploymentKey
from router.control.supervisor.checks import UpstreamSpec
from router.control.supervisor.spec import Probe, WorkerSpec
from router.core.auth import digest
from router.core.table import DeploymentSpec, EndpointSpec, InstanceSpec, MirrorSpec, TableSpec, share_weights
from router.core.wire import ProxyLimits

Instances = Callable[[DeploymentKey], tuple[InstanceSpec, ...]]


def build_table(
    config: RouterConfig,
    endpoints: Mapping[str, EndpointConfig],
    *,
    generation: int,
    credentials: Mapping[str, Credentials],
    instances: Instances,
) -> TableSpec:
    """The table of `endpoints`, with the instances that there are now."""
    return TableSpec(
        generation=generation,
        endpoints=tuple(
            _endpoint(name, endpoint, config, credentials[name], instances) for name, endpoint in endpoints.items()
        ),
    )


def proxy_limits(config: RouterConfig) -> ProxyLimits:
    """What the proxies are told of limits."""
    limits = config.limits
    return ProxyLimits(
        max_connections=limits.max_connections,
        max_connections_per_address=limits.max_connections_per_address,
        max_requests_per_connection=limits.max_requests_per_connection,
        max_head_bytes=limits.max_head_bytes,
        max_head_fields=limits.max_head_fields,
        head_timeout_s=limits.head_timeout_s,
        body_timeout_s=limits.body_timeout_s,
        min_body_bytes_per_s=limits.min_body_bytes_per_s,
        answer_timeout_s=limits.answer_timeout_s,
        upgrade_idle_timeout_s=limits.upgrade_idle_timeout_s,
        keepalive_timeout_s=limits.keepalive_timeout_s,
        drain_timeout_s=limits.drain_timeout_s,
        access_log=config.access_log,
        trusted_proxies=config.trusted_proxies,
    )


def worker_spec(key: DeploymentKey, deployment: DeploymentConfig, drain_timeout_s: float) -> WorkerSpec:
    """What the supervisor runs for a deployment with a scoring script."""
    code = deployment.code_configuration
    assert code is not None
    model = deployment.model
    warmup = deployment.warmup_request
    startup = deployment.startup_probe
    return WorkerSpec(
        endpoint=key[0],
        deployment=key[1],
        script=code.code / code.scoring_script,
        code_dir=code.code,
        model_path=model.path if isinstance(model, ModelConfig) else None,
        environment=_environment(deployment),
        environment_variables=deployment.environment_variables,
        instance_count=deployment.instance_count,
        concurrency=deployment.request_settings.max_concurrent_requests_per_instance,
        liveness=_probe(deployment.liveness_probe),
        readiness=_probe(deployment.readiness_probe),
        startup=_probe(startup) if startup else None,
        warmup_request=warmup.path if warmup else None,
        warmup_content_type=warmup.content_type if warmup else "application/json",
        max_memory_bytes=deployment.max_memory_bytes,
        max_tasks=deployment.max_tasks,
        drain_timeout_s=drain_timeout_s,
    )


def upstream_spec(deployment: DeploymentConfig) -> UpstreamSpec:
    """What is checked for a deployment that runs elsewhere."""
    return UpstreamSpec(
        addresses=tuple(deployment.upstreams or ()),
        check_path=deployment.readiness_probe.path,
        probe=_probe(deployment.readiness_probe),
    )


def _endpoint(
    name: str, endpoint: EndpointConfig, config: RouterConfig, credentials: Credentials, instances: Instances
) -> EndpointSpec:
    max_body_bytes = endpoint.limits.max_body_bytes
    return EndpointSpec(
        name=name,
        auth_mode=endpoint.auth_mode,
        key_digests=(digest(credentials.primary.encode()), digest(credentials.secondary.encode())),
        token_secret=credentials.token_secret,
        traffic=share_weights(endpoint.traffic),
        mirror_traffic=share_weights(endpoint.mirror_traffic),
        mirror=_mirror(endpoint.mirror),
        is_idempotent=endpoint.idempotent,
        model_errors=endpoint.model_errors,
        max_body_bytes=config.limits.max_body_bytes if max_body_bytes is None else max_body_bytes,
        bandwidth_bytes_per_s=endpoint.limits.bandwidth_bytes_per_s,
        deployments=tuple(
            _deployment(deployment_name, deployment, instances(DeploymentKey((name, deployment_name))))
            for deployment_name, deployment in endpoint.deployments.items()
        ),
    )


def _deployment(name: str, deployment: DeploymentConfig, instances: tuple[InstanceSpec, ...]) -> DeploymentSpec:
    settings = deployment.request_settings
    return DeploymentSpec(
        name=name,
        instances=instances,
        scoring_path="/score" if deployment.is_managed else deployment.scoring_path,
        check_path="/" if deployment.is_managed else deployment.readiness_probe.path,
        passes_paths=not deployment.is_managed,
        upgrades=() if deployment.is_managed else deployment.upgrades,
        request_timeout_s=settings.request_timeout_ms / 1000,
        max_concurrent=settings.max_concurrent_requests_per_instance,
        max_queue=settings.max_queue_per_instance,
    )


def _mirror(mirror: MirrorConfig) -> MirrorSpec:
    return MirrorSpec(
        rate_bytes_per_s=mirror.rate_bytes_per_s,
        burst_bytes=mirror.burst_bytes,
        max_in_flight=mirror.max_in_flight,
        max_body_bytes=mirror.max_body_bytes,
    )


def _environment(deployment: DeploymentConfig) -> EnvironmentSpec:
    environment = deployment.environment
    if not isinstance(environment, EnvironmentConfig):
        return EnvironmentSpec()
    return EnvironmentSpec(
        conda_file=environment.conda_file, requirements=environment.requirements, python=environment.python
    )


def _probe(probe: ProbeConfig) -> Probe:
    return Probe(
        initial_delay_s=probe.initial_delay,
        period_s=probe.period,
        timeout_s=probe.timeout,
        success_threshold=probe.success_threshold,
        failure_threshold=probe.failure_threshold,
    )

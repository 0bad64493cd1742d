"""From the config to what the proxies and the supervisor are told."""

from pathlib import Path

import pytest

from router.control.config.load import parse_config
from router.control.config.schema import RouterConfig
from router.control.state import Credentials
from router.control.states import DeploymentKey
from router.control.supervisor.checks import UpstreamSpec
from router.control.supervisor.spec import Probe
from router.control.tables import build_table, proxy_limits, upstream_spec, worker_spec
from router.core.auth import digest
from router.core.table import DeploymentSpec, EndpointSpec, InstanceSpec

CONFIG = """
limits: {max_body_bytes: 2000, drain_timeout_s: 7, head_timeout_s: 3, max_connections: 5, max_head_fields: 99,
         min_body_bytes_per_s: 1KB, answer_timeout_s: 5, upgrade_idle_timeout_s: 6, max_requests_per_connection: 8}
access_log: false
trusted_proxies: [10.0.0.0/8, "::1"]
endpoints:
  churn:
    traffic: {blue: 90, green: 10}
    idempotent: true
    mirror: {max_in_flight: 3}
    limits: {bandwidth_bytes_per_s: 500}
    deployments:
      blue:
        model: {path: model.pkl}
        code_configuration: {code: code, scoring_script: score.py}
        environment: {conda_file: conda.yaml}
        environment_variables: {A: 1}
        instance_count: 2
        request_settings: {request_timeout_ms: 1500, max_queue_per_instance: 9}
        liveness_probe: {period: 3}
        warmup_request: {path: warm.json}
      green:
        upstreams: [http://127.0.0.1:9100]
        scoring_path: /v2/score
        upgrades: [WebSocket, chat]
        readiness_probe: {path: /ready, period: 2}
"""
KEYS = Credentials(primary="first", secondary="second", token_secret=b"secret")
BLUE, GREEN = DeploymentKey(("churn", "blue")), DeploymentKey(("churn", "green"))
LISTED = {BLUE: (InstanceSpec(address="unix:/run/w1.sock"),), GREEN: ()}


@pytest.fixture
def config() -> RouterConfig:
    return parse_config(CONFIG, Path("/etc/teal.yaml"))


@pytest.fixture
def endpoint(config: RouterConfig) -> EndpointSpec:
    table = build_table(
        config, config.endpoints, generation=4, credentials={"churn": KEYS}, instances=LISTED.__getitem__
    )
    assert table.generation == 4
    (endpoint,) = table.endpoints
    return endpoint


def test_an_endpoint_is_told_with_digests_in_place_of_keys(endpoint: EndpointSpec) -> None:
    """A proxy checks keys, and never has one."""
    assert endpoint.key_digests == (digest(b"first"), digest(b"second"))
    assert endpoint.token_secret == b"secret"
    assert (endpoint.name, endpoint.auth_mode, endpoint.is_idempotent) == ("churn", "key", True)


def test_an_endpoint_has_its_weights_and_limits(endpoint: EndpointSpec) -> None:
    """Its own limits where it has any, otherwise the router's."""
    assert endpoint.traffic == (("blue", 90.0), ("green", 10.0))
    assert (endpoint.max_body_bytes, endpoint.bandwidth_bytes_per_s) == (2000, 500)
    assert (endpoint.mirror.max_in_flight, endpoint.mirror.rate_bytes_per_s) == (3, 5_000_000)


def test_a_limit_of_0_is_a_limit(config: RouterConfig) -> None:
    """An endpoint that takes no body at all is not given the router's own limit."""
    churn = config.endpoints["churn"]
    limits = churn.limits.model_copy(update={"max_body_bytes": 0})
    endpoints = {"churn": churn.model_copy(update={"limits": limits})}
    table = build_table(config, endpoints, generation=1, credentials={"churn": KEYS}, instances=LISTED.__getitem__)
    assert table.endpoints[0].max_body_bytes == 0


def test_a_deployment_of_our_own_is_scored_as_workers_are(endpoint: EndpointSpec) -> None:
    """Its paths are the scoring server's."""
    assert endpoint.deployments[0] == DeploymentSpec(
        name="blue",
        instances=(InstanceSpec(address="unix:/run/w1.sock"),),
        scoring_path="/score",
        check_path="/",
        passes_paths=False,
        request_timeout_s=1.5,
        max_concurrent=1,
        max_queue=9,
    )


def test_a_deployment_elsewhere_is_scored_at_its_own_path(endpoint: EndpointSpec) -> None:
    """Every path below the endpoint's goes through to it."""
    assert endpoint.deployments[1] == DeploymentSpec(
        name="green",
        instances=(),
        scoring_path="/v2/score",
        check_path="/ready",
        passes_paths=True,
        upgrades=("websocket", "chat"),
        request_timeout_s=5.0,
        max_concurrent=1000,
        max_queue=100,
    )


def test_a_worker_gets_what_its_deployment_says(config: RouterConfig) -> None:
    """Paths are absolute, times in seconds."""
    spec = worker_spec(BLUE, config.endpoints["churn"].deployments["blue"], 7.0)
    assert (spec.endpoint, spec.deployment, spec.instance_count, spec.concurrency) == ("churn", "blue", 2, 1)
    assert (spec.script, spec.code_dir) == (Path("/etc/code/score.py"), Path("/etc/code"))
    assert (spec.model_path, spec.environment.conda_file) == (Path("/etc/model.pkl"), Path("/etc/conda.yaml"))
    assert (spec.warmup_request, spec.environment_variables) == (Path("/etc/warm.json"), {"A": "1"})
    assert (spec.liveness, spec.startup, spec.drain_timeout_s) == (Probe(period_s=3.0), None, 7.0)


def test_upstreams_are_asked_at_the_path_of_their_probe(config: RouterConfig) -> None:
    """Early and often, unless the config says otherwise."""
    probe = Probe(initial_delay_s=0, period_s=2.0, timeout_s=2.0, success_threshold=1, failure_threshold=2)
    assert upstream_spec(config.endpoints["churn"].deployments["green"]) == UpstreamSpec(
        addresses=("http://127.0.0.1:9100",), check_path="/ready", probe=probe
    )


def test_proxies_are_told_the_limits(config: RouterConfig) -> None:
    """Those of the file, and defaults for the rest."""
    limits = proxy_limits(config)
    assert (limits.drain_timeout_s, limits.head_timeout_s, limits.keepalive_timeout_s) == (7.0, 3.0, 75.0)
    assert (limits.max_head_fields, limits.max_requests_per_connection) == (99, 8)
    assert (limits.min_body_bytes_per_s, limits.answer_timeout_s, limits.upgrade_idle_timeout_s) == (1000, 5.0, 6.0)
    assert (limits.max_connections, limits.max_connections_per_address) == (5, 10_000)
    assert limits.access_log is False
    assert limits.trusted_proxies == ("10.0.0.0/8", "::1/128")

"""The rules of `router.core.rules`, applied to a config of valid shape."""

from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

from router.control.config.schema import DeploymentConfig, EndpointConfig, RouterConfig
from router.core import rules
from router.core.rules import Breach, HostPort


def config_breaches(config: RouterConfig) -> list[Breach]:
    """Every broken rule of the config; paths start at the top."""
    has_token = config.admin.token_file is not None
    breaches = _below(("admin",), rules.admin_breaches(config.admin.address, has_token=has_token))
    breaches += _below(("endpoints",), rules.name_breaches(list(config.endpoints)))
    for name, endpoint in config.endpoints.items():
        breaches += _below(("endpoints", name), endpoint_breaches(name, endpoint, config.listen_addresses))
    return breaches


def endpoint_breaches(name: str, endpoint: EndpointConfig, listen: Sequence[HostPort]) -> list[Breach]:
    """Every broken rule of one endpoint; paths start below its name.

    Args:
        listen: Where the router takes scoring traffic; empty when that is not known.
    """
    names = list(endpoint.deployments)
    counts = {
        key: deployment.instance_count for key, deployment in endpoint.deployments.items() if deployment.is_managed
    }
    breaches = rules.stated_name_breaches(("name",), endpoint.name, name)
    breaches += rules.auth_breaches(endpoint.auth_mode, listen)
    breaches += _below(("traffic",), rules.traffic_breaches(endpoint.traffic, names))
    breaches += _below(("mirror_traffic",), _mirror_breaches(endpoint, names))
    breaches += _below(("deployments",), rules.deployment_name_breaches(names))
    breaches += _below(("deployments",), rules.instance_breaches(counts, endpoint.traffic))
    for key, deployment in endpoint.deployments.items():
        breaches += _below(("deployments", key), _deployment_breaches(name, key, deployment, listen))
    return breaches


def transition_breaches(before: RouterConfig, after: RouterConfig) -> list[Breach]:
    """Every rule that going over from one valid config to another breaks; paths start at the top."""
    breaches = []
    for name, endpoint in after.endpoints.items():
        old = before.endpoints.get(name)
        if old is None:
            continue
        path = ("endpoints", name)
        breaches += _below((*path, "properties"), rules.property_breaches(old.properties, endpoint.properties))
        for key, deployment in endpoint.deployments.items():
            if key in old.deployments:
                found = rules.property_breaches(old.deployments[key].properties, deployment.properties)
                breaches += _below((*path, "deployments", key, "properties"), found)
    return breaches


def _mirror_breaches(endpoint: EndpointConfig, names: Sequence[str]) -> list[Breach]:
    return rules.mirror_breaches(
        endpoint.mirror_traffic,
        names,
        live=endpoint.traffic,
        max_percent=endpoint.mirror.max_percent,
        max_targets=endpoint.mirror.max_targets,
        allow_live_target=endpoint.mirror.allow_live_target,
    )


def _deployment_breaches(
    endpoint: str, name: str, deployment: DeploymentConfig, listen: Sequence[HostPort]
) -> list[Breach]:
    breaches = rules.stated_name_breaches(("name",), deployment.name, name)
    breaches += rules.stated_name_breaches(("endpoint_name",), deployment.endpoint_name, endpoint)
    addresses = [_tcp_address(upstream) for upstream in deployment.upstreams or ()]
    return breaches + _below(("upstreams",), rules.self_target_breaches(addresses, listen))


def _tcp_address(upstream: str) -> HostPort | None:
    return None if upstream.startswith("unix:") else rules.parse_host_port(urlsplit(upstream).netloc)


def _below(path: tuple[str, ...], breaches: Iterable[Breach]) -> list[Breach]:
    return [Breach((*path, *breach.path), breach.message) for breach in breaches]

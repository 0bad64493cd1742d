"""When an endpoint's live traffic follows the config: not before the deployments that it moves to can take it.

Rules
- An endpoint goes over to its new weights at once if every deployment that gains live weight has a ready instance.
- Until then it keeps the weights it had, and the deployments that carry them.
- With nothing ready on the old side it goes over as soon as anything on the new side is ready. Before, it would gain
  nothing, and lose an old side that comes back: one crash of the old version would make a bad one final.
- Everything but the live weights follows the config at once; what carries them for now is not scaled to 0, though.
"""

from collections.abc import Callable, Mapping

from router.control.config.schema import EndpointConfig
from router.control.states import DeploymentKey

IsReady = Callable[[DeploymentKey], bool]


class Switchover:
    """Holds, per endpoint, what the config wants and what is in force."""

    def __init__(self) -> None:
        self._wanted: Mapping[str, EndpointConfig] = {}
        self._in_force: dict[str, EndpointConfig] = {}

    def follow(self, wanted: Mapping[str, EndpointConfig]) -> None:
        """Take over a new config; `in_force` says what of it holds already."""
        self._wanted = wanted
        self._in_force = {name: config for name, config in self._in_force.items() if name in wanted}

    def in_force(self, is_ready: IsReady) -> Mapping[str, EndpointConfig]:
        """Every endpoint as it shall be routed now."""
        for name, wanted in self._wanted.items():
            current = self._in_force.get(name)
            if current is None or not _missing(name, current, wanted, is_ready):
                self._in_force[name] = wanted
            else:
                self._in_force[name] = _held(current, wanted)
        return dict(self._in_force)

    def held(self, is_ready: IsReady) -> Mapping[str, str]:
        """Endpoints whose traffic waits, each with the reason."""
        reasons = {}
        for name, current in self._in_force.items():
            waits_for = _missing(name, current, self._wanted[name], is_ready)
            if waits_for:
                reasons[name] = f"traffic stays as it was until {' and '.join(waits_for)} has a ready instance"
        return reasons


def live(config: EndpointConfig) -> list[str]:
    """Names of the deployments that carry live weight."""
    return [name for name, percent in config.traffic.items() if percent > 0]


def _missing(name: str, current: EndpointConfig, wanted: EndpointConfig, is_ready: IsReady) -> list[str]:
    """Deployments that the switch has to wait for."""

    def serves(config: EndpointConfig) -> bool:
        return any(is_ready(DeploymentKey((name, deployment))) for deployment in live(config))

    if not live(current) or (serves(wanted) and not serves(current)):
        return []
    gaining = [
        deployment for deployment, percent in wanted.traffic.items() if percent > current.traffic.get(deployment, 0)
    ]
    return [deployment for deployment in gaining if not is_ready(DeploymentKey((name, deployment)))]


def _held(current: EndpointConfig, wanted: EndpointConfig) -> EndpointConfig:
    """`wanted`, with the live weights of `current` and the deployments that carry them."""
    kept = {name: current.deployments[name] for name in live(current) if not _has_instances(wanted, name)}
    # A deployment that carries live weight for now may be the mirror's next target; copies start when it is free.
    mirror = {name: percent for name, percent in wanted.mirror_traffic.items() if name not in live(current)}
    update = {"traffic": current.traffic, "mirror_traffic": mirror, "deployments": {**wanted.deployments, **kept}}
    return wanted.model_copy(update=update)


def _has_instances(config: EndpointConfig, deployment: str) -> bool:
    return deployment in config.deployments and config.deployments[deployment].instance_count > 0

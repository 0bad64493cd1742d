"""The rules of a configuration that its shape cannot express.

Every function takes plain values and returns the breaches it found, so the config file, the admin API and the command
line refuse the same things in the same words. The rules:

- a name has 3 to 32 letters, digits and hyphens, starts with a letter, does not end with a hyphen, and is unique
  whatever its case; an endpoint has at most 20 deployments
- live weights add up to 0 (endpoint off) or 100 and name deployments that exist
- a mirror copies to at most `max_targets` deployments, `max_percent` in all, none of which has live weight, unless the
  endpoint lifts these limits
- a deployment that has live weight has at least one instance, and is not deleted
- properties may be added, not removed or altered
- without authentication an endpoint is served on loopback only; the admin address is loopback or asks for a token
- an upstream is never the router itself

Source: Azure ML managed online endpoints, "Safe rollout for online endpoints" and the endpoint YAML reference.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

MAX_DEPLOYMENTS = 20
MAX_INSTANCES = 50

_NAME = re.compile(r"[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?")
# Weights are percent with fractions; three times 33.333333 is meant to be 100.
_SUM_TOLERANCE = 1e-6 + 1e-9


class Breach(NamedTuple):
    """One broken rule: the field below whatever the caller checked, and a sentence that says what would be right."""

    path: tuple[str | int, ...]
    message: str


class HostPort(NamedTuple):
    """A TCP address as written; `host` carries no brackets."""

    host: str
    port: int


def parse_host_port(text: str) -> HostPort | None:
    """The address in `HOST:PORT` or `[IPV6]:PORT`, or None when it is not one. Port 0 means any free port."""
    host, colon, port = text.rpartition(":")
    if not colon or re.fullmatch(r"[0-9]{1,5}", port) is None or int(port) > 65535:
        return None
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        return None
    return HostPort(host, int(port)) if host and not re.search(r"[\s/@\[\]]", host) else None


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`; judged by its spelling, no name is looked up."""
    return host.lower() in {"localhost", "::1"} or re.fullmatch(r"127(\.\d{1,3}){3}", host) is not None


def is_wildcard(host: str) -> bool:
    """Whether listening on `host` means listening on every address of the machine."""
    return host in {"0.0.0.0", "::", "*"}


def spell_as(weights: Mapping[str, float], names: Iterable[str]) -> dict[str, float]:
    """The weights under the spelling their deployment has; a name that has no deployment stays as it is.

    Two spellings of one deployment both stay, so that `traffic_breaches` can name them.
    """
    spelling = {name.lower(): name for name in names}
    counts: dict[str, int] = {}
    for name in weights:
        counts[name.lower()] = counts.get(name.lower(), 0) + 1
    return {
        spelling.get(name.lower(), name) if counts[name.lower()] == 1 else name: weight
        for name, weight in weights.items()
    }


def plain_number(value: float) -> float | int:
    """As a person writes it: 10, not 10.0."""
    return int(value) if math.isfinite(value) and value == int(value) else value


def name_breaches(names: Iterable[str]) -> list[Breach]:
    """Names of endpoints, or of one endpoint's deployments: well formed, and unique whatever their case."""
    breaches = []
    first: dict[str, str] = {}
    for name in names:
        if not 3 <= len(name) <= 32 or _NAME.fullmatch(name) is None:
            breaches.append(Breach((name,), _WRONG_NAME))
        twin = first.setdefault(name.lower(), name)
        if twin != name:
            breaches.append(Breach((name,), f"differs from {twin} only in case; names are compared without it"))
    return breaches


_WRONG_NAME = (
    "not a valid name; expected 3 to 32 letters, digits and hyphens, "
    "starting with a letter and ending with a letter or digit"
)


def stated_name_breaches(path: tuple[str, ...], stated: str | None, key: str) -> list[Breach]:
    """A name written inside an endpoint or deployment, as Azure's files have it, is the key that it stands under."""
    if stated is None or stated.lower() == key.lower():
        return []
    return [Breach(path, f"{stated} stands under {key}; expected {key}, or no such field")]


def deployment_name_breaches(names: Sequence[str]) -> list[Breach]:
    """Deployment names of one endpoint, and how many there may be; paths start below `deployments`."""
    breaches = name_breaches(names)
    if len(names) > MAX_DEPLOYMENTS:
        breaches.append(Breach((), f"{len(names)} deployments, at most {MAX_DEPLOYMENTS}"))
    return breaches


def traffic_breaches(traffic: Mapping[str, float], names: Sequence[str]) -> list[Breach]:
    """Live weights add up to 0 or 100 and name deployments that exist; paths start below `traffic`."""
    breaches = _weight_breaches(traffic, names)
    total = math.fsum(traffic.values())
    if not breaches and min(abs(total), abs(total - 100)) > _SUM_TOLERANCE:
        breaches.append(Breach((), f"weights add up to {total:.9g}, expected 0 or 100"))
    return breaches


def mirror_breaches(
    mirror_traffic: Mapping[str, float],
    names: Sequence[str],
    *,
    live: Mapping[str, float],
    max_percent: float,
    max_targets: int,
    allow_live_target: bool,
) -> list[Breach]:
    """Mirrored percents keep the endpoint's limits; paths start below `mirror_traffic`.

    Args:
        live: The endpoint's live weights, spelled as the deployments are.
    """
    breaches = _weight_breaches(mirror_traffic, names)
    targets = [name for name, percent in mirror_traffic.items() if percent > 0]
    total = math.fsum(mirror_traffic.values())
    if len(targets) > max_targets:
        breaches.append(
            Breach((), f"{len(targets)} targets ({', '.join(targets)}), at most {max_targets} (mirror.max_targets)")
        )
    if total > max_percent + _SUM_TOLERANCE:
        breaches.append(Breach((), f"{total:.9g} percent, at most {max_percent:.9g} (mirror.max_percent)"))
    if not allow_live_target:
        breaches.extend(
            Breach(
                (name,),
                f"also has live weight {live[name]:.9g}, expected 0 for a mirror target (mirror.allow_live_target)",
            )
            for name in targets
            if live.get(name, 0) > 0
        )
    return breaches


def _weight_breaches(weights: Mapping[str, float], names: Sequence[str]) -> list[Breach]:
    breaches = []
    first: dict[str, str] = {}
    for name, weight in weights.items():
        twin = first.setdefault(name.lower(), name)
        if twin != name:
            breaches.append(Breach((name,), f"{twin} and {name} are the same deployment; write it once"))
        elif name not in names:
            breaches.append(Breach((name,), f"no deployment has this name; there is {_listed(names)}"))
        if not math.isfinite(weight) or weight < 0:
            breaches.append(Breach((name,), f"{weight:g} is not a percentage; expected a number from 0 to 100"))
    return breaches


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if names else "none yet"


def instance_breaches(counts: Mapping[str, int], traffic: Mapping[str, float]) -> list[Breach]:
    """Every deployment with live weight has an instance; paths start below `deployments`."""
    return [
        Breach((name, "instance_count"), f"0 instances under live weight {traffic[name]:.9g}; expected at least 1")
        for name, count in counts.items()
        if count == 0 and traffic.get(name, 0) > 0
    ]


def deletion_breaches(name: str, traffic: Mapping[str, float]) -> list[Breach]:
    """A deployment with live weight is not deleted; paths start below the endpoint."""
    weight = traffic.get(name, 0)
    if weight <= 0:
        return []
    return [Breach(("deployments", name), f"has live weight {weight:.9g}; move its traffic to others first")]


def property_breaches(before: Mapping[str, str], after: Mapping[str, str]) -> list[Breach]:
    """Properties of what exists already were added at most; paths start below `properties`."""
    return [
        Breach((name,), f"was {value!r}; properties may be added, not removed or altered")
        for name, value in before.items()
        if after.get(name) != value
    ]


def auth_breaches(auth_mode: str, listen: Iterable[HostPort]) -> list[Breach]:
    """An endpoint without authentication is reachable from this machine only; paths start below the endpoint."""
    if auth_mode != "none":
        return []
    return [
        Breach(
            ("auth_mode",), f"none is for loopback only, and the router listens on {address.host}; use key or aml_token"
        )
        for address in listen
        if not is_loopback(address.host)
    ]


def admin_breaches(http: HostPort | None, *, has_token: bool) -> list[Breach]:
    """An admin address that others can reach asks for a token; paths start below `admin`."""
    if http is None or has_token or is_loopback(http.host):
        return []
    return [Breach(("http",), f"{http.host} is not loopback; set admin.token_file, or listen on 127.0.0.1")]


def self_target_breaches(upstreams: Sequence[HostPort | None], listen: Sequence[HostPort]) -> list[Breach]:
    """No upstream is the router's own scoring address; a path is the upstream's index in the list.

    Args:
        upstreams: In the order written; None for one that is no TCP address.
    """
    return [
        Breach((index,), "this is the router's own listen address; its requests would come back to it for ever")
        for index, upstream in enumerate(upstreams)
        if upstream is not None and any(_is_same(upstream, own) for own in listen)
    ]


def _is_same(upstream: HostPort, own: HostPort) -> bool:
    """Whether a connection to `upstream` may reach `own`; a loopback spelled in two ways counts as the same."""
    hosts = {upstream.host.lower(), own.host.lower()}
    if upstream.port != own.port or own.port == 0:
        return False
    if len(hosts) == 1 or is_wildcard(upstream.host):
        return True
    return is_loopback(upstream.host) and (is_wildcard(own.host) or ("localhost" in hosts and is_loopback(own.host)))

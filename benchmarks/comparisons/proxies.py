"""teal's proxy beside others, in front of the same upstream."""

import contextlib
import dataclasses
import itertools
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from comparisons.settings import LOAD_CORE, SYSTEM_CORE, Outcome, Settings, skipped, started
from harness import certificate, report, systems, teal
from harness.certificate import Certificate
from harness.measure import Run
from harness.servers import SERVERS, Server
from harness.systems import PLAIN, Work

AIOHTTP_TARGET = 7.0
SERVER_TARGET, SERVER_WORST = 1.0, 1.15


def with_aiohttp(settings: Settings, scratch: Path) -> Outcome:
    """teal's proxy and the aiohttp one."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(started(systems.upstream(scratch / "upstream"), LOAD_CORE))
        address = f"unix:{scratch / 'upstream' / 'upstream.sock'}"
        ceiling = stack.enter_context(started(systems.bare_upstream(scratch / "ceiling"), LOAD_CORE))
        proxies = [
            stack.enter_context(started(systems.aiohttp_proxy(scratch / "aiohttp", address), SYSTEM_CORE)),
            stack.enter_context(started(teal.proxy(scratch / "teal", address), SYSTEM_CORE)),
        ]
        runs = list(settings.measure([*proxies, ceiling], settings.load()))
    peer, proxy = proxies
    return runs, report.compare(runs, proxy.name, peer.name, report.requests_per_cpu_second, AIOHTTP_TARGET)


def with_interpreted(settings: Settings, scratch: Path) -> Outcome:
    """teal's proxy compiled and as Python."""
    if not teal.is_compiled():
        return skipped("interpreted", "teal is not compiled; python -m router.compiled does it")
    with contextlib.ExitStack() as stack:
        stack.enter_context(started(systems.upstream(scratch / "upstream"), LOAD_CORE))
        address = f"unix:{scratch / 'upstream' / 'upstream.sock'}"
        compiled = stack.enter_context(started(teal.proxy(scratch / "compiled", address), SYSTEM_CORE))
        python = stack.enter_context(started(teal.interpreted_proxy(scratch / "python", address), SYSTEM_CORE))
        loads = [settings.load(connections=at) for at in sorted({1, settings.connections})]
        runs = [run for load in loads for run in settings.measure([python, compiled], load)]
    return runs, report.compare(runs, compiled.name, python.name, report.cpu_per_request)


@dataclass(frozen=True, slots=True)
class Variant:
    """One way in which proxies are compared; processes of the same `work` are shared."""

    name: str
    work: Work = PLAIN
    connections: int | None = None
    body_bytes: int = 430
    has_tls: bool = False


VARIANTS = (
    Variant("plain"),
    Variant("plain", connections=1),
    Variant("plain", connections=256),
    Variant("64 KiB", body_bytes=65536),
    Variant("no log", Work(has_access_log=False)),
    Variant("mirror 10 %", Work(mirror_percent=10)),
    Variant("mirror 50 %", Work(mirror_percent=50)),
    Variant("TLS", has_tls=True),
    Variant("TLS, 64 KiB", body_bytes=65536, has_tls=True),
)


def with_servers(names: Sequence[str], settings: Settings, scratch: Path) -> Outcome:
    """teal's proxy and the named servers in the same rounds, each in every variant that it can."""
    for name in names:
        if not SERVERS[name].is_installed:
            skipped(name, f"not installed; on Debian: apt-get install {name}")
    servers = [SERVERS[name] for name in names if SERVERS[name].is_installed]
    if not servers:
        return skipped("servers", "none is installed")
    runs: list[Run] = []
    for number, (work, variants) in enumerate(_by_work(scratch)):
        runs += _measured(servers, work, variants, settings, scratch / str(number))
    comparisons = [
        comparison
        for server in servers
        for comparison in report.compare(
            runs, "teal proxy", server.name, report.cpu_per_request, SERVER_TARGET, is_cost=True, worst=SERVER_WORST
        )
    ]
    return runs, comparisons


def _by_work(scratch: Path) -> list[tuple[Work, list[Variant]]]:
    """The variants by the work of the proxies; without those that this machine has not the means for."""
    signed: Certificate | None = None
    if certificate.can_sign():
        signed = certificate.self_signed(scratch / "certificate")
    else:
        skipped("TLS", certificate.INSTALL_HINT)
    wanted = [variant for variant in VARIANTS if signed or not variant.has_tls]

    def work(variant: Variant) -> Work:
        return dataclasses.replace(variant.work, certificate=signed) if variant.has_tls else variant.work

    return [(work, list(variants)) for work, variants in itertools.groupby(wanted, work)]


def _measured(
    servers: Sequence[Server], work: Work, variants: Sequence[Variant], settings: Settings, scratch: Path
) -> list[Run]:
    for server in servers:
        if not server.can(work):
            print(f"  {variants[0].name}: {server.name} has no mirror of its own, left out", file=sys.stderr)
    able = [server for server in servers if server.can(work)]
    if not able:
        return []
    with contextlib.ExitStack() as stack:
        stack.enter_context(started(systems.upstream(scratch / "upstream"), LOAD_CORE))
        address = f"unix:{scratch / 'upstream' / 'upstream.sock'}"
        proxies = [server.build(scratch / server.name, address, work) for server in able]
        proxies.append(teal.proxy(scratch / "teal", address, work))
        for proxy in proxies:
            stack.enter_context(started(proxy, SYSTEM_CORE))
        return [
            run
            for variant in variants
            for run in settings.measure(
                proxies,
                settings.load(connections=variant.connections, body_bytes=variant.body_bytes),
                variant.name,
            )
        ]

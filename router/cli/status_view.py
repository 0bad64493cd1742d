"""The picture that `teal status` draws."""

from collections import Counter
from collections.abc import Iterator, Mapping

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from router.cli.recent import History, Recent
from router.control.status import DeploymentView, EndpointView, RouterStatus

_STATE_STYLES = {"Succeeded": "green", "Failed": "bold red"}
_UNKNOWN = "-"
#: What is left of a certificate that should have been replaced by now.
_SOON_S = 14 * 86400
_COLUMNS = ("weight", "seen", "mirror", "req/s", "p50 ms", "p99 ms", "in flight", "queued")


def picture(history: History, *, now: float) -> RenderableType:
    """The latest snapshot with the rates of the last half minute.

    Args:
        now: Unix time.
    """
    status = history.latest
    recent = history.recent()
    parts: list[RenderableType] = [_head(status, now), *_problems(status), *_tls(status, now)]
    for endpoint in status.endpoints:
        parts += [
            Text(),
            _title(endpoint),
            _table(endpoint, recent),
            _counts(endpoint),
            *_held(endpoint),
            *_failures(endpoint),
        ]
    if not status.endpoints:
        parts += [Text(), Text("no endpoints")]
    return Group(*parts, *_under_way(status), *_happened(status))


def _head(status: RouterStatus, now: float) -> Text:
    proxies = ", ".join(
        f"{proxy.name} (pid {proxy.pid}, generation {proxy.generation}, {proxy.connections} connections)"
        for proxy in status.proxies
    )
    return Text.assemble(
        (f"teal {status.version}", "bold"),
        f"  pid {status.pid}, up {_age(now - status.started)}, generation {status.generation}, {status.config_path}\n",
        (proxies or "no proxy runs", "dim" if proxies else "red"),
    )


def _problems(status: RouterStatus) -> Iterator[Text]:
    if status.config_problems:
        yield Text("\nThe config file on disk is refused; the last good one runs:", "bold red")
        yield Text("\n".join(status.config_problems), "red")


def _tls(status: RouterStatus, now: float) -> Iterator[Text]:
    tls = status.tls
    if tls is None:
        return
    if tls.certificate is not None:
        left_s = tls.certificate.not_after - now
        ends = f"expires in {_age(left_s)}" if left_s > 0 else f"expired {_age(-left_s)} ago: clients refuse it"
        yield Text(f"\nTLS: {', '.join(tls.certificate.names)}; {ends}", "dim" if left_s > _SOON_S else "yellow")
    else:
        yield Text("\nTLS: there is no certificate to serve with; clients are refused", "bold red")
    if tls.problem:
        yield Text(f"The certificate's files are refused: {tls.problem}", "red")


def _under_way(status: RouterStatus) -> Iterator[Text]:
    if status.operations:
        yield Text("\nunder way", "dim")
    for operation in status.operations:
        target = "/".join(filter(None, (operation.endpoint, operation.deployment)))
        last = f": {operation.progress[-1].text}" if operation.progress else ""
        yield Text(f"{operation.command} {target} ({operation.id}){last}", "yellow")


def _happened(status: RouterStatus) -> Iterator[Text]:
    if status.events:
        yield Text("\nlast events", "dim")
    for event in status.events:
        yield Text.assemble((event.at[11:19], "dim"), f" {event.event} ", (event.text, "dim"))


def _title(endpoint: EndpointView) -> Text:
    return Text.assemble((endpoint.name, "bold"), f"  {endpoint.scoring_uri}  ", (endpoint.auth_mode, "dim"))


def _held(endpoint: EndpointView) -> Iterator[Text]:
    if endpoint.held:
        yield Text(endpoint.held, "yellow")


def _table(endpoint: EndpointView, recent: Mapping[tuple[str, str], Recent]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("deployment")
    table.add_column("state")
    for name in _COLUMNS:
        table.add_column(name, justify="right")
    for name in ("answers", "mirrored", "instances"):
        table.add_column(name)
    for view in endpoint.deployments:
        table.add_row(*_row(view, recent[endpoint.name, view.name]))
    return table


def _row(view: DeploymentView, recent: Recent) -> list[Text]:
    return [
        Text(view.name),
        Text(view.provisioning_state, _STATE_STYLES.get(view.provisioning_state, "yellow")),
        Text(f"{view.weight:g} %"),
        Text(_shown(recent.seen_percent, " %")),
        Text(f"{view.mirror_percent:g} %" if view.mirror_percent else _UNKNOWN),
        Text(_shown(recent.rate)),
        Text(_shown(recent.latency.p50_ms)),
        Text(_shown(recent.latency.p99_ms)),
        Text(str(view.in_flight)),
        Text(str(view.queued)),
        Text(_listed(Counter(view.live) + Counter(view.pinned))),
        Text(_mirrored(view, recent)),
        Text(_listed(_states(view))),
    ]


def _mirrored(view: DeploymentView, recent: Recent) -> str:
    if not view.mirrored:
        return _UNKNOWN
    return f"{_listed(view.mirrored)}, p99 {_shown(recent.mirror_latency.p99_ms)} ms"


def _states(view: DeploymentView) -> Counter[str]:
    return Counter("ejected" if instance.name in view.ejected else instance.state for instance in view.instances)


def _counts(endpoint: EndpointView) -> Text:
    return Text(f"copies: {_listed(endpoint.mirror)}; refused: {_listed(endpoint.refused)}", "dim")


def _failures(endpoint: EndpointView) -> Iterator[Text]:
    for view in endpoint.deployments:
        if view.failures:
            yield Text(f"{view.name}: failed attempts: {_listed(view.failures)}", "yellow")
        for instance in view.instances:
            if instance.reason:
                yield Text(f"{view.name}/{instance.name}: {instance.state}: {instance.reason}", "yellow")
        if view.reason:
            yield Text(f"{view.name}: {view.reason}" + (f" (log: {view.log_dir})" if view.log_dir else ""), "red")
            yield from (Text(f"  {line}", "dim") for line in view.log_tail)


def _listed(counts: Mapping[int, int] | Mapping[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in counts.items()) or _UNKNOWN


def _shown(value: float | None, unit: str = "") -> str:
    return _UNKNOWN if value is None else f"{value:.1f}{unit}"


def _age(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds:.0f} s"

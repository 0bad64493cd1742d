"""The picture of `teal status` and the rates in it."""

import io

import msgspec
import pytest
from rich.console import Console

from router.cli.recent import History
from router.cli.status_view import picture
from router.control.status import CertificateView, RouterStatus, TlsView, latency
from router.core.stats import BUCKETS_S


def counts(**by_bucket: int) -> list[int]:
    return [by_bucket.get(f"b{index}", 0) for index in range(len(BUCKETS_S) + 1)]


def later(status: RouterStatus, *, blue: int, green: int) -> RouterStatus:
    """The same router, when its deployments have answered that many live requests, the further ones in 30 ms."""
    endpoint = status.endpoints[0]
    numbers = {"blue": blue, "green": green}
    deployments = tuple(
        msgspec.structs.replace(
            view,
            live={200: numbers[view.name]},
            latency=latency(counts(b2=view.latency.counts[2], b5=numbers[view.name] - view.latency.counts[2])),
        )
        for view in endpoint.deployments
    )
    return msgspec.structs.replace(status, endpoints=(msgspec.structs.replace(endpoint, deployments=deployments),))


@pytest.fixture
def history(status: RouterStatus) -> History:
    history = History()
    history.add(100.0, status)
    return history


def drawn(history: History) -> list[str]:
    console = Console(file=io.StringIO(), width=200)
    console.print(picture(history, now=1000.0 + 7300))
    assert isinstance(console.file, io.StringIO)
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines()]


def test_head_says_which_router_it_is(history: History) -> None:
    """Version, process, age, generation and file, then the proxies."""
    assert drawn(history)[:2] == [
        "teal 0.1.0 pid 4711, up 2 h, generation 7, config/teal.yaml",
        "proxy-0 (pid 4712, generation 7, 3 connections)",
    ]


def test_config_problems_are_shown(history: History) -> None:
    """A file that is refused cannot be overlooked."""
    lines = drawn(history)
    at = lines.index("The config file on disk is refused; the last good one runs:")
    assert lines[at + 1] == "config/teal.yaml:14: churn.traffic: weights add up to 90, expected 0 or 100"


def test_deployment_has_a_row(history: History) -> None:
    """Share asked for and seen, latencies since the start, answers by code, instances by state."""
    assert "blue Succeeded 90 % 100.0 % - - 3.8 5.0 2 0 200 95, 424 5 - ready 1, ejected 1" in drawn(history)


def test_failure_is_shown_with_its_log(history: History) -> None:
    """Reason, place of the log and its last lines, brackets and all."""
    lines = drawn(history)
    at = lines.index("green: init() raised (log: /var/lib/teal/logs/churn/green)")
    assert lines[at + 1 : at + 3] == ["Traceback (most recent call last):", "ValueError: [no] model"]


def test_copies_and_refusals_are_shown_by_reason(history: History) -> None:
    """What was mirrored, what was not and why, and what reached no deployment."""
    assert "copies: sent 5, no_budget 2; refused: 401 3" in drawn(history)


def test_router_without_endpoints_says_so(status: RouterStatus) -> None:
    """An empty config is not an empty screen."""
    history = History()
    history.add(100.0, msgspec.structs.replace(status, endpoints=(), config_problems=()))
    assert drawn(history)[-1] == "no endpoints"


def test_rates_are_those_since_the_last_look(history: History, status: RouterStatus) -> None:
    """60 and 20 further requests in 10 seconds are 6 and 2 per second, and 75 and 25 percent."""
    history.add(110.0, later(status, blue=160, green=20))
    recent = history.recent()
    assert [value.rate for value in recent.values()] == [6.0, 2.0]
    assert [value.seen_percent for value in recent.values()] == [75.0, 25.0]


def test_latency_forgets_what_was_before(history: History, status: RouterStatus) -> None:
    """The first 100 answers were fast, the 60 of the window were not."""
    history.add(110.0, later(status, blue=160, green=0))
    assert history.recent()["churn", "blue"].latency.p50_ms == pytest.approx(37.5)


def test_window_is_half_a_minute(history: History, status: RouterStatus) -> None:
    """Requests of longer ago do not count."""
    history.add(120.0, later(status, blue=200, green=0))
    history.add(140.0, later(status, blue=300, green=0))
    assert history.recent()["churn", "blue"].rate == 5.0


def test_restarted_daemon_starts_a_new_window(history: History, status: RouterStatus) -> None:
    """Counters that begin again make no negative rates."""
    history.add(110.0, msgspec.structs.replace(later(status, blue=105, green=0), started=2000.0))
    assert history.recent()["churn", "blue"].rate is None


def test_new_deployment_has_no_rate_yet(history: History, status: RouterStatus) -> None:
    """A deployment that appears within the window counts from nothing."""
    newcomer = msgspec.structs.replace(status.endpoints[0].deployments[0], name="red")
    endpoint = msgspec.structs.replace(status.endpoints[0], deployments=(newcomer,))
    history.add(110.0, msgspec.structs.replace(status, endpoints=(endpoint,)))
    assert history.recent()["churn", "red"].rate is None


CERTIFICATE = CertificateView(names=("churn.example", "10.0.0.1"), not_after=8300.0 + 90 * 86400, sha256="00")


@pytest.mark.parametrize(
    ("tls", "shown"),
    [
        (TlsView(certificate=CERTIFICATE), ["TLS: churn.example, 10.0.0.1; expires in 90 d"]),
        (
            TlsView(certificate=msgspec.structs.replace(CERTIFICATE, not_after=8300.0 - 7200)),
            ["TLS: churn.example, 10.0.0.1; expired 2 h ago: clients refuse it"],
        ),
        (
            TlsView(certificate=CERTIFICATE, problem="/k.pem: it is damaged"),
            [
                "TLS: churn.example, 10.0.0.1; expires in 90 d",
                "The certificate's files are refused: /k.pem: it is damaged",
            ],
        ),
        (
            TlsView(certificate=None, problem="/c.pem: gone"),
            [
                "TLS: there is no certificate to serve with; clients are refused",
                "The certificate's files are refused: /c.pem: gone",
            ],
        ),
    ],
    ids=["in order", "expired", "broken renewal", "none"],
)
def test_the_certificate_is_shown(status: RouterStatus, tls: TlsView, shown: list[str]) -> None:
    """For whom it is, when it ends, and what is wrong with its files."""
    history = History()
    history.add(100.0, msgspec.structs.replace(status, tls=tls))
    lines = drawn(history)
    at = next(number for number, line in enumerate(lines) if line.startswith("TLS:"))
    assert lines[at : at + len(shown)] == shown
    assert not any(line.startswith("TLS:") for line in drawn(_of(status)))


def _of(status: RouterStatus) -> History:
    history = History()
    history.add(100.0, status)
    return history

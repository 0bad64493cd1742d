"""Every series and label that the alerts and the dashboard name is there, in what a running daemon is scraped for."""

import asyncio
import re
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from router.core.errors import RouterError
from tests.certificates import Authority
from tests.e2e.conftest import running
from tests.e2e.project import Project, until
from tests.monitoring.files import alerts, dashboard, targets
from tests.monitoring.queries import Query, Series

#: Series that come with the first of what they count, or a moment after a worker's start.
COMES = (
    "teal_mirror_responses_total",
    "teal_mirror_bytes_total",
    "teal_mirror_duration_seconds_bucket",
    "teal_request_failures_total",
    "teal_requests_refused_total",
    "teal_worker_cpu_seconds_total",
    "teal_tls_certificate_not_after_timestamp_seconds",
)
_LEGEND = re.compile(r"\{\{ ?(\w+) ?\}\}")
_TEMPLATE = re.compile(r"\$labels\.(\w+)")
_VALUES = re.compile(r"label_values\((?P<series>.*), (?P<label>\w+)\)")


def series(page: str) -> Series:
    """The values of each label of each series."""
    found: dict[str, dict[str, set[str]]] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            labels = found.setdefault(sample.name, {})
            for label, value in sample.labels.items():
                labels.setdefault(label, set()).add(value)
    return found


def project_in(folder: Path, authority: Authority) -> Project:
    """A worker with live traffic, another that gets copies, and TLS."""
    issued = authority.issue()
    (folder / "tls.crt").write_bytes(issued.certificate)
    (folder / "tls.key").write_bytes(issued.key)
    project = Project(folder)
    project.deployments["green"] = project.worker("green")
    project.endpoint |= {"mirror_traffic": {"green": 100}, "mirror": {"max_percent": 100}}
    project.data |= {"admin": {"http": "127.0.0.1:0"}, "tls": {"certificate": "tls.crt", "key": "tls.key"}}
    return project


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Series:
    """What one daemon shows to all the tests."""
    found = series(asyncio.run(scrape(tmp_path_factory.mktemp("monitoring"))))
    reasons = {kind.code for kind in RouterError.__subclasses__()} | {"client_gone"}
    return {**found, "teal_request_failures_total": {**found["teal_request_failures_total"], "reason": reasons}}


async def scrape(folder: Path) -> str:
    """The metrics of a daemon that was asked for scores, and for a deployment that it does not have."""
    authority = Authority()
    project = project_in(folder, authority)
    async with running(project.save(), folder / "state") as teal, aiohttp.ClientSession() as session:
        await teal.said('"daemon.serving"')
        url, trust = await teal.url(), authority.client()
        await teal.reads_ready()
        page = ""

        async def has_come() -> bool:
            nonlocal page
            async with session.post(url, data=b"{}", ssl=trust) as answer:
                assert answer.status == 200
            nowhere = {"azureml-model-deployment": "grene"}
            async with session.post(url, data=b"{}", ssl=trust, headers=nowhere) as answer:
                assert answer.status == 404
            admin = teal.events("daemon.started")[0]["admin"]
            async with session.get(f"{admin}/metrics") as answer:
                page = await answer.text()
            return all(f"\n{name}" in page for name in COMES)

        await until(has_come)
        return page


def test_the_alerts_ask_for_what_there_is(scraped: Series) -> None:
    """Series, labels, values, and the labels in their texts."""
    problems = []
    for alert in alerts():
        query = Query(alert["expr"], scraped)
        texts = " ".join(alert["annotations"].values())
        problems += [f"{alert['alert']}: {problem}" for problem in query.problems]
        problems += [f"{alert['alert']}: no $labels.{label}" for label in query.lacks(set(_TEMPLATE.findall(texts)))]
    assert not problems, "\n".join(problems)


def test_the_dashboard_asks_for_what_there_is(scraped: Series) -> None:
    """Series, labels, values, and the labels in its legends."""
    problems = []
    for title, target in targets():
        query = Query(target["expr"], scraped)
        problems += [f"{title}: {problem}" for problem in query.problems]
        problems += [
            f"{title}: no {label} for its legend" for label in query.lacks(set(_LEGEND.findall(target["legendFormat"])))
        ]
    for annotation in dashboard()["annotations"]["list"]:
        problems += [f"{annotation['name']}: {problem}" for problem in Query(annotation["expr"], scraped).problems]
    assert not problems, "\n".join(problems)


def test_the_dashboards_variables_are_filled_from_what_there_is(scraped: Series) -> None:
    """By `label_values(SERIES, LABEL)`."""
    for variable in dashboard()["templating"]["list"][1:]:
        found = _VALUES.fullmatch(variable["query"]["query"])
        assert found is not None
        query = Query(found["series"], scraped)
        assert query.problems == []
        assert query.lacks({found["label"]}) == set()

"""The file is what runs: how it is read again, and what a reload leaves alone."""

import asyncio
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from tests.e2e.project import Project, Upstream, ask, until

RELOADS = 'teal_config_reloads_total{{outcome="{}"}}'
UNCHANGED, REFUSED, APPLIED = (RELOADS.format(outcome) for outcome in ("unchanged", "refused", "applied"))


async def test_sighup_and_post_read_the_file_again(serve, project: Project) -> None:
    """What is in force already is not applied again: no new generation, counted as unchanged."""
    teal = await serve(project.save())
    generation = (await teal.status())["generation"]
    teal.signal(signal.SIGHUP)
    await teal.counted(UNCHANGED, 1)
    assert await teal.reload() == 202
    await teal.counted(UNCHANGED, 2)
    project.save()  # the same once more, in a new file
    teal.signal(signal.SIGHUP)
    await teal.counted(UNCHANGED, 3)
    assert (await teal.status())["generation"] == generation
    assert len(teal.events("config.applied")) == 1

    project.endpoint["model_errors"] = "passthrough"
    assert await teal.apply(lambda: (project.save(), teal.signal(signal.SIGHUP))) == generation + 1


async def test_a_bad_file_leaves_what_runs(serve, project: Project) -> None:
    """Its problems are logged once however often it is saved, and counted and shown until it is repaired."""
    teal = await serve(project.save())
    good, generation = project.text(), (await teal.status())["generation"]
    project.endpoint["traffic"] = {"blue": 90}
    for number, comment in enumerate(("", "# again\n", "# and again\n"), start=1):
        project.path.write_text(project.text() + comment)
        await teal.counted(REFUSED, number)
    await teal.after(lambda: project.path.write_text(""), '"config.refused"')
    first, _empty = teal.events("config.refused")
    assert "weights add up to 90, expected 0 or 100" in first["problems"][0]
    status = await teal.status()
    assert (status["generation"], len(status["config_problems"])) == (generation, 1)
    assert (await ask(await teal.url())).text == '"blue"'

    await teal.after(lambda: project.path.write_text(good), '"config.repaired"')
    status = await teal.status()
    assert (status["generation"], status["config_problems"]) == (generation, [])


def rename(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    new.write_text(text)
    new.rename(path)


def write_in_two_pieces(path: Path, text: str) -> None:
    with path.open("w") as file:
        for piece in (text[:100], text[100:]):
            file.write(piece)
            file.flush()


def delete_and_make_again(path: Path, text: str) -> None:
    path.unlink()
    path.write_text(text)


def swap_link(path: Path, text: str) -> None:
    """As Kubernetes does with a mounted ConfigMap."""
    folder = path.parent / f"..{len(list(path.parent.iterdir()))}"
    folder.mkdir()
    (folder / path.name).write_text(text)
    link = path.parent / "..data.new"
    link.symlink_to(folder.name)
    link.rename(path.parent / "..data")
    if not path.is_symlink():
        path.unlink()
        path.symlink_to(f"..data/{path.name}")


async def test_every_way_of_saving_is_noticed(serve, project: Project) -> None:
    """A rename, a write in place, a deletion and a new file, a swapped link, and each of them once more."""
    teal = await serve(project.save())
    ways: list[Callable[[Path, str], None]] = [rename, write_in_two_pieces, delete_and_make_again, swap_link]
    for bandwidth, save in enumerate([*ways, swap_link, rename], start=1_000_000):
        project.endpoint["limits"] = {"bandwidth_bytes_per_s": bandwidth}
        await teal.apply(lambda save=save: save(project.path, project.text()))
    assert teal.events("config.refused") == []
    assert (await ask(await teal.url())).text == '"blue"'


async def test_of_many_quick_saves_the_last_is_in_force(serve, project: Project) -> None:
    """100 saves without a pause; the traffic ends as the last one says."""
    project.deployments["green"] = project.worker("green")
    teal = await serve(project.save())
    for percent in range(100):
        project.endpoint["traffic"] = {"blue": percent, "green": 100 - percent}
        project.save()
        await asyncio.sleep(0)

    async def has_last() -> bool:
        traffic: dict[str, float] = (await teal.status())["endpoints"][0]["traffic"]
        return traffic == {"blue": 99, "green": 1}

    await until(has_last)
    assert teal.events("config.refused") == []


async def test_a_large_config_applies(serve, project: Project, upstreams: list[Upstream]) -> None:
    """1,000 lines with 50 endpoints: each serves after one save."""
    teal = await serve(project.save())
    for number in range(50):
        project.data["endpoints"][f"endpoint-{number}"] = {
            "auth_mode": "none",
            "traffic": {"deployment-0": 100},
            "deployments": {
                f"deployment-{place}": {"upstreams": [upstream.address], "scoring_path": "/score"}
                for place, upstream in enumerate([*upstreams, upstreams[0]])
            },
        }
    assert len(project.text().splitlines()) > 1000
    await teal.apply(project.save)
    await teal.counted('teal_instances{deployment="deployment-3",endpoint="endpoint-49",state="ready"}', 1)
    await teal.reads_ready()
    urls = [await teal.url(f"endpoint-{number}") for number in range(50)]
    replies = await asyncio.gather(*(ask(url) for url in urls))
    assert {reply.status for reply in replies} == {200}


async def test_a_save_whose_keys_cannot_be_stored_is_refused(serve, project: Project) -> None:
    """What ran before runs on, and a reload applies the file once the database can be written again."""
    teal = await serve(project.save())
    project.data["endpoints"]["other"] = project.endpoint
    with closing(sqlite3.connect(teal.state_dir / "state.db", isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        refused = await teal.after(project.save, '"config.refused"')
        assert "database is locked" in refused["problems"][0]
        assert (await ask(await teal.url())).status == 200
    await teal.apply(lambda: teal.signal(signal.SIGHUP))
    await teal.said('"worker.ready".*"other"')
    assert (await ask(await teal.url("other"))).status == 200


async def test_what_needs_a_restart_is_said(serve, project: Project) -> None:
    """A new `listen` is named in a warning; the old address serves on, and all else of the save applies."""
    teal = await serve(project.save())
    url = await teal.url()
    project.data["listen"] = "127.0.0.1:1"
    project.deployments["green"] = project.worker("green")
    warned = await teal.after(project.save, '"config.needs_restart"')
    assert warned["fields"] == ["listen"]
    await teal.said('"worker.ready".*"green"')
    await teal.reads_ready()  # the proxies have heard of it, too
    assert (await ask(url, deployment="green")).text == '"green"'


async def test_an_endpoint_goes_and_comes_back(serve, project: Project) -> None:
    """Gone: 404, and no series of it in the metrics. Back: the same keys open it."""
    project.data["endpoints"]["other"] = project.endpoint | {"auth_mode": "key"}
    teal = await serve(project.save())
    with sqlite3.connect(teal.state_dir / "state.db") as database:
        ((key,),) = database.execute("SELECT primary_key FROM credentials WHERE endpoint = 'other'").fetchall()
    url = await teal.url("other")
    assert (await ask(url, key=key)).status == 200
    served = 'teal_requests_total{code="200",deployment="blue",endpoint="other",route="live"}'
    await teal.counted(served, 1)

    other = project.data["endpoints"].pop("other")
    await teal.after(project.save, '"worker.exited".*"other"')
    assert (await ask(url, key=key)).status == 404

    async def is_forgotten() -> bool:
        return not any('endpoint="other"' in sample for sample in await teal.metrics())

    await until(is_forgotten)

    project.data["endpoints"]["other"] = other
    await teal.after(project.save, '"worker.ready".*"other"')
    assert (await ask(url, key=key)).status == 200
    assert (await ask(url, key="another")).status == 401
    await teal.counted(served, 1)

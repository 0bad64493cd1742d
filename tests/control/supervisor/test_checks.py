"""Upstreams that run elsewhere, asked whether they are ready."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import web

from router.control.states import DeploymentKey, DeploymentStatus
from router.control.supervisor import Probe, UpstreamChecks, UpstreamSpec

KEY = DeploymentKey(("churn", "green"))
QUICK = Probe(initial_delay_s=0, period_s=0.02, timeout_s=0.3, success_threshold=2, failure_threshold=3)


class Upstream:
    """A server somewhere else that answers `/ready` with `status`, or not at all when it is None."""

    def __init__(self) -> None:
        self.status: int | None = 200
        self.asked = 0
        self._runner: web.AppRunner | None = None
        self._ends = asyncio.Event()

    async def start(self, path: Path | None = None) -> str:
        """Serve on TCP, or on a Unix socket; return the address."""
        app = web.Application()
        app.router.add_get("/ready", self._ready)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site: web.BaseSite = (
            web.UnixSite(self._runner, str(path)) if path else web.TCPSite(self._runner, "127.0.0.1", 0)
        )
        await site.start()
        return f"unix:{path}" if path else f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        self._ends.set()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _ready(self, _: web.Request) -> web.Response:
        self.asked += 1
        if self.status is None:
            await self._ends.wait()
        return web.Response(status=self.status or 200, headers={"location": "/ready"})


class Watched:
    """Checks, and a way to wait for what they find."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        self.checks = UpstreamChecks(on_change=self._changed.set)

    def apply(self, *addresses: str, probe: Probe = QUICK) -> None:
        self.checks.apply({KEY: UpstreamSpec(addresses=addresses, check_path="/ready", probe=probe)})

    @property
    def status(self) -> DeploymentStatus:
        return self.checks.statuses()[0]

    @property
    def ready(self) -> list[str]:
        return [instance.address for instance in self.checks.instances(KEY) if instance.is_ready]

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until a change makes it so."""
        async with asyncio.timeout(10):
            while not is_so():
                await self._changed.wait()
                self._changed.clear()


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    watched = Watched()
    yield watched
    await watched.checks.stop()


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    upstream = Upstream()
    yield upstream
    await upstream.stop()


async def test_upstream_is_not_ready_before_its_first_check(watched: Watched, upstream: Upstream) -> None:
    """What is not known to work gets no request."""
    address = await upstream.start()
    watched.apply(address)
    assert (watched.ready, watched.status.provisioning_state) == ([], "Creating")
    assert [(i.name, i.state, i.reason) for i in watched.status.instances] == [(address, "starting", "not checked yet")]


@pytest.mark.parametrize("is_unix", [False, True], ids=["tcp", "unix"])
async def test_first_good_check_makes_it_ready(
    watched: Watched, upstream: Upstream, is_unix: bool, tmp_path: Path
) -> None:
    """Over TCP and Unix sockets; the first check comes at once and is enough."""
    address = await upstream.start(tmp_path / "green.sock" if is_unix else None)
    watched.apply(address, probe=Probe(period_s=1000, success_threshold=5))
    await watched.until(lambda: watched.ready == [address])
    assert (upstream.asked, watched.status.provisioning_state) == (1, "Succeeded")


@pytest.mark.parametrize("status", [204, 299])
async def test_any_2xx_is_good(watched: Watched, upstream: Upstream, status: int) -> None:
    """A ready check may answer without a body."""
    upstream.status = status
    address = await upstream.start()
    watched.apply(address)
    await watched.until(lambda: watched.ready == [address])


@pytest.mark.parametrize("status", [302, 404, 500, 503])
async def test_anything_else_is_not(watched: Watched, upstream: Upstream, status: int) -> None:
    """A redirect is not followed, an error is no readiness; the reason says what came."""
    upstream.status = status
    watched.apply(await upstream.start())
    await watched.until(lambda: watched.status.instances[0].state == "unready")
    assert watched.status.instances[0].reason == f"GET /ready answered {status}"


async def test_silence_is_not_ready(watched: Watched, upstream: Upstream) -> None:
    """An upstream that accepts and never answers fails its check in time."""
    upstream.status = None
    watched.apply(await upstream.start())
    await watched.until(lambda: watched.status.instances[0].state == "unready")
    assert watched.status.instances[0].reason == "GET /ready was not answered in 0.3 s"


@pytest.mark.parametrize("address", ["http://127.0.0.1:1", "unix:/nowhere/green.sock"])
async def test_nobody_there_is_not_ready(watched: Watched, address: str) -> None:
    """A refused connection is told as such."""
    watched.apply(address)
    await watched.until(lambda: watched.status.instances[0].state == "unready")
    assert watched.status.instances[0].reason.startswith("GET /ready failed: ")


async def test_failing_checks_take_out_and_good_ones_put_back(watched: Watched, upstream: Upstream) -> None:
    """As many in a row as the thresholds say."""
    address = await upstream.start()
    watched.apply(address)
    await watched.until(lambda: watched.ready == [address])
    upstream.asked, upstream.status = 0, 503
    await watched.until(lambda: watched.ready == [])
    assert upstream.asked >= 3
    upstream.asked, upstream.status = 0, 200
    await watched.until(lambda: watched.ready == [address])
    assert upstream.asked >= 2


async def test_dead_upstream_does_not_hide_a_good_one(watched: Watched, upstream: Upstream) -> None:
    """Each address has its own verdict, in the order of the config."""
    good = await upstream.start()
    watched.apply("http://127.0.0.1:1", good)
    await watched.until(lambda: watched.status.provisioning_state == "Succeeded")
    assert [instance.is_ready for instance in watched.checks.instances(KEY)] == [False, True]


async def test_reload_keeps_what_is_known(watched: Watched, upstream: Upstream) -> None:
    """An upstream that stays is ready without a gap; one that goes is not listed any more."""
    address = await upstream.start()
    watched.apply(address, "http://127.0.0.1:1")
    await watched.until(lambda: watched.ready == [address])
    watched.apply("http://127.0.0.1:2", address)
    assert [(i.address, i.is_ready) for i in watched.checks.instances(KEY)] == [
        ("http://127.0.0.1:2", False),
        (address, True),
    ]


async def test_removed_deployment_is_checked_no_more(watched: Watched, upstream: Upstream) -> None:
    """Nothing is listed or shown of it."""
    watched.apply(await upstream.start())
    watched.checks.apply({})
    assert (watched.checks.instances(KEY), watched.checks.statuses()) == ((), ())


async def test_upstreams_serve_until_those_in_their_place_are_ready(watched: Watched) -> None:
    """When all addresses are replaced by others, the old ones stay in the choice as long as no new one answers."""
    old, new = Upstream(), Upstream()
    first, second = await old.start(), await new.start()
    new.status = 503
    try:
        watched.apply(first)
        await watched.until(lambda: watched.ready == [first])
        watched.apply(second)
        await watched.until(lambda: "503" in watched.status.instances[0].reason)
        assert watched.ready == [first]
        new.status = 200
        await watched.until(lambda: watched.ready == [second])
        assert [instance.address for instance in watched.checks.instances(KEY)] == [second]
    finally:
        await asyncio.gather(old.stop(), new.stop())

"""An instance that fails is out of the choice until it answers a check."""

import asyncio
import select
import socket
import time
from collections.abc import Awaitable, Callable

import aiohttp
import pytest
from structlog.testing import capture_logs

from router.core.instances import EJECT_AFTER, EJECT_BASE_S, Instance
from router.core.table import InstanceSpec
from tests.proxy.conftest import Proxy, deployment, endpoint
from tests.proxy.peers import Conversation, Peer, answer_ok
from tests.proxy.waiting import until

StartPeer = Callable[..., Awaitable[Peer]]


class Moody:
    """An instance that resets scoring requests while `is_bad`, and answers checks with `check_status`."""

    def __init__(self) -> None:
        self.is_bad = True
        self.check_status = "200 OK"

    async def __call__(self, conversation: Conversation) -> None:
        while True:
            seen = await conversation.request()
            if seen.line.startswith(b"GET / "):
                await conversation.answer(status=self.check_status)
            elif self.is_bad:
                conversation.reset()
                return
            else:
                await conversation.answer()


async def score(client: aiohttp.ClientSession, proxy: Proxy, times: int) -> list[int]:
    statuses = []
    for _ in range(times):
        async with client.post(proxy.url, data=b"{}") as answer:
            statuses.append(answer.status)
    return statuses


def ejected(proxy: Proxy) -> Instance:
    """The only ejected instance."""
    ((_, instance),) = proxy.runtime.ejected()
    return instance


async def check(proxy: Proxy) -> Instance:
    """Let the time of the ejection be over and its check be done; return the instance."""
    instance = ejected(proxy)
    instance.check_at = due = 0.0
    proxy.checks.sweep()
    await until(lambda: instance.check_at != due)
    return instance


async def test_five_failures_in_a_row_eject(proxy: Proxy, peer: StartPeer, client: aiohttp.ClientSession) -> None:
    """The instance that resets gets five requests, and none after them."""
    bad, good = await peer(Moody()), await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", bad, good)))
    with capture_logs() as events:
        statuses = await score(client, proxy, 30)
    assert statuses.count(424) == EJECT_AFTER == len(bad.seen)
    assert statuses.count(200) == 25
    assert proxy.runtime.stats().ejected == (bad.address,)
    assert proxy.stats().failures == {"reset": 5}
    assert events == [
        {
            "event": "instance.ejected",
            "log_level": "warning",
            "endpoint": "churn",
            "deployment": "blue",
            "address": bad.address,
            "reason": "reset",
        }
    ]


async def test_a_good_answer_between_failures_prevents_the_ejection(
    proxy: Proxy, peer: StartPeer, client: aiohttp.ClientSession
) -> None:
    """Only failures in a row count; a model's 500 is an answer, not a failure."""
    moody = Moody()
    proxy.apply(endpoint(deployment("blue", await peer(moody))))
    for _ in range(3):
        moody.is_bad = True
        assert await score(client, proxy, 4) == [424] * 4
        moody.is_bad = False
        assert await score(client, proxy, 1) == [200]
    assert proxy.runtime.stats().ejected == ()


async def test_a_good_check_lets_the_instance_return(
    proxy: Proxy, peer: StartPeer, client: aiohttp.ClientSession
) -> None:
    """It serves again; one failure before it has answered ejects it anew, for longer."""
    moody = Moody()
    one = await peer(moody)
    proxy.apply(endpoint(deployment("blue", one)))
    await score(client, proxy, 5)
    await check(proxy)
    assert proxy.runtime.stats().ejected == ()
    assert await score(client, proxy, 2) == [424, 424]
    before = proxy.runtime.now()
    assert ejected(proxy).check_at is not None
    assert ejected(proxy).check_at <= before + 2 * EJECT_BASE_S  # type: ignore[operator]
    await check(proxy)
    moody.is_bad = False
    assert await score(client, proxy, 2) == [200, 200]


@pytest.mark.parametrize("status", ["503 Service Unavailable", "302 Found"])
async def test_a_failed_check_doubles_the_time(
    proxy: Proxy, peer: StartPeer, client: aiohttp.ClientSession, status: str
) -> None:
    """An instance whose check is not answered with 2xx stays out, twice as long each time."""
    moody = Moody()
    moody.check_status = status
    proxy.apply(endpoint(deployment("blue", await peer(moody))))
    await score(client, proxy, 5)
    for expected_s in (2.0, 4.0, 8.0):
        before = proxy.runtime.now()
        instance = await check(proxy)
        assert instance.check_at is not None
        assert before + expected_s <= instance.check_at <= proxy.runtime.now() + expected_s


async def test_a_check_that_cannot_connect_fails(
    proxy: Proxy, refusing: Callable[[], str], client: aiohttp.ClientSession
) -> None:
    """An instance that still refuses connections stays out."""
    proxy.apply(endpoint(deployment("blue", instances=(InstanceSpec(address=refusing()),))))
    assert await score(client, proxy, 1) == [424]
    instance = await check(proxy)
    assert instance.is_ejected


async def test_a_check_is_not_made_before_its_time(
    proxy: Proxy, peer: StartPeer, client: aiohttp.ClientSession
) -> None:
    """A sweep right after the ejection asks nobody."""
    one = await peer(Moody())
    proxy.apply(endpoint(deployment("blue", one)))
    await score(client, proxy, 5)
    before = ejected(proxy).check_at
    proxy.checks.sweep()
    await proxy.settled()
    assert ejected(proxy).check_at == before
    assert [seen.line for seen in one.seen] == [b"POST /score HTTP/1.1"] * 5


async def test_a_new_table_does_not_let_it_return(proxy: Proxy, peer: StartPeer, client: aiohttp.ClientSession) -> None:
    """An ejected instance stays ejected over a swap of tables."""
    bad, good = await peer(Moody()), await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", bad, good)))
    await score(client, proxy, 20)
    proxy.apply(endpoint(deployment("blue", bad, good, max_queue=7)))
    assert proxy.runtime.stats().ejected == (bad.address,)
    assert await score(client, proxy, 10) == [200] * 10
    assert len(bad.seen) == 5


async def test_without_an_instance_left_the_answer_is_424(
    proxy: Proxy, peer: StartPeer, client: aiohttp.ClientSession
) -> None:
    """All ejected: `no healthy upstream`, at once."""
    one = await peer(Moody())
    proxy.apply(endpoint(deployment("blue", one)))
    await score(client, proxy, 5)
    async with client.post(proxy.url, data=b"{}") as answer:
        assert answer.status == 424
        assert await answer.text() == "no healthy upstream"
        assert answer.headers["x-teal-reason"] == "model_not_ready"
        assert answer.headers["ms-azureml-model-error-reason"] == "model_not_ready"
    assert len(one.seen) == 5


async def test_a_check_of_an_endpoint_that_just_went_away_does_no_harm(
    proxy: Proxy, peer: StartPeer, client: aiohttp.ClientSession
) -> None:
    """The table is swapped between the start of a check and its first step."""
    one = await peer(Moody())
    proxy.apply(endpoint(deployment("blue", one)))
    await score(client, proxy, 5)
    instance = ejected(proxy)
    instance.check_at = 0.0
    proxy.checks.sweep()
    proxy.apply()
    await until(lambda: instance.check_at != 0.0)
    assert len(one.seen) == 5


async def test_a_proxy_that_stood_still_ejects_nobody(proxy: Proxy, client: aiohttp.ClientSession) -> None:
    """The time to connect was over when it ran again, and so was the connection made: that is looked at first."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        one = InstanceSpec(address=f"http://127.0.0.1:{listening.getsockname()[1]}")
        proxy.apply(endpoint(deployment("blue", instances=(one,))))
        scoring = asyncio.create_task(score(client, proxy, 1), name="score")
        await until(lambda: select.select([listening], [], [], 0)[0])
        time.sleep(2.3)  # noqa: ASYNC251 - it stands still
        connection, _ = await asyncio.get_running_loop().sock_accept(listening)
        with connection:
            await asyncio.get_running_loop().sock_recv(connection, 65536)
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            assert await scoring == [200]
    assert proxy.runtime.stats().ejected == ()


async def test_an_answer_that_came_while_the_proxy_stood_still_is_passed_on(
    proxy: Proxy, peer: StartPeer, client: aiohttp.ClientSession
) -> None:
    """It was there before its time was over, though nobody could read it."""
    one = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", one, request_timeout_s=0.3)))
    assert await score(client, proxy, 1) == [200]
    scoring = asyncio.create_task(score(client, proxy, 1), name="score")
    await one.requests(2)
    time.sleep(0.6)  # noqa: ASYNC251 - it stands still
    assert await scoring == [200]

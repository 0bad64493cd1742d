"""What a connection leaves for the garbage collector, which looks through old objects rarely: nothing."""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator

import pytest

from router.proxy.fast_connection import FastConnection
from router.proxy.server import ClientConnection
from tests.proxy.conftest import Proxy, RawClient, deployment, endpoint, post
from tests.proxy.peers import Peer, answer_ok
from tests.proxy.waiting import until

StartPeer = Callable[..., Awaitable[Peer]]
OpenRaw = Callable[[], Awaitable[RawClient]]

CHUNKED = post().replace(b"Content-Length: 2", b"Transfer-Encoding: chunked").replace(b"{}", b"2\r\n{}\r\n0\r\n\r\n")


@pytest.fixture(autouse=True)
def _without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def connections() -> int:
    """That exist, open or not."""
    return sum(type(one) in {FastConnection, ClientConnection} for one in gc.get_objects())


async def until_freed() -> None:
    """Wait until there is no connection, which takes a few turns of the loop."""
    async with asyncio.timeout(10):
        await until(lambda: connections() == 0)


@pytest.mark.parametrize("whole", [post(), CHUNKED], ids=["length", "chunks"])
async def test_an_answered_client_leaves_nothing(proxy: Proxy, peer: StartPeer, raw: OpenRaw, whole: bytes) -> None:
    """Request, answer, and the end of the connection."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))))
    client = await raw()
    await client.send(whole)
    assert (await client.answer())[0] == 200
    assert connections() == 1
    await client.close()
    await until_freed()


@pytest.mark.parametrize("part", [post()[:-1], CHUNKED[:-8], post()[:60]], ids=["length", "chunks", "head"])
async def test_a_client_that_vanishes_leaves_nothing(proxy: Proxy, peer: StartPeer, raw: OpenRaw, part: bytes) -> None:
    """In the middle of its head or body."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))))
    client = await raw()
    await client.send(part)
    await until(lambda: proxy.clients.open_now == 1)
    client.writer.transport.abort()
    await until_freed()

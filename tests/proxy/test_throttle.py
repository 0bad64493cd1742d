"""`bandwidth_bytes_per_s` delays bytes, in both directions, and says so; it rejects none."""

from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from tests.proxy.conftest import Proxy, deployment, endpoint
from tests.proxy.peers import Conversation, Peer, answer_ok

StartPeer = Callable[..., Awaitable[Peer]]


async def post_sizes(client: aiohttp.ClientSession, proxy: Proxy, sizes: list[int]) -> list[dict[str, Any]]:
    """Log lines of posts with bodies of these sizes."""
    for size in sizes:
        async with client.post(proxy.url, data=b"x" * size) as answer:
            assert answer.status == 200
            await answer.read()
    await proxy.settled()
    return proxy.access_log()


async def test_a_request_over_the_bandwidth_is_delayed(
    proxy: Proxy, peer: StartPeer, client: aiohttp.ClientSession
) -> None:
    """A second's worth of bytes goes through at once; 20,000 bytes more wait a tenth of a second at 200,000/s."""
    one = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", one), bandwidth_bytes_per_s=200_000))
    (line,) = await post_sizes(client, proxy, [220_000])
    assert line["request_throttling_delay_ms"] == pytest.approx(100, abs=1)
    assert len(one.seen[0].body) == 220_000


async def test_a_request_within_the_bandwidth_is_not_delayed(
    proxy: Proxy, peer: StartPeer, client: aiohttp.ClientSession
) -> None:
    """Nothing waits while the bucket has bytes."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok)), bandwidth_bytes_per_s=200_000))
    lines = await post_sizes(client, proxy, [1000, 1000])
    assert [line["request_throttling_delay_ms"] for line in lines] == [0, 0]
    assert [line["response_throttling_delay_ms"] for line in lines] == [0, 0]


async def test_every_part_of_a_large_upload_is_delayed(
    proxy: Proxy, peer: StartPeer, client: aiohttp.ClientSession
) -> None:
    """A body that is streamed pays for all of its bytes, not just for the first part."""
    one = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", one), bandwidth_bytes_per_s=2_000_000))
    (line,) = await post_sizes(client, proxy, [1_000_000])
    assert line["request_throttling_delay_ms"] == 0
    assert proxy.runtime.bandwidth("churn").level(0.0) < 1_100_000  # type: ignore[union-attr]
    assert len(one.seen[0].body) == 1_000_000


async def test_an_answer_over_the_bandwidth_is_delayed(
    proxy: Proxy, peer: StartPeer, client: aiohttp.ClientSession
) -> None:
    """The delay of answers is logged apart from that of requests."""

    async def answer_much(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.answer(b"x" * 220_000)

    proxy.apply(endpoint(deployment("blue", await peer(answer_much)), bandwidth_bytes_per_s=200_000))
    (line,) = await post_sizes(client, proxy, [0])
    assert line["request_throttling_delay_ms"] == 0
    assert line["response_throttling_delay_ms"] > 0
    assert line["response_payload_size"] == 220_000


async def test_an_endpoint_without_the_limit_is_not_delayed(
    proxy: Proxy, peer: StartPeer, client: aiohttp.ClientSession
) -> None:
    """A limit that a new table no longer has is forgotten, also when its endpoint was away in between."""
    one = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", one), bandwidth_bytes_per_s=1))
    proxy.apply()
    assert proxy.runtime.bandwidth("churn") is None
    proxy.apply(endpoint(deployment("blue", one)))
    (line,) = await post_sizes(client, proxy, [100_000])
    assert line["request_throttling_delay_ms"] == 0

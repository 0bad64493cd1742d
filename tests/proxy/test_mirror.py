"""Copies go out at once, cost a bounded amount, and change nothing for the client."""

import asyncio
import gc
import io
import re
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from router.core.table import EndpointSpec, InstanceSpec, MirrorSpec
from router.proxy.mirror import MAX_HELD_BYTES
from tests.proxy.conftest import Proxy, RawClient, deployment, endpoint, post
from tests.proxy.peers import Conversation, Peer, Script, answer_ok
from tests.proxy.waiting import answer_when, until, watch_end

StartPeer = Callable[..., Awaitable[Peer]]
OpenRaw = Callable[[], Awaitable[RawClient]]


def mirrored(live: Peer, shadow: Peer, *, percent: float = 100.0, fields: Any = None, **mirror: Any) -> EndpointSpec:
    """All live weight on blue, copies to green."""
    return endpoint(
        deployment("blue", live),
        deployment("green", shadow),
        mirror_traffic=(("green", percent),),
        mirror=MirrorSpec(**mirror),
        **fields or {},
    )


def outcomes(proxy: Proxy) -> dict[str, int]:
    return proxy.runtime.stats().totals.endpoint("churn").mirror


async def status_of(client: aiohttp.ClientSession, proxy: Proxy, body: Any = b"{}", **headers: str) -> int:
    async with client.post(proxy.url, data=body, headers=headers) as answer:
        assert await answer.read() == b'{"y": 1}'
        return answer.status


async def reset(conversation: Conversation) -> None:
    await conversation.request()
    conversation.reset()


async def talk_garbage(conversation: Conversation) -> None:
    await conversation.request()
    await conversation.send(b"\x00\xff garbage\r\n\r\n" * 100)
    await conversation.closed()


async def flood(conversation: Conversation) -> None:
    """An answer of a gigabyte."""
    await conversation.request()
    await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
    for _ in range(10_000):
        await conversation.send(b"x" * 100_000)


async def flood_unannounced(conversation: Conversation) -> None:
    """An answer in chunks, without end."""
    await conversation.request()
    await conversation.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(10_000):
        await conversation.send(b"186a0\r\n" + b"x" * 100_000 + b"\r\n")


async def break_off(conversation: Conversation) -> None:
    await conversation.request()
    await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")


async def fail(conversation: Conversation) -> None:
    await conversation.request()
    await conversation.answer(b"no", status="500 Internal Server Error")


def constant(head: bytes) -> bytes:
    """A head without what differs between any two answers."""
    return re.sub(rb"(?im)^(x-request-id|server-timing|date|x-teal-generation): .*\r\n", b"", head)


@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        (reset, "failed"),
        (talk_garbage, "failed"),
        (flood, "sent"),
        (flood_unannounced, "sent"),
        (break_off, "failed"),
        (fail, "sent"),
    ],
)
async def test_whatever_the_target_does_the_live_answer_is_the_same(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw, script: Script, outcome: str
) -> None:
    """Answers with a mirror target that misbehaves are byte for byte those without a mirror."""
    live, shadow = await peer(answer_ok), await peer(script)
    proxy.apply(endpoint(deployment("blue", live)))
    client = await raw()
    await client.send(post())
    expected = await client.answer()
    proxy.apply(mirrored(live, shadow))
    for _ in range(10):
        await client.send(post())
        status, head, body = await client.answer()
        assert (status, constant(head), body) == (expected[0], constant(expected[1]), expected[2])
    await proxy.settled()
    counted = outcomes(proxy)
    assert sum(counted.values()) == 10
    assert set(counted) <= {outcome, "not_ready", "no_budget"}
    assert proxy.stats().live == {200: 11}
    assert proxy.stats().failures == {}


async def test_a_target_that_refuses_connections_changes_nothing(
    proxy: Proxy, peer: StartPeer, refusing: Callable[[], str], client: aiohttp.ClientSession
) -> None:
    """Refused copies are counted; later ones find no ready instance."""
    green = deployment("green", instances=(InstanceSpec(address=refusing()),))
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok)), green, mirror_traffic=(("green", 100.0),)))
    assert [await status_of(client, proxy) for _ in range(5)] == [200] * 5
    await proxy.settled()
    assert outcomes(proxy) == {"failed": 1, "not_ready": 4}


async def test_a_copy_is_sent_before_the_live_answer(
    proxy: Proxy, peer: StartPeer, client: aiohttp.ClientSession
) -> None:
    """The live instance answers only when the copy has arrived."""
    copy_came = asyncio.Event()

    async def note(conversation: Conversation) -> None:
        await conversation.request()
        copy_came.set()
        await conversation.answer()

    proxy.apply(mirrored(await peer(answer_when(copy_came)), await peer(note)))
    assert await status_of(client, proxy) == 200
    await proxy.settled()
    assert outcomes(proxy) == {"sent": 1}


async def test_a_target_that_never_answers_holds_a_bounded_number_of_copies(
    proxy: Proxy, peer: StartPeer, client: aiohttp.ClientSession
) -> None:
    """Past `max_in_flight` copies are dropped with `no_slot`, and have not paid for it from the bucket."""
    gate = asyncio.Event()
    shadow = await peer(answer_when(gate))
    live = await peer(answer_ok)
    proxy.apply(mirrored(live, shadow, max_in_flight=2, rate_bytes_per_s=1e-9, burst_bytes=300))
    assert [await status_of(client, proxy, b"x" * 100) for _ in range(10)] == [200] * 10
    assert outcomes(proxy) == {"no_slot": 8}
    assert proxy.mirror.in_flight == 2
    assert proxy.mirror.held_bytes == 200
    gate.set()
    await proxy.settled()
    assert await status_of(client, proxy, b"x" * 100) == 200  # the bucket still has its last 100 bytes
    await proxy.settled()
    assert outcomes(proxy) == {"no_slot": 8, "sent": 3}
    assert proxy.mirror.held_bytes == 0


async def test_a_copy_is_given_up_after_its_targets_timeout(
    proxy: Proxy, peer: StartPeer, client: aiohttp.ClientSession
) -> None:
    """A black-holed copy ends as `failed`, its connection is closed and its slot is free."""
    ended = asyncio.Event()
    live, shadow = await peer(answer_ok), await peer(watch_end(ended))
    proxy.apply(
        endpoint(
            deployment("blue", live),
            deployment("green", shadow, request_timeout_s=0.05),
            mirror_traffic=(("green", 100.0),),
        )
    )
    assert await status_of(client, proxy) == 200
    await ended.wait()
    await proxy.settled()
    assert outcomes(proxy) == {"failed": 1}


@pytest.mark.parametrize("flooding", [flood, flood_unannounced])
async def test_a_flood_of_answers_is_paid_for(
    proxy: Proxy, peer: StartPeer, client: aiohttp.ClientSession, flooding: Script
) -> None:
    """An answer that is given up costs a megabyte, read or not; what that takes from the bucket, later copies lack."""
    live, shadow = await peer(answer_ok), await peer(flooding)
    proxy.apply(mirrored(live, shadow, rate_bytes_per_s=1e-9, burst_bytes=1_500_000))
    for _ in range(4):
        assert await status_of(client, proxy) == 200
        await proxy.settled()
    assert outcomes(proxy) == {"sent": 2, "no_budget": 2}


async def test_an_empty_bucket_drops_copies(proxy: Proxy, peer: StartPeer, client: aiohttp.ClientSession) -> None:
    """A copy needs its bytes in the bucket; a smaller one may still fit after one that did not."""
    live, shadow = await peer(answer_ok), await peer(answer_ok)
    proxy.apply(mirrored(live, shadow, rate_bytes_per_s=1e-9, burst_bytes=100))
    for size in (60, 60, 40, 1):
        assert await status_of(client, proxy, b"x" * size) == 200
    await proxy.settled()
    assert outcomes(proxy) == {"sent": 2, "no_budget": 2}
    assert sorted(len(seen.body) for seen in shadow.seen) == [40, 60]
    assert proxy.runtime.stats().totals.endpoint("churn").mirror_bytes == 100


async def in_pieces(body: bytes) -> Any:
    """A body that aiohttp sends chunked."""
    for start in range(0, len(body), 300_000):
        yield body[start : start + 300_000]


@pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("limit", [1_000, 1_000_000])
@pytest.mark.parametrize(
    ("relative_to_limit", "size", "outcome"),
    [
        (False, 0, "sent"),
        (False, 1, "sent"),
        (True, -1, "sent"),
        (True, 0, "sent"),
        (True, 1, "body_too_large"),
        (False, 10_000_000, "body_too_large"),
    ],
)
async def test_a_copy_is_whole_or_counted(
    proxy: Proxy,
    peer: StartPeer,
    client: aiohttp.ClientSession,
    is_chunked: bool,
    limit: int,
    relative_to_limit: bool,
    size: int,
    outcome: str,
) -> None:
    """Bodies of every size arrive whole at the live instance, and as a copy whole or not at all."""
    live, shadow = await peer(answer_ok), await peer(answer_ok)
    proxy.apply(mirrored(live, shadow, max_body_bytes=limit))
    body = (b"0123456789abcde\n" * 700_000)[: limit + size if relative_to_limit else size]
    assert await status_of(client, proxy, in_pieces(body) if is_chunked else io.BytesIO(body)) == 200
    await proxy.settled()
    assert outcomes(proxy) == {outcome: 1}
    assert [seen.body == body for seen in live.seen] == [True]
    assert [seen.body == body for seen in shadow.seen] == [True] * (outcome == "sent")


async def test_a_get_is_mirrored_as_it_is(proxy: Proxy, peer: StartPeer, client: aiohttp.ClientSession) -> None:
    """A request without a body has a copy without a body or framing."""
    live, shadow = await peer(answer_ok), await peer(answer_ok)
    proxy.apply(mirrored(live, shadow))
    async with client.get(proxy.url + "?a=1") as answer:
        assert answer.status == 200
    await proxy.settled()
    (copy,) = shadow.seen
    assert copy.line == b"GET /score?a=1 HTTP/1.1"
    assert copy.values("content-length") == copy.values("transfer-encoding") == []


async def test_all_copies_together_hold_a_bounded_amount(
    proxy: Proxy, peer: StartPeer, client: aiohttp.ClientSession
) -> None:
    """Past `MAX_HELD_BYTES` copies are dropped with `no_memory`."""
    gate = asyncio.Event()
    live, shadow = await peer(answer_ok), await peer(answer_when(gate))
    size = 1_000_000
    proxy.apply(mirrored(live, shadow, max_in_flight=1000, rate_bytes_per_s=1e9, burst_bytes=1e9))
    fitting = MAX_HELD_BYTES // size
    assert [await status_of(client, proxy, b"x" * size) for _ in range(fitting + 3)] == [200] * (fitting + 3)
    assert outcomes(proxy) == {"no_memory": 3}
    assert proxy.mirror.held_bytes == fitting * size
    gate.set()
    await proxy.settled()
    assert outcomes(proxy) == {"no_memory": 3, "sent": fitting}


async def test_a_copy_carries_no_credential_and_its_mark(
    proxy: Proxy, peer: StartPeer, client: aiohttp.ClientSession
) -> None:
    """Credentials that the live instance may see do not reach the copy, which says that it is one."""
    live, shadow = await peer(answer_ok), await peer(answer_ok)
    proxy.apply(mirrored(live, shadow, fields={"auth_mode": "none"}))
    secrets = {"Authorization": "Bearer s", "Cookie": "a=s", "X-Api-Key": "s", "api-key": "s", "X-Plain": "kept"}
    assert await status_of(client, proxy, b"{}", **secrets) == 200
    await proxy.settled()
    (original,), (copy,) = live.seen, shadow.seen
    assert copy.values("x-teal-mirror") == [b"1"]
    assert copy.values("x-plain") == [b"kept"]
    assert copy.body == b"{}"
    assert original.values("authorization") == [b"Bearer s"]
    for name in ("authorization", "cookie", "x-api-key", "api-key", "azureml-model-deployment"):
        assert copy.values(name) == []
    assert original.values("x-teal-mirror") == []


@pytest.mark.parametrize("header", ["x-teal-mirror", "azureml-model-deployment"])
async def test_marked_and_pinned_requests_are_not_mirrored(
    proxy: Proxy, peer: StartPeer, client: aiohttp.ClientSession, header: str
) -> None:
    """No copy of a copy, and none of a request that names its deployment."""
    live, shadow = await peer(answer_ok), await peer(answer_ok)
    proxy.apply(mirrored(live, shadow))
    assert await status_of(client, proxy, b"{}", **{header: "blue"}) == 200
    await proxy.settled()
    assert outcomes(proxy) == {}
    assert shadow.seen == []


async def test_a_client_that_leaves_does_not_cancel_its_copy(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """The live request is cut, the copy runs to its end."""
    gate, ended = asyncio.Event(), asyncio.Event()
    shadow = await peer(answer_when(gate))
    proxy.apply(mirrored(await peer(watch_end(ended)), shadow))
    client = await raw()
    await client.send(post())
    await shadow.requests(1)
    client.writer.transport.abort()
    await ended.wait()
    gate.set()
    await proxy.settled()
    assert outcomes(proxy) == {"sent": 1}


async def test_copies_never_queue_at_a_live_target(
    proxy: Proxy, peer: StartPeer, client: aiohttp.ClientSession
) -> None:
    """Where a mirror target carries live weight, a copy takes a free place or none."""
    gate = asyncio.Event()
    blue = await peer(answer_when(gate))
    spec = deployment("blue", blue, max_concurrent=1, max_queue=10)
    proxy.apply(endpoint(spec, mirror_traffic=(("blue", 100.0),)))
    posting = asyncio.create_task(status_of(client, proxy), name="post")
    await blue.requests(1)
    await until(lambda: outcomes(proxy))
    assert outcomes(proxy) == {"target_busy": 1}
    assert proxy.stats().queued == 0
    gate.set()
    assert await posting == 200
    await proxy.settled()
    assert len(blue.seen) == 1


async def test_copies_queue_at_a_shadow_target(proxy: Proxy, peer: StartPeer, client: aiohttp.ClientSession) -> None:
    """A target without live weight gets each copy, one after the other."""
    gate = asyncio.Event()
    live, shadow = await peer(answer_ok), await peer(answer_when(gate))
    green = deployment("green", shadow, max_concurrent=1, max_queue=10)
    proxy.apply(endpoint(deployment("blue", live), green, mirror_traffic=(("green", 100.0),)))
    assert [await status_of(client, proxy) for _ in range(5)] == [200] * 5
    await until(lambda: proxy.stats("green").queued == 4)
    gate.set()
    await proxy.settled()
    assert outcomes(proxy) == {"sent": 5}
    assert proxy.stats("green").mirrored == {200: 5}
    assert proxy.stats("green").live == {}


async def test_a_target_that_left_the_table_while_the_body_came_gets_no_copy(
    proxy: Proxy, peer: StartPeer, raw: OpenRaw
) -> None:
    """The live request finishes on its generation; its copy is counted as `not_ready`; nothing is left behind."""
    live, shadow = await peer(answer_ok), await peer(answer_ok)
    proxy.apply(mirrored(live, shadow))
    client = await raw()
    await client.send(post(b"half", "Content-Length: 8"))
    await until(lambda: proxy.stats().in_flight == 1)
    proxy.apply(endpoint(deployment("blue", live)))
    proxy.runtime.sweep()
    await client.send(b"half")
    assert (await client.answer())[0] == 200
    await proxy.settled()
    assert outcomes(proxy) == {"not_ready": 1}
    assert shadow.connections == 0
    assert shadow.address not in proxy.runtime.stats().busy


async def test_every_sampled_request_has_one_outcome_under_collection(
    proxy: Proxy, peer: StartPeer, client: aiohttp.ClientSession
) -> None:
    """With the garbage collector at work all the time, no copy vanishes and no task is left over."""
    collecting = asyncio.create_task(_collect(), name="collect")
    live, shadow = await peer(answer_ok), await peer(answer_ok)
    proxy.apply(mirrored(live, shadow, max_in_flight=5))
    for _ in range(20):
        assert await asyncio.gather(*(status_of(client, proxy) for _ in range(10))) == [200] * 10
    await proxy.settled()
    collecting.cancel()
    await asyncio.gather(collecting, return_exceptions=True)
    counted = outcomes(proxy)
    assert sum(counted.values()) == 200
    assert set(counted) <= {"sent", "no_slot"}
    assert counted["sent"] == len(shadow.seen)
    assert [task for task in asyncio.all_tasks() if task.get_name() == "mirror-copy"] == []


async def _collect() -> None:
    gc.freeze()  # what other tests have left is not looked through each time
    try:
        while True:
            gc.collect()
            await asyncio.sleep(0.005)
    finally:
        gc.unfreeze()


async def test_half_of_the_requests_are_mirrored_at_half(
    proxy: Proxy, peer: StartPeer, client: aiohttp.ClientSession
) -> None:
    """The share is a share of live requests: of 400 at 50 percent, not nearly none and not nearly all."""
    live, shadow = await peer(answer_ok), await peer(answer_ok)
    proxy.apply(mirrored(live, shadow, percent=50.0))
    for _ in range(400):
        await status_of(client, proxy)
    await proxy.settled()
    assert 120 < outcomes(proxy)["sent"] < 280  # eight standard deviations


async def test_what_copies_use_up_is_told(proxy: Proxy, peer: StartPeer, raw: OpenRaw) -> None:
    """A copy on its way has a slot and has paid from the bucket; before the first one the bucket is full."""
    gate = asyncio.Event()
    shadow = await peer(answer_when(gate))
    proxy.apply(mirrored(await peer(answer_ok), shadow, rate_bytes_per_s=1e-9, burst_bytes=1000))
    told = proxy.runtime.totals.endpoint("churn")
    proxy.mirror.measure()
    assert (told.mirror_in_flight, told.mirror_bucket_bytes) == (0, 1000)
    client = await raw()
    await client.send(post(b"x" * 600))
    await client.answer()
    await shadow.requests(1)
    proxy.mirror.measure()
    assert (told.mirror_in_flight, told.mirror_bucket_bytes) == (1, pytest.approx(400))
    gate.set()
    await proxy.settled()
    proxy.mirror.measure()
    assert (told.mirror_in_flight, told.mirror_bucket_bytes) == (0, pytest.approx(400))

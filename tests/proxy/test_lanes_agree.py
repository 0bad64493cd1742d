"""Any request, well-formed or mutilated, has the same fate on both lanes: upstream view, answer and record."""

import asyncio
import contextlib
import itertools
import os
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from router.core.wire import ProxyLimits
from tests.proxy.conftest import KEY, PATH, Proxy, deployment, endpoint, serving
from tests.proxy.peers import Conversation, Peer, running

#: Nothing outlives this, so that every connection ends by itself and the whole of its answer can be read.
PATIENCE_S = 0.06

ANSWERS = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\nX-A: 1\r\nset-cookie: a=1\r\nSet-Cookie: b=2\r\n\r\n" + b'{"y": 1}',
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nDate: then\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500 Oh\r\nContent-Length: 4\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\nboom",
    b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: x\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX-Teal-Generation: 9\r\n\r\nuntil the end",
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\nshort",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more than that",
    b"nonsense\r\n\r\n",
    b"",
)
WHOLE = (0, 1, 3, 4, 6)  # after these the connection goes on


async def answer_as_told(conversation: Conversation) -> None:
    """Answer with what the field `X-Answer` numbers, and close unless that was whole."""
    while True:
        seen = await conversation.request()
        number = int((seen.values("x-answer") or [b"0"])[0]) % len(ANSWERS)
        await conversation.send(ANSWERS[number])
        if number not in WHOLE:
            return


NAMES = st.sampled_from(
    (
        *(
            "Accept",
            "Accept-Encoding",
            "Authorization",
            "Connection",
            "Content-Length",
            "Content-Type",
            "Cookie",
            "ETag",
        ),
        *("Expect", "Forwarded", "Host", "Keep-Alive", "TE", "Trailer", "Transfer-Encoding", "Upgrade", "User-Agent"),
        *("Via", "X-Api-Key", "X-Custom", "X-Forwarded-For", "X-Forwarded-Host", "X-Request-Id", "X-Teal-Generation"),
        *("X-Teal-Mirror", "x-ms-client-request-id", "azureml-model-deployment", "Max-Forwards"),
    )
)
VALUES = st.one_of(
    st.sampled_from(
        (
            *(
                "",
                "1",
                "a, b",
                "close",
                "keep-alive",
                "Keep-Alive",
                "X-Custom",
                "chunked",
                "gzip",
                "100-continue",
                "h2c",
            ),
            *(
                "green",
                "BLUE",
                "none",
                "churn.example",
                "trailing ",
                "\ttab",
                "my id!",
                "*/*",
                "Bearer wrong",
                "0",
                "2",
            ),
            *("\xe9", "\x00", "\x7f", "%s", '"quoted"'),
        )
    ),
    st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=20),
)
SPELLINGS = st.sampled_from([str, str.lower, str.upper, str.title])
BODIES = st.one_of(st.binary(max_size=40), st.integers(0, 3_000).map(lambda size: b"x" * size))


#: Names that leave a request plain.
HARMLESS = st.sampled_from(
    (
        *("Accept", "Accept-Encoding", "Cookie", "Forwarded", "Keep-Alive", "Via", "X-Api-Key", "X-Custom", "X-Custom"),
        *("X-Forwarded-For", "X-Request-Id", "X-Teal-Generation", "X-Teal-Mirror", "User-Agent"),
        *("x-ms-client-request-id", "azureml-model-deployment", "Connection"),
    )
)


@st.composite
def plain_requests(draw: st.DrawFn) -> bytes:
    """A request that the fast lane takes, but for what its values may say."""
    target = draw(st.sampled_from([PATH, PATH, "/score", "/api/v1/endpoint/Churn/score"]))
    key = draw(st.sampled_from([KEY] * 9 + ["wrong"]))
    fields = [("Host", "churn.example"), ("Authorization", f"Bearer {key}"), ("Content-Type", "application/json")]
    fields += draw(st.lists(st.tuples(HARMLESS, VALUES), max_size=2))
    fields.append(("X-Answer", str(draw(st.integers(0, len(ANSWERS) - 1)))))
    body = draw(BODIES)
    fields.append(("Content-Length", str(len(body))))
    lines = [f"{draw(SPELLINGS)(name)}: {value}" for name, value in draw(st.permutations(fields))]
    return "\r\n".join([f"POST {target} HTTP/1.1", *lines]).encode("latin-1", "replace") + b"\r\n\r\n" + body


@st.composite
def odd_requests(draw: st.DrawFn) -> bytes:
    """A request with anything that HTTP/1.1 allows, and some that it does not."""
    method = draw(st.sampled_from(["POST"] * 8 + ["GET", "PUT", "HEAD"]))
    targets = [PATH] * 6 + [PATH + "?q=%20", "/score", "/api/v1/endpoint/CHURN/score", "/nothing", PATH + "/", "*"]
    target = draw(st.sampled_from(targets))
    version = draw(st.sampled_from(["HTTP/1.1"] * 9 + ["HTTP/1.0"]))
    key = draw(st.sampled_from([KEY] * 9 + ["wrong"]))
    fields = [("Host", "churn.example"), ("Authorization", f"Bearer {key}"), ("Content-Type", "application/json")]
    fields += draw(st.lists(st.tuples(NAMES, VALUES), max_size=3))
    fields.append(("X-Answer", str(draw(st.integers(0, len(ANSWERS) - 1)))))
    body = draw(BODIES)
    framing = draw(st.sampled_from(["length"] * 8 + ["chunked", "none", "long"]))
    if framing in {"length", "long"}:
        fields.append(("Content-Length", str(len(body) + (framing == "long"))))
    elif framing == "chunked":
        fields.append(("Transfer-Encoding", "chunked"))
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
    else:
        body = b""
    lines = [f"{draw(SPELLINGS)(name)}: {value}" for name, value in draw(st.permutations(fields))]
    return "\r\n".join([f"{method} {target} {version}", *lines]).encode("latin-1", "replace") + b"\r\n\r\n" + body


requests = st.one_of(plain_requests(), plain_requests(), plain_requests(), odd_requests())


@st.composite
def mutilated(draw: st.DrawFn) -> bytes:
    """A request of which bytes near its beginning were removed, added or exchanged."""
    raw = bytearray(draw(requests))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, min(len(raw), 400)))
        piece = draw(
            st.sampled_from([b"", b"\r", b"\n", b"\r\n", b" ", b"\t", b":", b"\0", b"\xff", b"\r\n ", b"x", b"0"])
        )
        raw[at : at + draw(st.integers(0, 3))] = piece
    return bytes(raw)


@dataclass(repr=False)
class Lane:
    """A proxy on one lane, and an instance of its own."""

    proxy: Proxy
    peer: Peer
    lines: list[dict[str, Any]]

    async def fate(self, pieces: list[bytes]) -> dict[str, Any]:
        """What became of what these pieces say: seen by the instance, by the client, and by the log."""
        self.peer.seen.clear()
        for _, instance in self.proxy.runtime.ejected():
            instance.check_passed()  # what it did in another example does not count
            instance.answered()
        reader, writer = await asyncio.open_connection("127.0.0.1", self.proxy.port)
        reading = asyncio.create_task(_read(reader), name="read")
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
        answer = await reading
        writer.close()
        while self.proxy.clients.open_now:  # noqa: ASYNC110
            await asyncio.sleep(0)
        await self.proxy.settled()
        return {"upstream": [_seen(one) for one in self.peer.seen], "answer": _same(answer), "log": self._logged()}

    def _logged(self) -> list[dict[str, Any]]:
        lines = self.proxy.access_log_so_far()
        new, self.lines = lines[len(self.lines) :], lines
        return [
            {name: line[name] for name in line if not name.endswith(("_ms", "request_id", "timestamp"))} for line in new
        ]


async def _read(reader: asyncio.StreamReader) -> bytes:
    """All that comes. After an answer to half a body, aiohttp waits long for the rest: we do not."""
    received = b""
    with contextlib.suppress(ConnectionError, TimeoutError):
        while part := await asyncio.wait_for(reader.read(65536), 1.0):
            received += part
    return received


def _seen(seen: Any) -> tuple[bytes, bytes, bytes]:
    return seen.line, _same(b"\n".join(seen.fields)), seen.body


def _same(raw: bytes) -> bytes:
    """Without what differs between any two requests."""
    raw = re.sub(rb"(?i)(x-request-id: )[0-9a-f-]{36}", rb"\1ID", raw)
    raw = re.sub(rb"dur=[0-9.]+", b"dur=T", raw)
    return re.sub(rb"date: [A-Z][^\r\n]*GMT", b"date: D", raw)


@pytest.fixture
async def lanes(tmp_path: Path) -> AsyncIterator[list[Lane]]:
    """Both lanes, with the same table; what does not come in time is given up soon."""
    limits = ProxyLimits(head_timeout_s=PATIENCE_S, body_timeout_s=PATIENCE_S, keepalive_timeout_s=PATIENCE_S)
    async with AsyncExitStack() as stack:
        found = []
        for name in ("fast", "full"):
            proxy = await stack.enter_async_context(serving(tmp_path / f"{name}.log", has_fast_lane=name == "fast"))
            peer = await stack.enter_async_context(running(answer_as_told, tmp_path / f"{name}.sock"))
            found.append(Lane(proxy, peer, []))
            blue, green = (deployment(one, peer, max_concurrent=10) for one in ("blue", "green"))
            proxy.apply(endpoint(blue, green, max_body_bytes=2_500), limits=limits)
        sweeping = asyncio.create_task(_sweep(found), name="sweep")
        yield found
        sweeping.cancel()
        await asyncio.gather(sweeping, return_exceptions=True)


async def _sweep(lanes: list[Lane]) -> None:
    while True:
        await asyncio.sleep(PATIENCE_S / 3)
        for lane in lanes:
            lane.proxy.clients.sweep()


def cut_up(raw: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, *(cut % (len(raw) + 1) for cut in cuts), len(raw)})
    return [raw[a:b] for a, b in itertools.pairwise(places)]


async def fates(lanes: list[Lane], pieces: list[bytes]) -> list[dict[str, Any]]:
    """What becomes of it on either lane; a machine that was busy for longer than patience lasts gets another chance."""
    for _ in range(3):
        found = [await lane.fate(pieces) for lane in lanes]
        if found[0] == found[1]:
            break
    return found


checked = settings(
    max_examples=int(os.environ.get("TEAL_TEST_EXAMPLES", "100")),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@checked
@given(raw=requests, cuts=st.lists(st.integers(0, 50_000), max_size=2))
async def test_a_request_has_the_same_fate(lanes: list[Lane], raw: bytes, cuts: list[int]) -> None:
    """Whatever a well-formed request says, and however a network cuts it."""
    fast, full = await fates(lanes, cut_up(raw, cuts))
    assert fast == full


@checked
@given(raw=mutilated())
async def test_a_mutilated_request_has_the_same_fate(lanes: list[Lane], raw: bytes) -> None:
    """Refused by both in the same words, or taken by both for the same."""
    fast, full = await fates(lanes, [raw])
    assert fast == full


@checked
@given(first=requests, second=st.one_of(requests, mutilated()), apart=st.booleans())
async def test_requests_on_one_connection_have_the_same_fate(
    lanes: list[Lane], first: bytes, second: bytes, apart: bool
) -> None:
    """A request behind another, in the same read or while the other is being answered."""
    fast, full = await fates(lanes, [first, second] if apart else [first + second])
    assert fast == full

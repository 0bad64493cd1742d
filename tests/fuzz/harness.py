"""Bytes through a whole proxy in memory, on both lanes, with what must hold of whatever comes out.

An input is a byte of flags, as many bytes as the flags say for the places where a network cuts it, and then what a
client sends (`requests`), or what an instance answers (`answers`).
"""

import itertools
import json
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import h11

from router.core.auth import digest
from router.core.table import DeploymentSpec, EndpointSpec, InstanceSpec, TableSpec
from router.core.wire import Apply, ProxyLimits
from router.proxy.access_log import AccessLog
from router.proxy.clients import Clients
from router.proxy.mirror import Mirror
from router.proxy.runtime import Runtime
from tests.fuzz.memory import Answers, Conversation, Loop, Transport
from tests.fuzz.reference import Message, read_answer, read_requests

KEY = b"the-primary-key"
PATH = b"/api/v1/endpoint/churn/score"
_HEAD = b" HTTP/1.1\r\nHost: teal\r\nAuthorization: Bearer " + KEY + b"\r\n"
#: Asked for the answers that are fuzzed. The first two are the fast lane's.
ASKED = (
    b"POST " + PATH + _HEAD + b"Content-Length: 2\r\n\r\n{}",
    b"POST " + PATH + _HEAD + b"Content-Length: 2\r\nazureml-model-deployment: BLUE\r\n\r\n{}",
    b"HEAD " + PATH + _HEAD + b"\r\n",
    b"GET " + PATH + _HEAD + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
)
_TABLE = TableSpec(
    generation=1,
    endpoints=(
        EndpointSpec(
            name="churn",
            key_digests=(digest(KEY),),
            traffic=(("blue", 100.0),),
            model_errors="passthrough",
            deployments=(
                DeploymentSpec(
                    name="blue",
                    instances=(InstanceSpec(address="unix:/blue"),),
                    max_concurrent=10,
                    passes_paths=True,
                    upgrades=("websocket",),
                ),
            ),
        ),
    ),
)
#: Not passed on, or not as they came; and what `Connection` names.
_CHANGED = frozenset(
    (
        *(b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te"),
        *(b"trailer", b"transfer-encoding", b"upgrade", b"host", b"content-length", b"expect", b"forwarded", b"via"),
        *(b"x-request-id", b"x-ms-client-request-id", b"authorization", b"max-forwards"),
        *(b"x-teal-mirror",),
    )
)
_TOLD = [b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"]
_HOP_BY_HOP = frozenset((b"keep-alive", b"proxy-connection", b"proxy-authorization", b"te", b"trailer"))
#: About which no two parsers differ.
_PLAIN_ANSWER = re.compile(rb"HTTP/1\.1 [2-5][0-9][0-9] [ -~]*\r\n(?:[A-Za-z-]+: [!-~]([ -~]*[!-~])?\r\n)*\r\n")
_ODD_IN_CHUNKS = re.compile(rb"[^ -~\r\n]|;|(?<!\r)\n|\r(?!\n)")
_CHUNK = re.compile(rb"([0-9a-f]+)\r\n")
_OF_THE_ROUTER = re.compile(rb"(?i)(?<=\r\n)(x-request-id: [0-9a-f-]{36}|date: [^\r]*GMT|server-timing: [^\r]*)\r\n")


class Lines:
    """Takes the access log."""

    dropped = 0

    def __init__(self) -> None:
        self.lines: list[dict[str, object]] = []

    def write_lines(self, lines: Sequence[bytes]) -> None:
        self.lines += map(json.loads, lines)


class _Errors(logging.Handler):
    """Keeps what is logged as an error by whoever caught one."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(self.format(record))


_errors = _Errors()


@dataclass
class Fate:
    """What became of an input on one lane."""

    client: bytes = b""
    instance: list[bytes] = field(default_factory=list)  # by connection
    log: list[dict[str, object]] = field(default_factory=list)


@contextmanager
def in_memory() -> Iterator[Loop]:
    """A loop for any number of inputs."""
    logger = logging.getLogger("aiohttp.server")
    logger.addHandler(_errors)
    loop = Loop()
    try:
        yield loop
    finally:
        loop.close()
        logger.removeHandler(_errors)


def run_requests(loop: Loop, data: bytes) -> None:
    """Check what becomes of a client's bytes; the instance answers 200 to whatever h11 finds to be a request.

    Raises:
        AssertionError: something does not hold.
    """
    pieces = cut(data)
    fast, full = (_fate(loop, pieces, _answer_well, has_fast_lane=has) for has in (True, False))
    _agree(fast, full)
    sent = [message for raw in fast.instance for message in _well_formed(raw)]
    _check_forwarded(sent, b"".join(pieces))
    _check_head_request(b"".join(pieces), fast.client)


def run_answers(loop: Loop, data: bytes) -> None:
    """Check what becomes of an instance's bytes, after one of four requests.

    Raises:
        AssertionError: something does not hold.
    """
    asked = ASKED[data[0] >> 2 & 3] if data else ASKED[0]
    pieces = cut(data)

    def answer(conversation: Conversation, received: bytes) -> None:
        if bytes(conversation.received).endswith((b"\r\n\r\n", b"\r\n\r\n{}")) and received:
            for piece in pieces:
                conversation.send(piece)
        conversation.end()

    fast, full = (_fate(loop, [asked], answer, has_fast_lane=has) for has in (True, False))
    _agree(fast, full)
    assert len(fast.instance) == 1, "asked more than once"
    assert len(_well_formed(fast.instance[0])) == 1
    _check_answer(b"".join(pieces), asked, fast.client)


def cut(data: bytes) -> list[bytes]:
    """The pieces in which an input comes."""
    number = data[0] & 3 if data else 0
    places, raw = data[1 : 1 + number], data[1 + number :]
    ends = sorted({0, *(place * len(raw) // 256 for place in places), len(raw)})
    return [raw[a:b] for a, b in itertools.pairwise(ends)]


def _fate(loop: Loop, pieces: list[bytes], answers: Answers, *, has_fast_lane: bool) -> Fate:
    return loop.run_until_complete(_pass(loop, pieces, answers, has_fast_lane))


async def _pass(loop: Loop, pieces: list[bytes], answers: Answers, has_fast_lane: bool) -> Fate:
    lines = Lines()
    runtime = Runtime(AccessLog(lines, "json"))  # type: ignore[arg-type]
    runtime.apply(Apply(table=_TABLE, limits=ProxyLimits()))
    clients = Clients(runtime, Mirror(runtime), has_fast_lane=has_fast_lane)
    loop.answers, loop.conversations, loop.failures = answers, [], []
    _errors.found.clear()
    client = Transport(loop, lambda _: None)
    clients.admission.admit("127.0.0.1", most=1, most_here=1, most_of_one=1)
    connection = clients.expect("127.0.0.1")
    client.set_protocol(connection)  # type: ignore[arg-type]
    connection.connection_made(client)
    for piece in pieces:
        client.receive(piece)
        await loop.settle()
    client.receive_eof()
    await loop.settle()
    assert client.is_closing(), "the connection stays open after its client's end"
    await _check_all_over(loop, runtime, clients)
    runtime.access_log.flush()
    return Fate(bytes(client.written), [bytes(one.received) for one in loop.conversations], lines.lines)


async def _check_all_over(loop: Loop, runtime: Runtime, clients: Clients) -> None:
    runtime.pool.close()
    await loop.settle()
    deployment = runtime.deployment("churn", _TABLE.endpoints[0].deployments[0])
    assert clients.open_now == 0
    assert (deployment.pending, deployment.queued, deployment.upgraded) == (0, 0, 0)
    assert [instance.in_flight for instance in deployment.instances] == [0]
    assert all(one.transport.is_closing() for one in loop.conversations), "a connection to the instance is left"
    assert not runtime.tunnels
    assert loop.failures == []
    assert _errors.found == []


def _answer_well(conversation: Conversation, _: bytes) -> None:
    """Answer every request that has come whole and has no answer yet."""
    found = read_requests(bytes(conversation.received)).messages
    for message in found[conversation.answered :]:
        conversation.answered += 1
        body = b"" if message.start[0] == b"HEAD" else b"ok"
        conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + body)
    if conversation.transport.is_closing():
        conversation.end()


# What must hold


def _agree(fast: Fate, full: Fate) -> None:
    assert _comparable(fast.client) == _comparable(full.client), "the lanes answer differently"
    assert [_OF_THE_ROUTER.sub(b"", raw) for raw in fast.instance] == [
        _OF_THE_ROUTER.sub(b"", raw) for raw in full.instance
    ], "the lanes forward differently"
    for fate in (fast, full):
        assert b"x-teal-reason: internal_error" not in fate.client


def _comparable(raw: bytes) -> bytes:
    """An answer without what differs between any two; chunks are joined, since a lane may send them as it likes."""
    raw = _OF_THE_ROUTER.sub(b"", raw)
    head, end, rest = raw.partition(b"\r\n\r\n")
    if not head.endswith(b"transfer-encoding: chunked"):
        return raw
    body = b""
    while (chunk := _CHUNK.match(rest)) and len(rest) >= chunk.end() + int(chunk[1], 16) + 2:
        size = int(chunk[1], 16)
        body += rest[chunk.end() :][:size]
        rest = rest[chunk.end() + size + 2 :]
    return head + end + body + b"|" + rest


def _well_formed(raw: bytes) -> list[Message]:
    """The requests that an instance got on one connection, all of them whole."""
    reading = read_requests(raw)
    assert reading.is_clean, f"sent upstream: {raw!r}"
    assert not reading.rest, f"sent upstream: {reading.rest!r}"
    for message in reading.messages:
        framings = message.values(b"content-length") + message.values(b"transfer-encoding")
        assert len(framings) <= 1, f"two framings: {message}"
        assert not {name for name, _ in message.fields} & _HOP_BY_HOP, f"of another hop: {message}"
        assert [name for name, _ in message.fields if _tells_of_client(name)] == _TOLD, f"a client's word: {message}"
        assert message.values(b"connection") == [b"Upgrade"] * len(message.values(b"upgrade"))
    return reading.messages


def _check_forwarded(sent: list[Message], raw: bytes) -> None:
    """What an instance got is what the client sent, in that order, none twice and none that is not there."""
    reading = read_requests(raw)
    if not reading.is_clean:
        return  # the router bears some that h11 does not, such as empty lines before a request
    due = iter(reading.messages)
    for message in sent:
        assert any(_is_same(message, other) for other in due), f"never sent: {message}"
        if message.values(b"upgrade"):
            assert message is sent[-1], "a request behind a switch"
            assert raw.endswith(b"\r\n\r\n"), "bytes behind a switch"


def _check_head_request(raw: bytes, got: bytes) -> None:
    """What follows the head of an answer to HEAD is another answer, well-formed or not as the request may be."""
    if raw.lstrip(b"\r\n").startswith(b"HEAD "):
        rest = got.partition(b"\r\n\r\n")[2]
        assert not rest or rest.startswith(b"HTTP/1.1 "), f"a body for HEAD: {got!r}"


def _is_same(sent: Message, received: Message) -> bool:
    named = {name.strip().lower() for value in received.values(b"connection") for name in value.split(b",")}
    changed = _CHANGED | named

    def kept(message: Message) -> list[tuple[bytes, bytes]]:
        return [(name, value) for name, value in message.fields if not (name in changed or _is_the_routers(name))]

    return (
        sent.start[0] == received.start[0]
        and sent.start[1].partition(b"?")[2] == received.start[1].partition(b"?")[2]
        and sent.body == received.body
        and kept(sent) == kept(received)
    )


def _is_the_routers(name: bytes) -> bool:
    alias = name.replace(b"_", b"-")
    is_alias = alias != name and (alias in _CHANGED or alias == b"azureml-model-deployment")
    return alias.startswith(b"x-teal-") or is_alias or _tells_of_client(name)


def _tells_of_client(name: bytes) -> bool:
    """Whether a field says whom a request came from, if only to programs that read `_` as `-`."""
    name = name.replace(b"_", b"-")
    return name.startswith(b"x-forwarded") or name in (b"forwarded", b"x-real-ip")


def _check_answer(raw: bytes, asked: bytes, got: bytes) -> None:
    """The client gets one answer: the instance's if that is well-formed, otherwise the router's or one cut short."""
    request = h11.Request(method=asked.split()[0], target=PATH, headers=[("Host", "teal"), *_offer(asked)])
    said = read_answer(raw, request, has_ended=True)
    heard = read_answer(got, request, has_ended=True)
    if heard.messages:
        [answer] = heard.messages
        if answer.values(b"x-teal-reason"):
            assert answer.start == (b"424",)
            assert not (said.messages and _is_plain(raw)), f"a good answer was refused: {raw!r}"
        elif said.messages:
            [original] = said.messages
            assert (answer.start, answer.body) == (original.start, original.body)
        if answer.start != (b"101",):
            assert heard.rest == b"", f"more than one answer: {got!r}"
        elif said.messages:
            assert heard.rest == said.rest
    else:
        assert not (said.messages and _is_plain(raw)), f"a good answer was not passed on: {raw!r} -> {got!r}"


def _is_plain(raw: bytes) -> bool:
    found = _PLAIN_ANSWER.match(raw)
    if found is None:
        return False
    head = found[0].lower()
    is_chunked = b"transfer-encoding:" in head
    return head.count(b"content-length:") + is_chunked <= 1 and not (is_chunked and _ODD_IN_CHUNKS.search(raw))


def _offer(asked: bytes) -> list[tuple[str, str]]:
    return [("Connection", "Upgrade"), ("Upgrade", "websocket")] if b"Upgrade" in asked else []

"""One line for every request, whatever became of it, and no credential in any."""

import os

import msgspec
import pytest

from router.core.record import RequestRecord
from router.core.wire import ProxyLimits
from router.line_writer import LineWriter
from router.proxy.access_log import AccessLog
from tests.proxy.conftest import KEY, PATH, Proxy, deployment, endpoint, post
from tests.proxy.peers import Conversation, answer_ok

FIELDS = {
    "event",
    "timestamp",
    "method",
    "path",
    "endpoint_name",
    "deployment_name",
    "route",
    "protocol",
    "response_code",
    "response_code_reason",
    "model_status_code",
    "model_status_reason",
    "request_payload_size",
    "response_payload_size",
    "user_agent",
    "x_request_id",
    "x_ms_client_request_id",
    "total_duration_ms",
    "request_duration_ms",
    "response_duration_ms",
    "request_throttling_delay_ms",
    "response_throttling_delay_ms",
    "generation",
}


async def test_a_request_is_one_line(proxy: Proxy, peer, raw) -> None:
    """Azure's fields in snake_case, with what was asked, who answered and how."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))))
    one = await raw()
    await one.send(post(b"[1,2]", "User-Agent: " + "curl" * 30, "x-ms-client-request-id: my id", path=PATH + "?q=1"))
    _, head, _ = await one.answer()
    await proxy.settled()
    [line] = proxy.access_log()
    assert line.keys() == FIELDS
    assert line["x_request_id"].encode() in head
    assert line["user_agent"] == ("curl" * 30)[:70]
    shown = {name: line[name] for name in FIELDS if not name.endswith("_ms")}
    assert shown | {"timestamp": "", "x_request_id": "", "user_agent": ""} == {
        "event": "request.done",
        "timestamp": "",
        "method": "POST",
        "path": PATH,
        "endpoint_name": "churn",
        "deployment_name": "blue",
        "route": "live",
        "protocol": "HTTP/1.1",
        "response_code": 200,
        "response_code_reason": "",
        "model_status_code": 200,
        "model_status_reason": "",
        "request_payload_size": 5,
        "response_payload_size": 8,
        "user_agent": "",
        "x_request_id": "",
        "x_ms_client_request_id": "myid",
        "generation": 1,
    }


async def test_durations_are_parts_of_the_whole(proxy: Proxy, peer, client) -> None:
    """Milliseconds, none negative, none longer than the whole."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))))
    async with client.post(proxy.url, data=b"{}") as answer:
        await answer.read()
    await proxy.settled()
    [line] = proxy.access_log()
    assert 0 <= line["request_duration_ms"] <= line["total_duration_ms"]
    assert 0 <= line["response_duration_ms"] <= line["total_duration_ms"]
    assert (line["request_throttling_delay_ms"], line["response_throttling_delay_ms"]) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("request_bytes", "expected"),
    [
        (post(key="wrong"), ("churn", "", 401, "key_auth_access_denied", 0)),
        (post(path="/api/v1/endpoint/nothing/score"), ("", "", 404, "endpoint_not_found", 0)),
        (post(b"{}", "azureml-model-deployment: x"), ("churn", "", 404, "deployment_not_found", 0)),
        (post(b"", "Content-Length: 5000"), ("churn", "blue", 413, "body_too_large", 0)),
        (post(b"{}", "X-Long: " + "x" * 40_000), ("", "", 431, "head_too_large", 0)),
        (b"nonsense\r\n\r\n", ("", "", 400, "bad_request", 0)),
    ],
    ids=["401", "404 endpoint", "404 deployment", "413", "431", "400"],
)
async def test_a_refused_request_is_a_line_too(proxy: Proxy, peer, raw, request_bytes: bytes, expected) -> None:
    """With the reason, and with no name that only the client knows."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok)), max_body_bytes=1000))
    one = await raw()
    await one.send(request_bytes)
    await one.answer()
    await one.close()
    await proxy.settled()
    [line] = proxy.access_log()
    assert (
        line["endpoint_name"],
        line["deployment_name"],
        line["response_code"],
        line["response_code_reason"],
        line["model_status_code"],
    ) == expected


async def test_a_model_error_names_both_statuses(proxy: Proxy, peer, client) -> None:
    """What the client got, and what the model said."""

    async def fails(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.answer(b"boom", "500 Oh")

    proxy.apply(endpoint(deployment("blue", await peer(fails))))
    async with client.post(proxy.url, data=b"{}", headers={"azureml-model-deployment": "BLUE"}) as answer:
        await answer.read()
    await proxy.settled()
    [line] = proxy.access_log()
    assert (line["response_code"], line["model_status_code"], line["model_status_reason"]) == (424, 500, "model_error")
    assert (line["route"], line["deployment_name"]) == ("pinned", "blue")


async def test_every_request_of_a_connection_has_its_line(proxy: Proxy, peer, raw) -> None:
    """As many lines as requests, each with an id of its own."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))))
    one = await raw()
    await one.send(post() * 10)
    for _ in range(10):
        await one.answer()
    await proxy.settled()
    assert len({line["x_request_id"] for line in proxy.access_log()}) == 10


async def test_no_credential_is_logged(proxy: Proxy, peer, raw, tmp_path) -> None:
    """Neither key nor query nor cookie nor body, of accepted and of refused requests."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))))
    one = await raw()
    secrets = ("Cookie: s3cret", "X-Api-Key: s3cret", "Proxy-Authorization: Basic s3cret")
    for key in (KEY, "s3cret"):
        await one.send(post(b"s3cret", *secrets, key=key, path=PATH + "?sig=s3cret"))
        await one.answer()
    await one.send(post(b"s3cret", path=f"http://s3cret:{KEY}@churn.x/score"))
    await one.answer()
    await one.send(post(b"s3cret", *secrets, "Broken Field: s3cret", path=PATH + "?sig=s3cret"))
    await one.answer()
    await proxy.settled()
    assert len(proxy.access_log()) == 4
    logged = (tmp_path / "access.log").read_text()
    assert "s3cret" not in logged
    assert KEY not in logged


@pytest.mark.parametrize("agent", ['a"b\\c', "caf\xe9 \xff", "x\ty"])
async def test_a_line_stays_a_line_whatever_the_client_says(proxy: Proxy, peer, raw, agent: str) -> None:
    """Client text is escaped as JSON has it."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))))
    one = await raw()
    await one.send(post(b"{}", "User-Agent: " + agent))
    await one.answer()
    await proxy.settled()
    assert [line["user_agent"] for line in proxy.access_log()] == [agent]


async def test_the_log_can_be_turned_off(proxy: Proxy, peer, client) -> None:
    """With the log off requests are counted and not logged."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))), limits=ProxyLimits(access_log=False))
    async with client.post(proxy.url, data=b"{}") as answer:
        await answer.read()
    await proxy.settled()
    assert proxy.access_log() == []
    assert proxy.stats().live == {200: 1}


async def test_a_line_is_never_longer_than_what_a_pipe_takes_whole(proxy: Proxy, peer, raw, tmp_path) -> None:
    """The path is shortened, and says how long it was; what follows in the line is all there."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))))
    one = await raw()
    path = "/api/v1/endpoint/nothing/" + "x" * 20_000
    await one.send(post(b"{}", path=path))
    await one.answer()
    await proxy.settled()
    [line] = proxy.access_log()
    assert len((tmp_path / "access.log").read_bytes()) == 4096
    kept, _, mark = line["path"].partition("...")
    assert (path.startswith(kept), len(kept) > 3_000, mark) == (True, True, " (20025 characters)")
    assert (line.keys(), line["response_code_reason"]) == (FIELDS, "endpoint_not_found")


def lines_of(record: RequestRecord, style: str) -> bytes:
    """What is written for one request."""
    reader, fd = os.pipe()
    writer = LineWriter(fd)
    log = AccessLog(writer, style)  # type: ignore[arg-type]
    log.write(record, 1.0)
    log.flush()
    writer.close(5)
    os.close(fd)
    with os.fdopen(reader, "rb") as file:
        return file.read()


@pytest.mark.parametrize("style", ["json", "console"])
@pytest.mark.parametrize("character", ["x", '"', "\\", "\xe9", "\x00", "\x7f", "x\xe9"])
@pytest.mark.parametrize("method", ["POST", "P" * 5_000])
async def test_a_shortened_line_is_whole(style: str, character: str, method: str) -> None:
    """Whatever its path is made of: it fits, is text, ends once, and is not empty of what was asked for."""
    path = "/" + character * (30_000 // len(character))
    record = RequestRecord(generation=7, began=0.0, request_id="id", method=method, path=path, user_agent="\x01" * 99)
    line = lines_of(record, style)
    assert (len(line) <= 4096, line.count(b"\n"), line[-1:]) == (True, 1, b"\n")
    assert f"... ({len(path)} characters)" in line.decode()
    assert (msgspec.json.decode(line)["path"] if style == "json" else line.decode().split()[2]).startswith("/")


@pytest.mark.parametrize("style", ["json", "console"])
async def test_a_line_that_fits_is_not_shortened(style: str) -> None:
    """To the last byte."""
    record = RequestRecord(generation=7, began=0.0, request_id="id", path="")
    room = 4096 - len(lines_of(record, style))
    fits = lines_of(msgspec.structs.replace(record, path="x" * room), style)
    cut = lines_of(msgspec.structs.replace(record, path="x" * (room + 1)), style)
    assert (len(fits), b"x" * room in fits, len(cut), b"... (" in cut) == (4096, True, 4096, True)

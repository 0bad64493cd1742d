"""Credentials go no further than the check: not to logs, metrics, status, workers or copies."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from pathlib import Path

import aiohttp
import psutil

from router.core.auth import issue_token
from tests.e2e.conftest import Teal
from tests.e2e.project import Project, Upstream, until

PRINTS_ALL_IT_GETS = """
def init():
    print("initialised")

def run(data, request_headers):
    print("got", data, request_headers, flush=True)
    if "raise" in data:
        raise ValueError(str(request_headers))
    return request_headers
"""
WRONG_KEY = "wrong-key-that-somebody-tried"
BASIC = "dXNlcjpwYXNzd29yZA=="
COOKIE = "session-cookie-of-somebody"
ADMIN_TOKEN = "admin-token-that-is-nobody-elses"
PAGES = ("/metrics", "/status", "/readyz", "/", "/healthz", "/v1/events?lines=1000")
IN_ENVIRONMENT = "value-that-only-the-worker-gets"
IN_QUERY = "key-that-somebody-put-into-a-url"
IN_BAD_HEAD = "key-in-a-head-that-is-none"


def credentials(state_dir: Path) -> dict[str, tuple[str, str, bytes]]:
    """Both keys and the token secret of every endpoint."""
    with sqlite3.connect(state_dir / "state.db") as database:
        rows = database.execute("SELECT endpoint, primary_key, secondary_key, token_secret FROM credentials").fetchall()
    return {row[0]: row[1:] for row in rows}


async def send(
    url: str, headers: Mapping[str, str], body: bytes = b'{"a": 1}', *, in_chunks: bool = False
) -> tuple[int, str]:
    data = chunks(body) if in_chunks else body
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=data, headers={"Content-Type": "application/json", **headers}) as answer,
    ):
        return answer.status, f"{await answer.text()} {dict(answer.headers)}"


async def chunks(body: bytes) -> AsyncIterator[bytes]:
    """In a form that is the full lane's."""
    yield body


async def malformed(address: str, path: str = "/") -> str:
    """What is answered to a head with a credential in it that is not HTTP, and to one that is too long."""
    host, port = address.removeprefix("http://").split(":")
    answers = b""
    for field in (f"Authorization Bearer {IN_BAD_HEAD}", f"Authorization: Bearer {IN_BAD_HEAD}{'x' * 70_000}"):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"POST {path}?key={IN_QUERY} HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n".encode())
        with suppress(ConnectionError):  # what it has not read of a long head turns its close into a reset
            answers += await reader.read()
        writer.close()
    return answers.decode()


async def ask_admin(teal: Teal) -> list[int]:
    """Statuses of the admin address for its token, another one, and none."""
    url = f"{teal.events('daemon.started')[0]['admin']}/metrics"
    statuses = []
    async with aiohttp.ClientSession() as session:
        for headers in ({"Authorization": f"Bearer {ADMIN_TOKEN}"}, {"Authorization": f"Bearer {WRONG_KEY}"}, {}):
            async with session.get(url, headers=headers) as answer:
                statuses.append(answer.status)
    return statuses


def fill(project: Project, shadow: Upstream) -> None:
    """Endpoints with a key and with tokens, of which the first is copied; all is logged that can be."""
    project.deployments["blue"] = project.worker("blue", PRINTS_ALL_IT_GETS)
    project.deployments["blue"]["environment_variables"]["DATABASE_PASSWORD"] = IN_ENVIRONMENT
    project.deployments["green"] = {"upstreams": [shadow.address]}
    project.endpoint |= {"auth_mode": "key", "mirror_traffic": {"green": 50}}
    project.data["endpoints"]["tokens"] = project.endpoint | {"auth_mode": "aml_token", "mirror_traffic": {}}
    project.data["log"] = {"level": "debug"}
    token_file = project.folder / "admin-token"
    token_file.write_text(ADMIN_TOKEN)
    token_file.chmod(0o600)
    project.data["admin"] = {"http": "127.0.0.1:0", "token_file": "admin-token"}


def commands_and_environments(teal: Teal) -> str:
    """What `ps` and /proc show of the daemon and its children."""
    processes = [psutil.Process(teal.process.pid), *teal.children()]
    return "\n".join(f"{process.cmdline()} {process.environ()}" for process in processes)


async def text_of(teal: Teal, path: str) -> str:
    connector = aiohttp.UnixConnector(str(teal.state_dir / "run" / "admin.sock"))
    async with aiohttp.ClientSession(connector=connector) as session, session.get(f"http://teal{path}") as answer:
        return await answer.text()


async def test_no_credential_leaves_a_trace(serve, project: Project, upstreams: list[Upstream]) -> None:
    """Valid, wrong, expired and malformed ones; only the line of --try shows a key."""
    shadow = upstreams[0]
    body = project.folder / "body.json"
    body.write_text("{}")
    fill(project, shadow)
    teal = await serve(project.save(), "--try", str(body))
    curl = await teal.said("^curl ")
    primary, secondary, _ = credentials(teal.state_dir)["churn"]
    secret = credentials(teal.state_dir)["tokens"][2]
    token = issue_token("tokens", secret, now=time.time(), lifetime_s=100)
    expired = issue_token("tokens", secret, now=time.time() - 1000, lifetime_s=100)
    assert primary in curl

    keyed, tokened = await teal.url(), await teal.url("tokens")
    bearer = [{"Authorization": f"Bearer {each}"} for each in (primary, secondary, token, expired, WRONG_KEY)]
    headers = [*bearer, {"Authorization": f"Basic {BASIC}"}, {"Authorization": primary}, {"authorization": WRONG_KEY}]
    sent = [
        send(url, each | {"Cookie": f"s={COOKIE}"}, in_chunks=in_chunks)
        for url in (keyed, tokened)
        for each in headers
        for in_chunks in (False, True)
    ]
    sent.append(send(keyed, bearer[0] | {"Proxy-Authorization": f"Basic {BASIC}"}, b"raise"))
    sent.append(send(keyed + "/nowhere", bearer[0]))
    sent.append(send(f"{keyed}/nowhere?api_key={IN_QUERY}", bearer[0]))
    sent.append(send(f"{keyed}?api_key={IN_QUERY}", {}))
    sent.append(send(keyed.replace("churn", "nobody"), bearer[0]))
    answers = await asyncio.gather(*sent)
    assert [status for status, _ in answers].count(200) == 6
    assert await ask_admin(teal) == [200, 401, 401]
    assert {status for status, _ in answers} == {200, 401, 404, 424}

    refusals = await malformed(keyed.partition("/api")[0])
    refusals += await malformed(str(teal.events("daemon.started")[0]["admin"]), "/status")
    assert "bad_request" in refusals

    async def has_copy() -> bool:
        await send(keyed, bearer[0] | {"Cookie": f"s={COOKIE}"})
        return bool(shadow.heads)

    await until(has_copy)
    seen = {
        "answers": "\n".join(text for _, text in answers),
        "copies": "\n".join(shadow.heads),
        "processes": commands_and_environments(teal),
        "refusals": refusals,
    }
    seen |= {
        path: await text_of(teal, path)
        for path in ("/metrics", "/status", "/readyz", "/", "/healthz", "/v1/events?lines=1000")
    }
    assert await teal.stop() == 0
    seen["output"] = "\n".join(line for line in teal.lines if line != curl)
    seen |= {str(path): path.read_text() for path in (teal.state_dir / "logs").rglob("*") if path.is_file()}
    assert sum("got" in text for text in seen.values()) >= 1
    secrets = [primary, secondary, token, expired, WRONG_KEY, BASIC, ADMIN_TOKEN, secret.hex(), repr(secret)[2:-1]]
    assert [(where, each) for where, text in seen.items() for each in secrets if each in text] == []
    worker_only = {where for where, text in seen.items() if IN_ENVIRONMENT in text}
    assert worker_only == {"processes"}
    assert [(where, each) for where, text in seen.items() for each in (IN_QUERY, IN_BAD_HEAD) if each in text] == []
    assert COOKIE not in seen["copies"]
    assert COOKIE not in seen["output"]

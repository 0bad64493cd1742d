"""A whole daemon that serves HTTPS."""

import asyncio
import contextlib
import shutil
import signal
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import psutil
import pytest

from tests.certificates import Authority, Issued
from tests.e2e.cli import Cli
from tests.e2e.conftest import Teal
from tests.e2e.project import Project, Upstream, until

README = Path(__file__).resolve().parents[2] / "README.md"
EXPIRY = "teal_tls_certificate_not_after_timestamp_seconds"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


def save(folder: Path, issued: Issued) -> None:
    """Write a pair as certbot names it."""
    folder.mkdir(exist_ok=True)
    (folder / "fullchain.pem").write_bytes(issued.certificate)
    (folder / "privkey.pem").write_bytes(issued.key)


@pytest.fixture
def project(project: Project, upstreams: list[Upstream]) -> Project:
    """One whose files for TLS are in `live`, and whose model runs elsewhere."""
    project.endpoint["deployments"] = {"blue": {"upstreams": [upstreams[0].address]}}
    project.data["tls"] = {"certificate": "live/fullchain.pem", "key": "live/privkey.pem"}
    return project


class Client:
    """A client that keeps one connection, and has seen one certificate."""

    def __init__(self, authority: Authority) -> None:
        self._trust = authority.client()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def names(self, teal: Teal) -> list[str]:
        """Names of that certificate, after one more request that was answered with 200."""
        if self._streams is None:
            url = urlsplit(await teal.url())
            self._streams = await asyncio.open_connection(url.hostname, url.port, ssl=self._trust)
        reader, writer = self._streams
        writer.write(b"POST /score HTTP/1.1\r\nHost: teal\r\nContent-Length: 2\r\n\r\n{}")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        assert await reader.readexactly(2) == b"{}"
        return [name for _, name in writer.get_extra_info("peercert")["subjectAltName"]]

    async def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            with contextlib.suppress(ConnectionError):
                await self._streams[1].wait_closed()


@pytest.fixture
async def client(authority: Authority):  # type: ignore[no-untyped-def]
    """Makes clients: `client()`."""
    made: list[Client] = []

    def make() -> Client:
        made.append(Client(authority))
        return made[-1]

    yield make
    for one in made:
        await one.close()


async def shakes_hands(teal: Teal, authority: Authority) -> bool:
    """Whether a new connection speaks TLS."""
    url = urlsplit(await teal.url())
    try:
        _, writer = await asyncio.open_connection(url.hostname, url.port, ssl=authority.client())
    except (ConnectionError, ssl.SSLError):
        return False
    writer.close()
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        await writer.wait_closed()
    return True


async def shakes_no_hands(teal: Teal, authority: Authority) -> bool:
    return not await shakes_hands(teal, authority)


async def tls_of(teal: Teal) -> Any:
    return (await teal.status())["tls"]


async def test_curl_is_served(serve, project: Project, authority: Authority, upstreams: list[Upstream]) -> None:
    """A client that is not Python; the instance learns of HTTPS, and plain text gets nothing."""
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed")
    save(project.folder / "live", authority.issue())
    (project.folder / "ca.pem").write_bytes(authority.certificate)
    teal = await serve(project.save())
    url = await teal.url()
    assert url.startswith("https://127.0.0.1:")

    async def run(*arguments: str) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            curl, "--silent", "--show-error", "--max-time", "30", "--data", "{}", *arguments,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        out, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode()

    trust = ("--cacert", str(project.folder / "ca.pem"))
    assert await run(*trust, "--write-out", " %{http_code}", url, url + "?full") == (0, "{} 200{} 200")
    assert "'X-Forwarded-Proto', b'https'" in upstreams[0].heads[-1]
    assert (await run(url))[0] == 60  # curl: the certificate is not known
    assert (await run(*trust, "--tls-max", "1.1", "--ciphers", "DEFAULT:@SECLEVEL=0", url))[0] == 35  # no handshake
    assert (await run(url.replace("https:", "http:")))[0] in {52, 56}  # closed without an answer
    assert await teal.stop() == 0


async def test_the_readmes_way_to_a_certificate_works(serve, project: Project) -> None:
    """Its command, run beside the file, makes a pair that is served and that a client can trust."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    command = README.read_text().split("<!-- tls -->\n```\n")[1].split("```")[0]
    await asyncio.to_thread(subprocess.run, ["sh", "-ec", command], cwd=project.folder, check=True, capture_output=True)
    project.data["tls"] = {"certificate": "tls/fullchain.pem", "key": "tls/privkey.pem"}
    teal = await serve(project.save())
    context = ssl.create_default_context(cafile=project.folder / "tls" / "fullchain.pem")
    for url in (await teal.url(), (await teal.url()).replace("127.0.0.1", "localhost")):
        async with aiohttp.ClientSession() as session, session.post(url, data=b"{}", ssl=context) as answer:
            assert answer.status == 200


def write(folder: Path, issued: Issued) -> None:
    """As openssl and copies do."""
    save(folder / "live", issued)


def swap_link(folder: Path, issued: Issued) -> None:
    """As Kubernetes mounts secrets: the files are links through `..data`, which is replaced."""
    new = folder / "live" / f"..{id(issued)}"
    save(new, issued)
    (folder / "live" / "..new").symlink_to(new.name)
    (folder / "live" / "..new").rename(folder / "live" / "..data")


def relink_each(folder: Path, issued: Issued) -> None:
    """As certbot does: each file is a link into an archive, and they are replaced one after the other."""
    archive = folder / f"archive-{id(issued)}"
    save(archive, issued)
    for name in ("fullchain.pem", "privkey.pem"):
        (folder / "live" / name).unlink()
        (folder / "live" / name).symlink_to(archive / name)


@pytest.mark.parametrize("renew", [write, swap_link, relink_each])
async def test_a_renewed_certificate_is_served_without_a_reload(
    serve, project: Project, authority: Authority, client, renew: Callable[[Path, Issued], None]
) -> None:
    """By both proxies, to connections from then on; those that are open stay open."""
    project.data["proxy"] = {"processes": 2}
    (project.folder / "live").mkdir()
    if renew is swap_link:
        for name in ("fullchain.pem", "privkey.pem"):
            (project.folder / "live" / name).symlink_to(f"..data/{name}")
    (write if renew is relink_each else renew)(project.folder, authority.issue("127.0.0.1", "first.example"))
    teal = await serve(project.save())
    open_clients = [client() for _ in range(8)]
    assert [await each.names(teal) for each in open_clients] == [["127.0.0.1", "first.example"]] * 8
    renewed = await teal.after(
        lambda: renew(project.folder, authority.issue("127.0.0.1", "second.example")), '"tls.loaded"'
    )
    assert renewed["certificate"].startswith("127.0.0.1, second.example until ")

    async def has_come() -> bool:
        return "second.example" in await client().names(teal)

    await until(has_come)
    assert [await each.names(teal) for each in open_clients] == [["127.0.0.1", "first.example"]] * 8
    assert (await tls_of(teal))["certificate"]["names"] == ["127.0.0.1", "second.example"]
    assert teal.events("tls.refused") == []


async def test_a_broken_renewal_keeps_the_certificate_and_is_shown(
    serve, project: Project, authority: Authority, client
) -> None:
    """In the log, the status and `teal check`; a change of the file is applied all the same; a reload tells at once."""
    save(project.folder / "live", authority.issue("127.0.0.1", "first.example"))
    teal = await serve(project.save())
    expiry = (await teal.metrics())[EXPIRY]
    key = project.folder / "live" / "privkey.pem"
    good = key.read_bytes()
    refused = await teal.after(
        lambda: (key.write_bytes(authority.issue().key), teal.signal(signal.SIGHUP)), '"tls.refused"'
    )
    assert refused["problem"].startswith(f"{key}: it does not belong to the certificate")
    assert (await tls_of(teal))["problem"] == refused["problem"]
    assert (await teal.metrics())[EXPIRY] == expiry
    assert await client().names(teal) == ["127.0.0.1", "first.example"]
    await teal.edit("auth_mode: none", "auth_mode: none\n    idempotent: true")
    await teal.reads_ready()
    cli = Cli(teal.state_dir, project.folder)
    checked = await cli("check", "teal.yaml")
    assert checked.code == 1
    assert f"tls.key: {refused['problem']}" in checked.err
    shown = await cli("status")
    assert "127.0.0.1, first.example; expires in" in " ".join(shown.out.split())
    assert "it does not belong to the certificate" in shown.out
    await teal.after(lambda: key.write_bytes(good), '"tls.repaired"')
    assert (await tls_of(teal))["problem"] == ""
    assert (await cli("check", "teal.yaml")).code == 0


async def test_tls_is_switched_on_by_a_save(serve, project: Project, authority: Authority, client) -> None:
    """Not with files that cannot be served: then the old config stays, in plain text; and off again."""
    tls = project.data.pop("tls")
    teal = await serve(project.save())
    assert (await teal.url()).startswith("http://")
    project.data["tls"] = tls
    refused = await teal.after(project.save, '"config.refused"')
    assert refused["problems"] == [
        f"{project.path}:{_line(project, 'certificate:')}: tls.certificate: "
        f"{project.folder}/live/fullchain.pem: No such file or directory"
    ]
    assert (await teal.url()).startswith("http://")
    assert (await teal.readyz())[0] == 200
    save(project.folder / "live", authority.issue())
    await teal.apply(lambda: teal.signal(signal.SIGHUP))
    await until(lambda: shakes_hands(teal, authority))  # the proxy is told a moment after the file is applied
    assert await client().names(teal) == ["localhost", "127.0.0.1"]
    del project.data["tls"]
    await teal.apply(project.save)
    assert (await teal.url()).startswith("http://")
    assert await tls_of(teal) is None
    await until(lambda: shakes_no_hands(teal, authority))
    async with aiohttp.ClientSession() as session, session.post(await teal.url(), data=b"{}") as answer:
        assert answer.status == 200


def _line(project: Project, text: str) -> int:
    return next(number for number, line in enumerate(project.text().splitlines(), start=1) if text in line)


async def test_a_start_without_a_certificate_waits_for_one(
    serve, project: Project, authority: Authority, client
) -> None:
    """The daemon runs, refuses clients and says why; once the files are there it serves."""
    teal = await serve(project.save())
    status, reasons = await teal.readyz()
    assert status == 503
    assert reasons.startswith(f"tls: clients are refused: {project.folder}/live/fullchain.pem: ")
    with pytest.raises(ConnectionError):
        await client().names(teal)
    await teal.counted('teal_connections_refused_total{reason="no_certificate"}', 1)
    await teal.after(lambda: save(project.folder / "live", authority.issue()), '"tls.loaded"')
    await teal.reads_ready()
    assert await client().names(teal) == ["localhost", "127.0.0.1"]


async def test_a_proxy_that_is_replaced_serves_the_certificate(
    serve, project: Project, authority: Authority, client
) -> None:
    """From its first connection on."""
    save(project.folder / "live", authority.issue())
    teal = await serve(project.save())
    before = (await teal.status())["proxies"][0]["pid"]
    psutil.Process(before).kill()

    async def is_replaced() -> bool:
        return (await teal.status())["proxies"][0]["pid"] not in {0, before}

    await until(is_replaced)
    assert await client().names(teal) == ["localhost", "127.0.0.1"]


async def test_the_command_line_scores_over_tls(serve, project: Project, authority: Authority) -> None:
    """It trusts the very certificate that the daemon says it serves, whatever names are in that."""
    save(project.folder / "live", authority.issue("churn.example"))
    (project.folder / "request.json").write_text("{}")
    project.endpoint["auth_mode"] = "key"
    teal = await serve(project.save())
    cli = Cli(teal.state_dir, project.folder)
    said = await cli.done("online-endpoint invoke --name churn --request-file request.json -o tsv")
    assert said.out == "{}\n"


async def test_the_key_is_nowhere_but_in_memory(serve, project: Project, authority: Authority, tmp_path: Path) -> None:
    """Not in the most talkative log, in what `ps` shows, in status and metrics, or below the state directory."""
    issued = authority.issue()
    save(project.folder / "live", issued)
    project.data["log"] = {"level": "debug"}
    teal = await serve(project.save())
    key = project.folder / "live" / "privkey.pem"
    await teal.after(lambda: (key.write_bytes(issued.key[:-60]), teal.signal(signal.SIGHUP)), '"tls.refused"')
    processes = [psutil.Process(teal.process.pid), *teal.children()]
    seen = [f"{process.cmdline()} {process.environ()}" for process in processes]
    seen += [str(await teal.status()), str(await teal.metrics())]
    assert await teal.stop() == 0
    seen += teal.lines
    seen += [path.read_text(errors="replace") for path in (tmp_path / "state").rglob("*") if path.is_file()]
    secrets = issued.key.decode().splitlines()[1:-1]
    assert [secret for secret in secrets for text in seen if secret in text] == []

"""The admin site answers those who may ask, on TCP and on its Unix socket."""

import asyncio
import json
import socket
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from router.control.admin import AdminAddresses, AdminAddressInUse, AdminError, AdminSite
from router.control.admin_socket import connect_to, socket_path
from router.control.api.routes import Route
from router.control.metrics import MetricsSource
from router.control.status_page import PAGE
from router.core.rules import HostPort
from router.core.stats import Totals
from router.core.table import TableSpec
from tests.control.a_status import STATUS

ANY_PORT = HostPort("127.0.0.1", 0)
#: That are read as this address by whoever reads them as a part of a URL.
NO_HOSTS = ("evil.example@127.0.0.1", "127.0.0.1#evil.example", "127.0.0.1/x", "[::1]x", "127.0.0.1:x", "[127.0.0.1")
MANY_FIELDS = "X: x\r\n" * 200

Start = Callable[..., Awaitable[AdminSite]]


class Daemon:
    """The other side of the site's callables."""

    def __init__(self) -> None:
        self.reasons: list[str] = []
        self.reloads = 0
        self.changes: list[str] = []

    def site(self, addresses: AdminAddresses) -> AdminSite:
        return AdminSite(
            addresses,
            status=lambda: STATUS,
            metrics=lambda: MetricsSource(version="0.1.0", table=TableSpec(generation=7), totals=Totals()),
            readiness=lambda: self.reasons,
            reload=self.reload,
            routes=[Route(method, "/v1/thing", self.change, "Changes it.") for method in ("POST", "PUT", "DELETE")],
        )

    async def change(self, request: web.Request) -> web.Response:
        self.changes.append(request.method)
        return web.Response()

    def reload(self) -> None:
        self.reloads += 1


@pytest.fixture
def daemon() -> Daemon:
    return Daemon()


@pytest.fixture
async def start(daemon: Daemon, tmp_path: Path) -> AsyncIterator[Start]:
    """Starts sites, and stops them after the test."""
    async with AsyncExitStack() as stack:

        async def run(
            http: HostPort | None = ANY_PORT, token_file: Path | None = None, path: Path | None = None
        ) -> AdminSite:
            addresses = AdminAddresses(socket=path or socket_path(tmp_path), http=http, token_file=token_file)
            site = daemon.site(addresses)
            await site.start()
            stack.push_async_callback(site.stop)
            return site

        yield run


async def get(site: AdminSite, path: str, **headers: str) -> tuple[int, str]:
    """Status and body of a GET on the TCP address."""
    async with aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{site.port}{path}"
        async with session.get(url, headers=headers) as response:
            return response.status, await response.text()


async def ask_locally(path: Path, method: str, target: str) -> tuple[int, str]:
    """Status and body of a request on the Unix socket."""
    connector = aiohttp.UnixConnector(str(path))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.request(method, f"http://teal{target}") as response,
    ):
        return response.status, await response.text()


async def test_health_is_ok(start: Start) -> None:
    """The process works."""
    assert await get(await start(), "/healthz") == (200, "ok\n")


async def test_ready_without_reasons(start: Start) -> None:
    """Nothing is in the way of traffic."""
    assert await get(await start(), "/readyz") == (200, "ready\n")


async def test_not_ready_with_reasons(start: Start, daemon: Daemon) -> None:
    """Each reason has a line."""
    daemon.reasons = ["churn/blue: no ready instance", "proxy-1: generation 6, expected 7"]
    expected = "churn/blue: no ready instance\nproxy-1: generation 6, expected 7\n"
    site = await start()
    assert await get(site, "/readyz") == (503, expected)


async def test_not_ready_has_a_reason_for_programs(start: Start, daemon: Daemon) -> None:
    """As every refusal has; it is not in the log, since probes ask all the time."""
    daemon.reasons = ["churn/blue: no ready instance"]
    site = await start()
    with capture_logs() as logs:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{site.port}/readyz") as response,
        ):
            assert (response.status, response.headers["x-teal-reason"]) == (503, "not_ready")
    assert [entry["event"] for entry in logs] == []


async def test_metrics_are_served(start: Start) -> None:
    """Prometheus scrapes it."""
    status, body = await get(await start(), "/metrics")
    assert status == 200
    assert "teal_config_generation 7.0\n" in body


async def test_status_is_json(start: Start) -> None:
    """Everything the daemon knows, for the page and for programs."""
    status, body = await get(await start(), "/status")
    assert status == 200
    assert json.loads(body)["unknown_endpoint"] == {"404": 2}


async def test_page_brings_all_it_needs(start: Start) -> None:
    """The page loads nothing from elsewhere."""
    status, body = await get(await start(), "/")
    assert (status, body) == (200, PAGE)
    assert "http://" not in body
    assert "https://" not in body


async def test_page_may_run_only_its_own_script(start: Start) -> None:
    """A name in the config cannot become code in the operator's browser."""
    site = await start()
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{site.port}/") as response:
        policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy


async def test_reload_is_not_on_tcp(start: Start, daemon: Daemon) -> None:
    """Only those who can open the socket's file change the daemon."""
    site = await start()
    async with aiohttp.ClientSession() as session, session.post(f"http://127.0.0.1:{site.port}/reload") as response:
        assert response.status == 404
    assert daemon.reloads == 0


async def test_reload_is_on_the_socket(start: Start, daemon: Daemon, tmp_path: Path) -> None:
    """A request for a reload is passed on."""
    await start()
    assert await ask_locally(socket_path(tmp_path), "POST", "/reload") == (202, "reload requested\n")
    assert daemon.reloads == 1


async def test_socket_serves_the_same_pages(start: Start, tmp_path: Path) -> None:
    """Without a TCP address everything is still to be had."""
    await start(http=None)
    assert await ask_locally(socket_path(tmp_path), "GET", "/healthz") == (200, "ok\n")
    assert (await ask_locally(socket_path(tmp_path), "GET", "/status"))[0] == 200


@pytest.mark.parametrize("host", ["localhost:8081", "127.0.0.1", "[::1]:8081", "127.0.0.9:1"])
async def test_loopback_names_are_answered(start: Start, host: str) -> None:
    """Whatever the operator calls this machine."""
    assert (await get(await start(), "/status", host=host))[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8081", "127.0.0.1.evil.example", "[", "", *NO_HOSTS])
async def test_rebound_names_are_refused(start: Start, host: str) -> None:
    """A web page whose name was made to resolve to loopback reads nothing."""
    assert (await get(await start(), "/status", host=host))[0] == 403


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "http://["])
async def test_pages_of_other_sites_are_refused(start: Start, origin: str) -> None:
    """A page from elsewhere reads nothing, even over the right name."""
    assert (await get(await start(), "/status", origin=origin))[0] == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_pages_of_other_sites_change_nothing(start: Start, daemon: Daemon, tmp_path: Path, method: str) -> None:
    """Not even with the token, which a browser might add; the same request without an Origin of elsewhere does."""
    (tmp_path / "token").write_text("s3cr3t")
    url = f"http://127.0.0.1:{(await start(token_file=tmp_path / 'token')).port}/v1/thing"
    token = {"authorization": "Bearer s3cr3t"}
    async with aiohttp.ClientSession() as session:
        async with session.request(method, url, headers=token | {"origin": "http://evil.example"}) as refused:
            assert (refused.status, refused.headers["x-teal-reason"]) == (403, "foreign_page")
        assert daemon.changes == []
        async with session.request(method, url, headers=token) as answer:
            assert answer.status == 200
    assert daemon.changes == [method]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_rebound_names_change_nothing(start: Start, daemon: Daemon, method: str) -> None:
    """A page whose name was made to resolve to loopback is refused before its method is looked at."""
    url = f"http://127.0.0.1:{(await start()).port}/v1/thing"
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, headers={"host": "evil.example"}) as refused,
    ):
        assert (refused.status, refused.headers["x-teal-reason"]) == (403, "foreign_page")
    assert daemon.changes == []


async def test_own_page_is_answered(start: Start) -> None:
    """The status page may fetch its data."""
    site = await start()
    assert (await get(site, "/status", origin=f"http://127.0.0.1:{site.port}"))[0] == 200


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("s3cr3t\n")
    path.chmod(0o600)
    return path


@pytest.mark.parametrize(("mode", "expected"), [(0o600, []), (0o640, []), (0o644, ["644"])])
async def test_a_token_that_all_can_read_is_warned_of(
    start: Start, token_file: Path, mode: int, expected: list[str]
) -> None:
    """The address is served all the same."""
    await asyncio.to_thread(token_file.chmod, mode)
    with capture_logs() as logged:
        await start(token_file=token_file)
    assert [line["mode"] for line in logged if line["event"] == "admin.token_exposed"] == expected


@pytest.mark.parametrize("path", ["/status", "/metrics", "/readyz"])
async def test_token_is_asked_for(start: Start, token_file: Path, path: str) -> None:
    """Without the token nothing is told."""
    site = await start(token_file=token_file)
    assert (await get(site, path))[0] == 401
    assert (await get(site, path, authorization="Bearer wrong"))[0] == 401
    assert (await get(site, path, authorization="Bearer s3cr3t"))[0] == 200


@pytest.mark.parametrize(
    ("path", "headers", "status", "reason"),
    [
        ("/status", {"host": "evil.example", "origin": "http://other.example"}, 403, "foreign_page"),
        ("/status", {}, 401, "key_auth_bad_header_forbidden"),
        ("/status", {"authorization": "Bearer wrong"}, 401, "key_auth_access_denied"),
        ("/nothing", {"authorization": "Bearer s3cr3t"}, 404, "not_found"),
    ],
)
async def test_a_refusal_says_why(
    start: Start, token_file: Path, path: str, headers: dict[str, str], status: int, reason: str
) -> None:
    """In the header that scoring traffic has it in, and in the log."""
    url = f"http://127.0.0.1:{(await start(token_file=token_file)).port}{path}"
    with capture_logs() as events:
        async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as response:
            assert response.headers["x-teal-reason"] == reason
    refused = {"event": "admin.refused", "log_level": "info", "method": "GET", "path": path}
    assert events == [{**refused, "status": status, "reason": reason}]


@pytest.mark.parametrize(
    ("head", "status", "reason", "text"),
    [
        (f"GET / HTTP/1.1\r\nHost: a\r\nX: {'x' * 8191}\r\n\r\n", 431, "head_too_large", "more than 8190 bytes"),
        (f"GET /{'x' * 8191} HTTP/1.1\r\nHost: a\r\n\r\n", 431, "head_too_large", "more than 8190 bytes"),
        (f"GET / HTTP/1.1\r\nHost: a\r\n{MANY_FIELDS}\r\n", 431, "head_too_large", "more than 128 fields"),
        ("GET / HTTP/1.1\r\nHost a\r\n\r\n", 400, "bad_request", "not well-formed"),
        ("GET http://a[b]@/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 400, "bad_request", "not well-formed"),
        ("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "bad_request", "not well-formed"),
    ],
    ids=["field", "target", "fields", "no field", "no address", "TLS"],
)
async def test_what_is_no_request_is_refused_in_one_line(
    start: Start, head: str, status: int, reason: str, text: str
) -> None:
    """In the form of any refusal, without a word of it in the log, or a traceback."""
    site = await start()
    with capture_logs() as events:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(head.encode("latin-1"))
        answer = (await reader.read()).decode()
        writer.close()
    assert answer.split()[1] == str(status)
    assert f"x-teal-reason: {reason}\r\n" in answer
    assert text in answer
    refused = {"event": "admin.refused", "log_level": "info", "method": "", "path": ""}
    assert events == [{**refused, "status": status, "reason": reason}]


async def test_a_flood_of_refused_callers_does_not_flood_the_log(start: Start, token_file: Path) -> None:
    """The first are logged one by one, the others by number; all are counted."""
    site = await start(token_file=token_file)
    url = f"http://127.0.0.1:{site.port}"
    with capture_logs() as events:
        async with aiohttp.ClientSession() as session:
            for path in ["/status"] * 22 + ["/metrics"] * 3:
                async with session.get(f"{url}{path}") as response:
                    assert response.status == 401
            async with session.get(f"{url}/nothing", headers={"authorization": "Bearer s3cr3t"}) as response:
                assert response.status == 404
            async with session.get(f"{url}/metrics", headers={"authorization": "Bearer s3cr3t"}) as response:
                metrics = await response.text()
        await site.stop()
    assert [event["event"] for event in events] == ["admin.refused"] * 20 + ["admin.refused_more"]
    assert events[-1] == {
        "event": "admin.refused_more",
        "log_level": "info",
        "number": 6,
        "reasons": {"key_auth_bad_header_forbidden": 5, "not_found": 1},
    }
    assert 'teal_admin_requests_refused_total{reason="key_auth_bad_header_forbidden"} 25.0\n' in metrics
    assert 'teal_admin_requests_refused_total{reason="not_found"} 1.0\n' in metrics
    assert 'teal_admin_callers_cut_total{reason="head_timeout"} 0.0\n' in metrics


@pytest.mark.parametrize("path", ["/", "/healthz"])
async def test_page_and_health_ask_for_no_token(start: Start, token_file: Path, path: str) -> None:
    """A browser opens the page, which then asks; a probe needs no secret."""
    assert (await get(await start(token_file=token_file), path))[0] == 200


async def test_token_holder_may_use_any_name(start: Start, token_file: Path) -> None:
    """Prometheus scrapes by a DNS name; the token shows that it is no web page."""
    site = await start(token_file=token_file)
    assert (await get(site, "/metrics", host="teal.example", authorization="Bearer s3cr3t"))[0] == 200


async def test_socket_asks_for_no_token(start: Start, token_file: Path, tmp_path: Path) -> None:
    """The mode of the file says who may."""
    await start(token_file=token_file)
    assert (await ask_locally(socket_path(tmp_path), "GET", "/status"))[0] == 200


@pytest.mark.parametrize(
    ("content", "expected"), [(None, "token: No such file or directory"), ("\n", "token is empty; write the token")]
)
async def test_missing_token_is_named(start: Start, tmp_path: Path, content: str | None, expected: str) -> None:
    """The site does not start open because its token is not there."""
    if content is not None:
        (tmp_path / "token").write_text(content)
    with pytest.raises(AdminError, match=expected):
        await start(token_file=tmp_path / "token")


async def test_taken_port_is_named(start: Start, daemon: Daemon, tmp_path: Path) -> None:
    """One sentence with the address, and nothing is left listening."""
    site = await start()
    second = tmp_path / "second.sock"
    with pytest.raises(AdminAddressInUse, match=rf"admin.http: 127.0.0.1:{site.port} is in use by another program"):
        await start(http=HostPort("127.0.0.1", site.port or 0), path=second)
    assert not second.exists()


async def test_address_of_another_machine_is_named(start: Start) -> None:
    """An address that this machine does not have is an error of its own."""
    with pytest.raises(AdminError, match=r"admin.http: 192.0.2.1:8081 cannot be listened on"):
        await start(http=HostPort("192.0.2.1", 8081))


async def test_socket_is_for_user_and_group(start: Start, tmp_path: Path) -> None:
    """Others on the machine cannot connect."""
    await start()
    assert stat.filemode(socket_path(tmp_path).stat().st_mode) == "srw-rw----"


async def test_socket_of_a_dead_daemon_is_replaced(start: Start, tmp_path: Path) -> None:
    """A crash leaves nothing to clean up by hand."""
    path = socket_path(tmp_path)
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    await start()
    assert await ask_locally(path, "GET", "/healthz") == (200, "ok\n")


async def test_socket_of_a_living_daemon_is_left_alone(start: Start, tmp_path: Path) -> None:
    """Two daemons never share a socket, and the first keeps it."""
    await start(http=None)
    with pytest.raises(AdminAddressInUse, match="a process listens on"):
        await start(http=None)
    assert await ask_locally(socket_path(tmp_path), "GET", "/healthz") == (200, "ok\n")


async def test_stopped_site_leaves_no_socket(start: Start, tmp_path: Path) -> None:
    """After a clean stop there is nothing to connect to."""
    site = await start()
    await site.stop()
    assert not socket_path(tmp_path).exists()


async def test_path_longer_than_a_socket_address_works(start: Start, tmp_path: Path) -> None:
    """A deep state directory is no reason to fail, for the daemon or for the command line."""
    path = socket_path(tmp_path / ("x" * 120))
    await start(http=None, path=path)
    connection = connect_to(path, timeout_s=5)
    connection.close()
    assert path.is_socket()


async def test_unwritable_place_for_the_socket_is_named(start: Start, tmp_path: Path) -> None:
    """What is wrong and where, instead of a traceback."""
    (tmp_path / "file").write_text("")
    with pytest.raises(AdminError, match=r"cannot make the admin socket .*file/run/admin.sock: Not a directory"):
        await start(path=tmp_path / "file" / "run" / "admin.sock")

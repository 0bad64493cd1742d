"""That every proxy under test does the same work; a server that is not installed is not asked."""

import contextlib
import http.client
import socket
import ssl
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
from harness import certificate, teal
from harness.servers import FIRST_KEY, KEY, SERVERS
from harness.systems import System, Work
from peers.upstream import ANSWER, ANSWER_BODY, request_end

needs_openssl = pytest.mark.skipif(not certificate.can_sign(), reason=certificate.INSTALL_HINT)
SERVER = [
    pytest.param(name, marks=pytest.mark.skipif(not server.is_installed, reason=f"{name} is not installed"))
    for name, server in SERVERS.items()
]


class Reply(NamedTuple):
    status: int
    body: bytes
    headers: dict[str, str]


class Recorder:
    """An upstream on a Unix socket that keeps what it was sent."""

    def __init__(self, path: Path) -> None:
        self.requests: list[bytes] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        request = b""
        with connection:
            while chunk := connection.recv(65536):
                request += chunk
                if 0 < request_end(request) <= len(request):
                    self.requests.append(request)
                    request = b""
                    connection.sendall(ANSWER)


@contextlib.contextmanager
def started(system: System) -> Iterator[System]:
    try:
        yield system.start(None)
    finally:
        system.stop()


def ask(system: System, *, key: str = KEY, path: str | None = None, pinned: str | None = None) -> Reply:
    url = urlsplit(system.target.url)
    if url.scheme == "https":
        tls = ssl.create_default_context()
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(url.netloc, context=tls)
    else:
        connection = http.client.HTTPConnection(url.netloc)
    headers = {"Authorization": f"Bearer {key}", "x-ms-client-request-id": "mine"}
    with contextlib.closing(connection):
        connection.request(
            "POST",
            path or url.path,
            body=b"{}",
            headers=headers | ({"azureml-model-deployment": pinned} if pinned else {}),
        )
        answer = connection.getresponse()
        return Reply(answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()})


@pytest.mark.parametrize("name", SERVER)
def test_server_does_what_teal_does(tmp_path: Path, name: str) -> None:
    """Two keys, a request id passed on, no key passed on, the answer's headers, a pinned deployment, about 90/10."""
    upstream = Recorder(tmp_path / "up.sock")
    with started(SERVERS[name].build(tmp_path / name, f"unix:{tmp_path / 'up.sock'}", Work())) as server:
        reply = ask(server)
        assert (reply.status, reply.body, reply.headers["x-ms-client-request-id"]) == (200, ANSWER_BODY, "mine")
        sent = upstream.requests[-1].lower()
        assert sent.startswith(b"post /score http/1.1\r\n")
        assert f"\r\nx-request-id: {reply.headers['x-request-id']}\r\n".encode() in sent
        assert b"\r\nvia: 1.1 teal\r\n" in sent
        assert b"authorization" not in sent
        assert {ask(server, key=key).status for key in (FIRST_KEY, KEY)} == {200}
        assert ask(server, key="wrong").status == 401
        assert ask(server, path="/other").status == 404
        pinned = {ask(server, pinned=deployment).headers["azureml-model-deployment"] for deployment in ["green"] * 20}
        assert pinned == {"green"}
        shares = Counter(ask(server).headers["azureml-model-deployment"] for _ in range(300))
        assert shares["blue"] == pytest.approx(270, abs=30)
        assert shares["green"] == 300 - shares["blue"]


@needs_openssl
@pytest.mark.parametrize("name", SERVER)
def test_server_speaks_tls(tmp_path: Path, name: str) -> None:
    """With a certificate the same target is an https one."""
    Recorder(tmp_path / "up.sock")
    work = Work(certificate=certificate.self_signed(tmp_path / "certificate"))
    with started(SERVERS[name].build(tmp_path / name, f"unix:{tmp_path / 'up.sock'}", work)) as server:
        assert server.target.url.startswith("https://")
        assert ask(server).body == ANSWER_BODY


@needs_openssl
def test_teal_speaks_tls(tmp_path: Path) -> None:
    """The same target, with teal's own key."""
    Recorder(tmp_path / "up.sock")
    work = Work(certificate=certificate.self_signed(tmp_path / "certificate"))
    with started(teal.proxy(tmp_path / "teal", f"unix:{tmp_path / 'up.sock'}", work)) as proxy:
        assert proxy.target.url.startswith("https://")
        assert ask(proxy, key=proxy.target.key or "").body == ANSWER_BODY


@pytest.mark.parametrize(
    "work",
    [
        Work(),
        Work(processes=2, has_access_log=False),
        Work(mirror_percent=50),
        Work(mirror_percent=10, black_hole="unix:/hole.sock"),
    ],
    ids=["plain", "no log", "mirror", "black hole"],
)
def test_teal_takes_the_file_that_is_written_for_it(tmp_path: Path, work: Work) -> None:
    """A field that was renamed would make a comparison fail long after it began."""
    teal.proxy(tmp_path / "teal", "unix:/up.sock", work)
    check = [str(Path(sys.executable).parent / "teal"), "check", str(tmp_path / "teal" / "etc" / "teal" / "teal.yaml")]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

"""Where a worker that runs alone listens: systemd's socket, or one of its own."""

import os
import socket
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# What systemd does: the socket becomes descriptor 3, and LISTEN_PID names the process that takes it.
AS_SYSTEMD = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.executable, [sys.executable, "-m", "workers", *sys.argv[2:]])
"""


@pytest.fixture
def code_dir(tmp_path):
    """A folder with a script that prints when it is imported."""
    (tmp_path / "score.py").write_text("import os\ndef init(): pass\ndef run(d): return 'LISTEN_FDS' in os.environ\n")
    return tmp_path


@pytest.fixture
def notify(tmp_path):
    """A notify socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(f"\0teal-test-{os.getpid()}")
        notify.settimeout(60)
        yield notify


@pytest.fixture
def spawn(code_dir, notify):
    """Start a worker on the script; return once it is ready."""
    children = []

    def spawn(*command: str, pass_fds: tuple[int, ...] = ()) -> None:
        env = {**os.environ, "PYTHONPATH": str(ROOT), "NOTIFY_SOCKET": f"@teal-test-{os.getpid()}"}
        where = ("--script", "score.py", "--code-dir", str(code_dir))
        children.append(subprocess.Popen((sys.executable, *command, *where), env=env, pass_fds=pass_fds))
        while not notify.recv(4096).startswith(b"READY=1\n"):
            pass

    yield spawn
    for child in children:
        child.kill()
        child.wait()


def test_a_socket_passed_by_systemd_is_served(spawn):
    """LISTEN_FDS and LISTEN_PID are taken, and the script does not see them."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        spawn("-c", AS_SYSTEMD, str(listener.fileno()), pass_fds=(listener.fileno(),))
        assert _score(listener.getsockname()[1]) == b"false"


def test_a_worker_binds_a_tcp_address(spawn):
    """host:port, for running alone."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    spawn("-m", "workers", "--listen", f"127.0.0.1:{port}")
    assert _score(port) == b"false"


def test_a_worker_takes_the_place_of_a_stale_unix_socket(spawn, tmp_path):
    """What a killed worker left behind does not block the next one."""
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(tmp_path / "http"))
    spawn("-m", "workers", "--listen", f"unix:{tmp_path}/http")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "http"))


def _score(port: int) -> bytes:
    connection = HTTPConnection("127.0.0.1", port)
    connection.request("POST", "/score", b"")
    body = connection.getresponse().read()
    connection.close()
    return body

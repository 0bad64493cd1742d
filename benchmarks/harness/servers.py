"""nginx, HAProxy and Caddy, each with one worker and the work that teal does for a request."""

import getpass
import grp
import os
import shutil
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.certificate import Certificate
from harness.processes import accepts, free_port
from harness.systems import BENCHMARKS, PLAIN, SCORING_PATH, System, Work
from harness.wrk import Target

PEERS = BENCHMARKS / "peers"
# As long as teal's. Clients send the second of the two.
FIRST_KEY = "a-key-of-the-same-length-as-the-one-teal-has-1"
KEY = "a-key-of-the-same-length-as-the-one-teal-has-2"


@dataclass(frozen=True, slots=True)
class Server:
    """One kind of server; `build` makes a system of it from a folder, an upstream's address and the work."""

    name: str
    build: Callable[[Path, str, Work], System]
    can_mirror: bool

    @property
    def is_installed(self) -> bool:
        return shutil.which(self.name) is not None

    def can(self, work: Work) -> bool:
        return self.can_mirror or not work.mirror_percent


class NginxServer(System):
    """nginx: a master process that carries no request, and its worker."""

    def data_path_pids(self) -> list[int]:
        return self.pids()[1:]


def nginx(scratch: Path, upstream_address: str, work: Work = PLAIN) -> System:
    port = free_port()
    words = {
        "USER": f"{getpass.getuser()} {grp.getgrgid(os.getgid()).gr_name}",
        "SCRATCH": str(scratch),
        "UPSTREAM": upstream_address,
        "LISTEN": f"127.0.0.1:{port}{' ssl' if work.certificate else ''}",
        "TLS": _nginx_tls(work.certificate),
        "ACCESS_LOG": "/dev/stdout requests buffer=64k flush=1s" if work.has_access_log else "off",
        "BLUE_PERCENT": str(work.blue_percent - (work.blue_percent == 100) * 0.01),
        "MIRROR_PERCENT": str(work.mirror_percent or 1),
        "MIRROR": "mirror /copy;" if work.mirror_percent else "",
    }
    config = _written("nginx.conf", scratch, work, words)
    command = ["nginx", "-c", str(config), "-e", str(scratch / "error.log")]
    return NginxServer(
        name="nginx",
        command=command,
        target=_target(port, work),
        is_ready=lambda: _listens(port),
        scratch=scratch,
    )


def haproxy(scratch: Path, upstream_address: str, work: Work = PLAIN) -> System:
    port = free_port()
    words = {
        "PORT": str(port),
        "TLS": f"ssl crt {work.certificate.both} alpn http/1.1" if work.certificate else "",
        "UPSTREAM": upstream_address.removeprefix("unix:"),
        "LOG": "log stdout format raw local0" if work.has_access_log else "",
        "BLUE_PERCENT": str(work.blue_percent),
    }
    config = _written("haproxy.cfg", scratch, work, words)
    return System(
        name="haproxy",
        command=["haproxy", "-db", "-f", str(config)],
        target=_target(port, work),
        is_ready=lambda: _listens(port),
        scratch=scratch,
    )


def caddy(scratch: Path, upstream_address: str, work: Work = PLAIN) -> System:
    port = free_port()
    words = {
        "ADDRESS": f"{work.scheme}://127.0.0.1:{port}",
        "TLS": f"tls {work.certificate.chain} {work.certificate.key}" if work.certificate else "",
        "UPSTREAM": upstream_address.replace("unix:", "unix/", 1),
        "LOG": "log" if work.has_access_log else "",
    }
    config = _written("Caddyfile", scratch, work, words)
    return System(
        name="caddy",
        command=["caddy", "run", "--config", str(config), "--adapter", "caddyfile"],
        env={"GOMAXPROCS": "1", "XDG_DATA_HOME": str(scratch), "XDG_CONFIG_HOME": str(scratch)},
        target=_target(port, work),
        is_ready=lambda: _listens(port),
        scratch=scratch,
    )


SERVERS = {
    server.name: server
    for server in (
        Server("nginx", nginx, can_mirror=True),
        Server("haproxy", haproxy, can_mirror=False),
        Server("caddy", caddy, can_mirror=False),
    )
}


def _target(port: int, work: Work) -> Target:
    return Target(url=f"{work.scheme}://127.0.0.1:{port}{SCORING_PATH}", key=KEY)


def _listens(port: int) -> bool:
    return accepts(socket.AF_INET, ("127.0.0.1", port))


def _nginx_tls(certificate: Certificate | None) -> str:
    if certificate is None:
        return ""
    files = f"ssl_certificate {certificate.chain}; ssl_certificate_key {certificate.key};"
    return f"{files} ssl_protocols TLSv1.2 TLSv1.3;"  # as the others; its own default ends with 1.2


def _written(name: str, scratch: Path, work: Work, words: Mapping[str, str]) -> Path:
    """The configuration `peers/name` with its words in @ filled in."""
    text = (PEERS / name).read_text()
    for word, value in {"FIRST_KEY": FIRST_KEY, "KEY": KEY, "SCHEME": work.scheme, **words}.items():
        text = text.replace(f"@{word}@", value)
    scratch.mkdir(parents=True, exist_ok=True)
    config = scratch / name
    config.write_text(text)
    return config

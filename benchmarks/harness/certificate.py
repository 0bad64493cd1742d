"""A self-signed certificate for the variants with TLS."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

INSTALL_HINT = "openssl makes the certificate; on Debian: apt-get install openssl"
DAYS = 2


@dataclass(frozen=True, slots=True)
class Certificate:
    """Files in PEM: the certificate, its key, and both in one for HAProxy."""

    chain: Path
    key: Path
    both: Path


def can_sign() -> bool:
    return shutil.which("openssl") is not None


def self_signed(folder: Path) -> Certificate:
    """A certificate for 127.0.0.1 with an elliptic-curve key (P-256), valid for two days."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Certificate(folder / "chain.pem", folder / "key.pem", folder / "both.pem")
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", str(DAYS)]
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(made.key), "-out", str(made.chain)]
    subprocess.run(["openssl", "req", "-x509", *kind, *names, *files], check=True, capture_output=True)
    made.both.write_text(made.chain.read_text() + made.key.read_text())
    return made

"""Certificates for tests, from an authority of their own."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime

import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from router.core.wire import Encrypt

HOSTS = ("localhost", "127.0.0.1")


@dataclass(frozen=True)
class Issued:
    """A certificate with its key, PEM."""

    certificate: bytes
    key: bytes

    @property
    def message(self) -> Encrypt:
        """What tells a proxy to serve it."""
        return Encrypt(is_on=True, certificate=self.certificate, key=self.key)


class Authority:
    """Issues certificates, and makes clients that trust it and nobody else."""

    def __init__(self) -> None:
        self._root = trustme.CA()
        self._ca = self._root.create_child_ca()  # so that a client needs all of the chain

    @property
    def certificate(self) -> bytes:
        """What clients trust, PEM."""
        return self._root.cert_pem.bytes()

    def issue(self, *names: str, not_after: datetime | None = None) -> Issued:
        """A certificate for these hosts and addresses, or for where tests listen."""
        not_before = datetime(2000, 1, 1, tzinfo=UTC) if not_after is not None else None
        leaf = self._ca.issue_cert(*(names or HOSTS), not_before=not_before, not_after=not_after)
        chain = b"".join(blob.bytes() for blob in leaf.cert_chain_pems)
        return Issued(chain, leaf.private_key_pem.bytes())

    def client(self) -> ssl.SSLContext:
        """A client that checks names and dates, as every client should."""
        context = ssl.create_default_context()
        self._root.configure_trust(context)
        return context


def for_a_client_only() -> Issued:
    """A certificate that no server should show."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime(2000, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2100, 1, 1, tzinfo=UTC))
        .add_extension(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.CLIENT_AUTH]), critical=True)
        .sign(key, SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Issued(certificate.public_bytes(Encoding.PEM), private)

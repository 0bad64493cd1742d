"""The pair of files that the scoring address is served with, read and judged."""

import errno
import os
import ssl
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from router.control.config.schema import TlsConfig
from router.control.config.watch import Changed, Gone, Unreadable, current
from router.control.status import CertificateView
from router.tls import TlsError, first_certificate, server_context

#: OpenSSL's X509_V_FLAG_NO_CHECK_TIME: what has expired is described as well.
_NO_CHECK_TIME = 0x200000
#: More than any handshake has.
_MOST_FLIGHTS = 10


class PairError(Exception):
    """Clients cannot be served with these files; the message names the file and what is wrong with it.

    Attributes:
        field: Of `tls`, the one to change.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class Pair(NamedTuple):
    """A certificate and a key that clients can be served with, both PEM."""

    certificate: bytes
    key: bytes
    view: CertificateView

    def __repr__(self) -> str:
        return f"Pair({self.view})"  # without the key, wherever it is printed


def read_pair(config: TlsConfig, known: Pair | None = None) -> Pair:
    """The pair that a config names; reads the disk.

    Args:
        known: What is returned if the files have that, which saves the work of judging them.

    Raises:
        PairError: it cannot be read or served.
    """
    certificate, key = _read("certificate", config.certificate), _read("key", config.key)
    if known is not None and (certificate, key) == (known.certificate, known.key):
        return known
    try:
        context = server_context(certificate, key)
        return Pair(certificate, key, _described(context, first_certificate(certificate)))
    except TlsError as error:
        path = config.key if error.field == "key" else config.certificate
        raise PairError(error.field, f"{path}: {error}") from error


def _read(field: str, path: Path) -> bytes:
    match current(path):
        case Changed(content=content):
            return content
        case Gone():
            raise PairError(field, f"{path}: {os.strerror(errno.ENOENT)}")
        case Unreadable(reason=reason):
            raise PairError(field, f"{path}: {reason}")


def _described(server: ssl.SSLContext, der: bytes) -> CertificateView:
    fields = _as_clients_see_it(server, der)
    subject = dict(pair for part in fields.get("subject", ()) for pair in part)
    names = tuple(name for _, name in fields.get("subjectAltName", ()))
    return CertificateView(
        names=names or tuple(filter(None, (subject.get("commonName"),))),
        not_after=float(ssl.cert_time_to_seconds(fields["notAfter"])),
        sha256=sha256(der).hexdigest(),
    )


def _as_clients_see_it(server: ssl.SSLContext, der: bytes) -> dict[str, Any]:
    """The fields of a certificate, by a handshake in memory with a client that trusts it, whatever its name and time.

    Raises:
        TlsError: not even such a client accepts it.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME
    context.load_verify_locations(cadata=der)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(to_client, to_server)
    peer = server.wrap_bio(to_server, to_client, server_side=True)
    try:
        for _ in range(_MOST_FLIGHTS):
            if all([_has_finished(client), _has_finished(peer)]):
                break
    except ssl.SSLCertVerificationError as error:
        raise TlsError("certificate", f"clients refuse it: {error.verify_message}") from error
    except ssl.SSLError as error:
        raise TlsError("certificate", f"no client can use it: {error.reason}") from error
    return client.getpeercert() or {}


def _has_finished(side: ssl.SSLObject) -> bool:
    try:
        side.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True

"""A certificate and its key, as what a server needs to speak TLS; both are PEM."""

import os
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

_CERTIFICATE = re.compile(rb"-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----")
_KEY = re.compile(rb"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----")
_MISMATCHES = frozenset(("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"))


class TlsError(Exception):
    """Clients cannot be served with this pair; the message never quotes it.

    Attributes:
        field: Which of the two is wrong: `certificate` or `key`.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class _Encrypted(Exception):
    """OpenSSL asks for a passphrase."""


def server_context(certificate: bytes, key: bytes) -> ssl.SSLContext:
    """What serves TLS 1.2 and 1.3 with this pair, and asks clients for no certificate.

    Args:
        certificate: The server's own first, then those between it and the root.

    Raises:
        TlsError: one of them is no PEM of its kind, or they do not belong together.
    """
    _check_certificate(certificate)
    if _KEY.search(key) is None:
        raise TlsError("key", "no private key in it; expected PEM, -----BEGIN PRIVATE KEY-----")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION  # as often as a client likes, at the cost of the server
    context.set_alpn_protocols(["http/1.1"])
    try:
        # OpenSSL reads files only; these are in memory.
        with _as_file("certificate", certificate) as certificate_file, _as_file("key", key) as key_file:
            context.load_cert_chain(certificate_file, key_file, password=_refuse_passphrase)
    except _Encrypted as error:
        raise TlsError("key", "it is encrypted; expected one without a passphrase, readable by teal only") from error
    except ssl.SSLError as error:
        raise _explained(error) from error
    return context


def first_certificate(certificate: bytes) -> bytes:
    """The server's own certificate as DER, of PEM that `server_context` has taken."""
    start = _CERTIFICATE.search(certificate)
    assert start is not None
    end = certificate.index(b"-----END ", start.end())
    return ssl.PEM_cert_to_DER_cert(f"{ssl.PEM_HEADER}{certificate[start.end() : end].decode('ascii')}{ssl.PEM_FOOTER}")


def _check_certificate(certificate: bytes) -> None:
    if _CERTIFICATE.search(certificate) is None:
        raise TlsError("certificate", "no certificate in it; expected PEM, -----BEGIN CERTIFICATE-----")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=certificate.decode("ascii"))
    except (ssl.SSLError, ValueError) as error:
        raise TlsError("certificate", "a certificate in it is damaged") from error


def _explained(error: ssl.SSLError) -> TlsError:
    reason = error.reason or ""
    if reason in _MISMATCHES:
        return TlsError("key", "it does not belong to the certificate (to the first one, if its file has several)")
    words = reason.lower().replace("_", " ")
    if reason.startswith(("EE_", "CA_")):  # what OpenSSL's security level asks for
        return TlsError("certificate", f"OpenSSL refuses it: {words}")
    return TlsError("key", f"it is damaged ({words})" if words else "it is damaged")


def _refuse_passphrase() -> str:
    raise _Encrypted


@contextmanager
def _as_file(name: str, content: bytes) -> Iterator[str]:
    """A path under which this process, and no other, reads the content; nothing is on any disk."""
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC)
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)

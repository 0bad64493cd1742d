"""What becomes a TLS server, and what is wrong with the rest."""

import ssl

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from router.tls import TlsError, first_certificate, server_context
from tests.certificates import Authority, Issued


@pytest.fixture(scope="module")
def issued() -> Issued:
    return Authority().issue()


def test_a_pair_becomes_a_server(issued: Issued) -> None:
    """TLS 1.2 and newer, no renegotiation, no certificate asked of clients."""
    context = server_context(issued.certificate, issued.key)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert context.verify_mode is ssl.CERT_NONE


def test_text_around_a_pair_does_no_harm(issued: Issued) -> None:
    """As `openssl x509 -text` and mail programs leave it."""
    server_context(b"Certificate:\n    Data:\n" + issued.certificate + b"\n", b"Bag Attributes\n" + issued.key)


def test_key_and_certificate_may_be_one_file(issued: Issued) -> None:
    """Each is found in what holds both."""
    both = issued.key + issued.certificate
    server_context(both, both)


def test_the_first_certificate_is_the_servers_own(issued: Issued) -> None:
    """Not those of the authorities behind it."""
    own = issued.certificate.decode().partition(ssl.PEM_FOOTER)[0] + ssl.PEM_FOOTER
    assert first_certificate(issued.certificate) == ssl.PEM_cert_to_DER_cert(own)


def _encrypted(key: bytes) -> bytes:
    loaded = load_pem_private_key(key, None)
    return loaded.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))


OTHER = Authority().issue()
RSA = trustme.CA(key_type=trustme.KeyType.RSA).issue_cert("localhost").private_key_pem.bytes()


@pytest.mark.parametrize(
    ("spoil", "field", "message"),
    [
        (lambda it: (b"", it.key), "certificate", "no certificate in it; expected PEM"),
        (lambda it: (it.key, it.key), "certificate", "no certificate in it; expected PEM"),
        (lambda it: (it.certificate.replace(b"MII", b"MIX"), it.key), "certificate", "a certificate in it is damaged"),
        (lambda it: (it.certificate + b"\xff", it.key), "certificate", "a certificate in it is damaged"),
        (lambda it: (it.certificate, b""), "key", "no private key in it; expected PEM"),
        (lambda it: (it.certificate, it.certificate), "key", "no private key in it; expected PEM"),
        (lambda it: (it.certificate, it.key.replace(b"\nM", b"\nX")), "key", "it is damaged"),
        (lambda it: (it.certificate, OTHER.key), "key", "it does not belong to the certificate"),
        (lambda it: (it.certificate, RSA), "key", "it does not belong to the certificate"),
        (lambda it: (it.certificate, _encrypted(it.key)), "key", "it is encrypted; expected one without a passphrase"),
    ],
    ids=[
        "no certificate", "key for certificate", "damaged certificate", "not text", "no key", "certificate for key",
        "damaged key", "other key", "other kind of key", "passphrase",
    ],
)  # fmt: skip
def test_what_cannot_be_served_is_explained(issued: Issued, spoil, field: str, message: str) -> None:  # type: ignore[no-untyped-def]
    """Which of the two is wrong, and how; nothing of the key is in the text."""
    with pytest.raises(TlsError) as caught:
        server_context(*spoil(issued))
    assert caught.value.field == field
    assert str(caught.value).startswith(message)
    assert issued.key.splitlines()[1].decode()[:20] not in str(caught.value)

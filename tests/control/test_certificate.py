"""The files of a certificate and its key."""

import os
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest

from router.control.certificate import PairError, read_pair
from router.control.config.schema import TlsConfig
from router.tls import first_certificate
from tests.certificates import Authority, Issued, for_a_client_only


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


def save(folder: Path, issued: Issued) -> TlsConfig:
    """The config of a pair that lies in a folder."""
    (folder / "cert.pem").write_bytes(issued.certificate)
    (folder / "key.pem").write_bytes(issued.key)
    return TlsConfig.model_validate({"certificate": "cert.pem", "key": "key.pem"}, context={"folder": folder})


def test_a_pair_is_read_with_what_clients_see(tmp_path: Path, authority: Authority) -> None:
    """Names, end and fingerprint of the server's own certificate."""
    issued = authority.issue("churn.example", "10.0.0.1", not_after=datetime(2100, 1, 2, tzinfo=UTC))
    pair = read_pair(save(tmp_path, issued))
    assert (pair.certificate, pair.key) == (issued.certificate, issued.key)
    assert pair.view.names == ("churn.example", "10.0.0.1")
    assert pair.view.not_after == datetime(2100, 1, 2, tzinfo=UTC).timestamp()
    assert pair.view.sha256 == sha256(first_certificate(issued.certificate)).hexdigest()


def test_an_expired_certificate_is_read(tmp_path: Path, authority: Authority) -> None:
    """It is for clients to refuse it; the operator is warned."""
    pair = read_pair(save(tmp_path, authority.issue(not_after=datetime(2001, 1, 1, tzinfo=UTC))))
    assert pair.view.not_after == datetime(2001, 1, 1, tzinfo=UTC).timestamp()


def test_an_unchanged_pair_is_not_judged_again(tmp_path: Path, authority: Authority) -> None:
    """What is known is returned."""
    config = save(tmp_path, authority.issue())
    known = read_pair(config)
    assert read_pair(config, known) is known
    save(tmp_path, authority.issue())
    assert read_pair(config, known) is not known


def test_the_key_is_not_printed(tmp_path: Path, authority: Authority) -> None:
    """Whatever prints a pair, such as a traceback's locals."""
    issued = authority.issue()
    pair = read_pair(save(tmp_path, issued))
    assert "PRIVATE" not in f"{pair} {pair!r} {issued.message!r}"


def test_problems_name_the_file(tmp_path: Path, authority: Authority) -> None:
    """The one to look at, and the field that names it."""
    config = save(tmp_path, authority.issue())
    (tmp_path / "key.pem").write_bytes(authority.issue().key)
    with pytest.raises(PairError, match=f"{tmp_path}/key.pem: it does not belong to the certificate") as caught:
        read_pair(config)
    assert caught.value.field == "key"
    (tmp_path / "key.pem").unlink()
    with pytest.raises(PairError, match=f"{tmp_path}/key.pem: {os.strerror(2)}"):
        read_pair(config)
    (tmp_path / "cert.pem").unlink()
    (tmp_path / "cert.pem").mkdir()
    with pytest.raises(PairError, match=f"{tmp_path}/cert.pem: ") as caught:
        read_pair(config)
    assert caught.value.field == "certificate"


def test_a_certificate_for_other_purposes_is_refused(tmp_path: Path) -> None:
    """A client that checks it would refuse every connection, so the operator hears of it first."""
    config = save(tmp_path, for_a_client_only())
    with pytest.raises(PairError, match="clients refuse it: ") as caught:
        read_pair(config)
    assert caught.value.field == "certificate"

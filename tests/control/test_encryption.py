"""Which certificate is in force, as files and config change."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from router.control.certificate import PairError
from router.control.config.schema import TlsConfig
from router.control.encryption import Encryption
from router.core.wire import Encrypt
from tests.certificates import Authority, Issued

PLAIN = Encrypt(is_on=False)
NOBODY = Encrypt(is_on=True)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


class Files:
    """A pair on disk, and what the proxies were told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.told: list[Encrypt] = []
        self.encryption = Encryption(self.told.append)

    def config(self, name: str = "cert.pem") -> TlsConfig:
        return TlsConfig.model_validate({"certificate": name, "key": "key.pem"}, context={"folder": self.folder})

    def save(self, issued: Issued) -> None:
        (self.folder / "cert.pem").write_bytes(issued.certificate)
        (self.folder / "key.pem").write_bytes(issued.key)

    async def apply(self, config: TlsConfig | None) -> None:
        self.encryption.follow(await self.encryption.prepare(config))

    @property
    def problem(self) -> str:
        view = self.encryption.view
        assert view is not None
        return view.problem


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


async def test_without_tls_clients_are_met_in_plain_text(files: Files) -> None:
    """Nothing is read, nothing is shown."""
    await files.apply(None)
    await files.encryption.look()
    assert files.told == [PLAIN]
    assert (files.encryption.view, files.encryption.unready(), files.encryption.not_after) == (None, [], None)


async def test_a_pair_comes_into_force(files: Files, authority: Authority) -> None:
    """Once, however often it is applied and looked at."""
    issued = authority.issue("churn.example")
    files.save(issued)
    for _ in range(2):
        await files.apply(files.config())
        await files.encryption.look()
    assert files.told == [issued.message]
    view = files.encryption.view
    assert view is not None
    assert view.certificate is not None
    assert (view.certificate.names, view.problem) == (("churn.example",), "")


async def test_a_renewed_pair_takes_the_place_of_the_old_one(files: Files, authority: Authority) -> None:
    """At the next look."""
    old, new = authority.issue(), authority.issue()
    files.save(old)
    await files.apply(files.config())
    files.save(new)
    await files.encryption.look()
    assert files.told == [old.message, new.message]


async def test_half_a_renewal_is_waited_for(files: Files, authority: Authority) -> None:
    """A certificate whose key has not been written yet is no problem, if it comes before the next look."""
    old, new = authority.issue(), authority.issue()
    files.save(old)
    await files.apply(files.config())
    (files.folder / "cert.pem").write_bytes(new.certificate)
    with capture_logs() as lines:
        await files.encryption.look()
        assert files.problem == ""
        files.save(new)
        await files.encryption.look()
    assert [line["event"] for line in lines] == ["tls.loaded"]
    assert files.told == [old.message, new.message]


async def test_a_broken_pair_keeps_the_old_one(files: Files, authority: Authority) -> None:
    """It is told once, shown until it is repaired, and nobody is refused."""
    old = authority.issue()
    files.save(old)
    await files.apply(files.config())
    (files.folder / "key.pem").write_bytes(authority.issue().key)
    with capture_logs() as lines:
        for _ in range(4):
            await files.encryption.look()
    [line] = lines
    assert (line["event"], line["log_level"]) == ("tls.refused", "error")
    assert line["problem"].startswith(f"{files.folder}/key.pem: it does not belong to the certificate")
    assert files.problem == line["problem"]
    assert files.encryption.unready() == []
    with capture_logs() as lines:
        files.save(old)
        await files.encryption.look()
    assert [line["event"] for line in lines] == ["tls.repaired"]
    assert files.problem == ""
    assert files.told == [old.message]


async def test_whoever_asks_is_told_at_once(files: Files, authority: Authority) -> None:
    """A reload does not wait whether a problem goes away."""
    files.save(authority.issue())
    await files.apply(files.config())
    (files.folder / "cert.pem").unlink()
    await files.encryption.look(is_asked=True)
    assert files.problem.startswith(f"{files.folder}/cert.pem: ")


async def test_a_config_with_the_same_files_is_applied_although_they_are_broken(
    files: Files, authority: Authority
) -> None:
    """A change of traffic does not wait for a certificate."""
    old = authority.issue()
    files.save(old)
    await files.apply(files.config())
    (files.folder / "key.pem").write_bytes(b"")
    await files.apply(files.config())
    assert files.problem.startswith(f"{files.folder}/key.pem: no private key in it")
    assert files.told == [old.message]


async def test_a_config_with_other_files_that_are_broken_is_refused(files: Files, authority: Authority) -> None:
    """What is in force stays, be it another pair or plain text."""
    await files.apply(None)
    with pytest.raises(PairError):
        await files.encryption.prepare(files.config())
    files.save(authority.issue())
    await files.apply(files.config())
    with pytest.raises(PairError, match=r"other\.pem"):
        await files.encryption.prepare(files.config("other.pem"))
    assert len(files.told) == 2
    assert files.problem == ""


async def test_a_start_without_a_usable_pair_serves_nobody_until_there_is_one(
    files: Files, authority: Authority
) -> None:
    """Not even in plain text; once the files are right, everybody."""
    with capture_logs() as lines:
        await files.apply(files.config())
    assert [line["event"] for line in lines] == ["tls.refused"]
    assert files.told == [NOBODY]
    assert files.encryption.unready() == [f"tls: clients are refused: {files.problem}"]
    issued = authority.issue()
    files.save(issued)
    await files.encryption.look()
    assert files.told == [NOBODY, issued.message]
    assert files.encryption.unready() == []


async def test_tls_can_be_switched_off(files: Files, authority: Authority) -> None:
    """By a config without it."""
    issued = authority.issue()
    files.save(issued)
    await files.apply(files.config())
    await files.apply(None)
    assert files.told == [issued.message, PLAIN]


async def test_the_log_has_no_key(files: Files, authority: Authority) -> None:
    """Of what is loaded and of what is refused."""
    issued = authority.issue()
    files.save(issued)
    with capture_logs() as lines:
        await files.apply(files.config())
        (files.folder / "cert.pem").write_bytes(b"")
        await files.encryption.look(is_asked=True)
    assert len(lines) == 2
    assert issued.key.decode().splitlines()[1] not in str(lines)

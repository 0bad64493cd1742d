"""What a config names and the disk does not have."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from router.control.config.check import asset_problems, located_asset_problems, located_expiry
from router.control.config.deployment import DeploymentConfig
from router.control.config.load import load_config
from tests.certificates import Authority, Issued

SCRIPT = "def init():\n    pass\n\n\ndef run(data):\n    return data\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "score.py").write_text(SCRIPT)
    (tmp_path / "model.pkl").write_bytes(b"")
    return tmp_path


def problems(folder: Path, **fields: object) -> list[str]:
    """Problems of a deployment in `folder`, less the prefix that all have."""
    code = {"code": ".", "scoring_script": "score.py"}
    deployment = DeploymentConfig.model_validate({"code_configuration": code} | fields, context={"folder": folder})
    found = asset_problems("churn", "blue", deployment)
    return [problem.removeprefix("churn.deployments.blue.").replace(f"{folder}/", "") for problem in found]


def test_a_deployment_that_is_all_there_has_no_problems(folder: Path) -> None:
    """Model, script and a requirements file."""
    (folder / "requirements.txt").write_text("numpy\n")
    environment = {"requirements": "requirements.txt"}
    assert problems(folder, model={"path": "model.pkl"}, environment=environment) == []


def test_upstreams_need_nothing_on_this_disk() -> None:
    """Their socket may come later."""
    deployment = DeploymentConfig.model_validate({"upstreams": ["unix:/nowhere"]})
    assert asset_problems("churn", "blue", deployment) == []


def test_missing_files_are_told_with_their_fields(folder: Path) -> None:
    """All of them."""
    assert problems(
        folder,
        model={"path": "nothing.pkl"},
        code_configuration={"code": "nothing", "scoring_script": "score.py"},
        environment={"conda_file": "nothing.yaml"},
        warmup_request={"path": "nothing.json"},
    ) == [
        f"model.path: nothing.pkl: {os.strerror(2)}",
        f"environment.conda_file: nothing.yaml cannot be read: {os.strerror(2)}",
        "code_configuration.code: nothing is not a folder",
        f"warmup_request.path: nothing.json: {os.strerror(2)}",
    ]


def test_a_missing_script_is_told(folder: Path) -> None:
    """In a folder that is there."""
    code = {"code": ".", "scoring_script": "nothing.py"}
    assert problems(folder, code_configuration=code) == [
        f"code_configuration.scoring_script: nothing.py: {os.strerror(2)}"
    ]


def test_a_syntax_error_is_told_with_its_line(folder: Path) -> None:
    """As compilers print it."""
    (folder / "score.py").write_text("def init():\n    pass\ndef run(data:\n")
    assert problems(folder) == ["code_configuration.scoring_script: score.py:3: '(' was never closed"]


def test_syntax_is_not_judged_for_another_interpreter(folder: Path) -> None:
    """It may know what this one does not."""
    (folder / "score.py").write_text("def run(data:\n")
    (folder / "python").write_text("#!/bin/sh\n")
    (folder / "python").chmod(0o755)
    assert problems(folder, environment={"python": "python"}) == []


def test_a_script_without_its_functions_is_told(folder: Path) -> None:
    """A function inside another one does not count."""
    (folder / "score.py").write_text("def init():\n    def run(data):\n        pass\n")
    assert problems(folder) == [
        "code_configuration.scoring_script: score.py has no run(); a scoring script has init() and run(data)"
    ]


@pytest.mark.parametrize(
    "script",
    [
        "from shared import init, run",
        "from shared import *",
        "import a as init\nrun = init",
        "async def run(data): ...\nclass init: ...",
        "if True:\n    def init(): ...\nelse:\n    pass\nrun: object = init",
        "try:\n    from fast import run\nexcept ImportError:\n    def run(data): ...\ninit, other = 1, 2",
        "@decorated\ndef init(): ...\ndef run(data): return '\\d'",
    ],
)
def test_functions_may_come_from_anywhere(folder: Path, script: str) -> None:
    """Imports, assignments and conditions define names too; a doubtful escape is no problem here."""
    (folder / "score.py").write_text(script)
    assert problems(folder) == []


@pytest.mark.parametrize("content", [b"\x00", b"\xff\xfe"])
def test_a_script_that_is_no_text_is_told(folder: Path, content: bytes) -> None:
    """Whatever Python says of it."""
    (folder / "score.py").write_bytes(content)
    (problem,) = problems(folder)
    assert problem.startswith("code_configuration.scoring_script: score.py")


def test_a_conda_file_that_is_none_is_told(folder: Path) -> None:
    """Parsed as when the environment is built."""
    (folder / "conda.yaml").write_text("- a\n")
    (problem,) = problems(folder, environment={"conda_file": "conda.yaml"})
    assert problem.startswith("environment.conda_file: conda.yaml:1: ")


def test_an_interpreter_is_an_executable_file(folder: Path) -> None:
    """Neither a folder nor plain text."""
    assert problems(folder, environment={"python": "score.py"}) == [
        "environment.python: score.py is not an executable file"
    ]


def test_problems_of_a_file_have_lines(tmp_path: Path) -> None:
    """As `teal check` prints them."""
    file = tmp_path / "teal.yaml"
    file.write_text(
        "admin: {token_file: token}\n"
        "endpoints:\n"
        "  churn:\n"
        "    deployments:\n"
        "      blue:\n"
        "        code_configuration: {code: nothing, scoring_script: score.py}\n"
    )
    assert [str(problem) for problem in located_asset_problems(load_config(file))] == [
        f"{file}:1: admin.token_file: {tmp_path}/token: {os.strerror(2)}",
        f"{file}:6: churn.deployments.blue.code_configuration.code: {tmp_path}/nothing is not a folder",
    ]


@pytest.fixture
def with_tls(tmp_path: Path) -> Path:
    """A config that names a certificate and its key."""
    file = tmp_path / "teal.yaml"
    file.write_text("tls:\n  certificate: cert.pem\n  key: key.pem\n")
    return file


def save_pair(folder: Path, issued: Issued, key: bytes | None = None) -> None:
    (folder / "cert.pem").write_bytes(issued.certificate)
    (folder / "key.pem").write_bytes(key or issued.key)


def test_a_pair_that_cannot_be_served_is_a_problem(with_tls: Path, tmp_path: Path) -> None:
    """Of the field that names the file."""
    authority = Authority()
    assert [str(problem) for problem in located_asset_problems(load_config(with_tls))] == [
        f"{with_tls}:2: tls.certificate: {tmp_path}/cert.pem: {os.strerror(2)}"
    ]
    save_pair(tmp_path, authority.issue(), authority.issue().key)
    [problem] = located_asset_problems(load_config(with_tls))
    assert str(problem).startswith(f"{with_tls}:3: tls.key: {tmp_path}/key.pem: it does not belong to the certificate")
    save_pair(tmp_path, authority.issue())
    assert located_asset_problems(load_config(with_tls)) == []


def test_an_expired_certificate_is_told(with_tls: Path, tmp_path: Path) -> None:
    """It is served all the same; clients refuse it."""
    ends = datetime(2030, 5, 1, tzinfo=UTC)
    save_pair(tmp_path, Authority().issue(not_after=ends))
    loaded = load_config(with_tls)
    assert located_asset_problems(loaded) == []
    assert located_expiry(loaded, now=ends.timestamp() - 1) == []
    assert [str(problem) for problem in located_expiry(loaded, now=ends.timestamp())] == [
        f"{with_tls}:2: tls.certificate: {tmp_path}/cert.pem expired on 2030-05-01; clients refuse it"
    ]


def test_without_a_certificate_nothing_expires(with_tls: Path, tmp_path: Path) -> None:
    """Neither where there is no `tls`, nor where its files are missing."""
    assert located_expiry(load_config(with_tls), now=0.0) == []
    with_tls.write_text("access_log: true\n")
    assert located_expiry(load_config(with_tls), now=0.0) == []

"""The line that a new user pastes."""

import shlex
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest

from router.control.config.load import parse_config
from router.control.state import State
from router.control.trial import curl_line

CONFIG = """
endpoints:
  churn:
    auth_mode: {auth_mode}
    deployments: {{blue: {{upstreams: ["http://127.0.0.1:9"]}}}}
"""


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    """A new state directory."""
    opened = State.open(tmp_path / "state")
    yield opened
    opened.close()


def line(auth_mode: str, state: State) -> list[str]:
    """The words of the line, as a shell sees them."""
    config = parse_config(CONFIG.format(auth_mode=auth_mode), Path("teal.yaml"))
    return shlex.split(curl_line("http://127.0.0.1:8080", config, state, Path("my sample.json"), now=1000.0))


def test_the_line_has_the_address_the_key_and_the_file(state: State) -> None:
    """It scores the given file at the first endpoint, with its primary key."""
    assert line("key", state) == [
        "curl",
        "http://127.0.0.1:8080/api/v1/endpoint/churn/score",
        "-H",
        f"Authorization: Bearer {state.credentials('churn').primary}",
        "-H",
        "Content-Type: application/json",
        "-d",
        "@my sample.json",
    ]


def test_an_endpoint_with_tokens_gets_one(state: State) -> None:
    """The token is genuine and lives as long as the endpoint says."""
    token = line("aml_token", state)[3].removeprefix("Authorization: Bearer ")
    claims = jwt.decode(
        token, state.credentials("churn").token_secret, ["HS256"], audience="churn", options={"verify_exp": False}
    )
    assert claims["exp"] == 4600


def test_an_endpoint_without_authentication_needs_none(state: State) -> None:
    """No header is made up for it."""
    assert not [word for word in line("none", state) if word.startswith("Authorization")]


def test_the_line_trusts_the_certificate_that_is_served(state: State, tmp_path: Path) -> None:
    """Also where no authority that machines know has issued it."""
    config = parse_config(
        "tls: {certificate: cert.pem, key: key.pem}" + CONFIG.format(auth_mode="none"), tmp_path / "t"
    )
    words = shlex.split(curl_line("https://127.0.0.1:8443", config, state, Path("x.json"), now=1000.0))
    assert words[:4] == [
        "curl",
        "https://127.0.0.1:8443/api/v1/endpoint/churn/score",
        "--cacert",
        f"{tmp_path}/cert.pem",
    ]

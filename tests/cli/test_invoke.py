"""`teal online-endpoint invoke`: a scoring request as any client sends it."""

import json
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from pathlib import Path

import pytest
from aiohttp import web

from router.tls import first_certificate, server_context
from tests.certificates import Authority, Issued
from tests.cli.conftest import Teal
from tests.cli.fake_daemon import FakeDaemon

CHURN = "/v1/endpoints/churn"
BODY = b'{"data": [[1, 2]]}\n'


class Router:
    """What clients reach; it answers as it is told."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.body = b""
        self.answer: Callable[[], web.Response] = lambda: web.Response(text="[3]", content_type="application/json")
        self.uri = ""

    async def score(self, request: web.Request) -> web.Response:
        self.headers = {name.lower(): value for name, value in request.headers.items()}
        self.body = await request.read()
        return self.answer()


@pytest.fixture
async def router(daemon: FakeDaemon, tmp_path: Path) -> AsyncIterator[Router]:
    """A router with the endpoint churn, whose primary key is `one`."""
    router = Router()
    app = web.Application()
    app.router.add_post("/api/v1/endpoint/churn/score", router.score)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    router.uri = f"http://127.0.0.1:{runner.addresses[0][1]}/api/v1/endpoint/churn/score"
    daemon.answer("GET", f"{CHURN}/credentials", {"primaryKey": "one", "secondaryKey": "two"})
    (tmp_path / "request.json").write_bytes(BODY)
    yield router
    await runner.cleanup()


@pytest.fixture
def churn(daemon: FakeDaemon, router: Router) -> None:
    """The daemon says where the endpoint is."""
    daemon.answer("GET", CHURN, {"name": "churn", "auth_mode": "key", "scoring_uri": router.uri})


INVOKE = "online-endpoint invoke --name churn --request-file request.json"


@pytest.mark.usefixtures("churn")
async def test_request_is_that_of_a_client(teal: Teal, router: Router) -> None:
    """The file as it is, as JSON, with the key."""
    outcome = await teal(*INVOKE.split())
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert router.body == BODY
    assert router.headers["authorization"] == "Bearer one"
    assert router.headers["content-type"] == "application/json"
    assert "azureml-model-deployment" not in router.headers


@pytest.mark.usefixtures("churn")
async def test_answer_is_printed_as_az_prints_it(teal: Teal, router: Router) -> None:
    """Text, which is a JSON string unless `-o tsv` is asked for."""
    assert json.loads((await teal(*INVOKE.split())).stdout) == "[3]"
    assert (await teal(*INVOKE.split(), "-o", "tsv")).stdout == "[3]\n"


@pytest.mark.usefixtures("churn")
@pytest.mark.parametrize("option", ["--deployment-name", "--deployment", "-d"])
async def test_deployment_is_pinned(teal: Teal, router: Router, option: str) -> None:
    """With the header that clients use."""
    await teal(*INVOKE.split(), option, "green")
    assert router.headers["azureml-model-deployment"] == "green"


@pytest.mark.parametrize("name", ["gx\r\nX: 1", "gx\n", "gr\N{LATIN SMALL LETTER E WITH ACUTE}n"])
async def test_deployment_that_no_header_can_name_is_wrong_usage(teal: Teal, daemon: FakeDaemon, name: str) -> None:
    """It would be further headers; nobody is asked."""
    outcome = await teal(*INVOKE.split(), "-d", name)
    assert (outcome.returncode, daemon.asked) == (2, [])
    assert outcome.stderr == f"--deployment-name: {name!r}: expected letters, digits and hyphens\n"


async def test_endpoint_without_keys_is_asked_without_one(teal: Teal, daemon: FakeDaemon, router: Router) -> None:
    """There is nothing to ask the daemon for."""
    daemon.answer("GET", CHURN, {"name": "churn", "auth_mode": "none", "scoring_uri": router.uri})
    assert (await teal(*INVOKE.split())).returncode == 0
    assert "authorization" not in router.headers


async def test_token_is_used_where_there_are_no_keys(teal: Teal, daemon: FakeDaemon, router: Router) -> None:
    """A fresh one each time."""
    daemon.answer("GET", "/v1/endpoints/fraud", {"auth_mode": "aml_token", "scoring_uri": router.uri})
    daemon.answer("GET", "/v1/endpoints/fraud/credentials", {"accessToken": "t0k3n", "tokenType": "Bearer"})
    await teal("online-endpoint", "invoke", "-n", "fraud", "-r", "request.json")
    assert router.headers["authorization"] == "Bearer t0k3n"


@pytest.mark.usefixtures("churn")
async def test_status_of_the_model_is_told(teal: Teal, router: Router) -> None:
    """The router's status and reason, the model's own status, who it was, and what it said."""
    router.answer = lambda: web.Response(
        text='{"message": "no"}',
        status=424,
        headers={
            "ms-azureml-model-error-statuscode": "500",
            "ms-azureml-model-error-reason": "model_error",
            "azureml-model-deployment": "green",
        },
    )
    outcome = await teal(*INVOKE.split())
    assert (outcome.returncode, outcome.stdout) == (1, "")
    assert outcome.stderr == (
        'churn/green answered 424 Failed Dependency (model_error); the model itself answered 500\n{"message": "no"}\n'
    )


@pytest.mark.usefixtures("churn")
async def test_refusal_of_the_router_is_told(teal: Teal, router: Router) -> None:
    """Its reason in one word."""
    router.answer = lambda: web.Response(status=429, headers={"x-teal-reason": "too_many_pending_request"})
    outcome = await teal(*INVOKE.split())
    assert outcome.stderr == "churn answered 429 Too Many Requests (too_many_pending_request)\n"


async def test_router_that_is_not_there_is_named(teal: Teal, daemon: FakeDaemon, tmp_path: Path) -> None:
    """One sentence with its address."""
    (tmp_path / "request.json").write_bytes(BODY)
    daemon.answer("GET", CHURN, {"auth_mode": "none", "scoring_uri": "http://127.0.0.1:1/score"})
    outcome = await teal(*INVOKE.split())
    assert outcome.returncode == 1
    assert outcome.stderr.startswith("http://127.0.0.1:1/score does not answer: ")


async def test_missing_request_file_is_one_sentence(teal: Teal, daemon: FakeDaemon) -> None:
    """Nobody is asked."""
    outcome = await teal(*INVOKE.split())
    assert (outcome.returncode, daemon.asked) == (1, [])
    assert outcome.stderr == "request.json: No such file or directory\n"


async def test_answer_that_is_no_text_is_shown_all_the_same(teal: Teal, daemon: FakeDaemon, router: Router) -> None:
    """With marks in the place of what is none."""
    daemon.answer("GET", CHURN, {"auth_mode": "none", "scoring_uri": router.uri})
    router.answer = lambda: web.Response(body=b"ok \xff")
    assert (await teal(*INVOKE.split(), "-o", "tsv")).stdout == "ok \N{REPLACEMENT CHARACTER}\n"


async def serve_tls(router: Router, daemon: FakeDaemon, issued: Issued) -> web.AppRunner:
    """Have the router speak TLS, and the daemon say that it does."""
    app = web.Application()
    app.router.add_post("/api/v1/endpoint/churn/score", router.score)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server_context(issued.certificate, issued.key)).start()
    uri = f"https://127.0.0.1:{runner.addresses[0][1]}/api/v1/endpoint/churn/score"
    daemon.answer("GET", CHURN, {"name": "churn", "auth_mode": "none", "scoring_uri": uri})
    return runner


def tls(certificate: bytes) -> dict[str, object]:
    """What the daemon's status says of the certificate that it serves."""
    return {"tls": {"certificate": {"sha256": sha256(first_certificate(certificate)).hexdigest()}, "problem": ""}}


async def test_the_daemons_own_certificate_is_trusted(teal: Teal, router: Router, daemon: FakeDaemon) -> None:
    """Whoever issued it, and whatever names are in it."""
    issued = Authority().issue("churn.example")
    runner = await serve_tls(router, daemon, issued)
    daemon.answer("GET", "/status", tls(issued.certificate))
    outcome = await teal(*INVOKE.split(), "-o", "tsv")
    assert (outcome.returncode, outcome.stdout) == (0, "[3]\n")
    await runner.cleanup()


async def test_another_certificate_is_not(teal: Teal, router: Router, daemon: FakeDaemon) -> None:
    """The request, with its key, is not sent to whoever is in between."""
    authority = Authority()
    runner = await serve_tls(router, daemon, authority.issue("churn.example"))
    daemon.answer("GET", "/status", tls(authority.issue("churn.example").certificate))
    outcome = await teal(*INVOKE.split())
    assert (outcome.returncode, outcome.stdout) == (1, "")
    assert "it shows another certificate than the daemon has" in outcome.stderr
    assert router.body == b""
    await runner.cleanup()


async def test_a_router_without_a_certificate_is_not_asked(teal: Teal, router: Router, daemon: FakeDaemon) -> None:
    """The daemon knows why clients are refused."""
    runner = await serve_tls(router, daemon, Authority().issue())
    daemon.answer("GET", "/status", {"tls": {"certificate": None, "problem": "/etc/key.pem: it is damaged"}})
    outcome = await teal(*INVOKE.split())
    assert outcome.returncode == 1
    assert "the router refuses clients: /etc/key.pem: it is damaged" in outcome.stderr
    await runner.cleanup()

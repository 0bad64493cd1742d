"""`teal online-endpoint invoke`: a scoring request as any client sends it, through the proxy."""

import json
import ssl
from hashlib import sha256
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from router import __version__
from router.cli.client import Daemon, find_daemon, target
from router.cli.errors import Refused, WrongUsage

#: The router answers in the endpoint's own time, which may be long; this is for one that hangs.
_TIMEOUT_S = 3600.0
_DEPLOYMENT = "azureml-model-deployment"


class _Answer(NamedTuple):
    """What came back; the reason is the router's own, or Azure's word for it."""

    status: int
    phrase: str
    reason: str | None
    model_status: str | None
    deployment: str | None
    text: str


def invoke(name: str, request_file: str, deployment_name: str | None = None, state_dir: str | None = None) -> str:
    """The answer's body.

    Raises:
        Refused: there is no such file or endpoint, the router cannot be reached, or the answer is not 200.
        WrongUsage: no header can have the deployment's name.
    """
    if deployment_name is not None and not (deployment_name.isascii() and deployment_name.isprintable()):
        raise WrongUsage([f"--deployment-name: {deployment_name!r}: expected letters, digits and hyphens"])
    body = _read(request_file)
    daemon = find_daemon(state_dir)
    endpoint = daemon.ask("GET", target("endpoints", name))
    headers = {"content-type": "application/json", "user-agent": f"teal/{__version__}"}
    if endpoint["auth_mode"] != "none":
        headers["authorization"] = f"Bearer {_credential(daemon, name)}"
    if deployment_name:
        headers[_DEPLOYMENT] = deployment_name
    uri = endpoint["scoring_uri"]
    connection = _connection(uri, _fingerprint(daemon) if uri.startswith("https:") else None)
    answer = _post(connection, uri, body, headers)
    if answer.status != 200:
        raise Refused(_failure(name, answer))
    return answer.text


def _read(file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise Refused([f"{file}: {error.strerror}"]) from error


def _credential(daemon: Daemon, endpoint: str) -> str:
    credentials = daemon.ask("GET", target("endpoints", endpoint, "credentials"))
    return str(credentials.get("primaryKey") or credentials["accessToken"])


def _fingerprint(daemon: Daemon) -> str:
    """The SHA-256 of the certificate that the daemon serves."""
    tls = json.loads(daemon.get("/status"))["tls"] or {}
    if not tls.get("certificate"):
        raise Refused([f"the router refuses clients: {tls.get('problem') or 'it has no certificate'}"])
    return str(tls["certificate"]["sha256"])


def _connection(uri: str, fingerprint: str | None) -> HTTPConnection:
    url = urlsplit(uri)
    host = url.hostname or ""
    if fingerprint is None:
        return HTTPConnection(host, url.port, timeout=_TIMEOUT_S)
    return _PinnedConnection(host, url.port, fingerprint)


def _post(connection: HTTPConnection, uri: str, body: bytes, headers: dict[str, str]) -> _Answer:
    try:
        connection.request("POST", urlsplit(uri).path, body, headers)
        response = connection.getresponse()
        text = response.read().decode(response.headers.get_content_charset("utf-8"), "replace")
    except (OSError, HTTPException, LookupError) as error:
        raise Refused([f"{uri} does not answer: {error or type(error).__name__}"]) from error
    finally:
        connection.close()
    return _Answer(
        status=response.status,
        phrase=response.reason,
        reason=response.getheader("x-teal-reason") or response.getheader("ms-azureml-model-error-reason"),
        model_status=response.getheader("ms-azureml-model-error-statuscode"),
        deployment=response.getheader(_DEPLOYMENT),
        text=text,
    )


def _failure(name: str, answer: _Answer) -> list[str]:
    who = f"{name}/{answer.deployment}" if answer.deployment else name
    line = f"{who} answered {answer.status} {answer.phrase}".rstrip()
    line += f" ({answer.reason})" if answer.reason else ""
    line += f"; the model itself answered {answer.model_status}" if answer.model_status else ""
    return [line, answer.text] if answer.text else [line]


class _PinnedConnection(HTTPSConnection):
    """Trusts the one certificate that the daemon says is its own: it names hosts, and this is a loopback address."""

    sock: ssl.SSLSocket

    def __init__(self, host: str, port: int | None, fingerprint: str) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        super().__init__(host, port, timeout=_TIMEOUT_S, context=context)
        self._fingerprint = fingerprint

    def connect(self) -> None:
        super().connect()
        if sha256(self.sock.getpeercert(binary_form=True) or b"").hexdigest() != self._fingerprint:
            self.close()
            raise ConnectionError("it shows another certificate than the daemon has; somebody else is in between")

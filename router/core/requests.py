"""The first steps of a request's life: find its endpoint, check its credential, choose its deployment."""

import re
from collections.abc import Callable
from typing import NamedTuple

from router.core.auth import bearer, digest, token_expiry
from router.core.errors import AccessDenied, BadRequest, LastForward, NotImplementedHere
from router.core.headers import RawHeaders, RequestHead, is_host, is_last_forward, read_head, repeated
from router.core.record import RequestRecord
from router.core.table import DeploymentSpec, Endpoint, RoutingTable, Target

_TOKENS_REMEMBERED = 1024
_ABSOLUTE_FORM = re.compile(rb"https?://(?:[^/?#@]*@)?([^/?#@]+)", re.IGNORECASE)


class Chosen(NamedTuple):
    """Where a request goes."""

    endpoint: Endpoint
    deployment: DeploymentSpec
    head: RequestHead
    found: Target
    query: bytes

    def target_at(self, deployment: DeploymentSpec) -> bytes:
        """The request target for an instance of `deployment`.

        Raises:
            PathNotFound: the deployment does not offer that path.
        """
        return self.found.upstream_target(deployment, self.query)


class TokenCache:
    """Tokens that were found genuine, by their digest, until they expire: the signature is checked once per token."""

    def __init__(self) -> None:
        self._expiries: dict[tuple[str, bytes, bytes], float] = {}

    def check(self, token: bytes, endpoint: str, secret: bytes, wall_now: float) -> None:
        """Accept a token for `endpoint` that is genuine and valid at `wall_now` (Unix time).

        Raises:
            AccessDenied: it is not.
        """
        key = (endpoint, secret, digest(token))
        expires = self._expiries.get(key)
        if expires is None:
            expires = token_expiry(token, endpoint, secret, now=wall_now)
            if len(self._expiries) >= _TOKENS_REMEMBERED:
                self._expiries.clear()
            self._expiries[key] = expires
        if wall_now >= expires:
            raise AccessDenied


def split_target(target: bytes) -> tuple[bytes, bytes, bytes]:
    """(authority, path, query with its `?`) of a request target, none of its bytes changed.

    The authority is host and port; it is empty unless the target is in absolute form (RFC 9112, 3.2.2).

    Raises:
        BadRequest: it is neither a path nor an absolute http(s) address, or it has a fragment.
    """
    authority = b""
    if b"#" in target:  # an instance might cut there what we do not
        raise BadRequest("A request target has no fragment.")
    if not target.startswith(b"/") and target != b"*":
        absolute = _ABSOLUTE_FORM.match(target)
        if absolute is None:
            raise BadRequest("The request target is neither a path nor an http address.")
        authority = absolute[1]
        target = target[absolute.end() :]
        if not target.startswith(b"/"):
            target = b"/" + target
    path, mark, query = target.partition(b"?")
    return authority, path, mark + query


def route(
    table: RoutingTable,
    target: bytes,
    headers: RawHeaders,
    record: RequestRecord,
    *,
    tokens: TokenCache,
    u: float,
    wall_now: Callable[[], float],
) -> Chosen:
    """Steps 1 to 3: parse, authenticate, choose. Fills in what it finds on `record`.

    Args:
        u: Uniform in [0, 1).
        wall_now: Gives Unix time, for the expiry of tokens.

    Raises:
        RouterError: the answer for a request that goes nowhere.
    """
    head = read_head(headers)
    _check_forwardable(record.method, head)
    twice = repeated(headers)
    if twice is not None:
        raise BadRequest(f"The request has more than one field {twice.decode()}.")
    authority, path, query = split_target(target)
    _check_host(head.host)
    if authority:
        _check_host(authority)
        head = head._replace(host=authority)  # a proxy ignores the Host beside it (RFC 9112, 3.2.2)
        if record.method == "OPTIONS" and path + query == b"/" and not target.endswith(b"/"):
            path = b"*"  # so a question to a whole server is put where a proxy comes before it (RFC 9112, 3.2.4)
    record.path = path.decode("latin-1")
    record.client_request_id = head.client_request_id.decode()
    record.user_agent = head.user_agent.decode("latin-1")
    found = table.find(path, head.host)
    endpoint = found.endpoint
    record.endpoint = endpoint.spec.name
    authenticate(endpoint, head.authorization, tokens, wall_now)
    if record.method == "OPTIONS" and is_last_forward(head.max_forwards):
        raise LastForward
    deployment = endpoint.choose(u) if head.deployment is None else endpoint.pinned(head.deployment)
    chosen = Chosen(endpoint, deployment, head, found, query)
    chosen.target_at(deployment)
    record.deployment = deployment.name
    record.route = "live" if head.deployment is None else "pinned"
    return chosen


def _check_forwardable(method: str, head: RequestHead) -> None:
    if method == "CONNECT":
        raise NotImplementedHere("This router is not a tunnel.")
    if method == "TRACE":  # the credential in it would come back, to whoever had the request sent (RFC 9110, 9.3.8)
        raise NotImplementedHere("This router does not answer TRACE.")
    if head.transfer_coding != b"chunked":  # its parser takes the chunks away, and leaves the other coding
        raise NotImplementedHere("The only transfer coding that is understood is chunked.")


def _check_host(host: bytes) -> None:
    if not is_host(host):
        raise BadRequest("The Host is none.")


def authenticate(
    endpoint: Endpoint, authorization: bytes | None, tokens: TokenCache, wall_now: Callable[[], float]
) -> None:
    """Accept a request for `endpoint` by its `Authorization` field.

    Raises:
        AuthHeaderMissing, AccessDenied
    """
    spec = endpoint.spec
    if endpoint.keys is not None:
        endpoint.keys.check(authorization)
    elif spec.auth_mode != "none":
        credential = bearer(authorization)
        tokens.check(credential, spec.name, spec.token_secret, wall_now())

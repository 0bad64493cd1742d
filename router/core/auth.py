"""Checking of keys and tokens, in constant time; none is ever held in clear but those that clients have just sent."""

from hashlib import sha256
from hmac import compare_digest
from typing import Literal

import jwt

from router.core.errors import AccessDenied, AuthHeaderMissing

AuthMode = Literal["key", "aml_token", "none"]

_BEARER = b"bearer "
_TOKEN_ALGORITHM = "HS256"
_MAX_CREDENTIAL_BYTES = 4096
#: An endpoint has two keys; whoever writes one of them in ever other ways only makes it be hashed each time.
_MAX_REMEMBERED = 4


def digest(credential: bytes) -> bytes:
    """SHA-256 of a key: what is compared, so that neither its length nor a common prefix shows in the time it takes.

    Plain SHA-256 is enough: keys are 256 random bits, not passwords.
    """
    return sha256(credential).digest()


def bearer(authorization: bytes | None) -> bytes:
    """The credential of an `Authorization: Bearer ...` header.

    Raises:
        AuthHeaderMissing: there is no header, another scheme, or an empty or oversized credential.
    """
    if authorization is None or authorization[:7].lower() != _BEARER:
        raise AuthHeaderMissing
    credential = authorization[7:].strip()
    if not credential or len(credential) > _MAX_CREDENTIAL_BYTES:
        raise AuthHeaderMissing
    return credential


def check_key(credential: bytes, digests: tuple[bytes, ...]) -> None:
    """Accept any of the endpoint's keys.

    Raises:
        AccessDenied: it is none of them.
    """
    presented = sha256(credential).digest()
    matches = False
    for known in digests:  # every digest is compared, so that the time does not tell which one matched
        matches |= compare_digest(presented, known)
    if not matches:
        raise AccessDenied


class Keys:
    """The keys of an endpoint.

    What was accepted is remembered as it came, and known again without its hash, which took a fifth of what the router
    itself does for a request. It is forgotten with the table that the digests are from.
    """

    __slots__ = ("_accepted", "_digests")

    def __init__(self, digests: tuple[bytes, ...]) -> None:
        self._digests = digests
        self._accepted: list[bytes] = []

    def check(self, authorization: bytes | None) -> None:
        """Accept an `Authorization` field that has one of them.

        Raises:
            AuthHeaderMissing, AccessDenied
        """
        is_known = False
        if authorization is not None:
            for accepted in self._accepted:  # all of them, as in `check_key`
                is_known |= compare_digest(authorization, accepted)
        if not is_known:
            self._check_slowly(authorization)

    def _check_slowly(self, authorization: bytes | None) -> None:
        check_key(bearer(authorization), self._digests)
        if authorization is not None and len(self._accepted) < _MAX_REMEMBERED:
            self._accepted.append(authorization)


def issue_token(endpoint: str, secret: bytes, *, now: float, lifetime_s: float) -> str:
    """A token for `endpoint`, valid from `now` (Unix time, seconds) for `lifetime_s`."""
    claims = {"aud": endpoint, "iat": int(now), "exp": int(now + lifetime_s)}
    return jwt.encode(claims, secret, algorithm=_TOKEN_ALGORITHM)


def token_expiry(token: bytes, endpoint: str, secret: bytes, *, now: float) -> float:
    """The Unix time at which a genuine token for `endpoint` expires.

    Raises:
        AccessDenied: forged, for another endpoint, without an expiry, or expired at `now`.
    """
    options: jwt.types.Options = {"require": ["exp", "aud"], "verify_exp": False, "verify_iat": False}
    try:
        claims = jwt.decode(token, secret, algorithms=[_TOKEN_ALGORITHM], audience=endpoint, options=options)
        expires = float(claims["exp"])
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise AccessDenied from error
    if now >= expires:
        raise AccessDenied
    return expires

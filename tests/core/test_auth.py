"""Keys and tokens."""

import base64
import json
from typing import Any

import jwt
import pytest

from router.core.auth import Keys, bearer, check_key, digest, issue_token, token_expiry
from router.core.errors import AccessDenied, AuthHeaderMissing
from router.core.requests import TokenCache

SECRET = b"0123456789abcdef0123456789abcdef"
OTHER_SECRET = b"fedcba9876543210fedcba9876543210"
NOW = 1_700_000_000.0


def token(claims: dict[str, Any], secret: bytes = SECRET, algorithm: str = "HS256") -> bytes:
    return jwt.encode(claims, secret, algorithm=algorithm).encode()


def unsigned(claims: dict[str, Any]) -> bytes:
    parts = [json.dumps(part).encode() for part in ({"alg": "none", "typ": "JWT"}, claims)]
    return b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts) + b"."


def nested(depth: int) -> bytes:
    return base64.urlsafe_b64encode(b"[" * depth).rstrip(b"=") + b".e30.AAAA"


GOOD = issue_token("churn", SECRET, now=NOW, lifetime_s=3600).encode()


def test_a_digest_is_sha256() -> None:
    """Keys are compared by their SHA-256."""
    assert digest(b"abc").hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize(
    ("header", "credential"),
    [
        (b"Bearer k", b"k"),
        (b"bearer k", b"k"),
        (b"BEARER   k  ", b"k"),
        (b"Bearer " + b"x" * 4096, b"x" * 4096),
        (b"Bearer a b", b"a b"),
    ],
)
def test_a_bearer_header_yields_its_credential(header: bytes, credential: bytes) -> None:
    """The scheme's case and surrounding blanks do not matter."""
    assert bearer(header) == credential


@pytest.mark.parametrize(
    "header",
    [None, b"", b"Bearer", b"Bearer ", b"Bearer    ", b"Basic k", b"Bearerk", b"k", b"Bearer " + b"x" * 4097],
)
def test_a_header_without_a_credential_is_refused(header: bytes | None) -> None:
    """A missing, foreign, empty or oversized credential is a malformed header."""
    with pytest.raises(AuthHeaderMissing):
        bearer(header)


@pytest.mark.parametrize("key", [b"primary", b"secondary"])
def test_either_key_is_accepted(key: bytes) -> None:
    """Both keys of an endpoint are valid."""
    check_key(key, (digest(b"primary"), digest(b"secondary")))


@pytest.mark.parametrize("key", [b"", b"primar", b"primaryx", b"PRIMARY", digest(b"primary"), b"\xff\x00"])
def test_any_other_key_is_denied(key: bytes) -> None:
    """A key that is not exactly one of the endpoint's is denied, its digest too."""
    with pytest.raises(AccessDenied):
        check_key(key, (digest(b"primary"), digest(b"secondary")))


def test_an_endpoint_without_keys_denies() -> None:
    """No key is right where there is none."""
    with pytest.raises(AccessDenied):
        check_key(b"", ())


def test_keys_go_on_being_accepted_and_others_denied() -> None:
    """What was accepted before changes nothing for any other credential, and a denied one stays denied."""
    keys = Keys((digest(b"primary"), digest(b"secondary")))
    for authorization in (b"Bearer primary", b"bearer  secondary ", b"BEARER primary", b"Bearer secondary") * 3:
        keys.check(authorization)
        for wrong in (b"Bearer primarx", b"Bearer primary2", b"Bearer primar", b"Bearer Primary"):
            with pytest.raises(AccessDenied):
                keys.check(wrong)
        for malformed in (None, b"", b"primary", b"Basic primary", b"Bearer "):
            with pytest.raises(AuthHeaderMissing):
                keys.check(malformed)


def test_any_number_of_spellings_of_a_key_is_accepted() -> None:
    """More than are remembered."""
    keys = Keys((digest(b"primary"),))
    for blanks in [*range(50), *range(50)]:
        keys.check(b"Bearer " + b" " * blanks + b"primary")


@pytest.mark.parametrize("now", [NOW, NOW - 86_400, NOW + 3599])
def test_a_token_is_accepted_until_it_expires(now: float) -> None:
    """A genuine token is good before its expiry, also when the clock was set back."""
    assert token_expiry(GOOD, "churn", SECRET, now=now) == NOW + 3600


@pytest.mark.parametrize("now", [NOW + 3600, NOW + 1e9])
def test_an_expired_token_is_denied(now: float) -> None:
    """At its expiry a token ends, without leeway."""
    with pytest.raises(AccessDenied):
        token_expiry(GOOD, "churn", SECRET, now=now)


@pytest.mark.parametrize(
    "wrong",
    [
        token({"aud": "churn", "exp": NOW + 60}, OTHER_SECRET),
        token({"aud": "fraud", "exp": NOW + 60}),
        token({"aud": "churn"}),
        token({"exp": NOW + 60}),
        token({"aud": "churn", "exp": "soon"}),
        token({"aud": "churn", "exp": None}),
        token({"aud": "churn", "exp": NOW + 60}, SECRET + SECRET, "HS512"),
        unsigned({"aud": "churn", "exp": NOW + 60}),
        GOOD[:-2],
        GOOD + b"x",
        GOOD.replace(b".", b"", 1),
        b"",
        b"..",
        b"\xff\xfe.\x00.a",
        nested(3000),
        digest(SECRET),
    ],
    ids=[
        "forged",
        "other endpoint",
        "no exp",
        "no aud",
        "exp is text",
        "exp is null",
        "other algorithm",
        "unsigned",
        "cut",
        "longer",
        "two parts",
        "empty",
        "dots",
        "not text",
        "deeply nested",
        "no token",
    ],
)
def test_a_token_that_is_not_genuine_is_denied(wrong: bytes) -> None:
    """Whatever is wrong with a token, the answer is the same."""
    with pytest.raises(AccessDenied):
        token_expiry(wrong, "churn", SECRET, now=NOW)


def test_without_a_secret_every_token_is_denied() -> None:
    """An endpoint that has no secret yet accepts nothing, least of all a token signed with nothing."""
    with pytest.raises(AccessDenied):
        token_expiry(GOOD, "churn", b"", now=NOW)


def test_a_remembered_token_still_expires() -> None:
    """A token found genuine once is denied from its expiry on."""
    cache = TokenCache()
    cache.check(GOOD, "churn", SECRET, NOW)
    cache.check(GOOD, "churn", SECRET, NOW + 3599)
    with pytest.raises(AccessDenied):
        cache.check(GOOD, "churn", SECRET, NOW + 3600)


@pytest.mark.parametrize(("endpoint", "secret"), [("fraud", SECRET), ("churn", OTHER_SECRET)])
def test_a_remembered_token_is_good_for_its_own_endpoint_and_secret(endpoint: str, secret: bytes) -> None:
    """What was remembered does not open another endpoint, nor survive a new secret."""
    cache = TokenCache()
    cache.check(GOOD, "churn", SECRET, NOW)
    with pytest.raises(AccessDenied):
        cache.check(GOOD, endpoint, secret, NOW)


def test_a_denied_token_is_not_remembered() -> None:
    """A forged token stays denied however often it is shown."""
    cache = TokenCache()
    forged = token({"aud": "churn", "exp": NOW + 60}, OTHER_SECRET)
    with pytest.raises(AccessDenied):
        cache.check(forged, "churn", SECRET, NOW)
    with pytest.raises(AccessDenied):
        cache.check(forged, "churn", SECRET, NOW)

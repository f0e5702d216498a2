"""Bearer tokens: a valid one, and every reason to refuse one."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import time
import warnings
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from runtime.access.token_keys import (
    MAX_RETRY_SECONDS,
    MAX_STALE_SECONDS,
    MIN_RETRY_SECONDS,
    PublicKeys,
)
from runtime.access.tokens import MAX_TOKEN_CHARACTERS, TokenKeys, verify_token
from runtime.audit.projection.rows import UNKNOWN_USER
from runtime.http.identity import MAX_CLAIM_CHARACTERS, MAX_PERMISSIONS, Refusal, TokenRefused
from runtime.key_rotation import rotation
from runtime.ledger.holds import expiry
from runtime.ledger.hot_accounts import projection as folding_projection
from runtime.payments.resolution import authorization_expiry, leases
from runtime.reconciliation.dependencies import RECONCILER
from runtime.settings import AuthorizerSettings
from runtime.webhooks import delivery

RSA = rsa.generate_private_key(65537, 2048)
STRANGER = rsa.generate_private_key(65537, 2048)
WEAK = rsa.generate_private_key(65537, 1024)  # noqa: S505 - to be refused
EC = ec.generate_private_key(ec.SECP256R1())
SETTINGS = AuthorizerSettings(
    stage="test",
    service="authorizer",
    issuer="https://issuer",
    audience="payments",
    tables={"api_keys": "api_keys", "keys": "keys"},
    index_key_arn="arn",
    jwks_url="x",
)
PUBLIC_PEM = RSA.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)


def jwks() -> dict[str, Any]:
    return {
        "keys": [
            {**json.loads(RSAAlgorithm.to_jwk(RSA.public_key())), "kid": "rsa-1", "alg": "RS256"},
            {**json.loads(ECAlgorithm.to_jwk(EC.public_key())), "kid": "ec-1", "alg": "ES256"},
            {**json.loads(RSAAlgorithm.to_jwk(WEAK.public_key())), "kid": "weak", "alg": "RS256"},
            {**json.loads(RSAAlgorithm.to_jwk(STRANGER.public_key())), "kid": "enc", "use": "enc"},
        ]
    }


KEYS = TokenKeys(PublicKeys(jwks, 300, time.monotonic))


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    full = {
        "sub": "user-1",
        "merchant_id": "mer_1",
        "permissions": ["payments", "reports"],
        "iss": "https://issuer",
        "aud": "payments",
        "exp": now + 600,
        **changes,
    }
    return {name: value for name, value in full.items() if value is not ...}


def signed(
    body: dict[str, Any] | None = None,
    key: Any = RSA,
    algorithm: str = "RS256",
    kid: str | None = "rsa-1",
    typ: Any = "JWT",
    **changes: Any,
) -> str:
    headers = {"typ": typ} if kid is None else {"kid": kid, "typ": typ}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", jwt.InsecureKeyLengthWarning)
        return jwt.encode(body or claims(**changes), key, algorithm, headers=headers)


def part(value: Any) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def test_a_valid_token_gives_the_identity() -> None:
    identity = verify_token(signed(), KEYS, SETTINGS)
    assert (identity.subject, identity.merchant_id) == ("user-1", "mer_1")
    assert identity.permissions == ("payments", "reports")


def test_an_elliptic_curve_key_is_accepted_too() -> None:
    token = signed(key=EC, algorithm="ES256", kid="ec-1")
    assert verify_token(token, KEYS, SETTINGS).subject == "user-1"


def test_an_operators_token_has_no_merchant() -> None:
    assert verify_token(signed(merchant_id=...), KEYS, SETTINGS).merchant_id is None


@pytest.mark.parametrize(
    "typ", ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "application/JWT", None, ""]
)
def test_a_tokens_type_may_be_jwt_access_token_or_missing(typ: Any) -> None:
    assert verify_token(signed(typ=typ), KEYS, SETTINGS).subject == "user-1"


@pytest.mark.parametrize("character", ["x", "\U0001d11e"])
def test_claims_of_the_maximum_length_are_accepted(character: str) -> None:
    text, word = character * MAX_CLAIM_CHARACTERS, "p" * MAX_CLAIM_CHARACTERS
    identity = verify_token(signed(sub=text, permissions=[word]), KEYS, SETTINGS)
    assert (identity.subject, identity.permissions) == (text, (word,))
    assert len(text.encode()) <= 1_024, "DynamoDB's limit for the key of an index is 2,048 bytes"


def test_an_identity_expires_with_its_token_and_the_clock_tolerance() -> None:
    exp = int(time.time()) + 600
    identity = verify_token(signed(exp=exp), KEYS, SETTINGS)
    assert identity.expires_at == exp + SETTINGS.leeway_seconds


OWN_NAMES = (
    authorization_expiry.AUTHORIZATION.user,
    authorization_expiry.ACTION.user,
    leases.RESOLVER,
    folding_projection.CREDITED_BY,
    expiry.EXPIRED_BY,
    rotation.ROTATED_BY,
    RECONCILER,
    delivery.DELIVERED_BY,
    "processor stripe",
    "key:0aZ9bY8cX7dW",
    "key:",
    UNKNOWN_USER,
)


@pytest.mark.parametrize("name", OWN_NAMES)
def test_a_token_cannot_use_a_reserved_name(name: str) -> None:
    with pytest.raises(TokenRefused) as refused:
        verify_token(signed(sub=name), KEYS, SETTINGS)
    assert refused.value.reason is Refusal.CLAIMS


def signed_with_the_public_key(algorithm: str) -> str:
    head = part({"alg": algorithm, "kid": "rsa-1", "typ": "JWT"}) + "." + part(claims())
    mac = hmac.new(PUBLIC_PEM, head.encode(), hashlib.sha256).digest()
    return head + "." + part(mac)


def _tampered() -> str:
    head, _, signature = signed().split(".")
    return ".".join((head, part(claims(permissions=["admin"])), signature))


def _relabelled() -> str:
    _, body, signature = signed().split(".")
    return ".".join((part({"alg": "ES256", "kid": "ec-1"}), body, signature))


REFUSED: dict[str, Callable[[], str]] = {
    "expired": lambda: signed(exp=int(time.time()) - 60),
    "not yet valid": lambda: signed(nbf=int(time.time()) + 60),
    "issued in the future": lambda: signed(iat=int(time.time()) + 60),
    "no exp": lambda: signed(exp=...),
    "no sub": lambda: signed(sub=...),
    "no iss": lambda: signed(iss=...),
    "no aud": lambda: signed(aud=...),
    "no permissions": lambda: signed(permissions=...),
    "exp is text": lambda: signed(exp="soon"),
    "empty sub": lambda: signed(sub=""),
    "wrong issuer": lambda: signed(iss="https://other"),
    "issuers prefix": lambda: signed(iss="https://issuer/"),
    "wrong audience": lambda: signed(aud="other"),
    "audience in a list": lambda: signed(aud=["payments"]),
    "alg none": lambda: part({"alg": "none", "kid": "rsa-1"}) + "." + part(claims()) + ".",
    "alg None in capitals": lambda: (
        part({"alg": "NONE", "kid": "rsa-1"}) + "." + part(claims()) + "."
    ),
    "HS256 with the public key": lambda: signed_with_the_public_key("HS256"),
    "RS256 in name, HMAC in truth": lambda: signed_with_the_public_key("RS256"),
    "RS512": lambda: signed(algorithm="RS512"),
    "PS256": lambda: signed(algorithm="PS256"),
    "signed by a stranger": lambda: signed(key=STRANGER),
    "unknown kid": lambda: signed(kid="rsa-2"),
    "no kid": lambda: signed(kid=None),
    "another keys kid": lambda: signed(kid="ec-1"),
    "another keys algorithm": _relabelled,
    "tampered payload": _tampered,
    "no signature": lambda: signed().rpartition(".")[0] + ".",
    "two parts": lambda: signed().rpartition(".")[0],
    "too long": lambda: signed(extra="x" * MAX_TOKEN_CHARACTERS),
    "a megabyte": lambda: signed(extra="x" * 1024 * 1024),
    "empty": lambda: "",
    "permissions as text": lambda: signed(permissions="payments admin"),
    "permissions with a number": lambda: signed(permissions=["payments", 1]),
    "permissions as an object": lambda: signed(permissions={"admin": True}),
    "a permission with a space": lambda: signed(permissions=["payments admin"]),
    "a permission with a tab": lambda: signed(permissions=["payments\tadmin"]),
    "a permission with a newline": lambda: signed(permissions=["x\nadmin"]),
    "an empty permission": lambda: signed(permissions=[""]),
    "too many permissions": lambda: signed(permissions=["p"] * (MAX_PERMISSIONS + 1)),
    "merchant is a number": lambda: signed(merchant_id=7),
    "merchant is empty": lambda: signed(merchant_id=""),
    "merchant is the platform": lambda: signed(merchant_id="platform"),
    "merchant is not an id": lambda: signed(merchant_id="mer_1#2"),
    "merchant is a list": lambda: signed(merchant_id=["mer_1"]),
    "merchant is null": lambda: signed(merchant_id=None),
    "merchant is false": lambda: signed(merchant_id=False),
    "merchant is too long": lambda: signed(merchant_id="mer_" + "1" * MAX_CLAIM_CHARACTERS),
    "sub of 256 characters": lambda: signed(sub="x" * (MAX_CLAIM_CHARACTERS + 1)),
    "sub of 2,100 characters": lambda: signed(sub="x" * 2_100),
    "sub with a newline": lambda: signed(sub="user\n1"),
    "sub with half a character": lambda: signed(sub="user-\ud800"),
    "sub of an API key": lambda: signed(sub="key:0aZ9bY8cX7dW"),
    "a permission that is too long": lambda: signed(permissions=["p" * 256]),
    "a permission with a control character": lambda: signed(permissions=["p\x00"]),
    "kid is too long": lambda: signed(kid="k" * (MAX_CLAIM_CHARACTERS + 1)),
    "typ of another use": lambda: signed(typ="logout+jwt"),
    "typ of an id token": lambda: signed(typ="application/dpop+jwt"),
    "typ with a parameter": lambda: signed(typ="JWT; x=1"),
    "signed with a key for encryption": lambda: signed(key=STRANGER, kid="enc"),
    "exp in milliseconds": lambda: signed(exp=int(time.time() + 600) * 1000),
    "signed with a weak key": lambda: signed(key=WEAK, kid="weak"),
}


REASONS: dict[Refusal, tuple[str, ...]] = {
    Refusal.EXPIRED: ("expired",),
    Refusal.NOT_YET_VALID: ("not yet valid", "issued in the future"),
    Refusal.MISSING_CLAIM: ("no exp", "no sub", "no iss", "no aud", "no permissions"),
    Refusal.ISSUER: ("wrong issuer", "issuers prefix"),
    Refusal.AUDIENCE: ("wrong audience", "audience in a list"),
    Refusal.ALGORITHM: (
        "alg none",
        "alg None in capitals",
        "HS256 with the public key",
        "RS512",
        "PS256",
        "another keys kid",
    ),
    Refusal.SIGNATURE: (
        "RS256 in name, HMAC in truth",
        "signed by a stranger",
        "another keys algorithm",
        "tampered payload",
        "no signature",
    ),
    Refusal.UNKNOWN_KEY: (
        "unknown kid",
        "no kid",
        "kid is too long",
        "signed with a weak key",
        "signed with a key for encryption",
    ),
    Refusal.TYPE: ("typ of another use", "typ of an id token", "typ with a parameter"),
    Refusal.MALFORMED: ("two parts", "empty", "exp is text"),
    Refusal.TOO_LONG: ("too long", "a megabyte"),
}
REASON_OF = {flaw: reason for reason, flaws in REASONS.items() for flaw in flaws}


@pytest.mark.parametrize("flaw", list(REFUSED))
def test_a_token_with_one_flaw_is_refused_for_that_flaw(flaw: str) -> None:
    with pytest.raises(TokenRefused) as refused:
        verify_token(REFUSED[flaw](), KEYS, SETTINGS)
    assert refused.value.reason is REASON_OF.get(flaw, Refusal.CLAIMS)


def test_every_reason_is_a_valid_metric_dimension() -> None:
    assert set(REASON_OF) < set(REFUSED)
    assert all(reason.isascii() and " " not in reason for reason in Refusal)


@given(st.text(max_size=200))
def test_any_text_that_is_not_a_token_is_refused(text: str) -> None:
    with pytest.raises(TokenRefused):
        verify_token(text, KEYS, SETTINGS)


@given(st.integers(0, 2000), st.characters(min_codepoint=33, max_codepoint=126))
def test_a_token_with_one_changed_character_is_refused(place: int, character: str) -> None:
    token = signed()
    place %= token.rindex(".")  # the signature's last character has unused bits
    forged = token[:place] + character + token[place + 1 :]
    if forged != token:
        with pytest.raises(TokenRefused):
            verify_token(forged, KEYS, SETTINGS)


def test_a_slightly_slow_clock_is_tolerated() -> None:
    token = signed(exp=int(time.time()) - SETTINGS.leeway_seconds + 3)
    assert verify_token(token, KEYS, SETTINGS).subject == "user-1"


class Issuer:
    """An issuer that can change its keys, be unavailable, and answer nonsense."""

    def __init__(self) -> None:
        self.asked = 0
        self.kids = ["a"]
        self.instead: Any = None

    def __call__(self) -> dict[str, Any]:
        self.asked += 1
        if isinstance(self.instead, Exception):
            raise self.instead
        if self.instead is not None:
            nonsense: dict[str, Any] = self.instead
            return nonsense
        (key, *_) = jwks()["keys"]
        return {"keys": [{**key, "kid": kid} for kid in self.kids]}


AWAY = ValueError("no answer")
BAD_ANSWERS: tuple[Any, ...] = (
    AWAY,
    TimeoutError("slow"),
    http.client.IncompleteRead(b"{"),
    RecursionError(),
    [],
    [{"keys": []}],
    "keys",
    7,
    {},
    {"keys": None},
    {"keys": []},
    {"keys": {}},
    {"keys": "text"},
    {"keys": [7, None, []]},
    {"keys": [{"kty": "RSA", "kid": "a"}]},
    {"keys": [{"kty": "RSA", "kid": "a", "n": 1, "e": []}]},
    {"keys": [{"kty": ["RSA"], "kid": {}}]},
)


def keys_of(issuer: Issuer, clock: list[float]) -> PublicKeys:
    return PublicKeys(issuer, 300, monotonic=lambda: clock[0])


def test_keys_are_loaded_once_and_again_when_stale() -> None:
    issuer, clock = Issuer(), [0.0]
    keys = keys_of(issuer, clock)
    for clock[0] in (0.0, 100.0, 299.0):
        keys.key("a")
    assert issuer.asked == 1
    clock[0] = 301.0
    keys.key("a")
    assert issuer.asked == 2


def test_a_new_kid_is_found_soon_but_unknown_ones_are_not_loaded_each_time() -> None:
    issuer, clock = Issuer(), [0.0]
    keys = keys_of(issuer, clock)
    keys.key("a")
    issuer.kids.append("b")
    for _ in range(50):
        with pytest.raises(TokenRefused):
            keys.key("b")
    assert issuer.asked == 1
    clock[0] = MIN_RETRY_SECONDS
    assert keys.key("b")
    assert issuer.asked == 2


@pytest.mark.parametrize("answer", BAD_ANSWERS, ids=repr)
def test_known_keys_remain_valid_through_bad_answers_until_they_are_too_old(answer: Any) -> None:
    issuer, clock = Issuer(), [0.0]
    keys = keys_of(issuer, clock)
    keys.key("a")
    issuer.instead = answer
    for clock[0] in (1000.0, 2000.0, MAX_STALE_SECONDS):
        assert keys.key("a")
    clock[0] = MAX_STALE_SECONDS + 1
    with pytest.raises(TokenRefused) as refused:
        keys.key("a")
    assert refused.value.reason is Refusal.KEYS_UNREADABLE
    issuer.instead = None
    clock[0] += MAX_RETRY_SECONDS
    assert keys.key("a")


@pytest.mark.parametrize("answer", BAD_ANSWERS, ids=repr)
def test_a_bad_answer_is_not_retried_at_each_request(answer: Any) -> None:
    issuer, clock = Issuer(), [0.0]
    keys = keys_of(issuer, clock)
    keys.key("a")
    issuer.instead = answer
    for clock[0] in range(300, 310):
        assert keys.key("a")
    assert issuer.asked == 2
    issuer.asked = 0
    for clock[0] in range(310, 1_500):
        assert keys.key("a")
    assert issuer.asked <= 1_190 / MAX_RETRY_SECONDS + 3, "the pauses grow to the maximum"


def test_an_issuer_that_never_answered_is_not_asked_at_each_request() -> None:
    issuer, clock = Issuer(), [0.0]
    issuer.instead = AWAY
    keys = keys_of(issuer, clock)
    for clock[0] in range(10):
        with pytest.raises(TokenRefused):
            keys.key("a")
    assert issuer.asked == 1
    issuer.instead = None
    clock[0] = 2 * MIN_RETRY_SECONDS
    assert keys.key("a")


def test_after_a_successful_load_pauses_are_short_again() -> None:
    issuer, clock = Issuer(), [0.0]
    keys = keys_of(issuer, clock)
    issuer.instead = AWAY
    for clock[0] in (0.0, 20.0, 60.0):
        with pytest.raises(TokenRefused):
            keys.key("a")
    issuer.instead = None
    clock[0] = 120.0
    keys.key("a")
    issuer.kids.append("b")
    clock[0] += MIN_RETRY_SECONDS
    assert keys.key("b")


def test_one_unusable_key_does_not_affect_the_others() -> None:
    good, *_ = jwks()["keys"]
    odd = [7, None, {"kty": "RSA", "kid": "x"}, {"kty": "RSA", "kid": ["y"], "n": {}}]
    keys = PublicKeys(lambda: {"keys": [*odd, good]}, 300, time.monotonic)
    assert keys.key("rsa-1")


def test_a_withdrawn_key_is_refused_after_the_next_load() -> None:
    issuer, clock = Issuer(), [0.0]
    keys = keys_of(issuer, clock)
    keys.key("a")
    issuer.kids[:] = ["b"]
    clock[0] = 301.0
    with pytest.raises(TokenRefused):
        keys.key("a")


def test_without_keys_from_the_issuer_no_token_is_valid() -> None:
    issuer = Issuer()
    issuer.instead = AWAY
    with pytest.raises(TokenRefused) as refused:
        verify_token(signed(), TokenKeys(keys_of(issuer, [0.0])), SETTINGS)
    assert refused.value.reason is Refusal.KEYS_UNREADABLE

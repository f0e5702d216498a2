"""HS256: only where a stage has a secret for it, and never with a public key."""

from __future__ import annotations

import base64
import time
import warnings
from typing import Any

import jwt
import pytest

from runtime.access.token_keys import MAX_STALE_SECONDS, MIN_RETRY_SECONDS, SharedSecret
from runtime.access.tokens import TokenKeys, verify_token
from runtime.http.identity import Refusal, TokenRefused
from tests.unit.access.test_tokens import (
    EC,
    KEYS,
    SETTINGS,
    claims,
    part,
    signed,
    signed_with_the_public_key,
)

SECRET = bytes(range(32))
TEXT = base64.b64encode(SECRET).decode()
BOTH = TokenKeys(KEYS.public, SharedSecret(lambda: TEXT, 300, time.monotonic))
ALONE = TokenKeys(None, SharedSecret(lambda: TEXT, 300, time.monotonic))


def shared(key: bytes = SECRET, algorithm: str = "HS256", **changes: Any) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", jwt.InsecureKeyLengthWarning)
        return jwt.encode(claims(**changes), key, algorithm, headers={"kid": "rsa-1"})


def refusal(token: str, keys: TokenKeys) -> Refusal:
    with pytest.raises(TokenRefused) as refused:
        verify_token(token, keys, SETTINGS)
    return refused.value.reason


@pytest.mark.parametrize("keys", [BOTH, ALONE])
def test_a_token_signed_with_the_secret_gives_the_identity(keys: TokenKeys) -> None:
    assert verify_token(shared(), keys, SETTINGS).merchant_id == "mer_1"


def test_without_a_secret_no_hs256_token_is_valid() -> None:
    assert refusal(shared(), KEYS) is Refusal.ALGORITHM


def test_public_keys_work_beside_the_secret() -> None:
    assert verify_token(signed(), BOTH, SETTINGS).subject == "user-1"
    assert verify_token(signed(key=EC, algorithm="ES256", kid="ec-1"), BOTH, SETTINGS)


def test_a_stage_with_only_a_secret_refuses_tokens_of_public_keys() -> None:
    assert refusal(signed(), ALONE) is Refusal.ALGORITHM


def test_the_public_key_never_verifies_an_hmac() -> None:
    assert refusal(signed_with_the_public_key("HS256"), BOTH) is Refusal.SIGNATURE
    assert refusal(signed_with_the_public_key("RS256"), BOTH) is Refusal.SIGNATURE


def test_the_secret_verifies_no_token_with_another_algorithm() -> None:
    _, body, signature = shared().split(".")
    relabelled = ".".join((part({"alg": "RS256", "kid": "rsa-1"}), body, signature))
    assert refusal(relabelled, BOTH) is Refusal.SIGNATURE
    assert refusal(shared(algorithm="HS512"), BOTH) is Refusal.ALGORITHM


@pytest.mark.parametrize("other", [b"", b"x", SECRET[:-1], bytes(range(1, 33)), TEXT.encode()])
def test_another_secret_is_refused(other: bytes) -> None:
    # PyJWT does not sign with an empty key; a zero byte is the same key to HMAC.
    assert refusal(shared(other or b"\0"), BOTH) is Refusal.SIGNATURE


def test_claims_are_checked_as_with_public_keys() -> None:
    assert refusal(shared(exp=1), BOTH) is Refusal.EXPIRED
    assert refusal(shared(aud="other"), BOTH) is Refusal.AUDIENCE
    assert refusal(shared(merchant_id="mer_1#2"), BOTH) is Refusal.CLAIMS


@pytest.mark.parametrize(
    "text", ["", base64.b64encode(SECRET[:31]).decode(), "no base64 at all, but long" * 4, "é" * 64]
)
def test_a_short_or_malformed_secret_accepts_nothing(text: str) -> None:
    keys = TokenKeys(KEYS.public, SharedSecret(lambda: text, 300, time.monotonic))
    for signer in (SECRET, SECRET[:31], text.encode() or b"x"):
        assert refusal(shared(signer), keys) is Refusal.KEYS_UNREADABLE
    assert verify_token(signed(), keys, SETTINGS).subject == "user-1"


def test_a_new_secret_is_loaded_when_the_old_one_is_stale() -> None:
    texts, clock = [TEXT], [0.0]
    secret = SharedSecret(lambda: texts[-1], 300, monotonic=lambda: clock[0])
    assert secret.value() == SECRET
    texts.append(base64.b64encode(b"n" * 32).decode())
    assert secret.value() == SECRET
    clock[0] = 301.0
    assert secret.value() == b"n" * 32
    texts.append("short")
    clock[0] = 301 + MAX_STALE_SECONDS + MIN_RETRY_SECONDS
    with pytest.raises(TokenRefused):
        secret.value()


def test_the_secret_is_never_shown() -> None:
    for shown in (repr(BOTH), str(BOTH.secret), repr(vars(BOTH.secret))):
        assert TEXT not in shown
        assert repr(SECRET) not in shown

"""API keys: their format, their hash, and every reason to refuse one."""

from __future__ import annotations

import base64
import os
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.access.api import KeyPermission, NewApiKey
from runtime.access.api_key_gate import LAST_USED_INTERVAL, ApiKeyGate, ApiKeyUse, verify_api_key
from runtime.access.api_key_text import (
    HASH_SUBJECT,
    PREFIX_ALPHABET,
    PREFIX_CHARACTERS,
    PREFIX_RANDOM_BYTES,
    api_key_text,
    hash_of,
    prefix_from,
    prefix_of,
)
from runtime.access.models import ApiKey
from runtime.core.errors import (
    IntegrityError,
    KeyForgotten,
    KeysUnavailable,
    StaleWrite,
    Unavailable,
)
from runtime.core.observability import logger
from runtime.core.scope import Scope
from runtime.http.endpoint import Permission
from runtime.http.identity import Refusal, TokenRefused
from tests.support.outside import OUTSIDE

HASH_KEY = bytes(range(32, 64))
PREFIX = "0aZ9bY8cX7dW"
TEXT = api_key_text(PREFIX, bytes(range(32)))
NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
PRESENTED = ApiKeyUse(NOW, "request-1", "192.0.2.1", "tests")


def row(**changes: Any) -> ApiKey:
    made = {
        "prefix": PREFIX,
        "merchant_id": "mer_1",
        "name": "till",
        "permissions": frozenset({"reports", "payments"}),
        "key_hash": hash_of(HASH_KEY, TEXT),
        "hash_key_id": "k000000001",
        "created_at": "2026-03-01T00:00:00.000Z",
        "updated_at": "2026-03-01T00:00:00.000Z",
        "changed_by": "operator",
        "request_id": "r",
        "cause": "r",
    }
    return ApiKey(**{**made, **changes})


@dataclass
class Gate:
    """The tables and keys, with injected errors."""

    row: ApiKey | None = field(default_factory=row)
    reading: Exception | None = None
    keys: Exception | None = None
    noting: Exception | None = None
    noted: list[ApiKey] = field(default_factory=list)
    asked_for: list[tuple[str, str, str]] = field(default_factory=list)

    def get(self, prefix: str, scope: Scope) -> ApiKey | None:
        if self.reading:
            raise self.reading
        return self.row if self.row and self.row.prefix == prefix else None

    def key_for_reading(self, purpose: str, subject: str, key_id: str) -> bytes:
        self.asked_for.append((purpose, subject, key_id))
        if self.keys:
            raise self.keys
        return HASH_KEY

    def record_use(self, before: ApiKey, after: ApiKey, *, token: str) -> None:
        assert len(token) <= 36
        if self.noting:
            raise self.noting
        self.noted.append(after)

    def judge(self, text: str = TEXT, presented: ApiKeyUse = PRESENTED) -> Any:
        return verify_api_key(text, presented, ApiKeyGate(self, self, self, OUTSIDE))

    def refusal(self, text: str = TEXT) -> Refusal:
        with pytest.raises(TokenRefused) as refused:
            self.judge(text)
        assert TEXT not in str(refused.value)
        return refused.value.reason


def test_a_valid_key_identifies_its_owner() -> None:
    gate = Gate()
    identity = gate.judge()
    assert (identity.subject, identity.merchant_id) == (f"key:{PREFIX}", "mer_1")
    assert identity.permissions == ("payments", "reports")
    assert gate.asked_for == [("index", HASH_SUBJECT, "k000000001")]


def test_a_key_has_one_format() -> None:
    mark, prefix, secret = TEXT.split("_", 2)
    assert (mark, prefix) == ("sk", PREFIX)
    assert len(base64.urlsafe_b64decode(secret + "=")) == 32
    assert prefix_of(TEXT) == PREFIX


@given(st.binary(min_size=PREFIX_RANDOM_BYTES, max_size=PREFIX_RANDOM_BYTES))
def test_a_prefix_consists_only_of_random_bytes(random: bytes) -> None:
    prefix = prefix_from(random)
    assert prefix_of(api_key_text(prefix, bytes(32))) == prefix
    assert prefix_from(random) == prefix


def test_every_letter_is_equally_likely_in_a_prefix() -> None:
    dice, drawn = Random(4), 10_000
    letters = Counter("".join(prefix_from(dice.randbytes(16)) for _ in range(drawn)))
    assert set(letters) == set(PREFIX_ALPHABET)
    even = drawn * PREFIX_CHARACTERS / len(PREFIX_ALPHABET)
    assert all(0.8 * even < count < 1.2 * even for count in letters.values())


def test_each_gate_compares_unknown_keys_with_its_own_hash() -> None:
    fakes = Gate()
    one, other = (ApiKeyGate(fakes, fakes, fakes, OUTSIDE) for _ in range(2))
    assert len({one.decoy_key, other.decoy_key, one.decoy_hash, other.decoy_hash}) == 4
    assert len(one.decoy_key) == 32
    assert one.decoy_hash not in repr(one)


@pytest.mark.parametrize(
    "text",
    [
        "sk_",
        TEXT[:-1],
        TEXT + "A",
        TEXT + "\n",
        TEXT.replace("sk_", "SK_"),
        TEXT.replace(PREFIX, PREFIX[:-1]),
        TEXT.replace(PREFIX, PREFIX[:-1] + "#"),
        TEXT.replace(PREFIX, PREFIX[:-1] + "é"),
        "sk_" + "x" * 1024 * 1024,
    ],
    ids=lambda text: text[:20] + str(len(text)),
)
def test_a_text_in_another_format_is_refused_without_a_read(text: str) -> None:
    gate = Gate(reading=AssertionError("nothing should be read"))
    assert gate.refusal(text) is Refusal.MALFORMED


@given(st.text(max_size=80))
def test_any_text_that_is_not_a_key_is_refused(text: str) -> None:
    with pytest.raises(TokenRefused):
        Gate().judge("sk_" + text)


def test_an_unknown_prefix_is_refused() -> None:
    gate = Gate(row=None)
    assert gate.refusal() is Refusal.API_KEY_UNKNOWN
    assert gate.noted == []


def test_a_wrong_secret_is_refused() -> None:
    gate = Gate()
    assert gate.refusal(api_key_text(PREFIX, os.urandom(32))) is Refusal.API_KEY_WRONG
    assert gate.noted == []


def test_another_encoding_of_the_same_bytes_is_another_secret() -> None:
    last = TEXT[-1]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    respelt = TEXT[:-1] + alphabet[alphabet.index(last) ^ 1]
    assert Gate().refusal(respelt) is Refusal.API_KEY_WRONG


def test_a_revoked_key_is_refused_and_its_owner_is_named_only_in_the_log() -> None:
    gate = Gate(row=row(revoked_at="2026-03-02T00:00:00.000Z"))
    assert gate.refusal() is Refusal.API_KEY_REVOKED
    assert gate.refusal(api_key_text(PREFIX, os.urandom(32))) is Refusal.API_KEY_WRONG
    assert gate.noted == []


@pytest.mark.parametrize(
    "error", [IntegrityError("wrong"), KeyForgotten("gone"), KeysUnavailable("away")]
)
def test_without_the_hash_key_every_key_is_refused(error: Exception) -> None:
    assert Gate(keys=error).refusal() is Refusal.KEYS_UNREADABLE


def test_a_table_error_refuses_the_key() -> None:
    assert Gate(reading=Unavailable("busy")).refusal() is Refusal.KEYS_UNREADABLE


@pytest.mark.parametrize("merchant_id", ["", "platform", "mer_1#2"])
def test_a_key_without_a_merchant_is_refused(merchant_id: str) -> None:
    assert Gate(row=row(merchant_id=merchant_id)).refusal() is Refusal.CLAIMS


def test_the_first_use_is_recorded_as_a_change_by_the_key() -> None:
    gate = Gate()
    gate.judge()
    (noted,) = gate.noted
    assert noted.last_used_at == noted.updated_at == "2026-03-04T05:06:07.000Z"
    assert (noted.version, noted.changed_by) == (2, f"key:{PREFIX}")
    assert (noted.cause, noted.ip_address) == ("request-1", "192.0.2.1")
    assert noted.key_hash == row().key_hash


def test_a_use_is_recorded_at_most_once_an_hour() -> None:
    gate = Gate(row=row(last_used_at="2026-03-04T05:06:07.000Z"))
    hour = timedelta(hours=1)
    assert hour == LAST_USED_INTERVAL
    for later in (timedelta(0), hour - timedelta(seconds=1)):
        gate.judge(presented=replace(PRESENTED, now=NOW + later))
    assert gate.noted == []
    gate.judge(presented=replace(PRESENTED, now=NOW + hour))
    assert len(gate.noted) == 1


def test_a_use_that_cannot_be_recorded_still_admits_the_caller_with_a_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    warned: list[dict[str, Any]] = []
    monkeypatch.setattr(logger, "warning", lambda _, **fields: warned.append(fields))
    assert Gate(noting=StaleWrite("api_keys", "changed")).judge().merchant_id == "mer_1"
    assert warned == []
    assert Gate(noting=Unavailable("busy")).judge().merchant_id == "mer_1"
    assert warned == [{"key": PREFIX, "detail": "busy"}]


def test_the_secret_and_its_hash_are_never_shown() -> None:
    assert row().key_hash not in repr(row())
    shown = NewApiKey.model_validate({**row().model_dump(), "secret": TEXT, "prefix": PREFIX})
    assert TEXT not in repr(shown)
    assert "key_hash" not in shown.model_dump()


def test_a_key_may_have_every_permission_but_admin() -> None:
    assert set(get_args(KeyPermission)) == {str(each) for each in Permission} - {"admin"}

"""Fingerprints and keys of idempotent requests."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from runtime.core.timestamps import to_epoch_seconds
from runtime.idempotency.models import ClaimState, IdempotencyRecord
from runtime.idempotency.rules import claim_key, fingerprint, is_expired

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)
bodies = st.dictionaries(st.text(max_size=5), values, max_size=4)


@given(bodies)
def test_member_order_and_white_space_do_not_change_the_fingerprint(
    body: dict[str, object],
) -> None:
    shuffled = json.loads(json.dumps(dict(reversed(body.items())), indent=3))
    assert fingerprint("POST", "/v1/payments", body) == fingerprint(
        "POST", "/v1/payments", shuffled
    )


@given(bodies, bodies)
def test_a_different_body_has_a_different_fingerprint(
    one: dict[str, object], other: dict[str, object]
) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (fingerprint("POST", "/p", one) == fingerprint("POST", "/p", other)) is same


def test_a_different_method_or_path_has_a_different_fingerprint() -> None:
    first = fingerprint("POST", "/v1/payments", {})
    assert fingerprint("PATCH", "/v1/payments", {}) != first
    assert fingerprint("POST", "/v1/accounts", {}) != first
    assert len(first) == 64


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=20))
def test_keys_of_different_merchants_methods_and_paths_are_different(key: str) -> None:
    keys = {
        claim_key(merchant, method, path, key)
        for merchant in ("mer_1", "mer_2")
        for method in ("POST", "PATCH")
        for path in ("/v1/payments", "/v1/accounts")
    }
    assert len(keys) == 8


def test_only_a_completed_claim_expires_and_only_after_its_last_second() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    record = IdempotencyRecord(
        key="k",
        merchant_bucket="m#000",
        created_at="2026-01-01T00:00:00.000Z",
        merchant_id="m",
        key_subject="m",
        request_id="r",
        fingerprint="f",
        owner="o",
        state=ClaimState.COMPLETED,
        expires_at=to_epoch_seconds(now),
    )
    assert not is_expired(record, now)
    assert is_expired(record, now + timedelta(seconds=1))
    running = record.model_copy(update={"state": ClaimState.IN_PROGRESS})
    assert not is_expired(running, now + timedelta(days=1))

"""Idempotency: what makes two requests the same one, and what a taken key means.

Semantics of the IETF draft "The Idempotency-Key HTTP Header Field" and of Stripe's practice.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any

from runtime.domain.instants import to_epoch_seconds
from runtime.models.idempotency import ClaimState, IdempotencyRecord


def fingerprint(method: str, path: str, body: Any) -> str:
    """SHA-256, in hex, of method, concrete path and canonical JSON body."""
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256("\n".join((method, path, canonical)).encode()).hexdigest()


def claim_key(merchant_id: str, method: str, path: str, key: str) -> str:
    """The record's key: two merchants may use the same words for different things."""
    return "#".join((merchant_id, method, path, key))


def event_key(merchant_id: str, processor: str, event_id: str) -> str:
    """The record's key of a processor's notification, which is applied once."""
    return "#".join((merchant_id, "EVENT", processor, event_id))


def is_expired(record: IdempotencyRecord, now: datetime) -> bool:
    """Whether a completed answer has been kept long enough; a claim in progress never expires."""
    return (
        record.state is ClaimState.COMPLETED
        and record.expires_at is not None
        and record.expires_at < to_epoch_seconds(now)
    )

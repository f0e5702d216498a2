"""Idempotency: what makes two requests the same one, and what a taken key means.

Semantics of the IETF draft "The Idempotency-Key HTTP Header Field" and of Stripe's practice.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from runtime.core.timestamps import to_epoch_seconds
from runtime.idempotency.models import ClaimState

_EVENT: Final = "EVENT"
_PARTS: Final = 4
"""Parts of a record's key. Neither an id nor a path of ours has the `#` that parts them."""


class Kept(Protocol):
    """A record, as much of it as says whether its answer is still repeated."""

    @property
    def state(self) -> ClaimState:
        """Whether the request has been answered."""

    @property
    def expires_at(self) -> int | None:
        """Until when its answer is repeated, in seconds since the epoch."""


def fingerprint(method: str, path: str, body: Any) -> str:
    """SHA-256, in hex, of method, concrete path and canonical JSON body."""
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256("\n".join((method, path, canonical)).encode()).hexdigest()


def claim_key(merchant_id: str, method: str, path: str, key: str) -> str:
    """The record's key: two merchants may use the same words for different things."""
    return "#".join((merchant_id, method, path, key))


@dataclass(frozen=True, slots=True)
class KeyParts:
    """What a record's key says of the request, and the key that the caller sent with it."""

    method: str
    path: str
    key: str


def parts_of(record_key: str) -> KeyParts | None:
    """What `claim_key` put together; None for a notification's key, which no caller has sent."""
    parts = record_key.split("#", 3)
    if len(parts) != _PARTS or parts[1] == _EVENT:
        return None
    _, method, path, key = parts
    return KeyParts(method, path, key)


def event_key(merchant_id: str, processor: str, event_id: str) -> str:
    """The record's key of a processor's notification, which is applied once."""
    return "#".join((merchant_id, _EVENT, processor, event_id))


def is_expired(record: Kept, now: datetime) -> bool:
    """Whether a completed answer has been kept long enough; a claim in progress never expires."""
    return (
        record.state is ClaimState.COMPLETED
        and record.expires_at is not None
        and record.expires_at < to_epoch_seconds(now)
    )

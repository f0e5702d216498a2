"""Idempotency: request fingerprints and keys of claims.

The semantics follow the IETF draft "The Idempotency-Key HTTP Header Field" and Stripe's API.
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
_ITEM: Final = "ITEM"
_NO_METHODS: Final = (_EVENT, _ITEM)
"""What stands in the place of the method in keys that are not those of requests."""
_PARTS: Final = 4
"""Parts of a record's key, separated by `#`, which occurs in neither ids nor paths."""


class ClaimExpiry(Protocol):
    """The fields of a claim that determine whether its answer is still repeated."""

    @property
    def state(self) -> ClaimState:
        """Whether the request has been answered."""

    @property
    def expires_at(self) -> int | None:
        """When its answer expires, in seconds since the epoch."""


def fingerprint(method: str, path: str, body: Any) -> str:
    """SHA-256, in hex, of method, concrete path and canonical JSON body."""
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256("\n".join((method, path, canonical)).encode()).hexdigest()


def claim_key(merchant_id: str, method: str, path: str, key: str) -> str:
    """The record's key. Idempotency keys are scoped to a merchant, method and path."""
    return "#".join((merchant_id, method, path, key))


@dataclass(frozen=True, slots=True)
class KeyParts:
    """The request's method and path, and its Idempotency-Key."""

    method: str
    path: str
    key: str


def parts_of(record_key: str) -> KeyParts | None:
    """Parse a key made by `claim_key`; None for one of `event_key` or `item_key`."""
    parts = record_key.split("#", 3)
    if len(parts) != _PARTS or parts[1] in _NO_METHODS:
        return None
    _, method, path, key = parts
    return KeyParts(method, path, key)


def item_key(request_key: str, position: int) -> str:
    """The record's key for one of several things that a request asks for, by its position.

    `request_key`: the key of the request's own record.
    """
    merchant_id, *request = request_key.split("#", 1)
    return "#".join((merchant_id, _ITEM, str(position), *request))


def event_key(merchant_id: str, processor: str, event_id: str) -> str:
    """The record's key for a processor's notification, which is applied once."""
    return "#".join((merchant_id, _EVENT, processor, event_id))


def is_expired(record: ClaimExpiry, now: datetime) -> bool:
    """Whether a completed claim has expired. A claim in progress never expires."""
    return (
        record.state is ClaimState.COMPLETED
        and record.expires_at is not None
        and record.expires_at < to_epoch_seconds(now)
    )

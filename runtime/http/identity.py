"""The identity in a credential: validated the same way wherever the claims come from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

MAX_PERMISSIONS = 32
"""Permissions of one credential. We have eight; a scope may also list those of other systems."""
MAX_CLAIM_CHARACTERS: Final = 255
"""The limit for `sub` (as in OpenID Connect Core 1.0, section 2), a permission and a key id.

They become attributes of every row that the caller changes, and `sub` the key of an index of the
audit log: 255 characters are at most 1,020 bytes, and DynamoDB takes 2,048 in a partition key and
1,024 in a sort key (DynamoDB Developer Guide, "Constraints", partition keys and sort keys).
"""
API_KEY_SUBJECT: Final = "key:"
"""The start of every API key's subject; the key's prefix follows."""

LATEST_END: Final = 10**12 - 1
"""Seconds of the epoch: tokens do not last for 30,000 years."""

_MERCHANT_ID: Final = re.compile(r"mer_[0-9A-Za-z]{1,40}")
_RESERVED_BEGINNINGS: Final = (API_KEY_SUBJECT, "system:", "processor ")
_RESERVED: Final = frozenset(
    {"action expiry", "authorization expiry", "reconcile", "resolver", "unknown"}
)
"""Names of API keys, processors and the platform itself in the audit log: a token with such a
subject could not be distinguished from them there."""


class Refusal(StrEnum):
    """Why a credential is refused: a small fixed set, by which refusals are counted."""

    MISSING = "missing"
    TOO_LONG = "too_long"
    MALFORMED = "malformed"
    ALGORITHM = "algorithm"
    TYPE = "type"
    UNKNOWN_KEY = "unknown_key"
    SIGNATURE = "signature"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    MISSING_CLAIM = "missing_claim"
    ISSUER = "issuer"
    AUDIENCE = "audience"
    CLAIMS = "claims"
    KEYS_UNREADABLE = "keys_unreadable"
    API_KEY_UNKNOWN = "api_key_unknown"
    API_KEY_WRONG = "api_key_wrong"
    API_KEY_REVOKED = "api_key_revoked"
    FAILURE = "failure"


class TokenRefused(Exception):
    """The credential is not acceptable. Reason and detail are for the log, never for the caller."""

    def __init__(self, reason: Refusal, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Identity:
    """The content of an accepted credential. `expires_at`: epoch seconds, None for API keys."""

    subject: str
    merchant_id: str | None
    permissions: tuple[str, ...]
    expires_at: int | None = None


def identity_of_token(claims: Mapping[str, Any], permissions: Any, expires_at: int) -> Identity:
    """The identity in verified token claims. Raises TokenRefused for malformed claims.

    A null `merchant_id` differs from an absent one: only an operator's token omits it.
    """
    if "merchant_id" in claims and claims["merchant_id"] is None:
        raise TokenRefused(Refusal.CLAIMS, "merchant_id is null")
    if expires_at > LATEST_END:
        raise TokenRefused(
            Refusal.CLAIMS, "exp is not a time in seconds; it may be in milliseconds"
        )
    subject = claims.get("sub")
    if isinstance(subject, str) and is_reserved(subject):
        raise TokenRefused(Refusal.CLAIMS, "sub is a name that no token may have")
    return identity_of(subject, claims.get("merchant_id"), permissions, expires_at)


def identity_of(
    subject: Any, merchant_id: Any, permissions: Any, expires_at: int | None = None
) -> Identity:
    """The identity with these values. Raises TokenRefused for malformed values."""
    well_formed = isinstance(permissions, list) and all(isinstance(p, str) for p in permissions)
    if not well_formed or len(permissions) > MAX_PERMISSIONS:
        raise TokenRefused(Refusal.CLAIMS, "permissions is not a short list of strings")
    if any(each.split() != [each] or not _is_name(each) for each in permissions):
        raise TokenRefused(Refusal.CLAIMS, "a permission is empty, too long or not one word")
    if merchant_id is not None and not (
        isinstance(merchant_id, str) and _MERCHANT_ID.fullmatch(merchant_id)
    ):
        raise TokenRefused(Refusal.CLAIMS, "merchant_id is not the id of a merchant")
    if not _is_name(subject):
        raise TokenRefused(
            Refusal.CLAIMS, f"sub is not 1 to {MAX_CLAIM_CHARACTERS} printable characters"
        )
    return Identity(subject, merchant_id, tuple(permissions), expires_at)


def is_reserved(subject: str) -> bool:
    """Whether this name is reserved for actors other than tokens."""
    return subject.startswith(_RESERVED_BEGINNINGS) or subject in _RESERVED


def _is_name(value: Any) -> bool:
    """Printable text of bounded length, without control characters or lone surrogates."""
    return isinstance(value, str) and 0 < len(value) <= MAX_CLAIM_CHARACTERS and value.isprintable()

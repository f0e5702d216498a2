"""Who a credential says it is: judged the same way wherever the claims come from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

MAX_PERMISSIONS = 32
"""Permissions of one credential; there are eight."""

_MERCHANT_ID: Final = re.compile(r"mer_[0-9A-Za-z]{1,40}")


class Refusal(StrEnum):
    """Why a credential is refused: the words by which refusals are counted, few and fixed."""

    MISSING = "missing"
    TOO_LONG = "too_long"
    MALFORMED = "malformed"
    ALGORITHM = "algorithm"
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
    """What an accepted credential says."""

    subject: str
    merchant_id: str | None
    permissions: tuple[str, ...]


def identity_of(subject: Any, merchant_id: Any, permissions: Any) -> Identity:
    """The identity in claims whose origin is proven. Raises TokenRefused for odd ones."""
    well_formed = isinstance(permissions, list) and all(isinstance(p, str) for p in permissions)
    if not well_formed or len(permissions) > MAX_PERMISSIONS:
        raise TokenRefused(Refusal.CLAIMS, "permissions is not a short list of strings")
    if any(permission.split() != [permission] for permission in permissions):
        raise TokenRefused(Refusal.CLAIMS, "a permission is empty or holds white space")
    if merchant_id is not None and not (
        isinstance(merchant_id, str) and _MERCHANT_ID.fullmatch(merchant_id)
    ):
        raise TokenRefused(Refusal.CLAIMS, "merchant_id is no merchant's id")
    if not (isinstance(subject, str) and subject):
        raise TokenRefused(Refusal.CLAIMS, "sub is no text, or empty")
    return Identity(subject, merchant_id, tuple(permissions))

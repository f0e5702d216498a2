"""Verify API keys. A key that cannot be verified is rejected."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol

from runtime.access.api_key_text import HASH_SUBJECT, hash_of, is_hash_of, prefix_of
from runtime.access.models import ApiKey
from runtime.core.change_context import ChangeContext
from runtime.core.errors import IntegrityError, KeyForgotten, StaleWrite, Unavailable
from runtime.core.observability import logger
from runtime.core.outside import Outside
from runtime.core.scope import UNRESTRICTED, Scope
from runtime.core.timestamps import to_datetime, to_timestamp
from runtime.encryption.key_ring import KeyPurpose
from runtime.http.identity import API_KEY_SUBJECT, Identity, Refusal, TokenRefused, identity_of

LAST_USED_INTERVAL: Final = timedelta(hours=1)
"""How far `last_used_at` may lag behind. Recording every use would cost a write per request."""
_KEY_BYTES: Final = 32


class ApiKeyReader(Protocol):
    """Reads API keys."""

    def get(self, prefix: str, scope: Scope) -> ApiKey | None:
        """The key with its hash. Raises Unavailable."""
        ...


class LastUsedWriter(Protocol):
    """Records when API keys are used."""

    def record_use(self, before: ApiKey, after: ApiKey, *, token: str) -> None:
        """Store the new `last_used_at`. Raises StaleWrite, Unavailable."""
        ...


class HashKeys(Protocol):
    """Reads the data keys under which API keys are hashed."""

    def key_for_reading(self, purpose: KeyPurpose, subject: str, key_id: str) -> bytes:
        """The plaintext data key. Raises KeyForgotten, KeysUnavailable, IntegrityError."""
        ...


@dataclass(frozen=True, slots=True)
class ApiKeyGate:
    """Dependencies of API key verification.

    A key with an unknown prefix is compared with `decoy_hash` under `decoy_key`, so that it takes
    as long as a wrong key.
    """

    reader: ApiKeyReader
    hash_keys: HashKeys
    uses: LastUsedWriter
    outside: Outside
    decoy_key: bytes = field(init=False, repr=False)
    decoy_hash: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        entropy = self.outside.entropy
        object.__setattr__(self, "decoy_key", entropy(_KEY_BYTES))
        object.__setattr__(self, "decoy_hash", hash_of(entropy(_KEY_BYTES), "decoy"))


@dataclass(frozen=True, slots=True)
class ApiKeyUse:
    """The request that presents a key: its time and origin."""

    now: datetime
    request_id: str
    ip_address: str = ""
    user_agent: str = ""


def verify_api_key(text: str, use: ApiKeyUse, gate: ApiKeyGate) -> Identity:
    """The identity of a valid key. Raises TokenRefused for anything else."""
    prefix = prefix_of(text)
    if prefix is None:
        raise TokenRefused(Refusal.MALFORMED, "the credential is not a well-formed API key")
    try:
        row = gate.reader.get(prefix, UNRESTRICTED)
        hash_key = _hash_key(row, gate)
    except (IntegrityError, KeyForgotten, Unavailable) as error:
        raise TokenRefused(Refusal.KEYS_UNREADABLE, type(error).__name__) from error
    matches = is_hash_of(row.key_hash if row else gate.decoy_hash, hash_key, text)
    if row is None:
        raise TokenRefused(Refusal.API_KEY_UNKNOWN, "no API key has this prefix")
    if not matches:
        raise TokenRefused(Refusal.API_KEY_WRONG, f"the secret of API key {prefix} does not match")
    if row.revoked_at is not None:
        raise TokenRefused(Refusal.API_KEY_REVOKED, f"API key {prefix} is revoked")
    identity = identity_of(f"{API_KEY_SUBJECT}{prefix}", row.merchant_id, sorted(row.permissions))
    _record_use(row, identity, use, gate)
    return identity


def _hash_key(row: ApiKey | None, gate: ApiKeyGate) -> bytes:
    if row is None:
        return gate.decoy_key
    return gate.hash_keys.key_for_reading("index", HASH_SUBJECT, row.hash_key_id)


def _record_use(row: ApiKey, identity: Identity, use: ApiKeyUse, gate: ApiKeyGate) -> None:
    """Update `last_used_at` at most once an hour. A failure does not fail the request."""
    last = row.last_used_at
    if last is not None and use.now - to_datetime(last) < LAST_USED_INTERVAL:
        return
    now = to_timestamp(use.now)
    context = ChangeContext(
        changed_by=identity.subject,
        request_id=use.request_id,
        cause=use.request_id,
        ip_address=use.ip_address,
        user_agent=use.user_agent,
    )
    after = row.next_version(now, {"last_used_at": now}, context)
    try:
        token = gate.outside.new_id("use", use.now)
        gate.uses.record_use(row, after, token=token)
    except StaleWrite:
        return
    except Unavailable as error:
        logger.warning("API key use was not recorded", key=row.prefix, detail=error.detail)

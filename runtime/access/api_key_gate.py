"""Whether an API key is good, and whose it is. Every doubt is a refusal."""

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
from runtime.core.scope import EVERYBODY, Scope
from runtime.core.timestamps import to_datetime, to_timestamp
from runtime.encryption.key_ring import KeyPurpose
from runtime.http.identity import API_KEY_SUBJECT, Identity, Refusal, TokenRefused, identity_of

USE_NOTED_EVERY: Final = timedelta(hours=1)
"""`last_used_at` is at most so much behind: noting each use would cost a write per request."""
_KEY_BYTES: Final = 32


class ApiKeyReader(Protocol):
    """Where keys are read."""

    def get(self, prefix: str, scope: Scope) -> ApiKey | None:
        """A key with its hash. Raises Unavailable."""
        ...


class UseNotes(Protocol):
    """Where their use is noted."""

    def note_use(self, before: ApiKey, after: ApiKey, *, token: str) -> None:
        """Write that the key was used. Raises StaleWrite, Unavailable."""
        ...


class HashKeys(Protocol):
    """Gives the keys that API keys were hashed with."""

    def key_for_reading(self, purpose: KeyPurpose, subject: str, key_id: str) -> bytes:
        """The plaintext of a key in use. Raises KeyForgotten, KeysUnavailable, IntegrityError."""
        ...


@dataclass(frozen=True, slots=True)
class ApiKeyGate:
    """Dependencies of judging keys.

    A text with an unknown prefix is compared with `nobodys_hash` under `nobodys_key`, so that it
    takes the time of a wrong key.
    """

    reader: ApiKeyReader
    hash_keys: HashKeys
    uses: UseNotes
    outside: Outside
    nobodys_key: bytes = field(init=False, repr=False)
    nobodys_hash: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        entropy = self.outside.entropy
        object.__setattr__(self, "nobodys_key", entropy(_KEY_BYTES))
        object.__setattr__(self, "nobodys_hash", hash_of(entropy(_KEY_BYTES), "nobody"))


@dataclass(frozen=True, slots=True)
class Presented:
    """A request that presents a key: when, and where it came from."""

    now: datetime
    request_id: str
    ip_address: str = ""
    user_agent: str = ""


def judge_api_key(text: str, presented: Presented, gate: ApiKeyGate) -> Identity:
    """The identity of a good key. Raises TokenRefused for every other text."""
    prefix = prefix_of(text)
    if prefix is None:
        raise TokenRefused(Refusal.MALFORMED, "this begins like an API key and is none")
    try:
        row = gate.reader.get(prefix, EVERYBODY)
        hash_key = _hash_key(row, gate)
    except (IntegrityError, KeyForgotten, Unavailable) as error:
        raise TokenRefused(Refusal.KEYS_UNREADABLE, type(error).__name__) from error
    good = is_hash_of(row.key_hash if row else gate.nobodys_hash, hash_key, text)
    if row is None:
        raise TokenRefused(Refusal.API_KEY_UNKNOWN, "no API key has this prefix")
    if not good:
        raise TokenRefused(Refusal.API_KEY_WRONG, f"this is not API key {prefix}")
    if row.revoked_at is not None:
        raise TokenRefused(Refusal.API_KEY_REVOKED, f"API key {prefix} is revoked")
    identity = identity_of(f"{API_KEY_SUBJECT}{prefix}", row.merchant_id, sorted(row.permissions))
    _note_use(row, identity, presented, gate)
    return identity


def _hash_key(row: ApiKey | None, gate: ApiKeyGate) -> bytes:
    if row is None:
        return gate.nobodys_key
    return gate.hash_keys.key_for_reading("index", HASH_SUBJECT, row.hash_key_id)


def _note_use(row: ApiKey, identity: Identity, presented: Presented, gate: ApiKeyGate) -> None:
    """Never fails the request: who may not be noted may still come in."""
    last = row.last_used_at
    if last is not None and presented.now - to_datetime(last) < USE_NOTED_EVERY:
        return
    now = to_timestamp(presented.now)
    stamp = ChangeContext(
        changed_by=identity.subject,
        request_id=presented.request_id,
        cause=presented.request_id,
        ip_address=presented.ip_address,
        user_agent=presented.user_agent,
    ).stamp()
    step = {**stamp, "last_used_at": now, "updated_at": now, "version": row.version + 1}
    try:
        token = gate.outside.new_id("use", presented.now)
        gate.uses.note_use(row, row.model_copy(update=step), token=token)
    except StaleWrite:
        return
    except Unavailable as error:
        logger.warning("the use of an API key was not noted", key=row.prefix, detail=error.detail)

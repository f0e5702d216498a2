"""API keys of machine clients: stored as a keyed hash, looked up by prefix, shown once."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from runtime.core.fields import Timestamp
from runtime.dynamodb.record import Record
from runtime.dynamodb.schema import partition, sort


class ApiKeyProfile(Record, frozen=True):
    """A key without its hash: what may be shown."""

    prefix: Annotated[str, partition()]
    merchant_id: Annotated[str, partition("gsi-merchant")]
    created_at: Annotated[Timestamp, sort("gsi-merchant")]
    name: str
    permissions: frozenset[str] = frozenset()
    revoked_at: Timestamp | None = None
    last_used_at: Timestamp | None = None


class ApiKey(ApiKeyProfile, table="api_keys", stream=True, frozen=True):
    """One machine client's key, by the prefix that the client sends in clear.

    `hash_key_id` names the data key under which `key_hash` was made.
    """

    key_hash: Annotated[str, Field(repr=False)]
    hash_key_id: str

"""API keys of machine clients: stored as a keyed hash, looked up by prefix, shown once."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from runtime.models.fields import Instant, Record
from runtime.schema import partition, sort


class ApiKey(Record, table="api_keys", stream=True, frozen=True):
    """One machine client's key, by the prefix that the client sends in clear."""

    prefix: Annotated[str, partition()]
    merchant_id: Annotated[str, partition("gsi-merchant")]
    created_at: Annotated[Instant, sort("gsi-merchant")]
    key_hash: Annotated[str, Field(repr=False)]
    permissions: frozenset[str] = frozenset()
    revoked_at: Instant | None = None
    last_used_at: Instant | None = None

"""API keys of machine clients: stored as a keyed hash and looked up by prefix."""

from typing import Annotated

from pydantic import Field

from runtime.core.fields import Timestamp
from runtime.dynamodb.record import Record
from runtime.dynamodb.schema import partition, sort


class ApiKeyProfile(Record, frozen=True):
    """The public fields of a key, without its hash."""

    prefix: Annotated[str, partition()]
    merchant_id: Annotated[str, partition("gsi-merchant")]
    created_at: Annotated[Timestamp, sort("gsi-merchant")]
    name: str
    permissions: frozenset[str] = frozenset()
    created_by: str | None = None
    """The subject of the token or API key that created it."""
    revoked_at: Timestamp | None = None
    last_used_at: Timestamp | None = None


class ApiKey(ApiKeyProfile, table="api_keys", stream=True, frozen=True):
    """An API key of a machine client, stored under the prefix of its text.

    `hash_key_id`: the data key under which `key_hash` was computed.
    """

    key_hash: Annotated[str, Field(repr=False)]
    hash_key_id: str

"""Data keys: what enciphers fields, each wrapped by KMS. Deleting one forgets its fields."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from runtime.models.fields import Instant
from runtime.schema import Row, partition, sort


class DataKey(Row, table="keys", frozen=True):
    """The data key `key_id` of one purpose and subject, wrapped under the KMS key of the purpose.

    A subject's newest key enciphers; the older ones open what they enciphered before.
    `active_from`: before that moment a new key is known, but not yet used. `retired_at`: nothing
    is found by it any more (blind indexes only).
    """

    subject: Annotated[str, partition()]
    key_id: Annotated[str, sort()]
    wrapped: Annotated[str, Field(repr=False)]
    created_at: Instant
    active_from: Instant | None = None
    retired_at: Instant | None = None


def key_owner(purpose: str, subject: str) -> str:
    """`DataKey.subject` of a customer's, a merchant's or our own keys for `purpose`."""
    return f"{purpose}#{subject}"

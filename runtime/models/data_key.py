"""Data keys: what enciphers fields, each wrapped by KMS. Deleting one forgets its fields."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from runtime.models.fields import Instant
from runtime.schema import Row, partition, sort


class DataKey(Row, table="keys", frozen=True):
    """The data key `key_id` of one subject, wrapped under the KMS key of its purpose."""

    subject: Annotated[str, partition()]
    key_id: Annotated[str, sort()]
    wrapped: Annotated[str, Field(repr=False)]
    created_at: Instant

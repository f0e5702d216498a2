"""Data keys: what enciphers fields, each wrapped by KMS. Without it its fields are unreadable."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from runtime.core.fields import Timestamp
from runtime.dynamodb.schema import Row, partition, sort

SWEEP: Final = "sweep"
"""`subject` of the rows that are no keys, but say how far a sweep has come."""


class DataKey(Row, table="keys", frozen=True):
    """The data key `key_id` of one purpose and subject, wrapped under the KMS key of the purpose.

    A subject's newest key enciphers; the older ones open what they enciphered before.
    `active_from`: before that moment a new key is known, but not yet used. `retired_at`: nothing
    is found by it any more (blind indexes only). `erased_at`: the customer was erased, and the key
    with it. The row stays so that no later key of the subject gets the same id.
    """

    subject: Annotated[str, partition()]
    key_id: Annotated[str, sort()]
    wrapped: Annotated[str | None, Field(repr=False)] = None
    created_at: Timestamp
    active_from: Timestamp | None = None
    retired_at: Timestamp | None = None
    erased_at: Timestamp | None = None


class SweepProgress(Row, frozen=True):
    """How far the last sweep over one table has come; it stands in the keys table.

    `last_key` is that of the last page that was swept. `renewed` counts rows enciphered again,
    `failed` those that could not be opened.
    """

    subject: str = SWEEP
    key_id: str
    started_at: Timestamp
    finished_at: Timestamp | None = None
    last_key: dict[str, str] | None = None
    seen: int = 0
    renewed: int = 0
    failed: int = 0

    table_schema = DataKey.table_schema


def key_owner(purpose: str, subject: str) -> str:
    """`DataKey.subject` of a customer's, a merchant's or our own keys for `purpose`."""
    return f"{purpose}#{subject}"

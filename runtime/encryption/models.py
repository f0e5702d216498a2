"""Data keys that encrypt fields, each wrapped by KMS. Without its key a field is unreadable."""

from typing import Annotated, Final

from pydantic import Field

from runtime.core.fields import Timestamp
from runtime.dynamodb.schema import Row, partition, sort

SWEEP: Final = "sweep"
"""`subject` of rows that hold rotation progress instead of a key."""


class DataKey(Row, table="keys", frozen=True):
    """The data key `key_id` of one purpose and subject, wrapped under the KMS key of the purpose.

    A subject's newest key encrypts; older keys decrypt what they encrypted.
    `active_from`: writers use the key from then on. `retired_at`: the key is no longer used for
    lookups (blind indexes only). `erased_at`: the customer was erased, and the key deleted. The row
    remains so that a later key of the subject does not reuse the id.
    """

    subject: Annotated[str, partition()]
    key_id: Annotated[str, sort()]
    wrapped: Annotated[str | None, Field(repr=False)] = None
    created_at: Timestamp
    active_from: Timestamp | None = None
    retired_at: Timestamp | None = None
    erased_at: Timestamp | None = None


class SweepProgress(Row, frozen=True):
    """Progress of the last rotation sweep over one table; stored in the keys table.

    `last_key` is the last key of the last finished page. `renewed` counts re-encrypted rows,
    `failed` those that could not be decrypted.
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
    """`DataKey.subject` of a customer's, a merchant's or the platform's keys for `purpose`."""
    return f"{purpose}#{subject}"

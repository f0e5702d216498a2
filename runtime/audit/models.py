"""The audit log: one row per version of every financial row, chained by hash."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field

from runtime.core.fields import Timestamp
from runtime.dynamodb.schema import Row, partition, shown_in, sort

ACTION_BUCKETS: Final = 32
"""Buckets of one action over the whole platform: 20,000 payments a second put as many rows under
each of a payment's actions, and one partition key takes 1,000 writes a second."""
USER_BUCKETS: Final = 128
"""Buckets of one user: one machine client may be behind every row of all these payments."""

ROWS_PREFIX: Final = "rows/"
ROOTS_PREFIX: Final = "roots/"
"""Where copies of the rows, and signed roots over them, lie in the archive's bucket."""
ROOT_MINUTES: Final = 1440
"""The longest time between two runs that sign roots: what is missing is noticed by the clock."""


class EntityType(StrEnum):
    """What an audit row is about; the value is the singular of the table's name."""

    ACCOUNT = "account"
    CUSTOMER = "customer"
    MERCHANT = "merchant"
    PAYMENT = "payment"
    SETTLEMENT = "settlement"
    TRANSACTION = "transaction"
    TRANSFER = "transfer"


def _plain(value: Any) -> Any:
    """Stored numbers come back as Decimal; all of ours are whole."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else str(value)
    if isinstance(value, dict):
        return {name: _plain(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_plain(member) for member in value]
    return value


Values = Annotated[dict[str, Any], BeforeValidator(_plain)]
"""Attributes by name as JSON values: text, whole numbers, booleans, null, lists and maps."""


class AuditRow(Row, table="audit_log", stream=True, frozen=True):
    """What one change did to one entity: old and new values, who, from where and why. Append only.

    `entity_id` is the row's id; of a fold row of an account it is `acc_x#07`. `sequence` is the
    zero-padded version; a change made outside the application, and a version that came late, add
    `#` and the stream's sequence number. Sorted by it, the rows of an entity are a chain:
    `prev_hash` is the `hash` of the row before. `image_hash` names the whole item as it was after
    the change, enciphered fields included; it is empty where the item was deleted. How hashes are
    made: audit/chain.py.
    """

    entity_id: Annotated[str, partition()]
    sequence: Annotated[str, sort()]
    action_bucket: Annotated[str, partition("action-index")]
    user_bucket: Annotated[str, partition("user-index")]
    merchant_bucket: Annotated[str, partition("gsi-merchant")]
    timestamp: Annotated[Timestamp, sort("action-index"), sort("user-index"), sort("gsi-merchant")]
    entity_type: EntityType
    version: int
    action: Annotated[str, shown_in("gsi-merchant")]
    user_id: Annotated[str, shown_in("gsi-merchant")]
    merchant_id: Annotated[str, shown_in("action-index", "user-index")]
    old_values: Values = Field(default_factory=dict)
    new_values: Values = Field(default_factory=dict)
    changes: tuple[str, ...] = ()
    ip_address: str = ""
    user_agent: str = ""
    request_id: str = ""
    cause: str = ""
    image_hash: str = ""
    prev_hash: str
    hash: str = ""

"""The audit log: one row per version of every financial row, chained by hash."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field

from runtime.core.fields import Timestamp
from runtime.dynamodb.schema import Row, partition, shown_in, sort

ACTION_BUCKETS: Final = 32
"""Buckets of one action across the platform: 20,000 payments a second write that many rows for each
action of a payment, and one partition key supports 1,000 writes a second."""
USER_BUCKETS: Final = 128
"""Buckets of one user: a single machine client may cause all rows of these payments."""

ROWS_PREFIX: Final = "rows/"
ROOTS_PREFIX: Final = "roots/"
"""Prefixes in the archive's bucket of row copies and of the signed roots over them."""
ROOT_MINUTES: Final = 1440
"""The longest time between two runs that sign roots; an alarm detects a missing run."""


class EntityType(StrEnum):
    """The entity of an audit row; the value is the singular of the table's name."""

    ACCOUNT = "account"
    CUSTOMER = "customer"
    MERCHANT = "merchant"
    PAYMENT = "payment"
    SETTLEMENT = "settlement"
    TRANSACTION = "transaction"
    TRANSFER = "transfer"


def _plain(value: Any) -> Any:
    """Numbers that are not whole are read as Decimal, which JSON does not have."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else str(value)
    if isinstance(value, dict):
        return {name: _plain(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_plain(member) for member in value]
    return value


Values = Annotated[dict[str, Any], BeforeValidator(_plain)]
"""Attributes by name as JSON values: strings, integers, booleans, null, arrays and objects."""


class AuditRow(Row, table="audit_log", stream=True, frozen=True):
    """One change of one entity: old and new values, who, from where and why. Append only.

    `entity_id` is the row's id; for a balance shard it is `acc_x#07`. `sequence` is the zero-padded
    version; an out-of-band change, and a version recorded late, add `#` and the stream's sequence
    number. Sorted by it, the rows of an entity are a chain: `prev_hash` is the `hash` of the
    previous row. `image_hash` is the hash of the whole item after the change, encrypted fields
    included; it is empty if the item was deleted. How hashes are computed: audit/chain.py.
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

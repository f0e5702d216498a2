"""The audit log: one row per version of every financial row, chained by hash.

Postings to balance shards have none: entries record them (projection/shard_attribution.py).
"""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field

from runtime.core.fields import Timestamp
from runtime.dynamodb.schema import Packed, Row, partition, shown_in, sort

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


DICTIONARY: Final = (
    b'"description":"metadata":{"order_id":"","failure_code":"failure_reason":"declined",'
    b'"customer_id":"cus_","idempotency_scope":"mer_","authorization_expires_at":'
    b'"lease_expires_at":"lease_owner":"att_","next_action_at":"open_bucket":"open#0'
    b'"merchant_status_bucket":"mer_#processing#0"type":"refund","authorization","capture",'
    b'"unsettled_bucket":"mer_#2026-","response_code":"approved","response_text":"Approved",'
    b'"processor":"sandbox","processor_id":"sbx_","charge_id":"sbx_","payment_method":"tok_'
    b'"transaction_ids":["txn_"],"amount_captured":,"refundable_minor":,"capturable_minor":0,'
    b'"fee":,"capture_method":"automatic","posted_amount":,"operation_id":"pos_",'
    b'"payment_id":"pay_","processed_at":"2026-","audit_trail":[{"status":"succeeded","at":"2026-'
    b'","by":"folded_accounts":["acc_clearing_USD","acc_receivable_mer__USD","acc_fees_USD"],'
    b'"legs":[{"from_account_id":"acc_clearing_USD","to_account_id":"acc_receivable_mer_",'
    b'"amount":},{"from_account_id":"acc_receivable_mer_","account_type":"wallet","balance":0,'
    b'"credit_limit":0,"held_in":0,"held_out":0,"last_operation_id":"trf_",'
    b'"posting":"immediate","spendable":0,"status":"processing","processed","active",'
    b'"status":"succeeded","merchant_bucket":"mer_#0","amount":,"currency":"USD",'
    b'"created_at":"2026-"},"entity_type":"transfer","transaction","payment","version":2,'
    b'"old_values":{"new_values":{},"changes":["ip_address":"","user_agent":"",'
    b'"request_id":"","cause":"pay_","image_hash":"'
)
"""What audit rows contain: with it a sale's rows are compressed to half of what zlib alone needs,
and stay below 1 KB with room for long descriptions. Stored rows need it: never change it."""
PACKED: Final = Packed(DICTIONARY)


class AuditRow(Row, table="audit_log", stream=True, frozen=True):
    """One change of one entity: old and new values, who, from where and why. Append only.

    `entity_id` is the row's id; for a balance shard it is `acc_x#07`. `sequence` is the zero-padded
    version; an out-of-band change, and a version recorded late, add `#` and the stream's sequence
    number. Sorted by it, the rows of an entity are a chain: `prev_hash` is the `hash` of the
    previous row. `image_hash` is the hash of the whole item after the change, encrypted fields
    included; it is empty if the item was deleted. How hashes are computed: audit/chain.py.

    The row of a posting, or of a charge's transaction, has no bucket of a user or a merchant: it is
    listed with the row of its transaction or payment (audit/listing.py).

    Fields that no index needs are stored compressed. Hashes, the archive and the API use the
    values, however they are stored: a row with plain attributes is as valid.
    """

    entity_id: Annotated[str, partition()]
    sequence: Annotated[str, sort()]
    action_bucket: Annotated[str, partition("action-index")]
    user_bucket: Annotated[str | None, partition("user-index")] = None
    merchant_bucket: Annotated[str | None, partition("gsi-merchant")] = None
    listed_request: Annotated[
        str | None, partition("gsi-request"), Field(exclude_if=lambda value: value is None)
    ] = None
    """`request_id` of a row that has an entry in the list of its request (audit/listing.py). Where
    it is absent, hashes leave it out: rows of before have none."""
    timestamp: Annotated[
        Timestamp,
        sort("action-index"),
        sort("user-index"),
        sort("gsi-merchant"),
        sort("gsi-request"),
    ]
    entity_type: Annotated[EntityType, PACKED]
    version: Annotated[int, PACKED]
    action: Annotated[str, shown_in("user-index", "gsi-merchant")]
    user_id: Annotated[str, shown_in("gsi-merchant")]
    merchant_id: Annotated[str, shown_in("action-index", "user-index")]
    old_values: Annotated[Values, PACKED] = Field(default_factory=dict)
    new_values: Annotated[Values, PACKED] = Field(default_factory=dict)
    changes: Annotated[tuple[str, ...], PACKED] = ()
    ip_address: Annotated[str, PACKED] = ""
    user_agent: Annotated[str, PACKED] = ""
    request_id: Annotated[str, PACKED] = ""
    cause: Annotated[str, PACKED] = ""
    image_hash: Annotated[str, PACKED] = ""
    prev_hash: str
    hash: str = ""

"""Who may do what: the DynamoDB actions of every function, one table per function.

A function that touches something new gets it here and nowhere else. No batch write, no wildcard;
Scan for the proof, the change of keys, the poll and the sweep, which read every row, or every
merchant; DeleteItem only for rows of totals that have moved into another. A transaction needs the
right to each of its parts (PutItem, UpdateItem, ConditionCheckItem).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from runtime.merchants.models import MerchantProfile

Action = Literal[
    "BatchGetItem",
    "ConditionCheckItem",
    "GetItem",
    "PutItem",
    "Query",
    "Scan",
    "UpdateItem",
]
KeyedAction = Literal["DeleteItem", "UpdateItem"]
KeyAction = Literal["Decrypt", "GenerateDataKey"]
WRITES: Final[frozenset[Action]] = frozenset({"PutItem", "UpdateItem"})


@dataclass(frozen=True, slots=True)
class TableUse:
    """Actions on the rows of one table, the indexes that may be queried, and its change stream."""

    actions: tuple[Action, ...]
    queried_indexes: tuple[str, ...] = ()
    reads_stream: bool = False
    by_key: Mapping[KeyedAction, tuple[str, ...]] = field(default_factory=dict)
    """Actions on some rows only: patterns of their partition keys."""
    attributes: tuple[str, ...] = ()
    """What alone may be read of the rows, by name; none: everything."""

    @property
    def writes(self) -> bool:
        """Whether any action changes a row."""
        return bool(self.by_key) or not WRITES.isdisjoint(self.actions)


TableUses = Mapping[str, TableUse]
"""What one function may do, by the table's schema name."""


ERASABLE_KEYS: Final = ("pci#cus_*", "pii#cus_*")
"""Customers' data keys. Losing another subject's would lose merchants' secrets, or answers."""

COMPACTABLE_TOTALS: Final = ("mer_*#*",)
"""Rows of merchants' buckets: neither a folded day nor what a payment is counted with."""
COMPACTED_TOTALS: Final = ("mer_*",)
"""Rows of merchants, folded days and marks among them: never what a payment is counted with."""


def _rows(
    *actions: Action,
    query: tuple[str, ...] = (),
    stream: bool = False,
    delete: tuple[str, ...] = (),
    update: tuple[str, ...] = (),
    only: tuple[str, ...] = (),
) -> TableUse:
    keyed: dict[KeyedAction, tuple[str, ...]] = {"DeleteItem": delete, "UpdateItem": update}
    by_key = {action: patterns for action, patterns in keyed.items() if patterns}
    return TableUse(actions, query, stream, by_key, only)


DATA_KEY_USERS: Final[Mapping[Literal["pii", "pci"], Mapping[str, tuple[KeyAction, ...]]]] = {
    "pci": {
        "api-Process": ("Decrypt", "GenerateDataKey"),
        "workers-Rotation": ("Decrypt", "GenerateDataKey"),
    },
    "pii": {
        "api-Process": ("Decrypt", "GenerateDataKey"),
        "api-Query": ("Decrypt",),
        "ledger-Project": ("Decrypt", "GenerateDataKey"),
        "webhooks-Deliver": ("Decrypt",),
        "workers-Poll": ("Decrypt", "GenerateDataKey"),
        "workers-Resolver": ("Decrypt", "GenerateDataKey"),
        "workers-Rotation": ("Decrypt", "GenerateDataKey"),
    },
}
"""Who opens data keys and makes new ones, by purpose: stack and construct of the function. The
keys' own policies deny it to everybody else: a function that is not here cannot, whatever its role
allows (stacks/iam/key_users.py)."""

AUTHORIZER: Final[TableUses] = {
    "api_keys": _rows("GetItem", "UpdateItem"),
    "keys": _rows("GetItem"),
}

PROCESS: Final[TableUses] = {
    "accounts": _rows(
        "GetItem", "BatchGetItem", "Query", "PutItem", "UpdateItem", "ConditionCheckItem"
    ),
    "alerts": _rows("PutItem"),
    "api_keys": _rows("GetItem", "PutItem", "UpdateItem"),
    "customers": _rows("GetItem", "PutItem", "UpdateItem", "ConditionCheckItem"),
    "entries": _rows("PutItem"),
    "exports": _rows("PutItem", query=("gsi-status",)),
    "idempotency": _rows("GetItem", "PutItem"),
    "keys": _rows("GetItem", "Query", "PutItem", update=ERASABLE_KEYS),
    "limits": _rows("UpdateItem"),
    "merchants": _rows("GetItem", "PutItem", "UpdateItem"),
    "payments": _rows(
        "GetItem", "BatchGetItem", "PutItem", "UpdateItem", query=("gsi-merchant-status",)
    ),
    "processor_events": _rows("GetItem", "PutItem", "UpdateItem"),
    "sandbox_charges": _rows("GetItem", "PutItem", "UpdateItem"),
    "settlement_files": _rows("PutItem"),
    "settlement_lines": _rows("GetItem", "BatchGetItem", "UpdateItem"),
    "settlements": _rows("BatchGetItem", "UpdateItem"),
    "transactions": _rows(
        "GetItem", "BatchGetItem", "PutItem", "UpdateItem", query=("gsi-open", "gsi-processor")
    ),
    "transfers": _rows("GetItem", "PutItem", "UpdateItem"),
    "webhooks": _rows("GetItem", "UpdateItem"),
}

CLAIM_SHOWN: Final = (
    "key",
    "merchant_id",
    "created_at",
    "state",
    "resource_id",
    "status_code",
    "expires_at",
)
"""The attributes of an answered request that lists show; never the encrypted answer."""

QUERY: Final[TableUses] = {
    "accounts": _rows(
        "GetItem", "BatchGetItem", "Query", query=("customer-index", "number-index", "status-index")
    ),
    "alerts": _rows("BatchGetItem", "PutItem", query=("gsi-everybody", "gsi-merchant")),
    "api_keys": _rows("BatchGetItem", query=("gsi-merchant",)),
    "audit_log": _rows(
        "BatchGetItem", "Query", query=("action-index", "gsi-merchant", "user-index")
    ),
    "customers": _rows("GetItem", "BatchGetItem", query=("gsi-email", "gsi-merchant")),
    "entries": _rows("Query"),
    "idempotency": _rows("BatchGetItem", query=("gsi-merchant",), only=CLAIM_SHOWN),
    "exports": _rows("GetItem", "BatchGetItem", query=("gsi-merchant", "gsi-status")),
    "keys": _rows("GetItem", "Query", "PutItem"),
    "merchants": _rows("GetItem", "BatchGetItem", query=("gsi-email", "gsi-list")),
    "payments": _rows(
        "GetItem",
        "BatchGetItem",
        query=("gsi-merchant", "gsi-merchant-status", "gsi-customer", "gsi-idempotency"),
    ),
    "processor_events": _rows("BatchGetItem", query=("gsi-merchant", "gsi-status")),
    "proofs": _rows("GetItem"),
    "settlement_files": _rows("GetItem", "BatchGetItem", query=("gsi-merchant", "gsi-status")),
    "settlement_lines": _rows("BatchGetItem", "Query", query=("gsi-exception", "gsi-transaction")),
    "settlements": _rows("GetItem", "BatchGetItem", query=("gsi-merchant",)),
    "totals": _rows("GetItem", "Query"),
    "transactions": _rows(
        "GetItem",
        "BatchGetItem",
        query=("gsi-merchant", "gsi-payment", "gsi-processor", "gsi-unsettled"),
    ),
    "transfers": _rows(
        "GetItem", "BatchGetItem", query=("customer-index", "merchant-index", "status-index")
    ),
    "webhooks": _rows("GetItem", "BatchGetItem", query=("gsi-merchant",)),
}

PROFILE: Final = tuple(MerchantProfile.model_fields)
"""A merchant without its encrypted attributes."""

EXPORT: Final[TableUses] = {
    "accounts": _rows("GetItem", "Query", query=("status-index",)),
    "audit_log": _rows("BatchGetItem", "Query", query=("gsi-merchant",)),
    "entries": _rows("Query"),
    "exports": _rows("GetItem", "UpdateItem"),
    "merchants": _rows("GetItem", only=PROFILE),
    "payments": _rows(
        "GetItem", "BatchGetItem", query=("gsi-customer", "gsi-merchant", "gsi-merchant-status")
    ),
    "settlement_lines": _rows("Query"),
    "settlements": _rows("GetItem", query=("gsi-merchant",)),
    "transactions": _rows("GetItem", "BatchGetItem", query=("gsi-processor",)),
    "transfers": _rows(
        "GetItem", "BatchGetItem", query=("customer-index", "merchant-index", "status-index")
    ),
}

RECONCILE: Final[TableUses] = {
    "accounts": _rows("UpdateItem"),
    "alerts": _rows("PutItem"),
    "merchants": _rows("GetItem"),
    "payments": _rows("BatchGetItem", "UpdateItem"),
    "settlement_chunks": _rows("BatchGetItem", "GetItem", "PutItem", "UpdateItem"),
    "settlement_files": _rows("ConditionCheckItem", "GetItem", "PutItem", "UpdateItem"),
    "settlement_identities": _rows("BatchGetItem", "PutItem", "UpdateItem"),
    "settlement_lines": _rows("BatchGetItem", "PutItem", "UpdateItem", query=("gsi-transaction",)),
    "settlements": _rows("BatchGetItem", "GetItem", "PutItem", "UpdateItem"),
    "transactions": _rows("BatchGetItem", "UpdateItem", query=("gsi-processor",)),
    "transfers": _rows("PutItem"),
}

MISSING: Final[TableUses] = {
    "merchants": _rows("GetItem", "Scan"),
    "settlement_chunks": _rows("GetItem", "PutItem"),
    "settlement_lines": _rows("PutItem"),
    "settlements": _rows("GetItem", "PutItem", "UpdateItem"),
    "transactions": _rows("BatchGetItem", "UpdateItem", query=("gsi-unsettled",)),
}

RESOLVER: Final[TableUses] = {
    "accounts": _rows("UpdateItem"),
    "alerts": _rows("PutItem"),
    "customers": _rows("UpdateItem"),
    "idempotency": _rows("GetItem", "PutItem"),
    "keys": _rows("GetItem", "Query", "PutItem"),
    "merchants": _rows("GetItem"),
    "payments": _rows("GetItem", "BatchGetItem", "UpdateItem", query=("gsi-open",)),
    "sandbox_charges": _rows("GetItem", "PutItem", "UpdateItem"),
    "transactions": _rows("GetItem", "BatchGetItem", "PutItem", "UpdateItem", query=("gsi-open",)),
    "transfers": _rows("PutItem"),
}

POLL: Final[TableUses] = {
    **{name: use for name, use in RESOLVER.items() if name != "customers"},
    "merchants": _rows("GetItem", "Scan"),
    "payments": _rows("GetItem", "UpdateItem"),
    "processor_events": _rows("GetItem", "PutItem", "UpdateItem", query=("gsi-status",)),
    "sandbox_charges": _rows("GetItem", "PutItem", "UpdateItem", query=("gsi-changed",)),
    "transactions": _rows("GetItem", "BatchGetItem", "UpdateItem", query=("gsi-processor",)),
}
"""What a fact is booked with, as by the resolver: a refund that is still under way is finished
first. And what it polls by."""

ROTATE: Final[TableUses] = {
    "alerts": _rows("PutItem"),
    "customers": _rows("GetItem", "Scan", "UpdateItem"),
    "keys": _rows("GetItem", "Query", "PutItem", "UpdateItem"),
    "merchants": _rows("GetItem", "Scan", "UpdateItem"),
}

PROJECT: Final[TableUses] = {
    "accounts": _rows("GetItem", "PutItem", stream=True),
    "alerts": _rows("PutItem", stream=True),
    "audit_log": _rows("GetItem", "PutItem", "Query"),
    "customers": _rows(stream=True),
    "entries": _rows("GetItem", "PutItem"),
    "exports": _rows(stream=True),
    "keys": _rows("GetItem", "Query", "PutItem"),
    "limits": _rows("BatchGetItem", "UpdateItem"),
    "merchants": _rows("GetItem", stream=True),
    "payments": _rows(stream=True),
    "settlements": _rows(stream=True),
    "totals": _rows("BatchGetItem", "PutItem", "UpdateItem"),
    "transactions": _rows(stream=True),
    "transfers": _rows("BatchGetItem", "GetItem", stream=True),
    "webhooks": _rows("PutItem"),
}

ARCHIVE: Final[TableUses] = {
    "alerts": _rows("PutItem"),
    "audit_log": _rows(stream=True),
}

SENT_WITH: Final = (
    "id",
    "merchant_id",
    "webhook_url",
    "webhook_secret",
    "previous_webhook_secrets",
)
"""What a webhook is sent with, of a merchant: its processor's keys are none of the sender's."""

DELIVER: Final[TableUses] = {
    "alerts": _rows("PutItem"),
    "keys": _rows("GetItem"),
    "merchants": _rows("GetItem", only=SENT_WITH),
    "webhooks": _rows("GetItem", "UpdateItem"),
}

RETRIES: Final[TableUses] = {
    "webhooks": _rows("UpdateItem", query=("gsi-retry",)),
}

HOLDS: Final[TableUses] = {
    "accounts": _rows("UpdateItem"),
    "transfers": _rows("GetItem", "UpdateItem", query=("expiry-index",)),
}

TOTALS: Final[TableUses] = {
    "totals": _rows(
        "BatchGetItem",
        "GetItem",
        query=("gsi-unfolded",),
        delete=COMPACTABLE_TOTALS,
        update=COMPACTED_TOTALS,
    ),
}

PROOF: Final[TableUses] = {
    "accounts": _rows("BatchGetItem", "Query", "Scan"),
    "entries": _rows("BatchGetItem", "Query", query=("transfer-index",)),
    "payments": _rows("BatchGetItem", "Scan"),
    "proofs": _rows("GetItem", "PutItem"),
    "settlement_lines": _rows("BatchGetItem", "Scan", query=("gsi-transaction",)),
    "transactions": _rows("BatchGetItem"),
    "transfers": _rows("BatchGetItem", "Scan"),
}

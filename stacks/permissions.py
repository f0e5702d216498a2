"""Who may do what: the DynamoDB actions of every function, one table per function.

A function that touches something new gets it here and nowhere else. No Scan, no DeleteItem, no
batch write, no wildcard. A transaction needs the right to each of its parts (PutItem, UpdateItem,
ConditionCheckItem).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Action = Literal[
    "BatchGetItem", "ConditionCheckItem", "DeleteItem", "GetItem", "PutItem", "Query", "UpdateItem"
]
WRITES: Final[frozenset[Action]] = frozenset({"DeleteItem", "PutItem", "UpdateItem"})


@dataclass(frozen=True, slots=True)
class TableUse:
    """Actions on the rows of one table, and the indexes that may be queried."""

    actions: tuple[Action, ...]
    queried_indexes: tuple[str, ...] = ()

    @property
    def writes(self) -> bool:
        """Whether any action changes a row."""
        return not WRITES.isdisjoint(self.actions)


TableUses = Mapping[str, TableUse]
"""What one function may do, by the table's schema name."""


def _rows(*actions: Action, query: tuple[str, ...] = ()) -> TableUse:
    return TableUse(actions, query)


PROCESS: Final[TableUses] = {
    "accounts": _rows("PutItem"),
    "customers": _rows("PutItem", "ConditionCheckItem"),
    "idempotency": _rows("GetItem", "PutItem"),
    "keys": _rows("GetItem", "PutItem"),
    "merchants": _rows("GetItem", "PutItem"),
    "payments": _rows("GetItem", "PutItem", "UpdateItem"),
    "sandbox_charges": _rows("GetItem", "PutItem"),
    "transactions": _rows("PutItem"),
    "transfers": _rows("PutItem"),
}

QUERY: Final[TableUses] = {
    "accounts": _rows("GetItem"),
    "customers": _rows("GetItem"),
    "keys": _rows("GetItem", "PutItem"),
    "merchants": _rows("GetItem"),
    "payments": _rows(
        "GetItem",
        "BatchGetItem",
        query=("gsi-merchant", "gsi-merchant-status", "gsi-customer"),
    ),
    "settlement_lines": _rows("Query"),
    "settlements": _rows("GetItem", "BatchGetItem", query=("gsi-merchant",)),
    "transactions": _rows("BatchGetItem"),
}

RECONCILE: Final[TableUses] = {
    "merchants": _rows("GetItem"),
    "settlement_lines": _rows("PutItem"),
    "settlements": _rows("GetItem", "PutItem", "UpdateItem"),
    "transactions": _rows("BatchGetItem", "UpdateItem"),
    "transfers": _rows("PutItem"),
}

RESOLVER: Final[TableUses] = {
    "idempotency": _rows("GetItem", "PutItem"),
    "keys": _rows("GetItem", "PutItem"),
    "merchants": _rows("GetItem"),
    "payments": _rows("GetItem", "UpdateItem", query=("gsi-open",)),
    "sandbox_charges": _rows("GetItem", "PutItem"),
    "transactions": _rows("PutItem"),
    "transfers": _rows("PutItem"),
}

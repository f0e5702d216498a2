"""Transactions in their list indexes, and the settlement lines about each."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from pydantic import BaseModel

from runtime.core.fields import Timestamp
from runtime.core.scope import Scope
from runtime.dynamodb.expressions import equals
from runtime.dynamodb.id_lists import IdEntry, IdLists
from runtime.dynamodb.store import MAX_TRANSACTION_ITEMS, Store
from runtime.payments.transaction_models import Transaction
from runtime.reconciliation.settlements.models import LineStatus, SettlementLine

LINES_SHOWN: Final = MAX_TRANSACTION_ITEMS
"""Settlement lines read for one transaction: it has one, and some more when files were
corrected or a line came twice."""


class LineView(BaseModel, frozen=True, defer_build=True):
    """A settlement line as shown with a transaction."""

    settlement_bucket: str
    settlement_id: str
    line: int
    status: LineStatus
    reason: str | None = None
    amount: int | None = None
    currency: str | None = None
    created_at: Timestamp


class _LineKey(BaseModel, frozen=True, defer_build=True):
    settlement_bucket: str
    line: int


class TransactionLists:
    """Reads of the indexes of transactions, and of lines by transaction; they may lag seconds."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lists = IdLists(store, Transaction, IdEntry)

    def operations(
        self, buckets: Sequence[str], *, after_id: str | None, page_size: int
    ) -> Iterator[str]:
        """Ids of a merchant's captures, refunds and voids of authorizations, newest first."""
        entries = self._lists.newest_first(
            "gsi-merchant", buckets, after_id=after_id, page_size=page_size
        )
        return (entry.id for entry in entries)

    def of_processor_id(self, processor_id: str, *, page_size: int) -> Iterator[str]:
        """Ids of transactions with this processor id, of any merchant, unordered."""
        entries = self._store.query(
            Transaction,
            IdEntry,
            [equals("processor_id", processor_id)],
            index="gsi-processor",
            page_size=page_size,
        )
        return (entry.id for entry in entries)

    def lines_of(self, transaction_id: str, scope: Scope) -> list[LineView]:
        """The settlement lines in `scope` that are about a transaction, at most LINES_SHOWN."""
        entries = self._store.query(
            SettlementLine,
            _LineKey,
            [equals("transaction_id", transaction_id)],
            index="gsi-transaction",
            page_size=LINES_SHOWN,
        )
        keys = [entry.model_dump() for entry in islice(entries, LINES_SHOWN)]
        if not keys:
            return []
        lines = self._store.get_many(SettlementLine, keys, LineView, scope)
        return sorted(lines, key=lambda line: (line.settlement_id, line.line))

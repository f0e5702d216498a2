"""Exported payments and transactions.

Both read what the list of payments reads, by the same index and filters, newest first. The rows
themselves are read by key, so they are current when they are written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from runtime.core.scope import Scope
from runtime.http.caller import require_found
from runtime.payments.api import PaymentAnswer, PaymentQuery, TransactionAnswer
from runtime.payments.lists_repository import PaymentEntry
from runtime.payments.models import Payment
from runtime.payments.queries import entries_of, is_wanted, matches, position_of, window_of
from runtime.payments.transaction_models import Transaction
from runtime.reporting.exports.api import TransactionFilters
from runtime.reporting.exports.sources.chunks import (
    Chunk,
    RowWriter,
    Selection,
    by_hundreds,
    selections,
)
from runtime.reporting.exports.sources.reads import ExportReads, Whose, page_size_of


class _PaymentEntries:
    """The entries of the payment list, newest first, each position being a payment's id."""

    def __init__(self, query: PaymentQuery, whose: Whose, reads: ExportReads) -> None:
        self._query, self._whose, self._reads = query, whose, reads

    def selected(self, position: str | None) -> Iterator[Selection]:
        """Payments that match, after a position."""
        query, reads = self._query, self._reads
        merchant = reads.merchants.require(self._whose.owner)
        start, end = window_of(query.start_date, query.end_date, self._whose.moment)
        window = (start, min(end, self._whose.moment))
        entries = entries_of(query, window, position, merchant, reads, page_size=page_size_of)
        return selections(
            entries,
            position=position_of,
            matches=lambda entry: matches(entry, query),
        )

    def rows(self, entries: Iterable[PaymentEntry]) -> list[Payment]:
        """The payments behind entries, except those that no longer match the query."""
        ids = [entry.id for entry in entries]
        if not ids:
            return []
        rows = self._reads.payments.get_many(ids, Scope(self._whose.owner))
        return [row for row in rows if is_wanted(row, self._query)]


class PaymentSource:
    """Payments, newest first."""

    def __init__(
        self, query: PaymentQuery, whose: Whose, reads: ExportReads, writer: RowWriter
    ) -> None:
        self._entries = _PaymentEntries(query, whose, reads)
        self._writer = writer
        self.header = writer.header

    def chunks(self, position: str | None) -> Iterator[Chunk]:
        """As Source."""
        for selection in self._entries.selected(position):
            rows = self._entries.rows(selection.entries)
            yield self._writer.chunk([PaymentAnswer.of(row) for row in rows], selection.position)


class TransactionSource:
    """Transactions, by payment: the newest payment first, and its transactions in order.

    No index has a merchant's transactions; each is listed in its payment's row.
    """

    def __init__(
        self, query: TransactionFilters, whose: Whose, reads: ExportReads, writer: RowWriter
    ) -> None:
        self._query, self._whose, self._reads, self._writer = query, whose, reads, writer
        self._entries = _PaymentEntries(PaymentQuery(), whose, reads)
        self.header = writer.header

    def chunks(self, position: str | None) -> Iterator[Chunk]:
        """As Source."""
        named = self._named_payments()
        if named is not None:
            if position is None:
                yield self._chunk(named, self._whose.until)
            return
        for selection in self._entries.selected(position):
            yield self._chunk(self._entries.rows(selection.entries), selection.position)

    def _named_payments(self) -> list[Payment] | None:
        """The payments in the filters; None if they have none."""
        payments, scope = self._reads.payments, Scope(self._whose.owner)
        if self._query.payment_id is not None:
            row = payments.get(self._query.payment_id, scope)
            return [require_found(row, "payment", self._query.payment_id)]
        if self._query.processor_id is not None:
            ids = dict.fromkeys(payments.of_processor_id(self._query.processor_id, scope))
            return [row for each in ids if (row := payments.get(each, scope)) is not None]
        return None

    def _chunk(self, payments: Iterable[Payment], position: str) -> Chunk:
        ids = [each for payment in payments for each in payment.transaction_ids]
        rows: list[Transaction] = []
        for some in by_hundreds(ids):
            rows += self._reads.payments.operations(some, Scope(self._whose.owner))
        wanted = [TransactionAnswer.of(row) for row in rows if self._is_wanted(row)]
        return self._writer.chunk(wanted, position)

    def _is_wanted(self, row: Transaction) -> bool:
        query = self._query
        return (
            row.created_at <= self._whose.until
            and query.status in (None, row.status)
            and query.payment_id in (None, row.payment_id)
            and query.processor_id in (None, row.processor_id)
        )

"""The source of an export, by its kind and format."""

from __future__ import annotations

from collections.abc import Sequence

from runtime.audit.api import AuditQuery
from runtime.ledger.transfers.api import TransferQuery
from runtime.payments.api import PaymentQuery
from runtime.reporting.exports.api import FILTERS, ROWS, LineFilters, TransactionFilters
from runtime.reporting.exports.models import Export, ExportFormat, ExportKind
from runtime.reporting.exports.sources.audit import AuditSource
from runtime.reporting.exports.sources.books import BooksSource
from runtime.reporting.exports.sources.chunks import RowWriter, Source
from runtime.reporting.exports.sources.entries import EntrySource
from runtime.reporting.exports.sources.lines import LineSource
from runtime.reporting.exports.sources.payments import PaymentSource, TransactionSource
from runtime.reporting.exports.sources.reads import ExportReads, Whose
from runtime.reporting.exports.sources.transfers import TransferSource


def whose(export: Export) -> Whose:
    """The owner of an export's rows, and its end."""
    return Whose(export.merchant_id, export.until)


def source_of(export: Export, account_ids: Sequence[str], reads: ExportReads) -> Source:
    """The source of an export's rows; `account_ids` are the accounts of exported entries."""
    if export.format is ExportFormat.BEANCOUNT:
        return BooksSource(account_ids, whose(export), reads)
    writer = RowWriter(ROWS[export.kind], export.format)
    if export.kind is ExportKind.ENTRIES:
        return EntrySource(account_ids, whose(export), reads, writer)
    query = FILTERS[export.kind].model_validate(export.filters)
    match query:
        case PaymentQuery():
            return PaymentSource(query, whose(export), reads, writer)
        case TransactionFilters():
            return TransactionSource(query, whose(export), reads, writer)
        case TransferQuery():
            return TransferSource(query, whose(export), reads, writer)
        case AuditQuery():
            return AuditSource(query, whose(export), reads, writer)
        case LineFilters():
            return LineSource(query, whose(export), reads, writer)
        case _:
            raise AssertionError(f"no source for {export.kind}")
